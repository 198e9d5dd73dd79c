"""Images in, answers sealed: every set of images comes through `load`.

A set is looked for in a bundle (`TFL_DATA_DIR`), then in the Keras cache (`KERAS_HOME`), then,
unless `TFL_OFFLINE=1`, on the network. Nothing is replaced silently: what is missing is an error
that says how to get it. Answers stay sealed; only `tfl_helpers.evaluation` opens them.
"""

import gzip
import hashlib
import http.client
import io
import os
import pickle
import shutil
import tarfile
import tempfile
import urllib.request
import uuid
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from PIL import Image, ImageOps
from tqdm.auto import tqdm

from tfl_helpers._old import streets

if TYPE_CHECKING:
    import pandas as pd
    import tensorflow as tf

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FASHION = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
PEDESTRIANS = ("background", "pedestrian")
CLASS_NAMES = {
    "digits": tuple("0123456789"),
    "drawn_streets": PEDESTRIANS,
    "mnist": tuple("0123456789"),
    "fashion_mnist": FASHION,
    "cifar10": CIFAR10,
    "pedestrians": PEDESTRIANS,
}
EMBEDDED = ("digits", "drawn_streets")  # need neither a bundle nor a network
N_DRAWN = 300  # scenes, a third of them for the test
_KERAS_DATA = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
# Per set: (file in the Keras cache, where it comes from, its hash). Keras checks no hash of
# Fashion-MNIST; these are the MD5 sums that its authors publish.
DOWNLOADS = {
    "mnist": [
        (
            "mnist.npz",
            _KERAS_DATA + "mnist.npz",
            "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
        )
    ],
    "fashion_mnist": [
        (f"fashion-mnist/{file}", _KERAS_DATA + file, md5)
        for file, md5 in [
            ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
            ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
            ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
        ]
    ],
    "cifar10": [
        (
            "cifar-10-batches-py-target_archive",
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        )
    ],
    # Its authors publish no hash; this MD5 sum is the one that Avalanche (ContinualAI) checks.
    "pedestrians": [
        (
            "PennFudanPed.zip",
            "https://www.cis.upenn.edu/~jshi/ped_html/PennFudanPed.zip",
            "5aaa3dee905cef73325923716e38fc6d",
        )
    ],
}


class SealedError(RuntimeError):
    """Something other than `tfl_helpers.evaluation` tried to look at the answers."""


class DatasetMissingError(FileNotFoundError):
    """A set of images is nowhere to be found; the message says how to get it."""


class ImageReadError(ValueError):
    """A file is no readable image; the message names it and says why."""


class SealedAnswers:
    """Class numbers that nobody can read but `tfl_helpers.evaluation`.

    Their length is known. Converting, indexing, iterating, comparing, copying and pickling raise
    `SealedError`, so that they cannot reach a `fit` by accident.

    Notes
    -----
    Taught in notebook 01.
    """

    __slots__ = ("__values",)

    def __init__(self, values: Iterable[int]) -> None:
        self.__values = np.asarray(values, "int64")

    def __len__(self) -> int:
        return len(self.__values)

    def __repr__(self) -> str:
        return f"<sealed answers of {len(self):,} images>"

    def take(self, indices: Sequence[int] | np.ndarray) -> "SealedAnswers":
        """Return the answers of some images, still sealed."""
        return SealedAnswers(self.__values[indices])

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise SealedError(
            "these labels are sealed: nothing that fits, tunes or stops may see them. To score a "
            "finished result, hand them to a function of tfl_helpers.evaluation; to look at them "
            "on purpose, for teaching, call evaluation.unseal"
        )

    __array__ = __getitem__ = __iter__ = __contains__ = __reduce_ex__ = __getstate__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse  # type: ignore[assignment]
    __add__ = __radd__ = __sub__ = __rsub__ = __int__ = __float__ = __index__ = _refuse
    __hash__ = object.__hash__
    shape = property(_refuse)  # what Keras asks for first


def _unseal(answers: SealedAnswers) -> np.ndarray:
    """Open the answers: int64 (n,). For `evaluation` only; a test looks for any other use."""
    return answers._SealedAnswers__values.copy()


class FolderImages(Sequence):
    """Images in a folder, read only when they are looked at.

    Parameters
    ----------
    root : str or Path
        The folder.
    files : sequence of str, optional
        Paths relative to it; by default every image in it and its subfolders.

    Notes
    -----
    ``images[3]`` is uint8 (h, w, 3) in the file's own size; ``images[:10]`` and ``images[[4, 2]]``
    are again `FolderImages`. Taught in notebook 01.
    """

    def __init__(self, root: str | Path, files: Sequence[str] | None = None) -> None:
        self.root = Path(root).expanduser()
        self.files = list_images(root) if files is None else list(files)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: Any) -> "np.ndarray | FolderImages":
        if isinstance(index, int | np.integer):
            return self.read(index)
        if isinstance(index, slice):
            return FolderImages(self.root, self.files[index])
        chosen = np.arange(len(self))[np.asarray(index)]  # also takes a boolean mask
        return FolderImages(self.root, [self.files[i] for i in chosen])

    def __repr__(self) -> str:
        return f"<{len(self):,} images in {self.root.name}, read when looked at>"

    def read(self, index: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """Read one image: uint8 (h, w, 3), resized to `size` (height, width) if given."""
        return read_image(self.root / self.files[index], size)


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of one split, their names, and their answers under seal.

    Parameters
    ----------
    images : np.ndarray or FolderImages
        uint8 (n, h, w, c) with c 1 or 3; or read from files when looked at.
    names : list of str
        One per image: "train/00012", or the file's path within its folder.
    answers : SealedAnswers or None
        None where the source knows none.
    class_names : tuple of str
        Name of each class number; empty where unknown.
    name, split : str
        Such as "digits" and "train".

    Notes
    -----
    Taught in notebook 01.
    """

    images: "np.ndarray | FolderImages"
    names: list[str]
    answers: SealedAnswers | None
    class_names: tuple[str, ...]
    name: str
    split: str

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"<{len(self):,} {self.split} images of {self.name}>"

    def take(self, indices: Sequence[int] | np.ndarray) -> "ImageSet":
        """Return some of the images; their answers stay sealed."""
        chosen = np.arange(len(self))[np.asarray(indices)]
        return ImageSet(
            self.images[chosen],
            [self.names[i] for i in chosen],
            None if self.answers is None else self.answers.take(chosen),
            self.class_names,
            self.name,
            self.split,
        )


def load(
    name: str,
    *,
    limit: int | None = None,
    seed: int = 0,
    test_size: float = 0.2,
    exclude: Iterable[str] = (),
    progress: bool = True,
) -> tuple[ImageSet, ImageSet]:
    """Load a set of images, split into train and test.

    Parameters
    ----------
    name : str
        "digits" (ships with scikit-learn), "drawn_streets" (crops of drawings, no photos), "mnist",
        "fashion_mnist", "cifar10", "pedestrians" (of a bundle, such as INRIA's; else crops of the
        Penn-Fudan photos, see `streets.cut`), or "folder:PATH" for any tree of images, which is
        read lazily.
    limit : int, optional
        At most this many training images and a fifth of it test images, drawn at random.
    seed : int
        Draws the limited images, and the split of a folder that has none of its own.
    test_size : float
        Share of test images, for a folder without its own split.
    exclude : iterable of str
        Names of images to leave out, such as `cleaning.inspect` advises.
    progress : bool
        Show a progress bar where reading takes long.

    Returns
    -------
    train, test : ImageSet
        A folder's subfolders are its classes if every image is in one and there are two or more
        of them; the answers are sealed either way. The digits are always split in the same way:
        1,347 to train, 450 to test, drawn without a look at labels.

    Raises
    ------
    DatasetMissingError
        The set is nowhere; the message names the ways to get it.
    ValueError
        The name is unknown, or a file is not what it should be.

    Notes
    -----
    Taught in notebook 01.
    """
    if name == "digits":
        train, test = _digits()
    elif name == "drawn_streets":
        train, test = _from_scenes(name, _drawn())
    elif name.startswith("folder:"):
        train, test = _folder(Path(name.removeprefix("folder:")), name, seed, test_size)
    elif name in CLASS_NAMES:
        train, test = _find(name, progress)
    else:
        known = ", ".join([*CLASS_NAMES, "folder:PATH"])
        raise ValueError(f"no set of images is called {name!r}; there are: {known}")
    unwanted, rng, result = set(exclude), np.random.default_rng(seed), []
    for split, most in ((train, limit), (test, limit and max(limit // 5, 1))):
        keep = np.flatnonzero([image not in unwanted for image in split.names])
        if most is not None and most < len(keep):
            keep = np.sort(rng.choice(keep, most, replace=False))
        result.append(split if len(keep) == len(split) else split.take(keep))
    for split in result:
        if not len(split):
            raise ValueError(f"{name}: no image is left in its {split.split} part")
    if not name.startswith("folder:"):
        result = [_in_memory(split, progress) for split in result]
    return result[0], result[1]


def load_scenes(
    name: str, *, limit: int | None = None, progress: bool = True
) -> tuple[list[streets.Scene], ...]:
    """Load whole street scenes, those that `load` cuts its crops from.

    Parameters
    ----------
    name : str
        "drawn_streets", or "pedestrians" where these come from the Penn-Fudan archive.
    limit : int, optional
        At most this many training scenes, and as many test scenes.
    progress : bool
        Show a progress bar while it is downloaded.

    Returns
    -------
    train, test : list of streets.Scene
        Their `people` are under seal: `SealedAnswers`, which `evaluation.match_boxes` takes.

    Raises
    ------
    DatasetMissingError
        There are none: a bundle holds crops only, or nothing is here.
    ValueError
        This set has no scenes.

    Notes
    -----
    Taught in notebook 06.
    """
    if name not in ("drawn_streets", "pedestrians"):
        raise ValueError(f"{name!r} has no street scenes; drawn_streets and pedestrians have")
    if name == "pedestrians" and (place := _bundled(name)) is not None:
        raise DatasetMissingError(
            f"{place.name} in TFL_DATA_DIR holds crops only, no whole photos. Those of Penn-Fudan "
            "are downloaded where no bundle has pedestrians"
        )
    splits = _drawn(limit) if name == "drawn_streets" else _penn_fudan(progress)
    return tuple(
        [replace(scene, people=SealedAnswers(scene.people)) for scene in part[:limit]]
        for part in splits
    )


def list_files(root: str | Path) -> list[str]:
    """List every file in a folder, whatever its name, and inner folders that cannot be opened.

    Parameters
    ----------
    root : str or Path
        The folder. Hidden files are passed over, links to folders are not followed.

    Returns
    -------
    list of str
        Paths relative to `root`, with forward slashes, sorted.

    Raises
    ------
    NotADirectoryError
        There is no such folder.

    Notes
    -----
    Taught in notebook 07.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is not a folder: check the path")
    found: list[str] = []
    for folder, inner, files in os.walk(root, onerror=lambda e: found.append(e.filename)):
        inner[:] = [name for name in inner if not name.startswith(".")]
        found.extend(os.path.join(folder, name) for name in files if not name.startswith("."))
    return sorted(Path(path).relative_to(root).as_posix() for path in found)


def list_images(root: str | Path) -> list[str]:
    """List the images in a folder and its subfolders, by their suffix.

    Parameters
    ----------
    root : str or Path
        The folder, as in `list_files`.

    Returns
    -------
    list of str
        Paths relative to `root`, with forward slashes, sorted.

    Raises
    ------
    NotADirectoryError
        There is no such folder.

    Notes
    -----
    Taught in notebook 01.
    """
    return [file for file in list_files(root) if Path(file).suffix.lower() in SUFFIXES]


def read_image(path: str | Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Read an image upright and in RGB, whatever its mode.

    Parameters
    ----------
    path : str or Path
        The file.
    size : (int, int), optional
        Height and width to resize to. A large JPEG is then decoded at reduced size, which saves
        most of its memory and time.

    Returns
    -------
    np.ndarray
        uint8 (h, w, 3). Turned as EXIF says; transparent parts become white; 16-bit values are
        scaled down; of an animation the first frame is taken.

    Raises
    ------
    ImageReadError
        The file is no image that can be read in full.

    Notes
    -----
    Taught in notebook 01.
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
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def batches(
    images: "ImageSet | FolderImages | np.ndarray",
    *,
    size: tuple[int, int] | None = None,
    channels: int = 3,
    batch_size: int = 64,
) -> "tf.data.Dataset":
    """Bring images in batch by batch, in order: read, resize, convert.

    Only a few batches are in memory at a time. The one place where grey becomes RGB and back.

    Parameters
    ----------
    images : ImageSet, FolderImages or array (n, h, w, 1 or 3)
        Values 0..255.
    size : (int, int), optional
        Height and width; by default the images' own size.
    channels : int
        1 or 3.
    batch_size : int
        Images in a batch; the last may be smaller.

    Returns
    -------
    tf.data.Dataset
        float32 (b, h, w, channels), 0..255.

    Raises
    ------
    ValueError
        The array is not (n, h, w, 1 or 3), `channels` is neither 1 nor 3, or the images of a
        folder have several sizes and `size` is not given.
    ImageReadError
        While reading: a file is broken.

    Notes
    -----
    Taught in notebook 01.
    """
    import tensorflow as tf

    images = images.images if isinstance(images, ImageSet) else images
    lazy = isinstance(images, FolderImages)
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 (grey) or 3 (RGB), not {channels}")
    if not lazy and (images.ndim != 4 or images.shape[3] not in (1, 3)):
        raise ValueError(f"images must have shape (n, h, w, 1 or 3), not {images.shape}")

    def parts() -> Iterator[np.ndarray]:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for start in range(0, len(images), batch_size):
                part = images[start : start + batch_size]
                yield _read_all(part, pool, size) if lazy else part

    shape = (None, *(size or (None, None)), 3) if lazy else (None, *images.shape[1:])
    spec = tf.TensorSpec(shape, tf.uint8 if lazy else images.dtype)

    def convert(batch: "tf.Tensor") -> "tf.Tensor":
        if size is not None and tuple(size) != shape[1:3] and not lazy:
            batch = tf.image.resize(batch, size)
        batch = tf.cast(batch, tf.float32)
        if channels == shape[3]:
            return batch
        return (tf.image.grayscale_to_rgb if channels == 3 else tf.image.rgb_to_grayscale)(batch)

    data = tf.data.Dataset.from_generator(parts, output_signature=spec)
    return data.map(convert, num_parallel_calls=2, deterministic=True).prefetch(2)


def download(url: str, target: Path, digest: str | None, *, progress: bool = True) -> None:
    """Download a file, check it, and only then put it in its place.

    Stopped half-way, or with the wrong content, it leaves nothing at `target`; two at once do no
    harm, as each writes a file of its own and the last one replaces the other's.

    Parameters
    ----------
    url : str
        Where it comes from.
    target : Path
        Where it shall be; its folder is made.
    digest : str or None
        SHA-256 (64 hex digits) or MD5 (32) of the content; None where its publisher gives none.
    progress : bool
        Show a progress bar.

    Raises
    ------
    OSError
        The download failed, or its content has another hash.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    content, arrived = _hasher(digest), 0
    part = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file, urllib.request.urlopen(url, timeout=30) as source:
            size = int(source.headers.get("Content-Length", 0)) or None
            with bar(progress, total=size, unit="B", unit_scale=True, desc=target.name) as shown:
                while block := source.read(1 << 18):
                    file.write(block)
                    content.update(block)
                    arrived += len(block)
                    shown.update(len(block))
        if size not in (None, arrived):  # urllib takes a cut-off body for a whole one
            raise OSError(f"{url}: {arrived:,} of {size:,} bytes arrived: try again")
        if digest and content.hexdigest() != digest:
            raise OSError(
                f"{url}: what arrived has hash {content.hexdigest()}, not {digest}. It was "
                "changed on the way, and is thrown away: try again"
            )
        os.replace(part, target)
    except http.client.HTTPException as error:
        raise OSError(f"{url}: the download broke off ({error!r}): try again") from error
    finally:
        part.unlink(missing_ok=True)


def bar(progress: bool, *args: Any, **options: Any) -> tqdm:
    """Make a progress bar, or none; TQDM_DISABLE=1 is honoured either way."""
    return tqdm(*args, **options, **({} if progress else {"disable": True}))


def offline() -> bool:
    """Tell whether TFL_OFFLINE=1 forbids any use of the network."""
    return os.environ.get("TFL_OFFLINE", "0") not in ("", "0")


def keras_home() -> Path:
    """Return the folder where Keras keeps data and weights: KERAS_HOME, or .keras at home."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")


def available() -> "pd.DataFrame":
    """List the sets of images and where each would come from on this machine.

    Returns
    -------
    pandas.DataFrame
        A row per set: `data`, `found` (bool), `where`.

    Notes
    -----
    Taught in notebook 00.
    """
    import pandas as pd

    rows = [
        ("digits", True, "ships with scikit-learn"),
        ("drawn_streets", True, "drawn by this package: no photos"),
    ]
    for name in [name for name in CLASS_NAMES if name not in EMBEDDED]:
        place = _bundled(name)
        if place is None and name in DOWNLOADS and all(f.exists() for f, *_ in _cached(name)):
            place = "the Keras cache"
        elif place is None:
            how = "a bundle in TFL_DATA_DIR"
            if name in DOWNLOADS:
                how += ", or TFL_OFFLINE unset" if offline() else "; else downloaded when asked for"
            rows.append((name, False, "not here: needs " + how))
            continue
        rows.append(
            (name, True, f"TFL_DATA_DIR: {place.name}" if place != "the Keras cache" else place)
        )
    rows.append(("folder:PATH", True, "any folder of images of yours"))
    return pd.DataFrame(rows, columns=["data", "found", "where"])


def copy_to_bundle(name: str, folder: Path, *, progress: bool = True) -> Path:
    """Copy a set, wherever it is found, into a bundle for machines without a network.

    Parameters
    ----------
    name : str
        One of those that `load` finds outside this package, such as "mnist".
    folder : Path
        The bundle; later the value of TFL_DATA_DIR.
    progress : bool
        Show a progress bar where it takes long.

    Returns
    -------
    Path
        The file or folder written, in one step at its end.

    Raises
    ------
    DatasetMissingError
        The set is nowhere.
    ValueError
        It needs no copy, or is unknown.

    Notes
    -----
    Taught in notebook 00.
    """
    if name not in CLASS_NAMES or name in EMBEDDED:
        others = ", ".join(other for other in CLASS_NAMES if other not in EMBEDDED)
        raise ValueError(f"{name!r} cannot be copied to a bundle; these can: {others}")
    place = _bundled(name)
    folder.mkdir(parents=True, exist_ok=True)
    if place is not None and place.parent.samefile(folder):
        return place
    with tempfile.TemporaryDirectory(dir=folder) as making:
        if place is not None:
            target, made = folder / place.name, Path(making, place.name)
            if place.is_dir():
                shutil.copytree(place, made, copy_function=shutil.copyfile)
                for inner, *_ in os.walk(made):  # a read-only bundle would come out read-only
                    os.chmod(inner, 0o755)
            else:
                shutil.copyfile(place, made)
        else:
            train, test = _find(name, progress)
            target, made = folder / f"{name}.npz", Path(making, f"{name}.npz")
            arrays = {f"x_{s.split}": s.images for s in (train, test)}
            arrays |= {f"y_{s.split}": _unseal(s.answers).astype("uint8") for s in (train, test)}
            np.savez_compressed(made, **arrays)
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(made, target)
    return target


def _digits() -> tuple[ImageSet, ImageSet]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype("uint8")[..., None]
    # Shuffled: in scikit-learn's order the first images are 0, 1, 2, 3 …, which tells the answers.
    order = np.random.default_rng(0).permutation(len(images))  # one split for everybody
    return tuple(
        ImageSet(
            images[part],
            [f"{split}/{i:05d}" for i in range(len(part))],
            SealedAnswers(digits.target[part]),
            CLASS_NAMES["digits"],
            "digits",
            split,
        )
        for split, part in (("train", order[450:]), ("test", order[:450]))
    )


def _drawn(limit: int | None = None) -> list[list[streets.Scene]]:
    """Draw the same scenes for everybody, only those that are asked for."""
    return [[streets.draw_scene(i) for i in part[:limit]] for part in streets.split(range(N_DRAWN))]


def _penn_fudan(progress: bool) -> list[list[streets.Scene]]:
    ((path, _, digest),) = _present("pedestrians", progress)
    return streets.split(streets.read_penn_fudan(_checked(path, digest)))


def _from_scenes(name: str, splits: list[list[streets.Scene]]) -> tuple[ImageSet, ImageSet]:
    """Crops of both classes; their names say which photo they are from, and not what they show."""
    result = []
    for split, scenes in zip(("train", "test"), splits, strict=True):
        images, classes, windows = streets.cut(scenes)
        names = [f"{split}/{scenes[row[0]].name}-{i:05d}" for i, row in enumerate(windows)]
        answers = SealedAnswers(classes)
        result.append(ImageSet(images, names, answers, CLASS_NAMES[name], name, split))
    return result[0], result[1]


def _folder(root: Path, name: str, seed: int, test_size: float) -> tuple[ImageSet, ImageSet]:
    """Split a folder of images by its own train/ and test/, or at random."""
    root = root.expanduser()
    files = list_images(root)
    if len(files) < 2:
        raise ValueError(
            f"{root} holds {len(files)} images ({', '.join(sorted(SUFFIXES))}): at least 2 are "
            "needed, one to train and one to test"
        )
    own_split = {Path(file).parts[0] for file in files} == {"train", "test"}
    if own_split:
        parts = {s: [f for f in files if f.startswith(f"{s}/")] for s in ("train", "test")}
    else:
        if not 0 < test_size < 1:
            raise ValueError(f"test_size is a share between 0 and 1, not {test_size}")
        order = np.random.default_rng(seed).permutation(len(files))
        n_test = min(max(round(test_size * len(files)), 1), len(files) - 1)
        cut = {"train": np.sort(order[n_test:]), "test": np.sort(order[:n_test])}
        parts = {split: [files[i] for i in chosen] for split, chosen in cut.items()}

    def inner(file: str) -> tuple[str, ...]:
        return Path(file).parts[int(own_split) : -1]

    nested = all(inner(file) for file in files)
    classes = sorted({inner(file)[0] for file in files}) if nested else []
    if len(classes) < 2:
        classes = []
    return tuple(
        ImageSet(
            FolderImages(root, part),
            part,
            SealedAnswers([classes.index(inner(f)[0]) for f in part]) if classes else None,
            tuple(classes),
            name,
            split,
        )
        for split, part in parts.items()
    )


def _bundled(name: str) -> Path | None:
    """Where the bundle has this set: a .npz file or a folder."""
    if not os.environ.get("TFL_DATA_DIR"):
        return None
    bundle = Path(os.environ["TFL_DATA_DIR"]).expanduser()
    if not bundle.is_dir():
        raise DatasetMissingError(f"TFL_DATA_DIR is {bundle}, and there is no such folder")
    places = bundle / f"{name}.npz", bundle / name
    return next((place for place in places if place.exists()), None)


def _cached(name: str) -> list[tuple[Path, str, str]]:
    """Files of a set in the Keras cache, with source and hash of each."""
    return [(keras_home() / "datasets" / file, *rest) for file, *rest in DOWNLOADS[name]]


def _find(name: str, progress: bool) -> tuple[ImageSet, ImageSet]:
    """Look in the bundle, the Keras cache, and on the network."""
    place = _bundled(name)
    if place is not None and place.is_dir():
        splits = _folder(place, name, seed=0, test_size=0.2)
        if not splits[0].class_names:
            raise ValueError(f"{place}: expected train/CLASS/*.jpg and test/CLASS/*.jpg inside")
        return tuple(_anonymous(split) for split in splits)
    if place is not None:
        return _from_npz(name, place)
    if name == "pedestrians":
        return _from_scenes(name, _penn_fudan(progress))
    files = _present(name, progress)
    if name == "mnist":
        return _from_npz(name, files[0][0])
    contents = [_checked(path, digest) for path, _, digest in files]
    read = {"fashion_mnist": _read_idx, "cifar10": _read_cifar}[name]
    return _from_arrays(name, *read(contents))


def _present(name: str, progress: bool) -> list[tuple[Path, str, str]]:
    """Files of a set in the Keras cache, downloaded if they were not there."""
    files = _cached(name) if name in DOWNLOADS else []
    missing = [(file, *rest) for file, *rest in files if not file.exists()]
    if not files or (missing and offline()):
        raise DatasetMissingError(_how_to_get(name))
    for file, url, digest in missing:
        try:
            download(url, file, digest, progress=progress)
        except OSError as error:
            raise DatasetMissingError(f"{_how_to_get(name)} (download: {error})") from error
    return files


def _hasher(digest: str | None) -> Any:
    return hashlib.md5() if digest and len(digest) == 32 else hashlib.sha256()


def _checked(path: Path, digest: str) -> bytes:
    """Read a file of the Keras cache, if it is the very file its authors published."""
    content, found = path.read_bytes(), _hasher(digest)
    found.update(content)
    if found.hexdigest() != digest:
        raise ValueError(f"{path} is not the file that was published: delete it and try again")
    return content


def _anonymous(split: ImageSet) -> ImageSet:
    """Shuffle and number the images: sorted paths such as "cat/0012.jpg" tell the answers."""
    split = split.take(np.random.default_rng(0).permutation(len(split)))
    return replace(split, names=[f"{split.split}/{i:05d}" for i in range(len(split))])


def _how_to_get(name: str) -> str:
    net = f"go online{', with TFL_OFFLINE unset' if offline() else ''}: it is then downloaded"
    if name not in DOWNLOADS:
        net = "(there is no public download of this set)"
    return (
        f"{name} is not on this machine. Three ways to get it: (1) set TFL_DATA_DIR to a bundle, a "
        f"folder that holds {name}.npz or {name}/train/CLASS/*.jpg and {name}/test/CLASS/*.jpg; "
        f"(2) on a machine that has it, run `python -m tfl_helpers prefetch --out DIR {name}` and "
        f"bring DIR here; (3) {net}"
    )


def _from_npz(name: str, path: Path) -> tuple[ImageSet, ImageSet]:
    """Read a file in the Keras layout; no pickle is ever loaded."""
    keys = ("x_train", "y_train", "x_test", "y_test")
    broken = (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error)
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = [stored[key] for key in keys]
    except broken as error:
        raise ValueError(
            f"{path} is not what a bundle holds: {error}. It must be a .npz file with "
            f"{', '.join(keys)} and no pickled objects; `python -m tfl_helpers prefetch` makes one"
        ) from error
    return _from_arrays(name, *arrays, source=str(path))


def _from_arrays(name, x_train, y_train, x_test, y_test, source="") -> tuple[ImageSet, ImageSet]:
    result = []
    for split, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        y = y.reshape(-1)
        grey = x.ndim == 3
        if x.dtype != np.uint8 or (not grey and (x.ndim != 4 or x.shape[3] not in (1, 3))):
            raise ValueError(
                f"{source or name}: x_{split} is {x.dtype} {x.shape}; images are uint8 (n, h, w) "
                "or (n, h, w, 1 or 3), 0..255"
            )
        last = len(CLASS_NAMES[name]) - 1
        whole = len(x) == len(y) and np.issubdtype(y.dtype, np.integer)
        if not whole or (len(y) and not -1 <= y.min() <= y.max() <= last):
            raise ValueError(
                f"{source or name}: y_{split} is {y.dtype} {y.shape} for {len(x)} images; one "
                f"whole number per image is needed, from 0 to {last}"
            )
        names = [f"{split}/{i:05d}" for i in range(len(x))]
        x = x[..., None] if grey else x
        result.append(ImageSet(x, names, SealedAnswers(y), CLASS_NAMES[name], name, split))
    return result[0], result[1]


def _read_idx(contents: list[bytes]) -> list[np.ndarray]:
    """Fashion-MNIST's four files: a header of 16 or 8 bytes, then the values."""
    arrays = []
    for number, content in enumerate(contents):
        images = number % 2 == 0
        values = np.frombuffer(gzip.decompress(content), np.uint8, offset=16 if images else 8)
        arrays.append(values.reshape(-1, 28, 28) if images else values)
    return arrays


def _read_cifar(contents: list[bytes]) -> list[np.ndarray]:
    """CIFAR-10's archive of pickles, opened only once its hash is checked."""
    with tarfile.open(fileobj=io.BytesIO(contents[0])) as archive:

        def read(part: str) -> dict:
            file = archive.extractfile(f"cifar-10-batches-py/{part}")
            return pickle.load(file, encoding="bytes")

        train = [read(f"data_batch_{i}") for i in range(1, 6)]
        test = [read("test_batch")]
    arrays = []
    for parts in (train, test):
        pixels = np.concatenate([part[b"data"] for part in parts])
        arrays.append(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        arrays.append(np.concatenate([part[b"labels"] for part in parts]))
    return arrays


def _in_memory(split: ImageSet, progress: bool) -> ImageSet:
    """Read a bundle's folder of small images of one size into one array."""
    if not isinstance(split.images, FolderImages):
        return split
    about = {"desc": f"{split.name} {split.split}", "delay": 2, "leave": False}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        starts = bar(progress, range(0, len(split), 1000), **about)
        parts = [_read_all(split.images[start : start + 1000], pool) for start in starts]
    return replace(split, images=np.concatenate(parts))


def _read_all(
    images: FolderImages, pool: ThreadPoolExecutor, size: tuple[int, int] | None = None
) -> np.ndarray:
    """Read images of one size, or resized to one: uint8 (n, h, w, 3)."""
    read = list(pool.map(lambda i: images.read(i, size), range(len(images))))
    odd = next((i for i, image in enumerate(read) if image.shape != read[0].shape), None)
    if odd is not None:
        sizes = [" x ".join(map(str, read[i].shape[:2])) for i in (0, odd)]
        raise ValueError(
            f"{images.files[0]} is {sizes[0]} pixels, {images.files[odd]} is {sizes[1]}: images of "
            "several sizes need size=(height, width) to be put into one array"
        )
    return np.stack(read)
