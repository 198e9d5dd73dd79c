"""Load a network, read the files of a folder that are new or changed, keep what is learned."""

import os
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from tfl_helpers.datasets import ImageReadError, cleaning, describe, progress_bar, read_image
from tfl_helpers.datasets.decode import find_range
from tfl_helpers.sorting.gallery import thumbnail
from tfl_helpers.sorting.store import FileRead, Store

BLOCK, BLOCK_BYTES = 256, 500e6  # files, or bytes of pixels, between two saves: a kill costs these
BATCH = 32  # images that go through the network at a time: 64 need 300 MB more


def load_network(backbone: str, size: int | None) -> Any:
    """Load a network that sees one size; that which is usual for photos, in the usual one."""
    from tfl_helpers import backbones

    usual = describe("photos").backbone
    if size is None:  # also of a part of several
        names = [f"{n}:{usual['size']}" if n == usual["name"] else n for n in backbone.split("+")]
        backbone = "+".join(names)
    try:
        network = backbones.load(backbone, size=size)
    except backbones.WeightsMissingError as error:
        asked = " ".join(f"--backbone {name}" for name in backbone.split("+"))
        why = str(error).split(". Where there is a network")[0]  # what comes then is said here
        raise backbones.WeightsMissingError(
            f"no file was read, as {backbone} is not at hand: {why}. Where there is a network run "
            f"`python -m tfl_helpers prefetch --out DIR {asked}`, bring DIR here and set "
            "KERAS_HOME=DIR/keras (MobileNetV2 is 9 MB, with EfficientNetB0 26 MB, dinov2_small "
            "88 MB). Or take --backbone letters, for drawings, which ships with this"
        ) from error
    for part in backbones.parts(network):
        if backbones.input_size(part) is None:
            raise ValueError(f"{part.name} takes images of any size: say one (--size PIXELS)")
    return network


def views_of(network: Any, looks: Any) -> tuple[list[Any], list[list[str]]]:
    """List what a network sees of each image, each view once; and their names, part by part."""
    from tfl_helpers import backbones

    views = [backbones.views(part, looks) for part in backbones.parts(network)]
    distinct = {view.name: view for view in chain(*views)}
    return [*distinct.values()], [[view.name for view in of_part] for of_part in views]


def read_new(
    store: Store, folder: Path, names: list[str], views: Sequence[Any], progress: bool
) -> list[dict[str, Any]]:
    """Read what is new or changed; return what `cleaning.inspect_file` said of every file.

    Of each file the `views` (`backbones.views`) are computed that are not known. Images of more
    than 8 bits are read last, once the range of values in the folder is known.
    """
    known = {view.name: store.known(view.name) for view in views}
    lacking = {}
    for name in names:
        stat = _stat(folder / name)
        lacking[name] = [view for view in views if known[view.name].get(name) != stat]
    todo = [name for name in names if lacking[name]]
    compute = _computer(views)
    area = sum(height * width for height, width in {_size(view) for view in views})
    at_once = max(min(BLOCK, int(BLOCK_BYTES / (3 * area))), 1)
    with (
        progress_bar(progress, total=len(todo), desc="reading", unit="file") as bar,
        ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # what Pillow has to say stands in the table

        def read_all(some: list[str], value_range: tuple[float, float] | None) -> None:
            for start in range(0, len(some), at_once):
                block = some[start : start + at_once]
                wanted = [views if value_range else lacking[name] for name in block]
                files = list(pool.map(partial(_read, folder, value_range), wanted, block))
                store.recall(files)  # of those that were only renamed or moved
                bar.set_postfix(compute(files, wanted))
                store.save(files)
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


def _computer(views: Sequence[Any]) -> Callable[[list[FileRead], list[list]], dict[str, str]]:
    """Make a function that computes the views wanted of files; it says how fast each was."""
    from tfl_helpers import features

    computes = {view.name: features.extractor(view, BATCH) for view in views}

    def compute(files: list[FileRead], wanted: list[list]) -> dict[str, str]:
        speeds = {}
        for view in views:
            pairs = zip(files, wanted, strict=True)
            some = [f for f, w in pairs if f.pixels and view in w and view.name not in f.z]
            if some:
                start = time.perf_counter()
                z = computes[view.name](np.stack([file.pixels[_size(view)] for file in some]))
                speed = len(some) / (time.perf_counter() - start)
                speeds[view.name] = f"{speed:.0f} images/s"
                for file, row in zip(some, z, strict=True):
                    file.z[view.name] = row
        return speeds

    return compute


def _read(
    folder: Path, value_range: tuple[float, float] | None, views: Sequence[Any], name: str
) -> FileRead:
    path = folder / name
    file = FileRead(name, _stat(path), cleaning.inspect_file(path, value_range))
    if value_range is None and "values" in file.row:
        return file  # again when all such files have been looked at
    if not set(cleaning.LEAVE_OUT) & set(file.row["codes"]):
        try:
            sizes = sorted({_size(view) for view in views})
            file.pixels = {size: read_image(path, size, value_range) for size in sizes}
            shape = file.row["height"], file.row["width"]
            file.picture = thumbnail(file.pixels[sizes[-1]], shape)
        except ImageReadError as error:  # it changed in between
            file.pixels = {}
            file.row["codes"].append("unreadable")
            file.row["notes"].append(str(error.__cause__))
    return file


def _size(view: Any) -> tuple[int, int]:
    from tfl_helpers import backbones

    return backbones.input_size(view.backbone)


def _stat(path: Path) -> tuple[int, int]:
    """Size and time of change; -1 for a file that is gone, which is looked at in every run."""
    try:
        about = path.stat()
    except OSError:
        return -1, -1
    return about.st_size, about.st_mtime_ns
