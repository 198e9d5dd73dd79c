"""Images follow the names of a few: who is linked with whom, and where a name reaches.

The page (`gallery.html`) goes by the same links and the same rule.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from tfl_helpers.clustering import neighbour_graph, spread_names

MOST_LINKED = 20_000  # images that names walk over; more take the name of those nearest
WHOLE = 255  # weights of links are whole numbers up to this, as they go into a page
SEVERAL_KINDS = "several kinds"  # is said of an image, but tells nothing of others
NOT_AN_IMAGE = "not an image of anything"  # a name like others
VOTERS = 15  # nearest images that vote on one that follows no name


def links(rows: np.ndarray) -> sp.csr_matrix:
    """Link images with their 15 nearest: the graph (n, n) that names walk over.

    `rows` are leading components of features (n, d), two at least.
    """
    graph = neighbour_graph(rows)
    graph.data = np.rint(WHOLE * graph.data).clip(1)
    graph.sort_indices()
    return graph


def follow(
    rows: np.ndarray, groups: Sequence[Any], said: np.ndarray, free: np.ndarray, *, seed: int = 0
) -> tuple[list, np.ndarray]:
    """Let images follow the names that people gave to a few of them.

    An image of which a person said what it is stays there. Others move only if they are free, to
    the name of which most reaches them. The rest stay in their group, and new images join one.

    Parameters
    ----------
    rows, said, free : np.ndarray, (n, d), bool (n,) and bool (n,)
        Leading components of features; of which images a person said what they are; which ones lie
        in a group that a person gave names in.
    groups : sequence of n str or None
        Group of each image, None for a new one.
    seed : int
        Draws the images that names walk over, where there are more than 20,000.

    Returns
    -------
    names, p : list, np.ndarray (n, len(names))
        Of the groups that hold an image, and their probabilities.
    """
    from sklearn.neighbors import KNeighborsClassifier

    groups = np.array(groups, object)
    codes, names = pd.factorize(groups, sort=True)
    known, own = codes >= 0, np.eye(len(names))
    reach = np.zeros((len(rows), len(names)))
    givers = np.flatnonzero(said & (groups != SEVERAL_KINDS))
    if len(givers) and len(rows) > 1:
        given, numbers = np.unique(codes[givers], return_inverse=True)
        reach[:, given] = _reach(rows, givers, numbers, seed)
    moving = free & ~said & reach.any(axis=1)
    codes[moving] = reach[moving].argmax(axis=1)
    order = np.random.default_rng(seed).permutation(np.flatnonzero(known))[:MOST_LINKED]
    p = np.zeros_like(reach)
    voters = KNeighborsClassifier(min(VOTERS, len(order))).fit(rows[order], codes[order])
    p[:, voters.classes_] = voters.predict_proba(rows)
    p[known] = (p[known] + own[codes[known]]) / 2  # it stays, however its neighbours vote
    p[moving], p[said] = reach[moving], own[codes[said]]
    held = np.unique(p.argmax(axis=1))
    p = p[:, held]
    return list(names[held]), p / p.sum(axis=1, keepdims=True)


def _reach(rows: np.ndarray, givers: np.ndarray, names: np.ndarray, seed: int) -> np.ndarray:
    """How much of each name reaches each image (n, k): see `spread_names`."""
    from sklearn.neighbors import KNeighborsRegressor

    if len(rows) <= MOST_LINKED:
        return spread_names(links(rows), givers, names)
    others = np.delete(np.arange(len(rows)), givers)
    others = np.random.default_rng(seed).permutation(others)[: MOST_LINKED - len(givers)]
    some = np.concatenate([givers, others])
    reach = spread_names(links(rows[some]), np.arange(len(givers)), names)
    return KNeighborsRegressor(5).fit(rows[some], reach).predict(rows)
