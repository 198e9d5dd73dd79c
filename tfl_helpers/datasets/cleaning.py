"""What is wrong with a set of images: a report with a reason per file.

Files are only read, and one bad file never stops the rest. `inspect` writes the report,
`datasets.load(..., exclude=...)` follows its advice.
"""

import hashlib
import os
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError

from tfl_helpers.datasets import quality
from tfl_helpers.datasets.decode import (
    LARGE,
    RAW,
    SUFFIXES,
    ImageReadError,
    find_range,
    is_deep,
    open_image,
    orientation,
    read_image,
    values_of,
)
from tfl_helpers.datasets.duplicates import find_duplicates, find_near_duplicates
from tfl_helpers.datasets.files import progress_bar
from tfl_helpers.datasets.images import FolderImages, ImageSet, as_images, check_images, list_files

# Every problem and what it means. A file with one of the first nine is better left out;
# `datasets.read_image` deals with the other six.
PROBLEMS = {
    "unreadable": "cannot be opened or decoded",
    "truncated": "ends before its image does",
    "empty": "zero bytes",
    "not-an-image": "holds no kind of image that is read here, whatever its name says",
    "duplicate": "the same bytes or pixels as another file",
    "near-duplicate": "looks the same as another file",
    "blank": "one plain colour",
    "tiny": "its smaller side is below 8 pixels",
    "huge": "so many pixels that it could fill the memory",
    "animated": "several frames or pages: the first is used",
    "alpha": "transparent parts: they become white, or black around what is white",
    "palette": "colours from a palette: they become RGB",
    "16-bit": "more than 8 bits per value: scaled to 8 by the range of the folder",
    "cmyk": "colours for printing: they become RGB",
    "rotated": "stored turned or mirrored (EXIF): it is put upright",
}
LEAVE_OUT = list(PROBLEMS)[:9]
SIDE = 64  # pixels that are looked at
FEW, MANY = 50, 20_000  # images between which they are compared by features
NUMBERS = ["link", "width", "height", "bytes"]  # what is known of a file
COLUMNS = ["file", "width", "height", "mode", "bytes", "problem", "detail", "duplicate_of", "keep"]
LOOKS = ["sharpness", "dark", "bright", "range"]  # from `quality.measure`
STARTS = b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"II*\0", b"MM\0*", b"RIFF"


# One check per problem that a header shows, before a pixel is decoded.
_CHECKS: dict[str, Callable[[Image.Image], bool]] = {
    # the second picture in a phone's MPO is a preview or a depth map
    "animated": lambda image: getattr(image, "is_animated", False) and image.format != "MPO",
    "alpha": lambda image: image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info,
    "palette": lambda image: image.mode in ("P", "PA"),
    "16-bit": is_deep,
    "cmyk": lambda image: image.mode == "CMYK",
    "rotated": lambda image: orientation(image) in range(2, 9),
    "tiny": lambda image: min(image.size) < 8,  # the digits of scikit-learn are as small as this
}


def inspect(
    images: str | Path | FolderImages | ImageSet | np.ndarray,
    *,
    near_duplicate_distance: int = 6,
    progress: bool = True,
) -> pd.DataFrame:
    """Look for everything that may be wrong with a set of images.

    Near-duplicates are copies that were saved again, resized or made a little brighter; mirrored,
    turned, strongly cropped or black-and-white copies are not found. Of several the one with most
    pixels, then most bytes, then the first stays; a link only if there is no file.

    Parameters
    ----------
    images : str, Path, FolderImages, ImageSet or array
        A folder, where every file counts whatever its suffix; or uint8 (n, h, w, 1 or 3).
    near_duplicate_distance : int
        Of the 64 bits of a perceptual hash, how many may differ between two near-duplicates: 0..31.
        Every pair is confirmed on its thumbnails.
    progress : bool
        Show a progress bar where it takes longer than a second.

    Returns
    -------
    pd.DataFrame
        One row per image: a folder's sorted by name, a set's in its own order. Columns: `file`
        (path within the folder, or name or position in the set); `width`, `height` (pixels of the
        upright image); `mode` (Pillow's, such as "RGB"); `bytes` (size of the file or array);
        `problem` ("" or some of `PROBLEMS` and `quality.MARKS`, joined by ", "); `detail` (the same
        in plain words); `duplicate_of` (the one of its kind that stays, or ""); `keep` (False where
        leaving the file out is advised).

    References
    ----------
    Zauner (2010), Implementation and benchmarking of perceptual image hash functions: pHash.

    Examples
    --------
    >>> images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), "uint8")
    >>> images[2] = images[0]
    >>> list(inspect(images).problem)
    ['', '', 'duplicate']
    """
    if not 0 <= near_duplicate_distance <= 31:
        raise ValueError(f"near_duplicate_distance is 0 to 31 bits, not {near_duplicate_distance}")
    names, inspect_one, read = _source(images)
    workers = min(os.cpu_count() or 1, 8)  # more would hold more large images at once
    about = {"desc": "looking", "total": len(names), "leave": False, "delay": 1}
    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        warnings.simplefilter("ignore")  # what Pillow has to say stands in the report
        inspected = pool.map(inspect_one, range(len(names)))
        rows = list(progress_bar(progress, inspected, **about))
    return report(names, rows, near_duplicate_distance, read)


def report(
    names: Sequence[str],
    rows: Sequence[dict[str, Any]],
    near_duplicate_distance: int = 6,
    read: Callable[[int], np.ndarray] | None = None,
    embed: Callable[[list[int]], np.ndarray] | None = None,
    small: Callable[[Sequence[int]], np.ndarray] | None = None,
) -> pd.DataFrame:
    """Put what `inspect_file` found in each file together, and find what is there twice or odd.

    `read` returns the pixels at a position: near-duplicates that differ in none are duplicates.
    `embed` returns features of those at some positions: they tell more near-duplicates, and what
    is among those least like the others. `small` returns thumbnails, which of very many images are
    not all in memory; by default those in `rows`.
    """
    small = small or (lambda some: np.array([rows[i]["thumbnail"] for i in some]))
    about, codes, leave_out = _columns(rows), defaultdict(set), set(LEAVE_OUT)
    codes |= {i: set(some) for i, some in enumerate(about["codes"]) if some}
    pixels, size = about["width"] * about["height"], about["bytes"]
    sortable = -size.fillna(0), -pixels.fillna(0), about["link"].fillna(0)
    order = np.lexsort(sortable)  # originals come first: files, the largest and sharpest
    found = find_duplicates(about["digest"][order].tolist())
    copies = {int(order[i]): int(order[first]) for i, first in found.items()}
    for i in copies:
        codes[i].add("duplicate")
    unfit = [i for i, some in codes.items() if some & leave_out]
    usable = about.drop(index=unfit)
    marks = quality.find_marks(usable[LOOKS], usable[["width", "height"]])
    about.loc[unfit, "compared"] = False
    fine = order[about["compared"][order]].tolist()
    near = None
    if embed is not None and FEW <= len(fine) <= MANY:
        near = quality.near_ones(embed(fine))
        for place in np.flatnonzero(quality.unlike_all(near[1])):
            marks.setdefault(fine[place], {"outlier"})
        empty = [not {"blurred", "low-information"}.isdisjoint(marks.get(i, ())) for i in fine]
        near[1][empty] = np.inf  # what shows little is near much
    hashes = about["hash"][fine].to_numpy()
    alike = find_near_duplicates(
        hashes, lambda some: small([fine[i] for i in some]), near_duplicate_distance, near
    )
    for i, first in alike.items():
        i, first = fine[i], fine[first]
        same = read is not None and _same_pixels(rows, i, first, small, read)
        codes[i].add("duplicate" if same else "near-duplicate")
        copies[i] = first
    for i, some in marks.items():
        codes[i] |= some
    return _table(names, about, codes, copies)


def _columns(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Take what is needed of rows, each looked at once: of a million, all would fill a memory."""
    columns = {name: np.full(len(rows), np.nan) for name in [*NUMBERS, *LOOKS]}
    columns |= {name: np.empty(len(rows), object) for name in ("codes", "notes", "mode", "digest")}
    columns |= {"hash": np.zeros(len(rows), "uint64"), "compared": np.zeros(len(rows), bool)}
    for i, row in enumerate(rows):
        known = row | dict(zip(LOOKS, row.get("looks") or (), strict=False))
        known |= {"codes": tuple(row["codes"]), "notes": tuple(row["notes"])}
        known |= {"mode": sys.intern(row.get("mode", "")), "compared": "hash" in row}
        for name in columns.keys() & known.keys():
            columns[name][i] = known[name]
    return pd.DataFrame(columns)


def _table(
    names: Sequence[str], about: pd.DataFrame, codes: dict[int, set[str]], copies: dict[int, int]
) -> pd.DataFrame:
    """Say in words what is wrong, or marked, with each file; `codes` has those with something."""
    known, problem = PROBLEMS | quality.MARKS, [""] * len(names)
    detail, keep = list(map("; ".join, about["notes"])), np.ones(len(names), bool)
    for i, found in codes.items():
        some = [code for code in known if code in found]
        problem[i], keep[i] = ", ".join(some), found.isdisjoint(LEAVE_OUT)
        detail[i] = "; ".join([*(known[code] for code in some), *about["notes"][i]])
    texts = {"file": names, "mode": about["mode"], "problem": problem, "detail": detail}
    texts["duplicate_of"] = [names[copies[i]] if i in copies else "" for i in range(len(names))]
    table = pd.DataFrame(texts, dtype=object)  # names need not be valid text
    numbers = about[["width", "height", "bytes"]].astype("Int64")
    return table.join(numbers).assign(keep=keep)[COLUMNS]


def _same_pixels(
    rows: Sequence[dict[str, Any]], i: int, j: int, small: Callable, read: Callable
) -> bool:
    """Tell whether two images are equal in all pixels; they are read only where that may be."""
    (width, height), other = ((rows[k].get("width", 0), rows[k].get("height", 0)) for k in (i, j))
    difference = np.ptp(small([i, j]).astype(int), axis=0).max()
    if (width, height) != other or width * height > LARGE or difference > 2:
        return False  # one of equal thumbnails may have been decoded at reduced size
    try:
        return np.array_equal(read(i), read(j))
    except ImageReadError:  # it changed in between
        return False


def inspect_file(
    path: str | Path, value_range: tuple[float, float] | None = None
) -> dict[str, Any]:
    """Look at one file: what is wrong with it, and what it is compared by.

    Values of more than 8 bits are scaled by a `value_range` (`decode.find_range`) or their own.

    Returns
    -------
    dict
        `codes` (some of `PROBLEMS`) and `notes`, lists of str; as far as they are known `link`,
        `bytes`, `mode`, `width`, `height`, `values` (least and largest, of more than 8 bits),
        `digest` (SHA-256), `looks` (`quality.measure`), `hash` (64 bits of an int) and `thumbnail`
        (uint8 (3, 256)). No content of a file raises an error.
    """
    row = {"codes": [], "notes": []}
    try:
        _inspect_file(Path(path), row, value_range)
    except Exception as error:  # whatever is in a file, it is a line of the report and no more
        cause = error.__cause__ or error  # of an ImageReadError
        why = " ".join(f"{getattr(cause, 'strerror', None) or cause}".split())[:200]
        truncated = "truncated" in why.lower()
        row["codes"] = ["truncated" if truncated else "unreadable"]
        row["notes"] = [] if truncated else [why or type(cause).__name__]
    return row


def _inspect_file(path: Path, row: dict[str, Any], value_range: tuple | None) -> None:
    """Fill the row of a file; what cannot be read raises an error."""
    if path.is_symlink() and not path.exists():
        raise FileNotFoundError("a link that leads nowhere")
    row["link"] = path.is_symlink()
    size = path.stat().st_size
    if path.is_dir():
        raise OSError("a folder that cannot be listed")
    if not path.is_file():
        raise OSError("a pipe, a socket or a device, not a file")  # reading could wait for ever
    row["bytes"] = size
    if not size:
        row["codes"] = ["empty"]
        return
    try:
        with open_image(path) as image:
            _inspect_header(image, row)
            if is_deep(image):
                row["values"] = values_of(image)
    except UnidentifiedImageError as error:
        with open(path, "rb") as file:
            if file.read(8).startswith(STARTS) and path.suffix.lower() not in RAW:
                raise OSError("starts like an image, but its header is damaged or cut") from None
        row["codes"] = ["not-an-image"]
        row["notes"] = [] if "cannot identify" in str(error) else [str(error)]
        return
    except Image.DecompressionBombError as error:
        row["codes"], row["notes"] = ["huge"], [str(error)]
        return  # never decoded
    size = min(row["height"], SIDE), min(row["width"], SIDE)
    small = read_image(path, size, value_range)  # a large JPEG is decoded at reduced size
    with open(path, "rb") as file:
        row["digest"] = hashlib.file_digest(file, "sha256").digest()
    _inspect_pixels(Image.fromarray(small), row)
    if "values" in row:
        low, high = value_range or find_range([row["values"]])
        row["notes"].append(f"{low:,.0f} becomes black, {high:,.0f} white")
        if "blank" in row["codes"] and value_range and not _is_plain(read_image(path, (32, 32))):
            row["codes"].remove("blank")  # dark beside others, but a picture
    if path.suffix.lower() not in SUFFIXES:
        suffixes = " ".join(sorted(SUFFIXES))
        row["notes"].append(f"passed over by load: its name ends in none of {suffixes}")


def _inspect_array(pixels: np.ndarray) -> dict[str, Any]:
    row = {"codes": [], "notes": [], "bytes": pixels.nbytes}
    image = Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)
    _inspect_header(image, row)
    row["digest"] = hashlib.sha256(np.ascontiguousarray(pixels)).digest()
    size = min(image.width, SIDE), min(image.height, SIDE)
    _inspect_pixels(image.convert("RGB").resize(size, Image.Resampling.BILINEAR), row)
    return row


def _inspect_header(image: Image.Image, row: dict[str, Any]) -> None:
    row.update(mode=image.mode, width=image.width, height=image.height)
    row["codes"] = [code for code, has_problem in _CHECKS.items() if has_problem(image)]
    if orientation(image) in (5, 6, 7, 8):
        row.update(width=image.height, height=image.width)


def _inspect_pixels(small: Image.Image, row: dict[str, Any]) -> None:
    """Note what images are compared and marked by, from at most 64 x 64 pixels of one."""
    row["looks"] = quality.measure(np.asarray(small))
    thumbnail = small.resize((32, 32), Image.Resampling.BILINEAR)
    if _is_plain(np.asarray(thumbnail)):
        row["codes"].append("blank")
    row["hash"] = int(str(imagehash.phash(thumbnail)), 16)
    row["thumbnail"] = np.asarray(thumbnail.reduce(2)).reshape(256, 3).T.copy()


def _is_plain(thumbnail: np.ndarray) -> bool:
    return bool((np.ptp(thumbnail, axis=(0, 1)) <= 4).all())  # of 255 levels


def _source(images: Any) -> tuple[list[str], Callable, Callable | None]:
    """Names of the images, a function that inspects one of them, and one that reads one."""
    names = None
    if isinstance(images, ImageSet):
        names, images = images.names, images.images
    elif isinstance(images, str | Path):
        images = FolderImages(images, list_files(images))
    if isinstance(images, FolderImages):
        whole = images.value_range
        paths = [images.root / file for file in images.files]
        return names or images.files, lambda i: inspect_file(paths[i], whole), images.read
    images = as_images(images, least=0)
    check_images(images)
    return names or [str(i) for i in range(len(images))], lambda i: _inspect_array(images[i]), None
