"""Which images may be in a wrong group: a ranking, from features and groups alone."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors

from tfl_helpers.clustering.graph import neighbour_graph, walk_places

WEIGHTS = 1, 2, 1  # of the scores
N_NEIGHBORS = 50  # the nearest fifteen of a mistake are often mistakes, too
CLEAR, MANY = 2 / 3, 0.05  # share of a vote that is clear; share of rows without that are many


class Doubt:
    """Rank rows by how likely they are in a wrong group; no single rule finds most mistakes.

    Mean rank of three scores: how far the mean of a row's group is, as a share of the distance to
    the nearest other mean; the same where random walks lead (`spectral_embedding`); how surprising
    the groups of its 50 nearest rows are, as -log of the share that each has among the neighbours
    of its own group. This counts twice, as groups side by side, of one kind that was cut, are less
    of a surprise.

    Parameters
    ----------
    rows, groups : np.ndarray, shape (n, d), and array of int, shape (n,)
        Features of length one, best their leading components; their groups.
    near, places : tuple, np.ndarray (n, m), optional
        What `nearest` found for the rows, and where walks lead, if that is known.
    random_state : int, RandomState or None
        Starts the eigenvalue solver, for walks.

    Attributes
    ----------
    known_, scores_ : np.ndarray
        float64 (n,): share of the rows that are no more doubtful, 1 for the most doubtful; float64
        (n, 3): distances to means, surprise, distances where walks lead.

    Examples
    --------
    >>> rows = np.array([[1, 0], [0.9, 0.1], [0.6, 0.4], [0, 1], [0.1, 0.9], [0.05, 0.95]])
    >>> int(Doubt(rows, [0, 0, 0, 1, 1, 1], random_state=0).known_.argmax())
    2
    """

    def __init__(
        self,
        rows: np.ndarray,
        groups: ArrayLike,
        *,
        near: tuple[np.ndarray, np.ndarray] | None = None,
        places: np.ndarray | None = None,
        random_state: Any = None,
    ) -> None:
        self._names, self._groups = np.unique(groups, return_inverse=True)
        n, k = len(rows), len(self._names)
        self._search = NearestNeighbors(n_neighbors=max(min(N_NEIGHBORS, n - 1), 1)).fit(rows)
        if n < 3 or k < 2:
            self.known_ = np.full(n, 0.5)  # nothing to choose from
            return
        near = near or self._search.kneighbors()[::-1]
        if places is None:
            places = walk_places(neighbour_graph(near, 15), k, random_state=random_state)
        self._means, links = _means(rows, self._groups), np.ones((k, k))
        np.add.at(links, (self._groups[:, None], self._groups[near[0]]), 1)
        self._surprise = -np.log(links / links.sum(axis=1, keepdims=True))
        two = self._score(rows, self._groups, near[0])
        walked = _nearness(places, _means(places, self._groups), self._groups)
        self.scores_ = np.column_stack([*two, walked])
        ranks = rankdata(self.scores_, axis=0) / n * WEIGHTS
        self.known_ = rankdata(ranks.sum(axis=1)) / n
        self._two, self._sums = np.sort(two), np.sort(ranks[:, :2].sum(axis=1))

    def of(self, rows: np.ndarray, groups: ArrayLike) -> np.ndarray:
        """Rank other rows (m, d) in groups (m,) among the known ones: float64 (m,).

        They have been on no walk, so two scores have to do.
        """
        if not hasattr(self, "scores_"):
            return np.full(len(rows), 0.5)
        own = np.searchsorted(self._names, groups).clip(max=len(self._names) - 1)
        scores = self._score(rows, own, self._search.kneighbors(rows, return_distance=False))
        ranks = [
            weight * _rank_among(*pair)
            for weight, *pair in zip(WEIGHTS[:2], self._two, scores, strict=True)
        ]
        return _rank_among(self._sums, sum(ranks))

    def _score(self, rows: np.ndarray, own: np.ndarray, near: np.ndarray) -> list[np.ndarray]:
        """Two of the scores, of rows in the groups `own` with the neighbours `near`."""
        surprise = self._surprise[own[:, None], self._groups[near]].mean(axis=1)
        return [_nearness(rows, self._means, own), surprise]


def share_flagged(unclear: bool | np.ndarray) -> float:
    """Share of the ranking that is called unsure, from the rows (n,) whose vote is unclear.

    It is a tenth, or a fifth where these are more than 5 %.

    Examples
    --------
    >>> share_flagged([True, False, False])
    0.2
    """
    return 0.2 if np.sum(unclear) > MANY * np.size(unclear) else 0.1


def _means(rows: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Mean row of each group (k, d)."""
    return np.stack([rows[groups == g].mean(axis=0) for g in range(groups.max() + 1)])


def _nearness(rows: np.ndarray, means: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Distance to the mean of the own group, as a share of that to the nearest other (n,)."""
    distances = pairwise_distances(rows, means)
    at = np.arange(len(rows)), groups
    own, distances[at] = distances[at], np.inf
    return own / np.maximum(distances.min(axis=1), 1e-9)


def _rank_among(known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Share of sorted `known` values that are smaller, and half of those that are equal."""
    sides = (np.searchsorted(known, values, side) for side in ("left", "right"))
    return sum(sides) / (2 * len(known))
