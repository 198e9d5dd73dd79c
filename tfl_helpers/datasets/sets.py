"""Load a set of images, wherever it is, and copy it to where there is no network."""

import difflib
import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import check_scalar

from tfl_helpers.datasets.answers import SealedAnswers, _unseal
from tfl_helpers.datasets.catalogue import CATALOGUE, describe
from tfl_helpers.datasets.decode import SUFFIXES
from tfl_helpers.datasets.files import write_whole
from tfl_helpers.datasets.images import FolderImages, ImageSet, check_images, list_images
from tfl_helpers.datasets.scenes import cut_crops, open_scenes
from tfl_helpers.datasets.sources import bundled, read_downloads, read_npz


def load(
    name: str | Path,
    *,
    limit: int | None = None,
    seed: int = 0,
    test_size: float = 0.2,
    exclude: str | Path | Iterable[str | Path] = (),
    progress: bool = True,
) -> tuple[ImageSet, ImageSet]:
    """Load a set of images, split into train and test.

    Parameters
    ----------
    name : str
        "digits", "drawn_streets" (drawings, no photos), "mnist", "fashion_mnist", "cifar10",
        "pedestrians" (a bundle's, else crops of the Penn-Fudan photos), or "folder:PATH" (or a
        Path) for any tree of images, which is read lazily.
    limit : int, optional
        At most this many training images and a fifth of it test images, drawn at random.
    seed, test_size : int, float
        Draws the limited images, and the split of a folder that has none of its own; its share.
    exclude : str, Path or several
        Names of images to leave out, such as `cleaning.inspect` advises, or paths of a folder's.
    progress : bool
        Show a progress bar where reading takes long.

    Returns
    -------
    train, test : ImageSet
        A folder's subfolders are its classes if every image is in one of two or more of them.

    Raises
    ------
    DatasetMissingError, ValueError
        The set is nowhere, and how to get it; or the name is unknown, or a file is broken.

    Examples
    --------
    >>> load("digits", limit=100)
    (<100 train images of digits>, <20 test images of digits>)
    """
    if not isinstance(name, str | Path):
        raise TypeError(f"name is that of a set, or a folder's path, not {type(name).__name__}")
    if limit is not None:
        check_scalar(limit, "limit", Integral, min_val=1)
    name, root = f"folder:{name}" if isinstance(name, Path) else name, None
    if name.startswith("folder:"):
        if not (given := name.removeprefix("folder:")):
            raise ValueError(
                "'folder:' names no folder: write folder:PATH ('folder:.' for this one)"
            )
        root = Path(given).expanduser()
        splits = _folder(root, name, seed, test_size)
    elif name in CATALOGUE:
        splits = _find(name, progress)
    else:
        known = ", ".join([*CATALOGUE, "folder:PATH"])
        raise ValueError(f"no set of images is called {name!r}; there are: {known}")
    unwanted, rng, result = _unwanted(exclude, splits, root), np.random.default_rng(seed), []
    for split, most in zip(splits, (limit, limit and max(limit // 5, 1)), strict=True):
        keep = np.flatnonzero([image not in unwanted for image in split.names])
        if most is not None and most < len(keep):
            keep = np.sort(rng.choice(keep, most, replace=False))
        if not len(keep):
            raise ValueError(f"{name}: no image is left in its {split.split} part")
        split = split if len(keep) == len(split) else split.take(keep)
        if name in CATALOGUE and isinstance(split.images, FolderImages):  # small, and of one size
            split = replace(split, images=split.images.read_all(progress=progress))
        result.append(split)
    return result[0], result[1]


def _unwanted(exclude: Any, splits: Iterable[ImageSet], root: Path | None) -> set[str]:
    """Names to leave out; one that is nowhere is an error, as it would leave out nothing."""
    names = [exclude] if isinstance(exclude, str | Path) else [*exclude]
    known, unwanted = {name for split in splits for name in split.names}, set()
    for name in map(os.fspath, names):
        if root is not None and name not in known and Path(name).is_absolute():
            name = Path(os.path.relpath(name, root.absolute())).as_posix()
        if name not in known and not (root is not None and os.path.lexists(root / name)):
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"exclude: no image is called {name!r}{hint}")
        unwanted.add(name)
    return unwanted


def copy_to_bundle(name: str, folder: Path, *, progress: bool = True) -> Path:
    """Copy a set, wherever it is found, into a bundle (`folder`), whole; return where it is there.

    A ValueError says which sets can be copied, where this one ships with the package or is unknown.
    """
    names = [known.name for known in CATALOGUE.values() if known.layout != "built-in"]
    if name not in names:
        raise ValueError(f"{name!r} cannot be copied to a bundle; these can: {', '.join(names)}")
    place = bundled(name)
    if place is None:
        arrays = {}
        for split in _find(name, progress):
            arrays[f"x_{split.split}"] = split.images
            arrays[f"y_{split.split}"] = _unseal(split.answers).astype("uint8")
        with write_whole(folder / f"{name}.npz") as part:
            np.savez_compressed(part, **arrays)
        return folder / f"{name}.npz"
    target = folder / place.name
    if target.exists() and place.samefile(target):
        return place
    with write_whole(target) as part:
        if place.is_file():
            shutil.copyfile(place, part)
        else:
            shutil.copytree(place, part, copy_function=shutil.copyfile)
            for inner, *_ in os.walk(part):  # a read-only bundle would come out read-only
                os.chmod(inner, 0o755)
            shutil.rmtree(target, ignore_errors=True)
    return target


def _find(name: str, progress: bool) -> tuple[ImageSet, ...]:
    """Look in this package, the bundle, the Keras cache, and on the network."""
    place = None if describe(name).layout == "built-in" else bundled(name)
    if place is not None and place.is_dir():
        splits = _folder(place, name, seed=0, test_size=0.2)
        if not splits[0].class_names:
            raise ValueError(f"{place}: expected train/CLASS/*.jpg and test/CLASS/*.jpg inside")
        # Shuffled and numbered: sorted paths such as "cat/0012.jpg" tell the answers.
        splits = [s.take(np.random.default_rng(0).permutation(len(s))) for s in splits]
        return tuple(replace(s, names=_numbered(s.split, len(s))) for s in splits)
    if place is not None:
        arrays = read_npz(place)
    elif name == "digits":
        arrays = _read_digits()
    elif name in ("drawn_streets", "pedestrians"):
        return _crops(name, progress)
    else:
        arrays = read_downloads(name, progress=progress)
    train, test = arrays[:2], arrays[2:]
    return _checked(name, "train", *train, place), _checked(name, "test", *test, place)


def _read_digits() -> list[np.ndarray]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype("uint8")
    # Shuffled: in scikit-learn's order the first images are 0, 1, 2, 3 …, which tells the answers.
    order = np.random.default_rng(0).permutation(len(images))  # one split for everybody
    train, test = order[450:], order[:450]
    return [images[train], digits.target[train], images[test], digits.target[test]]


def _checked(name: str, split: str, x: np.ndarray, y: np.ndarray, place: Path | None) -> ImageSet:
    """Check arrays in the layout of Keras, seal the answers, and number the images."""
    class_names, source = describe(name).class_names, place or name
    x, y = x[..., None] if x.ndim == 3 else x, y.reshape(-1)
    check_images(x, f"{source}: x_{split}")
    whole = len(x) == len(y) and np.issubdtype(y.dtype, np.integer)
    if not whole or not np.isin(y, np.arange(-1, len(class_names))).all():  # -1: unknown
        raise ValueError(
            f"{source}: y_{split} is {y.dtype} {y.shape} for {len(x)} images; one whole number per "
            f"image is needed, from 0 to {len(class_names) - 1}"
        )
    return ImageSet(x, _numbered(split, len(x)), SealedAnswers(y), class_names, name, split)


def _crops(name: str, progress: bool) -> tuple[ImageSet, ...]:
    """Crops of both classes; their names say which photo they are from, and not what they show."""
    result = []
    for split, scenes in zip(("train", "test"), open_scenes(name, progress=progress), strict=True):
        images, classes, windows = cut_crops(scenes)
        names = [f"{split}/{scenes[w[0]].name}-{i:05d}" for i, w in enumerate(windows)]
        answers, class_names = SealedAnswers(classes), describe(name).class_names
        result.append(ImageSet(images, names, answers, class_names, name, split))
    return tuple(result)


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
        is_test = np.array([file.startswith("test/") for file in files])
    elif 0 < test_size < 1:
        n_test = min(max(round(test_size * len(files)), 1), len(files) - 1)
        drawn = np.random.default_rng(seed).permutation(len(files))[:n_test]
        is_test = np.isin(np.arange(len(files)), drawn)
    else:
        raise ValueError(f"test_size is a share between 0 and 1, not {test_size}")
    folders = [Path(file).parts[int(own_split) : -1] for file in files]
    classes = sorted({inner[0] for inner in folders}) if all(folders) else []
    if len(classes) < 2:
        classes, answers = [], None
    else:
        answers = SealedAnswers([classes.index(inner[0]) for inner in folders])
    whole = ImageSet(FolderImages(root, files), files, answers, tuple(classes), name, "train")
    return whole.take(~is_test), replace(whole.take(is_test), split="test")


def _numbered(split: str, n: int) -> list[str]:
    return [f"{split}/{i:05d}" for i in range(n)]
