"""What is wrong with a set of images: a report with a reason per file, and nothing is touched.

Files are only read, never deleted, moved or changed, and one bad file never stops the rest.
`inspect` writes the report, `datasets.load(..., exclude=...)` follows its advice.
"""

import hashlib
import stat
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import imagehash
import joblib
import numpy as np
import pandas as pd
from PIL import ExifTags, Image, ImageDraw, UnidentifiedImageError
from tqdm.auto import tqdm

from tfl_helpers.datasets import (
    SUFFIXES,
    FolderImages,
    ImageReadError,
    ImageSet,
    list_files,
    read_image,
)

# Every problem and what it means. A file with one of the first nine is better left out;
# `datasets.read_image` deals with the other six.
PROBLEMS = {
    "unreadable": "cannot be opened or decoded",
    "truncated": "ends before its image does",
    "empty": "zero bytes",
    "not-an-image": "holds no kind of image that is read here, whatever its name says",
    "duplicate": "the same bytes as another file",
    "near-duplicate": "looks the same as another file",
    "blank": "one plain colour",
    "tiny": "its smaller side is below 8 pixels",
    "huge": "claims so many pixels that it could fill the memory (decompression bomb)",
    "animated": "several frames or pages: the first is used",
    "alpha": "transparent parts: they become white",
    "palette": "colours from a palette: they become RGB",
    "16-bit": "more than 8 bits per value: scaled down to 8",
    "cmyk": "colours for printing: they become RGB",
    "rotated": "stored turned or mirrored (EXIF): it is put upright",
}
LEAVE_OUT = list(PROBLEMS)[:9]
MIN_SIDE = 8  # pixels: the digits of scikit-learn are as small as this
PLAIN = 4  # of 255 levels: a thumbnail that varies no more than this is blank
# Two images with alike hashes are near-duplicates only if their thumbnails (16 x 16, RGB) also
# correlate this much and differ on average by at most so many of 255 levels. Chosen by looking at
# the pairs found in CIFAR-10, INRIA Person, MNIST and the digits, at letters, charts and skies.
MIN_CORRELATION, MAX_DIFFERENCE = 0.995, 20
MOST_COMPARED = 1000  # images with alike hashes that one image is compared to
# Pillow only recognises these, or hands them to another program.
NOT_READ = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
STARTS = b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"II*\0", b"MM\0*", b"RIFF"


def inspect(
    images: str | Path | FolderImages | ImageSet | np.ndarray,
    *,
    near_duplicate_distance: int = 6,
    progress: bool = True,
) -> pd.DataFrame:
    """Look for everything that may be wrong with a set of images.

    Parameters
    ----------
    images : str, Path, FolderImages, ImageSet or array
        A folder, where every file counts whatever its suffix (hidden files are passed over and
        links to folders are not followed, as in `datasets.load`); or images already loaded; or
        uint8 (n, h, w, 1 or 3).
    near_duplicate_distance : int
        Bits, of 64, in which the perceptual hashes of two near-duplicates may differ. Larger finds
        more, at most 31; 0 finds only equal hashes. Every pair is confirmed on its thumbnails.
    progress : bool
        Show a progress bar where it takes longer than a second.

    Returns
    -------
    pd.DataFrame
        One row per image: a folder's sorted by name, a set's in its own order. Columns:

        - file: path within the folder with forward slashes, or the name or position in the set;
        - width, height: pixels (Int64) of the upright image, as `datasets.read_image` returns it;
        - mode: Pillow's, such as "RGB", "L", "P" (palette);
        - bytes: size of the file, or of the array (Int64);
        - problem: "" or some of `PROBLEMS`, joined by ", ";
        - detail: the same in plain words;
        - duplicate_of: the first file of its kind, or "";
        - keep: False where leaving the file out is advised.

    Raises
    ------
    NotADirectoryError
        There is no such folder.
    TypeError, ValueError
        `images` is nothing of the above, or the distance is out of range.

    Notes
    -----
    Duplicates have the same bytes (arrays: the same pixels). Near-duplicates are found by pHash
    (Zauner 2010, as in the library imagehash) and confirmed on thumbnails: copies that were saved
    again, resized or made a little brighter are found; mirrored, turned, strongly cropped or
    black-and-white copies are not. Of several the first stays. Of an image only a hash and a
    thumbnail stay in memory: about 1.5 kB. Taught in notebook 01.
    """
    if not 0 <= near_duplicate_distance <= 31:
        raise ValueError(f"near_duplicate_distance is 0 to 31 bits, not {near_duplicate_distance}")
    names, look = _source(images)
    Image.init()  # before the threads start: which kinds of image Pillow knows
    workers = min(joblib.cpu_count(), 8)  # more would hold more large images at once
    with warnings.catch_warnings():  # what Pillow has to say stands in the report
        warnings.simplefilter("ignore")
        looked = joblib.Parallel(workers, prefer="threads", return_as="generator")(
            joblib.delayed(look)(i) for i in range(len(names))
        )
        bar = tqdm(looked, "looking", len(names), False, delay=1, disable=not progress)
        rows = list(bar)
    return report(names, rows, near_duplicate_distance=near_duplicate_distance)


def report(
    names: Sequence[str], rows: Sequence[dict[str, Any]], *, near_duplicate_distance: int = 6
) -> pd.DataFrame:
    """Put what `look` saw in each file together, and find those that are there twice.

    Parameters
    ----------
    names : sequence of str
        Of the files; of two that show the same, the first stays.
    rows : sequence of dict
        What `look` says of each; kept as they are.
    near_duplicate_distance : int
        As in `inspect`.

    Returns
    -------
    pd.DataFrame
        As from `inspect`.

    Notes
    -----
    `inspect` in two steps, for those who keep the rows and look at new files only. Taught in
    notebook 07.
    """
    rows = [row | {"codes": list(row["codes"])} for row in rows]
    _mark_duplicates(names, rows)
    _mark_near_duplicates(names, rows, near_duplicate_distance)
    for row in rows:
        row["codes"].sort(key=list(PROBLEMS).index)

    def column(values: list, dtype: Any = object) -> pd.Series:
        return pd.Series(values, dtype=dtype)  # object: names of files need not be valid text

    return pd.DataFrame(
        {
            "file": column(names),
            **{key: column([r.get(key) for r in rows], "Int64") for key in ("width", "height")},
            "mode": column([r.get("mode", "") for r in rows]),
            "bytes": column([r.get("bytes") for r in rows], "Int64"),
            "problem": column([", ".join(r["codes"]) for r in rows]),
            "detail": column(
                ["; ".join([PROBLEMS[c] for c in r["codes"]] + r["notes"]) for r in rows]
            ),
            "duplicate_of": column([r.get("duplicate_of", "") for r in rows]),
            "keep": column([not set(LEAVE_OUT) & set(r["codes"]) for r in rows], bool),
        }
    )


def summary(report: pd.DataFrame) -> pd.DataFrame:
    """Count the files of a report by problem.

    Parameters
    ----------
    report : pd.DataFrame
        From `inspect`.

    Returns
    -------
    pd.DataFrame
        A row per problem found: how many files, what is advised, what it means, an example.

    Notes
    -----
    Taught in notebook 01.
    """
    each = report.assign(problem=report["problem"].str.split(", ")).explode("problem")
    files = each.groupby("problem")["file"]
    table = pd.DataFrame({"files": files.size(), "example": files.first()})
    table = table.reindex([code for code in PROBLEMS if code in table.index])
    table.insert(1, "advice", ["leave out" if c in LEAVE_OUT else "keep" for c in table.index])
    table.insert(2, "meaning", [PROBLEMS[code] for code in table.index])
    return table


def look(path: str | Path) -> dict[str, Any]:
    """Look at one file: what is wrong with it, and what it is compared by.

    Parameters
    ----------
    path : str or Path
        The file. It is only read.

    Returns
    -------
    dict
        `codes` (some of `PROBLEMS`) and `notes`, lists of str; as far as they are known `bytes`,
        `mode`, `width`, `height`, `digest` (SHA-256), `hash` (bool (64,)) and `thumbnail` (uint8
        (3, 256)). No content of a file raises an error.

    Notes
    -----
    For `report`. Taught in notebook 07.
    """
    path = Path(path)
    row = {"codes": [], "notes": []}
    try:
        _read_file(path, row)
    except Exception as error:  # whatever is in a file, it is a line of the report and no more
        cause = error.__cause__ if isinstance(error, ImageReadError) else error
        why = " ".join(f"{getattr(cause, 'strerror', None) or cause}".split())[:200]
        cut = "truncated" in why.lower()
        row["codes"] = ["truncated" if cut else "unreadable"]
        row["notes"] = [] if cut else [why or type(cause).__name__]
    return row


def make_messy_folder(out: str | Path, *, seed: int = 0) -> dict[str, str]:
    """Write a small folder of photos that is broken on purpose, with every problem in it.

    Parameters
    ----------
    out : str or Path
        A folder that is new or empty.
    seed : int
        Draws which parts of the two photos become which image.

    Returns
    -------
    dict of str to str
        What `inspect` should say of each file: path within `out` -> problem, "" for a good one.

    Raises
    ------
    FileExistsError
        There is something in `out` already, or it is a file.

    Notes
    -----
    Parts of the two sample photos that ship with scikit-learn: a temple and a flower. The huge
    image only claims to have 200 million pixels. Taught in notebook 01.
    """
    from sklearn.datasets import load_sample_image

    out = Path(out).expanduser()
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise FileExistsError(
            f"{out} is not an empty folder: choose a new one, nothing was written"
        )
    rng, tiles, planted = np.random.default_rng(seed), {}, {}
    for subject, photo in (("temple", "china.jpg"), ("flower", "flower.jpg")):
        (out / subject).mkdir(parents=True, exist_ok=True)
        whole = Image.fromarray(load_sample_image(photo))
        corners = rng.permutation([(x, y) for x in range(0, 441, 88) for y in (113, 226)])
        tiles[subject] = [whole.crop((x, y, x + 200, y + 200)) for x, y in corners.tolist()]

    def write(file: str, problem: str, content: Image.Image | bytes, **options: Any) -> bytes:
        if isinstance(content, bytes):
            (out / file).write_bytes(content)
        else:
            content.save(out / file, **options)
        planted[file] = problem
        return (out / file).read_bytes()

    for subject, part in tiles.items():
        good = [write(f"{subject}/0{i}.jpg", "", part.pop(), quality=90) for i in range(4)]
        good += [write(f"{subject}/0{i}.png", "", part.pop()) for i in (4, 5)]
        write(f"{subject}/half.jpg", "truncated", good[0][: len(good[0]) // 2])
        write(f"{subject}/half.png", "truncated", good[4][: len(good[4]) // 2])
        write(f"{subject}/copy of 01.jpg", "duplicate", good[1])
        smaller = Image.open(out / subject / "02.jpg").resize((120, 120))
        write(f"{subject}/02_smaller.jpg", "near-duplicate", smaller, quality=95)
        darker = Image.open(out / subject / "05.png").point(lambda value: round(0.92 * value))
        write(f"{subject}/05_darker.png", "near-duplicate", darker)
        write(f"{subject}/empty.jpg", "empty", b"")
        write(f"{subject}/icon.png", "tiny", part[0].resize((6, 6)))
    png, photos = good[5], tiles["temple"] + tiles["flower"]
    write("temple/damaged.png", "unreadable", png[:16] + bytes(8) + png[24:])  # no width, height
    header = png[12:16] + (20_000).to_bytes(4) + (10_000).to_bytes(4) + png[24:29]
    claim = png[:12] + header + zlib.crc32(header).to_bytes(4) + png[33:]
    write("flower/huge.png", "huge", claim)
    write("temple/notes.txt", "not-an-image", b"Taken on a cloudy day.\n")
    write("flower/text.jpg", "not-an-image", b"<p>404: this photo is not here any more</p>\n")
    dark = rng.integers(0, 4, (200, 200, 3), "uint8")
    write("temple/lens_cap.jpg", "blank", Image.fromarray(dark), quality=90)
    write("flower/white.png", "blank", Image.new("RGB", (200, 200), "white"))
    moving = [photos.pop().quantize() for _ in range(3)]
    options = {"save_all": True, "append_images": moving[1:]}
    write("flower/moving.gif", "animated, palette", moving[0], **options)
    mask = Image.new("L", (200, 200))
    ImageDraw.Draw(mask).ellipse((10, 10, 189, 189), fill=255)
    (round_one := photos.pop()).putalpha(mask)
    write("flower/round.png", "alpha", round_one)
    write("flower/palette.png", "palette", photos.pop().quantize(64))
    deep = np.asarray(photos.pop().convert("L")).astype("uint16") * 257
    write("temple/16bit.png", "16-bit", Image.fromarray(deep))
    write("temple/print.jpg", "cmyk", photos.pop().convert("CMYK"), quality=90)
    (exif := Image.Exif())[ExifTags.Base.Orientation] = 6  # to be turned right by 90 degrees
    sideways = photos.pop().crop((0, 0, 200, 150)).transpose(Image.Transpose.ROTATE_90)
    write("temple/sideways.jpg", "rotated", sideways, quality=90, exif=exif)
    return dict(sorted(planted.items()))


def _source(images: Any) -> tuple[list[str], Callable[[int], dict]]:
    """Names of the images, and a function that looks at one of them."""
    if isinstance(images, str | Path):
        root = Path(images).expanduser()
        names = list_files(root)
        return names, lambda i: look(root / names[i])
    names = None
    if isinstance(images, ImageSet):
        names, images = images.names, images.images
    if isinstance(images, FolderImages):
        root, files = images.root, images.files
        return list(names or files), lambda i: look(root / files[i])
    if not isinstance(images, np.ndarray):
        raise TypeError(
            "images is a folder, a FolderImages, an ImageSet or an array (n, h, w, 1 or 3), not "
            f"{type(images).__name__}"
        )
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        raise ValueError(
            f"images are uint8 (n, h, w, 1 or 3), 0..255, not {images.dtype} {images.shape}"
        )
    names = list(names) if names is not None else [str(i) for i in range(len(images))]
    return names, lambda i: _look_at_array(images[i])


def _read_file(path: Path, row: dict) -> None:
    codes, notes = row["codes"], row["notes"]
    if path.is_symlink() and not path.exists():
        raise FileNotFoundError("a link that leads nowhere")
    about = path.stat()
    if stat.S_ISDIR(about.st_mode):
        raise OSError("a folder that cannot be listed")
    if not stat.S_ISREG(about.st_mode):
        raise OSError("a pipe, a socket or a device, not a file")  # reading could wait for ever
    row["bytes"] = about.st_size
    if not about.st_size:
        codes.append("empty")
        return
    try:
        with Image.open(path, formats=[kind for kind in Image.ID if kind not in NOT_READ]) as image:
            _read_header(image, row)
    except UnidentifiedImageError:
        with open(path, "rb") as file:
            if file.read(8).startswith(STARTS):
                raise OSError("starts like an image, but its header is damaged or cut") from None
        codes.append("not-an-image")
        return
    except Image.DecompressionBombError:
        codes.append("huge")
    if "huge" in codes:
        return  # never decoded
    thumbnail = read_image(path, (32, 32))  # a large JPEG is decoded at reduced size
    with open(path, "rb") as file:
        row["digest"] = hashlib.file_digest(file, "sha256").digest()
    _read_pixels(Image.fromarray(thumbnail), row)
    if path.suffix.lower() not in SUFFIXES:
        notes.append(f"passed over by load: its name ends in none of {' '.join(sorted(SUFFIXES))}")


def _read_header(image: Image.Image, row: dict) -> None:
    """Note what is known before a pixel is decoded."""
    pixels, limit = image.width * image.height, Image.MAX_IMAGE_PIXELS
    row.update(mode=image.mode, width=image.width, height=image.height)
    if limit is not None and pixels > limit:
        row["codes"].append("huge")
        return
    # Pillow decodes a whole PNG when asked for EXIF data that it has not met so far
    exif = image.getexif() if image.format != "PNG" or "exif" in image.info else {}
    turned = exif.get(ExifTags.Base.Orientation, 1)
    if turned in (5, 6, 7, 8):
        row.update(width=image.height, height=image.width)
    odd = {
        # the second picture in a phone's MPO is a preview or a depth map
        "animated": getattr(image, "is_animated", False) and image.format != "MPO",
        "alpha": image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info,
        "palette": image.mode in ("P", "PA"),
        "16-bit": image.mode.startswith(("I", "F")),
        "cmyk": image.mode == "CMYK",
        "rotated": turned in range(2, 9),
        "tiny": min(image.size) < MIN_SIDE,
    }
    row["codes"] += [code for code, found in odd.items() if found]


def _look_at_array(pixels: np.ndarray) -> dict:
    row = {"codes": [], "notes": [], "bytes": pixels.nbytes}
    image = Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)
    _read_header(image, row)
    row["digest"] = hashlib.sha256(np.ascontiguousarray(pixels)).digest()
    _read_pixels(image.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR), row)
    return row


def _read_pixels(image: Image.Image, row: dict) -> None:
    """Note what is compared between images, from a thumbnail of 32 x 32 pixels."""
    if all(high - low <= PLAIN for low, high in image.getextrema()):
        row["codes"].append("blank")
    row["hash"] = imagehash.phash(image).hash.ravel()
    row["thumbnail"] = np.asarray(image.reduce(2)).reshape(256, 3).T.copy()


def _mark_duplicates(names: Sequence[str], rows: list[dict]) -> None:
    first = {}
    for i, row in enumerate(rows):
        if "digest" in row and first.setdefault(row["digest"], i) != i:
            row["codes"].append("duplicate")
            row["duplicate_of"] = names[first[row["digest"]]]


def _mark_near_duplicates(names: Sequence[str], rows: list[dict], distance: int) -> None:
    """Compare every image that is fine so far to those before it, which stay if it goes."""
    fine = [i for i, r in enumerate(rows) if "hash" in r and not set(LEAVE_OUT) & set(r["codes"])]
    if not fine:
        return
    # With bits written as -1 and 1 the product of two hashes is 64 - 2 * (bits that differ), so
    # that one matrix product compares a block to all before it; n x n never is in memory.
    signs = np.array([rows[i]["hash"] for i in fine], "float32") * 2 - 1
    thumbnails = np.array([rows[i]["thumbnail"] for i in fine])
    stays = np.ones(len(fine), bool)
    for start in range(0, len(fine), 128):
        alike = signs[start : start + 128] @ signs[: start + 128].T >= 64 - 2 * distance
        for k in np.flatnonzero(alike.sum(1) > 1):  # every image is like itself
            i = start + k
            before = np.flatnonzero(alike[k, :i] & stays[:i])[:MOST_COMPARED]
            same = before[_same_thumbnail(thumbnails[i], thumbnails[before])]
            if len(same):
                stays[i] = False
                rows[fine[i]]["codes"].append("near-duplicate")
                rows[fine[i]]["duplicate_of"] = names[fine[same[0]]]


def _same_thumbnail(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether a thumbnail (3, pixels) shows the same as each of some others (n, 3, pixels)."""
    one, others = one.astype("float32"), others.astype("float32")
    close = np.abs(others - one).mean((1, 2)) <= MAX_DIFFERENCE
    one, others = (x - x.mean(-1, keepdims=True) for x in (one, others))
    sizes = np.sqrt((one**2).sum() * (others**2).sum((1, 2)))
    return close & ((others * one).sum((1, 2)) >= MIN_CORRELATION * sizes)
