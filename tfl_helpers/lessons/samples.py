"""Images made for the lessons: a folder that is broken on purpose, printed letters."""

import itertools
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import get_data_path
from PIL import ExifTags, Image, ImageDraw, ImageFont
from sklearn.datasets import load_sample_image

LETTER_FONTS = ("DejaVuSans", "cmtt10", "DejaVuSerif-Italic", "DejaVuSans-Bold", "cmmi10")


def make_messy_folder(out: str | Path) -> dict[str, str]:
    """Write a small folder of photos with every problem that `cleaning.inspect` knows.

    They are parts of the two sample photos of scikit-learn, a temple and a flower; `out` is new or
    empty. Returns what `inspect` should say of each file: path within `out` to problem, "" for a
    good one.
    """
    out = Path(out).expanduser()
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise FileExistsError(f"{out} is not an empty folder: choose a new one, nothing is written")
    rng, planted, spare = np.random.default_rng(0), {}, []

    def write(file: str, problem: str, content: Image.Image | bytes, **options: Any) -> bytes:
        if isinstance(content, bytes):
            (out / file).write_bytes(content)
        else:
            content.save(out / file, **{"quality": 90} | options)
        planted[file] = problem
        return (out / file).read_bytes()

    for subject, photo in (("temple", "china.jpg"), ("flower", "flower.jpg")):
        (out / subject).mkdir(parents=True, exist_ok=True)
        whole = Image.fromarray(load_sample_image(photo))
        corners = rng.permutation([(x, y) for x in range(0, 441, 88) for y in (113, 226)])
        tiles = [whole.crop((x, y, x + 200, y + 200)) for x, y in corners.tolist()]
        names = ("00.jpg", "01.jpg", "02.jpg", "03.jpg", "04.png", "05.png")
        good = {name: write(f"{subject}/{name}", "", tiles.pop()) for name in names}
        for name, suffix in (("00.jpg", "jpg"), ("04.png", "png")):
            write(f"{subject}/half.{suffix}", "truncated", good[name][: len(good[name]) // 2])
        write(f"{subject}/copy of 01.jpg", "duplicate", good["01.jpg"])
        smaller = Image.open(out / subject / "02.jpg").resize((120, 120))
        write(f"{subject}/02_smaller.jpg", "near-duplicate", smaller, quality=95)
        darker = Image.open(out / subject / "05.png").point(lambda value: round(0.92 * value))
        write(f"{subject}/05_darker.png", "near-duplicate", darker)
        write(f"{subject}/empty.jpg", "empty", b"")
        write(f"{subject}/icon.png", "tiny", tiles[0].resize((6, 6)))
        spare += tiles
    png = good["05.png"]
    write("temple/damaged.png", "unreadable", png[:16] + bytes(8) + png[24:])  # no width, height
    header = png[12:16] + (20_000).to_bytes(4) + (10_000).to_bytes(4) + png[24:29]
    claim = png[:12] + header + zlib.crc32(header).to_bytes(4) + png[33:]
    write("flower/huge.png", "huge", claim)
    write("temple/notes.txt", "not-an-image", b"Taken on a cloudy day.\n")
    write("flower/text.jpg", "not-an-image", b"<p>404: this photo is not here any more</p>\n")
    dark = Image.fromarray(rng.integers(0, 4, (200, 200, 3), "uint8"))
    write("temple/lens_cap.jpg", "blank", dark)
    write("flower/white.png", "blank", Image.new("RGB", (200, 200), "white"))
    first, *others = (spare.pop().quantize() for _ in range(3))
    write("flower/moving.gif", "animated, palette", first, save_all=True, append_images=others)
    mask = Image.new("L", (200, 200))
    ImageDraw.Draw(mask).ellipse((10, 10, 189, 189), fill=255)
    spare[-1].putalpha(mask)
    write("flower/round.png", "alpha", spare.pop())
    write("flower/palette.png", "palette", spare.pop().quantize(64))
    deep = np.asarray(spare.pop().convert("L")).astype("uint16") * 257
    write("temple/16bit.png", "16-bit", Image.fromarray(deep))
    write("temple/print.jpg", "cmyk", spare.pop().convert("CMYK"))
    (exif := Image.Exif())[ExifTags.Base.Orientation] = 6  # to be turned right by 90 degrees
    sideways = spare.pop().crop((0, 0, 200, 150)).transpose(Image.Transpose.ROTATE_90)
    write("temple/sideways.jpg", "rotated", sideways, exif=exif)
    return dict(sorted(planted.items()))


def thumbnails(folder: str | Path, files: Iterable[str]) -> list[np.ndarray]:
    """Show files just as they lie there, not turned upright, in colour: uint8 (64, 64, 3) each.

    A file that cannot be shown is a pale tile with a cross.
    """
    cross = Image.new("RGB", (64, 64), "#eeeeee")
    for line in ((0, 0, 64, 64), (0, 64, 64, 0)):
        ImageDraw.Draw(cross).line(line, fill="#999999", width=2)
    tiles = []
    for file in files:
        try:
            with Image.open(Path(folder) / file) as image:
                tiles.append(np.asarray(image.convert("RGB").resize((64, 64))))
        except Exception:  # whatever is in a file, it must not stop the others
            tiles.append(np.asarray(cross))
    return tiles


def printed_letters(text: str) -> np.ndarray:
    """Print each character of a text, white on black, in fonts that take turns: (n, 24, 24, 1).

    They are fonts of Matplotlib that the embedded backbone learned from.
    """
    files = [Path(get_data_path()) / "fonts" / "ttf" / f"{font}.ttf" for font in LETTER_FONTS]
    fonts = itertools.cycle(ImageFont.truetype(str(file), 19.2) for file in files)
    images = []
    for letter, font in zip(text, fonts, strict=False):
        image = Image.new("L", (24, 24))
        ImageDraw.Draw(image).text((12, 12), letter, fill=255, font=font, anchor="mm")
        images.append(np.asarray(image)[..., None])
    return np.stack(images)
