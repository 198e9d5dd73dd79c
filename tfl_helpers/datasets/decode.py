"""One image file to RGB: whatever its kind, depth, size and transparency, or a reason why not."""

import functools
import importlib.util
import io
import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps, JpegImagePlugin, UnidentifiedImageError
from sklearn.utils import check_scalar

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".avif"}
PHOTOS = {"pillow_heif": {".heic", ".heif"}, "pillow_jxl": {".jxl"}}  # the extra `photos`
for _plugin, _suffixes in PHOTOS.items():
    SUFFIXES |= _suffixes if importlib.util.find_spec(_plugin) else set()
# Pillow only recognises these, or hands them to another program.
NOT_READ = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
_EXTRA = "install tfl-helpers[photos], or export it as JPEG"
_EXPORT = "export it as JPEG with the camera's program or another"
RAW = {  # cameras' own files
    *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos"),
    *(".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".srw", ".x3f"),
}
KINDS = (  # where in a file, what is there, what it is
    (4, (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1", b"ftypmsf1"), f"HEIC: {_EXTRA}"),
    (0, (b"\xff\x0a", b"\0\0\0\x0cJXL "), f"JPEG XL: {_EXTRA}"),
    (4, (b"ftypcrx",), f"camera RAW: {_EXPORT}"),
    (0, (b"FUJIFILMCCD-RAW", b"FOVb"), f"camera RAW: {_EXPORT}"),
    (128, (b"DICM",), "DICOM: export it as 16-bit PNG or TIFF"),
    (0, (b"%PDF",), "PDF: export its pages as PNG"),
    (4, (b"ftyp",), "a video: export single frames"),
    (0, (b"\x1aE\xdf\xa3", b"\0\0\x01\xba"), "a video: export single frames"),
    (8, (b"AVI ",), "a video: export single frames"),
)
LARGE = 24e6  # pixels above which images are decoded one at a time, and shrunk in strips
NEARLY_WHITE = 230  # what is drawn so on a transparent ground is put on black
_LARGE_ONES = ThreadPoolExecutor(1)


class ImageReadError(ValueError):
    """A file is no readable image; the message names it and says why."""


def read_image(
    path: str | Path,
    size: tuple[int, int] | None = None,
    value_range: tuple[float, float] | None = None,
) -> np.ndarray:
    """Read an image upright and in RGB, whatever its mode.

    Parameters
    ----------
    path : str or Path
        The file; if it cannot be read in full, an `ImageReadError` says why.
    size : (int, int), optional
        Height and width to resize to; a large JPEG is then decoded at reduced size, another large
        image shrunk in strips, one at a time.
    value_range : (float, float), optional
        What becomes 0 and 255 of more than 8 bits, see `find_range`; by default this image's own.

    Returns
    -------
    np.ndarray
        uint8 (h, w, 3). Turned as EXIF says; transparent parts become white, or black around what
        is nearly white itself; of an animation the first frame is taken.
    """
    try:
        try:
            return _read(path, size, value_range)
        except OSError:
            if (whole := _without_end(path)) is None:
                raise
            return _read(whole, size, value_range)
    except (OSError, ValueError, SyntaxError, RuntimeError, Image.DecompressionBombError) as error:
        raise ImageReadError(
            f"cannot read {path}: {error}. cleaning.inspect lists such files; leave them out "
            "with load(..., exclude=...)"
        ) from error


def open_image(path: str | Path | io.BytesIO) -> Image.Image:
    """Open an image of any kind that is read here; an OSError says what else it may be."""
    _register()
    raw = not isinstance(path, io.BytesIO) and Path(path).suffix.lower() in RAW
    try:
        if raw:  # its small preview would open as a TIFF
            raise UnidentifiedImageError(f"camera RAW: {_EXPORT}")
        return Image.open(path, formats=[kind for kind in Image.ID if kind not in NOT_READ])
    except Image.DecompressionBombError:
        try:  # is decoded at reduced size, unless its parts are stored one over another
            image = JpegImagePlugin.JpegImageFile(path)
        except SyntaxError:
            image = None
        if image is not None and "progressive" not in image.info:
            return image
        raise Image.DecompressionBombError(
            f"more than {2 * Image.MAX_IMAGE_PIXELS / 1e6:.0f} megapixels; --max-megapixels N reads"
            " it (in Python: PIL.Image.MAX_IMAGE_PIXELS)"
        ) from None
    except UnidentifiedImageError:
        if not raw and not isinstance(path, io.BytesIO) and (kind := _kind(path)):
            raise UnidentifiedImageError(kind) from None
        raise


@contextmanager
def at_most(megapixels: float | None) -> Iterator[None]:
    """Let Pillow open images up to a size; None leaves its limit, 179 megapixels, as it is."""
    before = Image.MAX_IMAGE_PIXELS
    if megapixels is not None:
        check_scalar(megapixels, "max_megapixels", Real, min_val=0, include_boundaries="neither")
        Image.MAX_IMAGE_PIXELS = int(megapixels * 1e6 / 2)  # it refuses twice as many
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def is_deep(image: Image.Image) -> bool:
    """Tell whether an image has more than 8 bits per value."""
    return image.mode.startswith(("I", "F"))


def values_of(image: Image.Image) -> tuple[float, float]:
    """Least and largest finite value of an image of more than 8 bits, which is closed then."""
    found = _alone(image, lambda: [_extrema(image.crop(box)) for box in _strips(image, 256)])
    low, high = min(low for low, _ in found), max(high for _, high in found)
    return (low, high) if low <= high else (0.0, 0.0)


def _extrema(image: Image.Image) -> tuple[float, float]:
    values = np.asarray(image)
    values = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    return (float(values.min()), float(values.max())) if values.size else (math.inf, -math.inf)


def _strips(image: Image.Image, height: int) -> list[tuple[int, int, int, int]]:
    tops = range(0, image.height, height)
    return [(0, top, image.width, min(top + height, image.height)) for top in tops]


def _alone(image: Image.Image, work: Callable[[], Any]) -> Any:
    """Do what decodes an image; of large ones one at a time, in a thread that reuses its memory."""
    if image.width * image.height <= LARGE:
        return work()

    def and_close() -> Any:
        try:
            return work()
        finally:
            image.close()

    return _LARGE_ONES.submit(and_close).result()


def find_range(values: Iterable[tuple[float, float]]) -> tuple[float, float] | None:
    """Find what is black and what is white in images whose least and largest values are given.

    Black is 0, or the power of two below negative values; white the next power of two less one
    above the largest value (10 bits in 16: 1,023), or 1 for values up to 1.

    Examples
    --------
    >>> find_range([(0, 700), (3, 1000)])
    (0.0, 1023.0)
    """
    if not (values := list(values)):
        return None
    low, high = min(low for low, _ in values), max(high for _, high in values)
    black = 0.0 if low >= 0 else -float(2.0 ** math.ceil(math.log2(-low)))
    white = 1.0 if high <= 1 else float(2.0 ** math.ceil(math.log2(math.floor(high) + 1)) - 1)
    return black, white


@functools.cache
def _register() -> None:
    """Let Pillow know all that it reads, and what the extra `photos` does."""
    Image.init()
    if importlib.util.find_spec("pillow_heif"):
        import pillow_heif

        pillow_heif.register_heif_opener()
    if importlib.util.find_spec("pillow_jxl"):
        import pillow_jxl  # noqa: F401  registers itself


def _kind(path: str | Path) -> str | None:
    with open(path, "rb") as file:
        start = file.read(160)
    found = (about for at, marks, about in KINDS if start[at:].startswith(marks))
    return next(found, None)


def _read(
    source: str | Path | io.BytesIO, size: tuple[int, int] | None, value_range: tuple | None
) -> np.ndarray:
    with open_image(source) as image:
        if size is not None:
            image.draft(None, (max(size), max(size)))
        if size is None or image.width * image.height <= LARGE:
            small = _to_rgb(ImageOps.exif_transpose(image), value_range, None)
        else:
            turned = orientation(image)
            small = _alone(image, lambda: _to_rgb(image, value_range, 2 * max(size)))
            small.getexif()[ExifTags.Base.Orientation] = turned
            small = ImageOps.exif_transpose(small)
        if size is not None and small.size != size[::-1]:
            small = small.resize(size[::-1], Image.Resampling.BILINEAR)
        return np.asarray(small)


def orientation(image: Image.Image) -> int:
    """How an image is stored, as EXIF counts it; 1 is upright."""
    # Pillow decodes a whole PNG when asked for EXIF data that it has not met so far
    exif = image.getexif() if image.format != "PNG" or "exif" in image.info else {}
    return exif.get(ExifTags.Base.Orientation, 1)


def _to_rgb(image: Image.Image, value_range: tuple | None, side: int | None) -> Image.Image:
    """Make an image RGB; a large one strip by strip, so small that no side falls below `side`."""
    factor = max(min(image.size) // side, 1) if side else 1
    strips = _strips(image, factor * max(128 // factor, 1) if side else image.height)
    if is_deep(image):
        low, high = value_range or find_range([_extrema(image.crop(box)) for box in strips])
        strip_of = functools.partial(_in_8_bits, low=low, high=high)
    elif image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        strip_of = functools.partial(_on_ground, ground=_ground(image, strips))
    else:
        strip_of = functools.partial(Image.Image.convert, mode="RGB")
    if not side:
        return strip_of(image)
    small = [np.asarray(strip_of(image.crop(box)).reduce(factor)) for box in strips]
    return Image.fromarray(np.concatenate(small))


def _in_8_bits(image: Image.Image, low: float, high: float) -> Image.Image:
    values = (np.nan_to_num(np.asarray(image, "float64"), nan=low) - low) / ((high - low) / 255)
    return Image.fromarray(np.clip(values, 0, 255).astype("uint8")).convert("RGB")


def _on_ground(image: Image.Image, ground: str) -> Image.Image:
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, ground), image).convert("RGB")


def _ground(image: Image.Image, strips: list[tuple[int, int, int, int]]) -> str:
    """Colour to put an image with transparent parts on: that on which it can be seen."""
    total = light = 0.0
    for box in strips:
        lightness, alpha = np.moveaxis(np.asarray(image.crop(box).convert("LA"), "float32"), -1, 0)
        total, light = total + alpha.sum(), light + (lightness * alpha).sum()
    return "black" if total and light / total >= NEARLY_WHITE else "white"


def _without_end(path: str | Path) -> io.BytesIO | None:
    """Complete a JPEG that lacks no more than the mark of its end, as browsers do."""
    data, end = Path(path).read_bytes(), b"\xff\xd9"
    if not data.startswith(b"\xff\xd8\xff") or data.endswith(end):
        return None
    data = data.rstrip(b"\xff")  # half a mark
    # Where parts of the picture are missing, what comes after is taken for them.
    pictures = [
        Image.open(io.BytesIO(data + more + end)).tobytes() for more in (b"", b"\x5a\xc3\x17" * 99)
    ]
    return io.BytesIO(data + end) if pictures[0] == pictures[1] else None
