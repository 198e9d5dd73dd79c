"""Images of every kind of file as uint8 RGB, listed, read when looked at, and in batches."""

import fnmatch
import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps

from tfl_helpers.datasets.answers import SealedAnswers
from tfl_helpers.datasets.files import progress_bar

if TYPE_CHECKING:
    import tensorflow as tf

_SYSTEMS = tomllib.loads(Path(__file__).with_name("passed_over.toml").read_text("utf-8"))
# Whether a name is hidden, or one that systems give to their own files.
PASSED_OVER = re.compile("|".join([r"\..*", *map(fnmatch.translate, _SYSTEMS)]), re.I).fullmatch
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"}


class ImageReadError(ValueError):
    """A file is no readable image; the message names it and says why."""


def list_files(root: str | Path, all_files: bool = False) -> list[str]:
    """List every file in a folder, whatever its name, and inner folders that cannot be opened.

    What is hidden is passed over, as is what systems put among photos (`passed_over.toml`), unless
    `all_files` are wanted. Links to folders are not followed.

    Returns
    -------
    list of str
        Paths relative to `root`, with forward slashes, sorted.
    """
    return walk(root, all_files)[0]


def walk(root: str | Path, all_files: bool = False) -> tuple[list[str], list[str]]:
    """List the files of a folder, see `list_files`, and the files and folders passed over."""
    root = Path(root).expanduser()
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is not a folder: check the path")
    found: list[str] = []
    passed: list[str] = []
    for folder, inner, files in os.walk(root, onerror=lambda e: found.append(e.filename)):
        for names, into in ((inner, None), (files, found)):
            ours = names if all_files else [name for name in names if not PASSED_OVER(name)]
            passed.extend(os.path.join(folder, name) for name in set(names) - set(ours))
            if into is None:
                names[:] = ours  # os.walk goes into these
            else:
                into.extend(os.path.join(folder, name) for name in ours)
    return tuple(
        sorted(Path(path).relative_to(root).as_posix() for path in paths)
        for paths in (found, passed)
    )


def list_images(root: str | Path) -> list[str]:
    """List those files of `list_files` that are images by their suffix."""
    return [file for file in list_files(root) if Path(file).suffix.lower() in SUFFIXES]


def read_image(path: str | Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Read an image upright and in RGB, whatever its mode.

    Parameters
    ----------
    path : str or Path
        The file; if it cannot be read in full, an `ImageReadError` says why.
    size : (int, int), optional
        Height and width to resize to; a large JPEG is then decoded at reduced size.

    Returns
    -------
    np.ndarray
        uint8 (h, w, 3). Turned as EXIF says; transparent parts become white; 16-bit values are
        scaled down; of an animation the first frame is taken.
    """
    try:
        with Image.open(path) as image:
            if size is not None:
                image.draft(None, (max(size), max(size)))
            image = _to_rgb(ImageOps.exif_transpose(image))
            if size is not None and image.size != size[::-1]:
                image = image.resize(size[::-1], Image.Resampling.BILINEAR)
            return np.asarray(image)
    except (OSError, ValueError, SyntaxError, RuntimeError, Image.DecompressionBombError) as error:
        raise ImageReadError(
            f"cannot read {path}: {error}. cleaning.inspect lists such files; leave them out "
            "with load(..., exclude=...)"
        ) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):  # 16 and more bits
        values = np.asarray(image, "float64") / (257 if image.mode != "F" else 1)
        image = Image.fromarray(np.clip(values, 0, 255).astype("uint8"))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


class FolderImages(Sequence):
    """Images in a folder, read only when they are looked at.

    ``images[3]`` is uint8 (h, w, 3) in the file's own size; ``images[:10]`` and ``images[[4, 2]]``
    are again `FolderImages`.

    Parameters
    ----------
    root, files : str or Path, sequence of str
        The folder, and paths relative to it; by default every image in it and its subfolders.
    """

    def __init__(self, root: str | Path, files: Sequence[str] | None = None) -> None:
        self.root = Path(root).expanduser()
        self.files = list_images(root) if files is None else list(files)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: Any) -> "np.ndarray | FolderImages":
        if isinstance(index, int | np.integer):
            return self.read(index)
        chosen = np.arange(len(self))[index]  # of a slice, positions or a mask
        return FolderImages(self.root, [self.files[i] for i in chosen])

    def __repr__(self) -> str:
        return f"<{len(self):,} images in {self.root.name}, read when looked at>"

    def read(self, index: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """Read one image: uint8 (h, w, 3), resized to `size` (height, width) if given."""
        return read_image(self.root / self.files[index], size)

    def read_all(self, size: tuple[int, int] | None = None, progress: bool = False) -> np.ndarray:
        """Read all images, of one size or resized to one: uint8 (n, h, w, 3)."""
        about = {"desc": self.root.name, "total": len(self), "delay": 2, "leave": False}
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            reading = pool.map(lambda i: self.read(i, size), range(len(self)))
            read = list(progress_bar(progress, reading, **about))
        sizes = [f"{image.shape[0]} x {image.shape[1]}" for image in read]
        for file, found in zip(self.files, sizes, strict=True):
            if found != sizes[0]:
                raise ValueError(
                    f"{self.files[0]} is {sizes[0]} pixels, {file} is {found}: images of several "
                    "sizes need size=(height, width) to be put into one array"
                )
        return np.stack(read)


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of one split, their names, and their answers under seal."""

    images: np.ndarray | FolderImages  # uint8 (n, h, w, 1 or 3), or read when looked at
    names: list[str]  # one per image: "train/00012", or the file's path within its folder
    answers: SealedAnswers | None  # None where the source knows none
    class_names: tuple[str, ...]  # of each class number; empty where unknown
    name: str  # such as "digits"
    split: str  # "train" or "test"

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"<{len(self):,} {self.split} images of {self.name}>"

    def take(self, indices: Sequence[int] | np.ndarray) -> "ImageSet":
        """Return some of the images, by position or mask; their answers stay sealed."""
        chosen = np.arange(len(self))[np.asarray(indices)]
        return replace(
            self,
            images=self.images[chosen],
            names=[self.names[i] for i in chosen],
            answers=None if self.answers is None else self.answers.take(chosen),
        )


def check_images(images: np.ndarray, what: str = "images", dtype: Any = np.uint8) -> None:
    """Raise a ValueError unless an array holds images; any dtype will do if `dtype` is None."""
    wrong = dtype is not None and images.dtype != dtype
    if wrong or images.ndim != 4 or images.shape[3] not in (1, 3):
        raise ValueError(
            f"{what}: {images.dtype} {images.shape}; images must have shape (n, h, w, 1 or 3), "
            "and be uint8 from 0 to 255"
        )


def batches(
    images: ImageSet | FolderImages | np.ndarray,
    *,
    size: tuple[int, int] | None = None,
    channels: int = 3,
    batch_size: int = 64,
) -> "tf.data.Dataset":
    """Bring images in batch by batch, in order: read, resize, turn grey to RGB or back.

    Parameters
    ----------
    images : ImageSet, FolderImages or array (n, h, w, 1 or 3)
        Values 0..255.
    size : (int, int), optional
        Height and width; by default the images' own size, which must then be the same for all.
    channels, batch_size : int
        1 (grey) or 3 (RGB); images in a batch, of which the last may be smaller.

    Returns
    -------
    tf.data.Dataset
        float32 (b, h, w, channels), 0..255. While reading, a broken file or one of another size
        raises a `tf.errors.InvalidArgumentError`.

    Examples
    --------
    >>> batches(np.zeros((9, 8, 8, 1), "uint8"), size=(16, 16)).element_spec.shape
    TensorShape([None, 16, 16, 3])
    """
    import tensorflow as tf

    images = images.images if isinstance(images, ImageSet) else images
    lazy = isinstance(images, FolderImages)
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 (grey) or 3 (RGB), not {channels}")
    if not lazy:
        check_images(images, dtype=None)
    shape = (None, *(size or (None, None)), 3) if lazy else (None, *images.shape[1:])

    def read() -> Iterator[np.ndarray]:
        for start in range(0, len(images), batch_size):
            part = images[start : start + batch_size]
            yield part.read_all(size) if lazy else part

    def convert(batch: "tf.Tensor") -> "tf.Tensor":
        if size is not None and tuple(size) != shape[1:3]:
            batch = tf.image.resize(batch, size)
        batch = tf.cast(batch, tf.float32)
        if channels == shape[3]:
            return batch
        return (tf.image.grayscale_to_rgb if channels == 3 else tf.image.rgb_to_grayscale)(batch)

    spec = tf.TensorSpec(shape, tf.uint8 if lazy else images.dtype)
    data = tf.data.Dataset.from_generator(read, output_signature=spec)
    return data.map(convert, num_parallel_calls=2, deterministic=True).prefetch(2)
