"""Load a network, read the files of a folder that are new or changed, keep what is learned."""

import functools
import os
import platform
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from tfl_helpers import cluster
from tfl_helpers.datasets import ImageReadError, cleaning, describe, progress_bar, read_image
from tfl_helpers.datasets.decode import at_most, find_range
from tfl_helpers.datasets.remote import RemoteFolder, at_hand
from tfl_helpers.sorting.gallery import thumbnail
from tfl_helpers.sorting.store import FileRead, Store

BLOCK, BLOCK_BYTES = 256, 500e6  # files, or bytes of pixels, between two saves: a kill costs these
BATCH = 32  # images that go through the network at a time: 64 need 300 MB more
Asked = tuple[str, tuple[int, int], list[str]]  # file, size and time of change, views wanted
DEADLY = "each process that read it died: it may be damaged, or need more memory than there is"


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
    store: Store,
    folder: Path | RemoteFolder,
    names: list[str],
    views: Sequence[Any],
    progress: bool,
    client: Any = None,
    max_megapixels: float | None = None,
) -> Sequence[dict[str, Any]]:
    """Read what is new or changed; return what `cleaning.inspect_file` said of every file.

    Of each file the `views` (`backbones.views`) are computed that are not known. Images of more
    than 8 bits are read last, once the range of values in the folder is known.

    Which files are one block does not hang on who reads it, this process or the workers of a Dask
    `client`, nor on what a stopped run has read: what is added up in which batch decides over the
    last bits. A block comes back as a whole, and the store takes it as a whole or not at all. Parts
    in files beside it would be the same once more, and two places to look at.
    """
    known = {view.name: store.known(view.name) for view in views}
    asked = []
    for name in names:
        stat = _stat(folder / name)
        asked.append((name, stat, [view for view in known if known[view].get(name) != stat]))
    todo = {name for name, _, wanted in asked if wanted}
    reader = Reader(folder, views, max_megapixels)
    recall = {} if client else {"recall": store.recall}
    with (
        progress_bar(progress, total=len(todo), desc="reading", unit="file") as bar,
        cluster.spread(client, reader) as spread,
    ):

        def read_all(some: list[Asked], value_range: tuple[float, float] | None) -> None:
            blocks = in_blocks(some, reader.at_once)
            for block, done in spread(blocks, value_range=value_range, **recall):
                files, speeds = done or ([_deadly(*file) for file in block], {})
                store.recall(files if client else [])  # workers don't see the store
                store.save(files)
                bar.set_postfix(speeds)
                bar.update(len(files))

        read_all(asked, None)
        values = store.values()
        deep = [file for file in asked if file[0] in values]
        if value_range := find_range(values[name] for name, *_ in deep):
            if list(value_range) == store.fact("range"):
                deep = [file for file in deep if file[0] in todo]
            bar.total += len(deep)
            read_all([(name, stat, [*known]) for name, stat, _ in deep], value_range)
            store.keep(range=value_range)
    return store.rows(names)


def in_blocks(asked: Sequence[Asked], size: int) -> list[list[Asked]]:
    """Cut a list of files into blocks: those of which all is wanted, then the rest.

    Examples
    --------
    >>> files = [(name, (1, 1), ["letters"] * (name != "c")) for name in "abcdef"]
    >>> [[name for name, *_ in block] for block in in_blocks(files, 2)]
    [['a', 'b'], ['e', 'f'], ['d']]
    """
    whole, rest = [], []
    for start in range(0, len(asked), size):
        wanted = [file for file in asked[start : start + size] if file[2]]
        if len(wanted) == len(asked[start : start + size]):
            whole.append(wanted)
        else:
            rest += wanted
    return whole + [rest[start : start + size] for start in range(0, len(rest), size)]


class Reader:
    """Reads blocks of files and computes what views see of them, in this process or a worker.

    Networks are compiled when the first block is read, and stay.
    """

    def __init__(self, folder: Path, views: Sequence[Any], max_megapixels: float | None) -> None:
        from tfl_helpers import backbones

        self.folder, self.views, self.max_megapixels = folder, views, max_megapixels
        self.sizes = {view.name: _size(view) for view in views}
        for view in views:
            backbones.fitting_batch(view.backbone, BATCH)  # refuses what no memory holds
        area = sum(height * width for height, width in set(self.sizes.values()))
        self.at_once = max(min(BLOCK, int(BLOCK_BYTES / (3 * area))), 1)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "_computes"}

    def __call__(
        self,
        block: list[Asked],
        value_range: tuple[float, float] | None,
        recall: Callable[[list[FileRead]], None] | None = None,
    ) -> tuple[list[FileRead], dict[str, str]]:
        """Read a block; return what was learned, without pixels, and how fast each view was."""
        if not self.folder.is_dir():
            raise FileNotFoundError(
                f"{self.folder} is not there for {platform.node()}: all workers of a cluster need "
                "to see it by this path, as on a shared disk"
            )
        with (
            at_most(self.max_megapixels),
            ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool,
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # what Pillow has to say stands in the table
            files = list(pool.map(lambda asked: self._read(*asked, value_range), block))
        if recall:
            recall(files)  # of those that were only renamed or moved
        speeds = self._compute(files, {name: views for name, _, views in block})
        for file in files:
            file.pixels = {}
        return files, speeds

    @functools.cached_property
    def _computes(self) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
        from tfl_helpers import features

        return {view.name: features.extractor(view, BATCH) for view in self.views}

    def _compute(self, files: list[FileRead], wanted: dict[str, list[str]]) -> dict[str, str]:
        """Compute the views that are wanted; say how fast each was."""
        speeds = {}
        for view, size in self.sizes.items():
            some = [f for f in files if f.pixels and view in wanted[f.name] and view not in f.z]
            if some:
                start = time.perf_counter()
                z = self._computes[view](np.stack([file.pixels[size] for file in some]))
                speed = len(some) / (time.perf_counter() - start)
                speeds[view] = f"{speed:.0f} images/s"
                for file, row in zip(some, z.astype("float16"), strict=True):
                    file.z[view] = row
        return speeds

    def _read(
        self, name: str, stat: tuple[int, int], views: list[str], value_range: tuple | None
    ) -> FileRead:
        file = FileRead(name, stat, {"codes": [], "notes": []})
        try:
            with at_hand(self.folder / name) as path:
                self._look(file, path, views, value_range)
        except ImageReadError as error:  # it could not be fetched, or changed in between
            file.pixels = {}
            file.row["codes"].append("unreadable")
            file.row["notes"].append(" ".join(str(error.__cause__).split())[:200])
        return file

    def _look(self, file: FileRead, path: Path, views: list[str], value_range: Any) -> None:
        file.row = cleaning.inspect_file(path, value_range)
        if value_range is None and "values" in file.row:
            return  # again when all such files have been looked at
        if not set(cleaning.LEAVE_OUT) & set(file.row["codes"]):
            sizes = sorted({self.sizes[view] for view in views})
            file.pixels = {size: read_image(path, size, value_range) for size in sizes}
            shape = file.row["height"], file.row["width"]
            file.picture = thumbnail(file.pixels[sizes[-1]], shape)


def _deadly(name: str, stat: tuple[int, int], views: list[str]) -> FileRead:
    """Say of a file that each process which read it died."""
    return FileRead(name, stat, {"codes": ["unreadable"], "notes": [DEADLY]})


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
