"""How well groups fit together, without labels: with neighbours, and with one another."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import adjusted_rand_score

NOT_GROUPED = -1  # an image that a run did not see


def neighbour_agreement(groups: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Compute the share of each image's neighbours, int (n, m), in its group: float (n,)."""
    return (groups[neighbours] == groups[:, None]).mean(axis=1)


def agreement(groups: ArrayLike, neighbours: np.ndarray) -> float:
    """Compute the share of neighbours, int (n, m), in the same group, corrected for chance.

    (p - c) / (1 - c), with p the share and c the chance that two random images share a group: 1
    where neighbours always do, 0 with random groups or one for all. As Cohen's kappa (1960); pairs
    with -1 (not grouped) do not count.

    Examples
    --------
    >>> agreement([0, 0, 1, 1], np.array([[1], [0], [3], [2]]))
    1.0
    """
    groups = np.asarray(groups)
    if groups.ndim != 1 or len(groups) != len(neighbours):
        raise ValueError(
            f"groups of shape {groups.shape}, neighbours of {np.shape(neighbours)}: give one group "
            "and one row of neighbours for each image"
        )
    seen = (groups[:, None] != NOT_GROUPED) & (groups[neighbours] != NOT_GROUPED)
    if not seen.any():
        raise ValueError("no two neighbours are grouped, so nothing can agree")
    share = np.mean((groups[:, None] == groups[neighbours])[seen])
    sizes = np.unique(groups[groups != NOT_GROUPED], return_counts=True)[1]
    chance = np.sum((sizes / sizes.sum()) ** 2)
    return float((share - chance) / (1 - chance)) if chance < 1 else 0.0


def stability(runs: Sequence[ArrayLike]) -> float:
    """Compute the mean adjusted Rand index of every two runs, int (n,) with -1 for images not seen.

    Two runs of which one has a single group count 0: that comes out every time and says nothing.
    See von Luxburg (2010), Clustering stability.

    Examples
    --------
    >>> stability([[0, 0, 1, 1], [1, 1, 0, 0]])
    1.0
    """
    runs = [np.asarray(run) for run in runs]
    if len(runs) < 2 or len({run.shape for run in runs}) > 1:
        shapes = [run.shape for run in runs]
        raise ValueError(f"runs must be two or more, of the same images; their shapes: {shapes}")

    def similarity(one: np.ndarray, other: np.ndarray) -> float:
        both = (one != NOT_GROUPED) & (other != NOT_GROUPED)
        if min(len(np.unique(run[both])) for run in (one, other)) < 2:
            return 0.0
        return adjusted_rand_score(one[both], other[both])

    return float(np.mean([similarity(*pair) for pair in combinations(runs, 2)]))
