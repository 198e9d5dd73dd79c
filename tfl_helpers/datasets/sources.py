"""Where a set of images lies: a bundle (`TFL_DATA_DIR`), the Keras cache, or the network.

Nothing is replaced silently: what is missing is an error that says how to get it. A file is read
only if it is the one that its authors published, and no pickle is opened before that is known.
"""

import gzip
import os
import pickle
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from tfl_helpers.datasets.catalogue import CATALOGUE, describe
from tfl_helpers.datasets.files import download, file_hash, keras_home, offline


class DatasetMissingError(FileNotFoundError):
    """A set of images is nowhere to be found; the message says how to get it."""


def bundled(name: str) -> Path | None:
    """Return where the bundle has a set, a .npz file or a folder, or None."""
    if not os.environ.get("TFL_DATA_DIR"):
        return None
    bundle = Path(os.environ["TFL_DATA_DIR"]).expanduser()
    if not bundle.is_dir():
        raise DatasetMissingError(f"TFL_DATA_DIR is {bundle}, and there is no such folder")
    places = bundle / f"{name}.npz", bundle / name
    return next((place for place in places if place.exists()), None)


def _cached(name: str) -> list[Path]:
    return [keras_home() / "datasets" / item["file"] for item in describe(name).downloads]


def fetch(name: str, *, progress: bool = True) -> list[Path]:
    """Return the files of a set in the Keras cache, downloaded where missing, hashes checked."""
    known, places = describe(name), _cached(name)
    if not places or (offline() and not all(place.exists() for place in places)):
        raise DatasetMissingError(_how_to_get(name))
    for place, item in zip(places, known.downloads, strict=True):
        if not place.exists():
            try:
                download(item["url"], place, item["digest"], progress=progress)
            except OSError as error:
                raise DatasetMissingError(f"{_how_to_get(name)} (download: {error})") from error
        elif known.layout != "npz" and file_hash(place, item["digest"]) != item["digest"]:
            raise ValueError(f"{place} is not the file that was published: delete it and try again")
    return places


def _how_to_get(name: str) -> str:
    net = f"go online{', with TFL_OFFLINE unset' if offline() else ''}: it is then downloaded"
    if not describe(name).downloads:
        net = "(there is no public download of this set)"
    return (
        f"{name} is not on this machine. Three ways to get it: (1) set TFL_DATA_DIR to a bundle, a "
        f"folder that holds {name}.npz or {name}/train/CLASS/*.jpg and {name}/test/CLASS/*.jpg; "
        f"(2) on a machine that has it, run `python -m tfl_helpers prefetch --out DIR {name}` and "
        f"bring DIR here; (3) {net}"
    )


def available() -> pd.DataFrame:
    """List the sets of images and where each is on this machine: `data`, `found`, `where`."""
    rows = [
        ("digits", True, "ships with scikit-learn"),
        ("drawn_streets", True, "ships with this package: drawings, no photos"),
    ]
    for name in [name for name, known in CATALOGUE.items() if known.layout != "built-in"]:
        place, files = bundled(name), _cached(name)
        if place is not None:
            rows.append((name, True, f"TFL_DATA_DIR: {place.name}"))
        elif files and all(file.exists() for file in files):
            rows.append((name, True, "the Keras cache"))
        else:
            how = "not here: needs a bundle in TFL_DATA_DIR"
            if files:
                how += ", or TFL_OFFLINE unset" if offline() else "; else downloaded when asked for"
            rows.append((name, False, how))
    rows.append(("folder:PATH", True, "any folder of images of yours"))
    return pd.DataFrame(rows, columns=["data", "found", "where"])


def read_downloads(name: str, *, progress: bool = True) -> list[np.ndarray]:
    """Read the downloads of a set: x_train, y_train, x_test, y_test."""
    files = fetch(name, progress=progress)
    return {"npz": read_npz, "idx": _read_idx, "cifar": _read_cifar}[describe(name).layout](*files)


def read_npz(path: Path) -> list[np.ndarray]:
    """Read x_train, y_train, x_test, y_test from a file as Keras has it; no pickle is loaded."""
    keys = ("x_train", "y_train", "x_test", "y_test")
    broken = (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error)
    try:
        with np.load(path, allow_pickle=False) as stored:
            return [stored[key] for key in keys]
    except broken as error:
        raise ValueError(
            f"{path} is not what a bundle holds: {error}. It must be a .npz file with "
            f"{', '.join(keys)} and no pickled objects; `python -m tfl_helpers prefetch` makes one"
        ) from error


def _read_idx(*paths: Path) -> list[np.ndarray]:
    """Images, labels, images, labels: a header of 16 or 8 bytes, then the values."""
    arrays = [np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8) for path in paths]
    for i in (0, 2):
        arrays[i] = arrays[i][16:].reshape(-1, 28, 28)
        arrays[i + 1] = arrays[i + 1][8:]
    return arrays


def _read_cifar(path: Path) -> list[np.ndarray]:
    """Five pickles of training images and one of test images in an archive."""
    arrays = []
    with tarfile.open(path) as archive:
        for names in ([f"data_batch_{i}" for i in range(1, 6)], ["test_batch"]):
            files = [archive.extractfile(f"cifar-10-batches-py/{name}") for name in names]
            parts = [pickle.load(file, encoding="bytes") for file in files]
            pixels = np.concatenate([part[b"data"] for part in parts])
            arrays.append(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
            arrays.append(np.concatenate([part[b"labels"] for part in parts]))
    return arrays
