"""Read the files of a folder that are new or changed, and keep what is learned of each."""

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tfl_helpers.datasets import ImageReadError, cleaning, progress_bar, read_image
from tfl_helpers.datasets.decode import find_range
from tfl_helpers.sorting.gallery import thumbnail
from tfl_helpers.sorting.store import FileRead, Store

BLOCK, BLOCK_BYTES = 256, 500e6  # files, or bytes of pixels, between two saves: a kill costs these
BATCH = 32  # images that go through the network at a time: 64 need 300 MB more


def read_new(
    store: Store, folder: Path, names: list[str], backbone: Any, progress: bool
) -> list[dict[str, Any]]:
    """Read what is new or changed; return what `cleaning.inspect_file` said of every file.

    Images of more than 8 bits are read last, once the range of values in the folder is known.
    """
    from tfl_helpers import backbones, features

    known = store.known(backbone.name)
    todo = [name for name in names if known.get(name) != _stat(folder / name)]
    size = backbones.input_size(backbone)
    at_once = max(min(BLOCK, int(BLOCK_BYTES / (3 * size[0] * size[1]))), 1)
    compute = features.extractor(backbone, BATCH)
    with (
        progress_bar(progress, total=len(todo), desc="reading", unit="file") as bar,
        ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # what Pillow has to say stands in the table

        def read_all(some: list[str], value_range: tuple[float, float] | None) -> None:
            for start in range(0, len(some), at_once):
                read = partial(_read, folder, size, value_range)
                files = list(pool.map(read, some[start : start + at_once]))
                pixels = [file.pixels for file in files if file.pixels is not None]
                features_of = iter(compute(np.stack(pixels)) if pixels else ())
                for file in files:
                    file.z = None if file.pixels is None else next(features_of)
                store.save(backbone.name, files)
                bar.update(len(files))

        read_all(todo, None)
        rows = store.rows()
        deep = [name for name in names if "values" in rows[name]]
        if value_range := find_range(rows[name]["values"] for name in deep):
            if list(value_range) == store.fact("range"):
                deep = sorted(set(deep) & set(todo))
            bar.total += len(deep)
            read_all(deep, value_range)
            store.keep(range=value_range)
    rows = store.rows()
    return [rows[name] for name in names]


def _read(
    folder: Path, size: tuple[int, int], value_range: tuple[float, float] | None, name: str
) -> FileRead:
    path = folder / name
    file = FileRead(name, _stat(path), cleaning.inspect_file(path, value_range))
    if value_range is None and "values" in file.row:
        return file  # again when all such files have been looked at
    if not set(cleaning.LEAVE_OUT) & set(file.row["codes"]):
        try:
            file.pixels = read_image(path, size, value_range)
            file.picture = thumbnail(file.pixels, (file.row["height"], file.row["width"]))
        except ImageReadError as error:  # it changed in between
            file.row["codes"].append("unreadable")
            file.row["notes"].append(str(error.__cause__))
    return file


def _stat(path: Path) -> tuple[int, int]:
    """Size and time of change; -1 for a file that is gone, which is looked at in every run."""
    try:
        about = path.stat()
    except OSError:
        return -1, -1
    return about.st_size, about.st_mtime_ns
