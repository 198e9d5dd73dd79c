"""Load a set of images, wherever it is, and copy it to where there is no network."""

import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from tfl_helpers.datasets.answers import SealedAnswers, _unseal
from tfl_helpers.datasets.catalogue import CATALOGUE, describe
from tfl_helpers.datasets.files import write_whole
from tfl_helpers.datasets.images import SUFFIXES, FolderImages, ImageSet, check_images, list_images
from tfl_helpers.datasets.scenes import cut_crops, open_scenes
from tfl_helpers.datasets.sources import bundled, read_downloads, read_npz


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
        Penn-Fudan photos, see `scenes.cut_crops`), or "folder:PATH" for any tree of images, which
        is read lazily.
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

    Examples
    --------
    >>> load("digits", limit=100)
    (<100 train images of digits>, <20 test images of digits>)
    """
    lazy = name.startswith("folder:")
    if lazy:
        splits = _folder(Path(name.removeprefix("folder:")), name, seed, test_size)
    elif name in CATALOGUE:
        splits = _find(name, progress)
    else:
        known = ", ".join([*CATALOGUE, "folder:PATH"])
        raise ValueError(f"no set of images is called {name!r}; there are: {known}")
    unwanted, rng, result = set(exclude), np.random.default_rng(seed), []
    for split, most in zip(splits, (limit, limit and max(limit // 5, 1)), strict=True):
        keep = np.flatnonzero([image not in unwanted for image in split.names])
        if most is not None and most < len(keep):
            keep = np.sort(rng.choice(keep, most, replace=False))
        result.append(split if len(keep) == len(split) else split.take(keep))
    for split in result:
        if not len(split):
            raise ValueError(f"{name}: no image is left in its {split.split} part")
    if not lazy and isinstance(result[0].images, FolderImages):  # small, and of one size
        result = [replace(s, images=s.images.read_all(progress=progress)) for s in result]
    return result[0], result[1]


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


def _find(name: str, progress: bool) -> tuple[ImageSet, ImageSet]:
    """Look in this package, the bundle, the Keras cache, and on the network."""
    place = None if describe(name).layout == "built-in" else bundled(name)
    if place is not None and place.is_dir():
        splits = _folder(place, name, seed=0, test_size=0.2)
        if not splits[0].class_names:
            raise ValueError(f"{place}: expected train/CLASS/*.jpg and test/CLASS/*.jpg inside")
        return _anonymous(splits[0]), _anonymous(splits[1])
    names = {}
    if place is not None:
        arrays = read_npz(place)
    elif name == "digits":
        arrays = _read_digits()
    elif name in ("drawn_streets", "pedestrians"):
        arrays, names = _read_crops(name, progress)
    else:
        arrays = read_downloads(name, progress=progress)
    return tuple(
        _checked(name, split, x, y, names.get(split), place or name)
        for split, x, y in zip(("train", "test"), arrays[::2], arrays[1::2], strict=True)
    )


def _read_digits() -> list[np.ndarray]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype("uint8")
    # Shuffled: in scikit-learn's order the first images are 0, 1, 2, 3 …, which tells the answers.
    order = np.random.default_rng(0).permutation(len(images))  # one split for everybody
    train, test = order[450:], order[:450]
    return [images[train], digits.target[train], images[test], digits.target[test]]


def _read_crops(name: str, progress: bool) -> tuple[list[np.ndarray], dict[str, list[str]]]:
    """Crops of both classes; their names say which photo they are from, and not what they show."""
    arrays, names = [], {}
    for split, scenes in zip(("train", "test"), open_scenes(name, progress=progress), strict=True):
        images, classes, windows = cut_crops(scenes)
        names[split] = [f"{split}/{scenes[w[0]].name}-{i:05d}" for i, w in enumerate(windows)]
        arrays += [images, classes]
    return arrays, names


def _checked(name, split, x, y, names, source) -> ImageSet:
    """Check arrays in the layout of Keras, seal the answers, and number what has no names."""
    x, y, class_names = (
        x[..., None] if x.ndim == 3 else x,
        y.reshape(-1),
        describe(name).class_names,
    )
    check_images(x, f"{source}: x_{split}")
    whole = len(x) == len(y) and np.issubdtype(y.dtype, np.integer)
    if not whole or (len(y) and not -1 <= y.min() <= y.max() < len(class_names)):
        raise ValueError(
            f"{source}: y_{split} is {y.dtype} {y.shape} for {len(x)} images; one whole number per "
            f"image is needed, from 0 to {len(class_names) - 1}"
        )
    names = names or [f"{split}/{i:05d}" for i in range(len(x))]
    return ImageSet(x, names, SealedAnswers(y), class_names, name, split)


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
        drawn = {"train": np.sort(order[n_test:]), "test": np.sort(order[:n_test])}
        parts = {split: [files[i] for i in chosen] for split, chosen in drawn.items()}
    inner = {file: Path(file).parts[int(own_split) : -1] for file in files}
    classes = sorted({folders[0] for folders in inner.values()}) if all(inner.values()) else []
    if len(classes) < 2:
        classes = []
    result = []
    for split, part in parts.items():
        answers = SealedAnswers([classes.index(inner[f][0]) for f in part]) if classes else None
        images = FolderImages(root, part)
        result.append(ImageSet(images, part, answers, tuple(classes), name, split))
    return result[0], result[1]


def _anonymous(split: ImageSet) -> ImageSet:
    """Shuffle and number the images: sorted paths such as "cat/0012.jpg" tell the answers."""
    split = split.take(np.random.default_rng(0).permutation(len(split)))
    return replace(split, names=[f"{split.split}/{i:05d}" for i in range(len(split))])
