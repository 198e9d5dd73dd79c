"""What the page asks about: a few images whose names tell most of all others, shown large."""

import base64
import io
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from PIL import Image

from tfl_helpers.clustering import questions
from tfl_helpers.datasets import ImageReadError
from tfl_helpers.datasets.remote import read_anywhere
from tfl_helpers.sorting.following import MOST_LINKED, NOT_AN_IMAGE, SEVERAL_KINDS, links

N_QUESTIONS, EVERY = 200, 5  # how many are prepared; each so manieth is drawn at random
MOST_CHOSEN = 2_000  # images that questions are chosen from, and that have a name already
NEAREST = 8  # images shown beside the one that is asked about
LARGE, QUALITY = 256, 75  # longer side of the picture in pixels


@dataclass(frozen=True, eq=False)
class Questions:
    """What a page asks, of images by their numbers: rows of `leading_components`."""

    order: np.ndarray  # (m,) images, in the order in which they are asked about
    drawn: np.ndarray  # (m,) bool: at random, so that guesses of their names can be counted
    beside: np.ndarray  # (m, 8) the nearest to each
    graph: sp.csr_matrix | None  # links of all images, unless they are too many for a page

    def for_page(self, table: np.ndarray, place: np.ndarray, free: np.ndarray) -> dict[str, Any]:
        """Turn this to what a page's script needs to know.

        `table` (n,) has the row of each image in the page's table, and `free` the rows of those
        that follow names given earlier. Of all rows with a group, in the table's order, `place`
        (l,) has the image: a copy goes by another.
        """
        said = {"several": SEVERAL_KINDS, "nothing": NOT_AN_IMAGE, "all": self.graph is not None}
        about = {
            "order": table[self.order].tolist(),
            "drawn": np.flatnonzero(self.drawn).tolist(),
            "beside": table[self.beside].tolist(),
            "free": free.tolist(),
        }
        if self.graph is None:
            return said | about
        sizes = np.diff(self.graph.indptr)
        parts = {"sizes": (sizes, "<u2"), "to": (self.graph.indices, "<u2")}
        parts["weights"] = self.graph.data, "u1"
        graph = {name: packed(*part) for name, part in parts.items()}
        return said | about | {"node": place.tolist(), "graph": graph}


def packed(numbers: np.ndarray, kind: str) -> str:
    """Turn numbers to text for a page: base64 of a NumPy type such as "<u2"."""
    return base64.b64encode(numbers.astype(kind).tobytes()).decode()


def choose_questions(
    rows: np.ndarray,
    names: Sequence[str],
    groups: Sequence[str] | None = None,
    *,
    m: int = N_QUESTIONS,
    seed: int = 0,
) -> Questions:
    """Choose which images to ask about, given leading components (n, d), nine rows at least.

    Of `names` (n,) those are "" that nobody gave. The whole order is there at once: what is
    answered on the way changes it in the next page. One of each of the `groups` (n,) in which none
    has a name comes before others: where nobody names one, no image follows.
    """
    rng, said = np.random.default_rng(seed), np.array([name != "" for name in names])
    parts = np.arange(len(rows)), np.flatnonzero(said)
    some = np.union1d(*(rng.permutation(part)[:MOST_CHOSEN] for part in parts))
    graph = links(rows) if len(rows) <= MOST_LINKED else None
    whole = graph is not None and len(some) == len(rows)
    known = np.flatnonzero(said[some])
    codes = np.unique(np.array(names, object)[some[known]], return_inverse=True)[1]
    chosen = some[questions(graph if whole else links(rows[some]), m, known, codes)]
    if groups is not None:
        lying = pd.Series(groups)
        first = ~lying[chosen].duplicated() & ~lying[chosen].isin(lying[said])
        chosen = np.concatenate([chosen[first], chosen[~first]])
    queues = [chosen.tolist(), rng.permutation(np.flatnonzero(~said)).tolist()]
    order: dict[int, bool] = {}  # image: whether it was drawn at random
    while len(order) < min(m, (~said).sum()):
        by_chance = len(order) % EVERY == EVERY - 1 or not queues[0]
        order.setdefault(queues[by_chance].pop(0), by_chance)
    asked = np.array(list(order), int)
    return Questions(asked, np.array(list(order.values()), bool), _nearest(rows, asked), graph)


def _nearest(rows: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Find the nearest images of some (m,), by the angle between them: (m, 8)."""
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import normalize

    if not len(asked):
        return np.zeros((0, NEAREST), int)
    search = NearestNeighbors(n_neighbors=NEAREST + 1).fit(normalize(rows))
    found = search.kneighbors(normalize(rows[asked]), return_distance=False)
    return np.stack([near[near != own][:NEAREST] for near, own in zip(found, asked, strict=True)])


def large_pictures(
    folder: Path, sizes: Iterable[tuple[str, int, int]], value_range: Any = None
) -> list[bytes]:
    """Read images at a size to look at, as WebP; empty for one that is gone by now.

    `sizes` has the file, width and height of each.
    """
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
        return list(pool.map(partial(_large_picture, folder, value_range), sizes))


def _large_picture(folder: Path, value_range: Any, size: tuple[str, int, int]) -> bytes:
    name, width, height = size
    scale = min(LARGE / max(width, height), 1)
    shape = max(round(height * scale), 1), max(round(width * scale), 1)
    try:
        image = Image.fromarray(read_anywhere(folder / name, shape, value_range))
    except ImageReadError:
        return b""
    image.save(written := io.BytesIO(), "WEBP", quality=QUALITY, method=2)
    return written.getvalue()
