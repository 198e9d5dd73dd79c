"""Images of every kind of file as uint8 RGB, listed, read when looked at, and in batches."""

import fnmatch
import functools
import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from sklearn.utils import check_scalar

from tfl_helpers.datasets.answers import SealedAnswers
from tfl_helpers.datasets.decode import (
    SUFFIXES,
    find_range,
    is_deep,
    open_image,
    read_image,
    values_of,
)
from tfl_helpers.datasets.files import progress_bar

if TYPE_CHECKING:
    import tensorflow as tf

_SYSTEMS = tomllib.loads(Path(__file__).with_name("passed_over.toml").read_text("utf-8"))
# Whether a name is hidden, or one that systems give to their own files.
PASSED_OVER = re.compile("|".join([r"\..*", *map(fnmatch.translate, _SYSTEMS)]), re.I).fullmatch
DEEP = {".png", ".tif", ".tiff"}  # suffixes of files that may have more than 8 bits per value


def list_files(root: str | Path) -> list[str]:
    """List every file in a folder, but for those that `walk` passes over."""
    return walk(root)[0]


def walk(root: str | Path, all_files: bool = False) -> tuple[list[str], list[str]]:
    """List the files of a folder, and the files and folders passed over.

    The first are all files, whatever their names, and inner folders that cannot be opened. What is
    hidden is passed over, as is what systems put among photos (`passed_over.toml`), unless
    `all_files` are wanted. Links to folders are not followed.

    Both are sorted lists of paths relative to `root`, with forward slashes.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is not a folder: check the path")
    found, passed = [], []
    for folder, inner, files in os.walk(root, onerror=lambda e: found.append(e.filename)):
        ours = {name for name in (*inner, *files) if all_files or not PASSED_OVER(name)}
        found.extend(os.path.join(folder, name) for name in files if name in ours)
        passed.extend(os.path.join(folder, name) for name in {*inner, *files} - ours)
        inner[:] = [name for name in inner if name in ours]  # os.walk goes into these
    return tuple(
        sorted(Path(path).relative_to(root).as_posix() for path in paths)
        for paths in (found, passed)
    )


def list_images(root: str | Path) -> list[str]:
    """List those files of `list_files` that are images by their suffix."""
    return [file for file in list_files(root) if Path(file).suffix.lower() in SUFFIXES]


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
        self._whole = self  # what this is a part of: images of one folder have one range of values

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: Any) -> "np.ndarray | FolderImages":
        if isinstance(index, int | np.integer):
            return self.read(index)
        chosen = np.arange(len(self))[index]  # of a slice, positions or a mask
        part = FolderImages(self.root, [self.files[i] for i in chosen])
        part._whole = self._whole
        return part

    def __getstate__(self) -> dict[str, Any]:
        """Keep what is needed on another machine: not the whole that this is a part of."""
        return {"root": self.root, "files": self.files, "value_range": self.value_range}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _whole=self)

    def __repr__(self) -> str:
        return f"<{len(self):,} images in {self.root.name}, read when looked at>"

    @functools.cached_property
    def value_range(self) -> tuple[float, float] | None:
        """What becomes 0 and 255 in images of more than 8 bits (`find_range`); None: there is none.

        It is found in the whole folder, which is looked through when it is first asked for.
        """
        if self._whole is not self:
            return self._whole.value_range

        def look(file: str) -> tuple[float, float] | None:
            try:
                with open_image(self.root / file) as image:
                    return values_of(image) if is_deep(image) else None
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
                return None  # reading it says why

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = pool.map(look, [f for f in self.files if Path(f).suffix.lower() in DEEP])
        return find_range(values for values in found if values)

    def read(self, index: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """Read one image: uint8 (h, w, 3), resized to `size` (height, width) if given."""
        path = self.root / self.files[index]
        return read_image(path, size, self.value_range if path.suffix.lower() in DEEP else None)

    def read_all(self, size: tuple[int, int] | None = None, progress: bool = False) -> np.ndarray:
        """Read all images, of one size or resized to one: uint8 (n, h, w, 3)."""
        self._whole.value_range  # noqa: B018  once, not in each thread
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


def as_images(images: Any, *, least: int = 1) -> FolderImages | np.ndarray:
    """Take images as people give them: a set, a folder's path, an array, or a list of arrays.

    A ValueError says what is wrong with them: fewer than `least`, another shape, values that are
    not those of raw images.
    """
    if isinstance(images, ImageSet):
        images = images.images
    elif isinstance(images, str | Path):
        images = FolderImages(images)
    elif not isinstance(images, FolderImages | list | tuple) and not hasattr(images, "__array__"):
        raise TypeError(
            "images: give a set of images, a folder, an array or a list of arrays, not "
            f"{type(images).__name__}"
        )
    if len(images) < least:
        raise ValueError("there are no images")
    if isinstance(images, FolderImages):
        return images
    if isinstance(images, list | tuple):
        if len(shapes := {str(np.shape(image)) for image in images}) > 1:
            some = ", ".join(sorted(shapes)[:3])
            raise ValueError(f"images of several shapes, such as {some}: resize them to one")
        images = np.stack(images)
    check_images(images, dtype=None)
    return images


def check_images(images: np.ndarray, what: str = "images", dtype: Any = np.uint8) -> None:
    """Raise a ValueError unless an array holds raw images; any dtype will do if `dtype` is None."""
    images = np.asarray(images)
    wrong = images.dtype != dtype if dtype is not None else images.dtype.kind not in "uif"
    if wrong or images.ndim != 4 or images.shape[3] not in (1, 3):
        raise ValueError(
            f"{what}: {images.dtype} {images.shape}; images must have shape (n, h, w, 1 or 3), "
            "and be uint8 from 0 to 255"
        )
    if images.dtype.kind == "f" and not (finite := np.isfinite(images).all((1, 2, 3))).all():
        raise ValueError(f"{what}: image {np.argmin(finite)} holds NaN or infinity")
    low, high = (images.min(), images.max()) if images.size else (0, 0)
    if low < 0 or high > 255 or 0 < high <= 1:
        raise ValueError(
            f"{what}: values from {low:g} to {high:g}; raw values from 0 to 255 are expected, as "
            "the backbone scales them itself"
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

    images = as_images(images)
    lazy = isinstance(images, FolderImages)
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 (grey) or 3 (RGB), not {channels}")
    check_scalar(batch_size, "batch_size", Integral, min_val=1)
    if size is not None and np.shape(size) != (2,):
        raise ValueError(f"size is (height, width), not {size!r}")
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
