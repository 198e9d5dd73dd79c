"""Coarser levels: small groups joined upwards, those first whose images are linked most."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from tfl_helpers.sorting.grouping import Groups
from tfl_helpers.sorting.table import LEVELS

MOST_LINKED = 10_000  # images whose links are looked at


def with_levels(table: pd.DataFrame, found: Groups, seed: int) -> pd.DataFrame:
    """Add the columns level_1 and level_2: the largest of the groups that each is joined with."""
    if len(found.z) == 0:
        return table.assign(**dict.fromkeys(LEVELS, ""))
    sizes = level_sizes(len(found.names), found.suggestion)
    joined = join_groups(found.z, found.labels, sizes, seed=seed)
    for name, level in zip(LEVELS, joined, strict=True):
        coarse = {found.names[small]: found.names[large] for small, large in enumerate(level)}
        table[name] = [coarse.get(group, group) for group in table["group"]]
    return table


def level_sizes(n_groups: int, found: Mapping[str, Any] | None) -> list[int]:
    """Say how many groups each level has: the kinds that were `found`, if fewer, or half; a half.

    Examples
    --------
    >>> level_sizes(21, {"kinds": 6}), level_sizes(12, None)
    ([6, 3], [6, 3])
    """
    kinds = (found or {}).get("kinds", 0)
    first = kinds if 1 < kinds < n_groups else -(-n_groups // 2)
    return [first, -(-first // 2)]


def join_groups(
    z: np.ndarray, labels: np.ndarray, sizes: Sequence[int], *, seed: int = 0
) -> np.ndarray:
    """Join small groups to fewer, by the mean weight of the links between their images.

    Average linkage, on the graph of nearest neighbours of 10,000 images at most. Images are not
    compared one by one as in Ward's method: it would cut again what neighbours hold together.

    Parameters
    ----------
    z, labels : np.ndarray, (n, d) and int (n,)
        Features, and the group of each image, 0 to k - 1; groups may be empty.
    sizes : sequence of int
        Numbers of groups, k or fewer.
    seed : int
        Draws images where there are more.

    Returns
    -------
    np.ndarray
        int (len(sizes), k): for each number the largest small group of those that each is
        joined with.

    Examples
    --------
    >>> join_groups(np.array([[9, 0], [9, 1], [0, 9], [1, 9], [2, 9]]), np.arange(5), [2])
    array([[0, 0, 2, 2, 2]])
    """
    from tfl_helpers.clustering import leading_components, neighbour_graph

    k = int(labels.max()) + 1
    result = np.zeros((len(sizes), k), int)
    if k == 1:
        return result
    some = np.sort(np.random.default_rng(seed).permutation(len(z))[:MOST_LINKED])
    rows = leading_components(z[some], random_state=seed)
    member = np.eye(k)[labels[some]]
    counts = member.sum(0).clip(1)
    linked = member.T @ (neighbour_graph(rows) @ member) / np.outer(counts, counts)
    apart = squareform(linked.max() - linked, checks=False)
    tree = linkage(apart, "average")
    inside = np.bincount(labels, minlength=k)
    for level, size in zip(result, sizes, strict=True):
        joined = fcluster(tree, size, "maxclust")
        for one in np.unique(joined):
            small = np.flatnonzero(joined == one)
            level[small] = small[inside[small].argmax()]
    return result
