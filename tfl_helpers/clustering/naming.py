"""A few names for all images: which image to ask about next, and where each name reaches."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike
from sklearn.linear_model import LogisticRegression
from sklearn.utils import check_random_state

from tfl_helpers.clustering.graph import normalised

STAYS = 0.95  # share of a walk that goes on at each step
N_STEPS = 60  # after which 0.95^60, a twentieth, is still under way
MOST_ASKED = 5_000  # images among which questions are chosen: all walks from all of them are kept
MOST_LEARNED = 5_000  # images that a classifier learns names from


def questions(
    graph: sp.csr_matrix,
    n_questions: int,
    rows: ArrayLike = (),
    names: ArrayLike = (),
    *,
    random_state: Any = None,
) -> np.ndarray:
    """Order images so that the names of the first few tell most about all others.

    The next image is the one whose walks reach most of what walks from earlier ones do not reach.
    What was named already is taken in: an image counts the less, the better names reach it
    (compared with the median) and the more they agree on it.

    Parameters
    ----------
    graph : scipy.sparse.csr_matrix, (n, n)
        From `neighbour_graph`.
    n_questions : int
        How many; at most as many as have no name.
    rows, names : array of int, (m,)
        Images that have a name, and the number of that name, as for `spread_names`.
    random_state : int, RandomState or None
        Draws 5,000 images to choose from, where there are more.

    Returns
    -------
    np.ndarray
        int (n_questions,): rows of the graph, the first to be asked first.

    References
    ----------
    The greedy choice for a facility location problem (Nemhauser, Wolsey and Fisher 1978); asking
    about what is typical of what has no name yet is TypiClust's idea (Hacohen et al. 2022).

    Examples
    --------
    >>> from tfl_helpers.clustering import neighbour_graph
    >>> z = np.repeat(np.eye(3), 20, axis=0) + np.random.default_rng(0).normal(0, 0.1, (60, 3))
    >>> np.sort(questions(neighbour_graph(z), 3) // 20)  # one of each
    array([0, 1, 2])
    """
    rng, rows = check_random_state(random_state), np.asarray(rows, int)
    some = np.union1d(rng.permutation(graph.shape[0])[:MOST_ASKED], rows)
    step = normalised(graph[some][:, some]).toarray().astype("float32")
    reach = np.linalg.inv(np.eye(len(some), dtype="float32") - STAYS * step)
    own = np.sqrt(reach.diagonal())
    reach /= own[:, None] * own
    reached, doubt = np.zeros(len(some), "float32"), np.ones(len(some), "float32")
    asked = np.searchsorted(some, rows).tolist()
    if asked:
        reached = reach[asked].max(axis=0)
        best = np.sort(spread_names(graph, rows, names)[some], axis=1)[:, -2:]
        margin = np.ptp(best, axis=1)  # none as long as there is one name alone
        doubt -= (margin * np.minimum(reached / np.median(reached).clip(1e-12), 1)).astype(
            "float32"
        )
    gain = np.full(len(some), np.inf)  # at most: it only ever falls
    gain[asked] = -1
    while len(asked) < min(n_questions + len(rows), len(some)):
        best = int(gain.argmax())
        now = np.maximum(reach[best] - reached, 0) @ doubt
        if now < gain[best]:
            gain[best] = now
            continue
        asked.append(best)
        reached, gain[best] = np.maximum(reached, reach[best]), -1
    return some[asked[len(rows) :]]


def spread_names(graph: sp.csr_matrix, rows: ArrayLike, names: ArrayLike) -> np.ndarray:
    """Let names walk over the graph: how much of each name reaches each image.

    A name counts as the square root of how often it was given: with all of it a kind that was named
    often would win wherever kinds touch, with none of it one that was named once.

    Parameters
    ----------
    graph : scipy.sparse.csr_matrix, (n, n)
        From `neighbour_graph`.
    rows, names : array of int, (m,)
        Images that have a name, and the number of that name, 0 to k - 1.

    Returns
    -------
    np.ndarray
        float64 (n, k), rows that add up to one; a row of zeros where no name reaches.

    References
    ----------
    Zhou et al. (2004), Learning with local and global consistency, equation 4 step by step.

    Examples
    --------
    >>> from tfl_helpers.clustering import neighbour_graph
    >>> graph = neighbour_graph([[1, 0], [4, 1], [1, 4], [0, 1]], 1)
    >>> spread_names(graph, [0, 3], [0, 1]).argmax(axis=1)
    array([0, 0, 1, 1])
    """
    rows, names = np.asarray(rows), np.asarray(names)
    given = np.bincount(names)
    start = sp.csr_matrix(
        (1 / np.sqrt(given[names]), (rows, names)), shape=(graph.shape[0], len(given))
    ).toarray()
    step, reach = normalised(graph), start
    for _ in range(N_STEPS):
        reach = STAYS * (step @ reach) + (1 - STAYS) * start
    return reach / np.maximum(reach.sum(axis=1, keepdims=True), 1e-300)


def learn_names(
    z: np.ndarray, reach: np.ndarray, rows: ArrayLike, names: ArrayLike, *, random_state: Any = None
) -> np.ndarray:
    """Let a linear classifier learn the names that walked, and ask both what each image is.

    It learns from each image as far as one name reaches it more than any other: walks stop where
    kinds touch, and a straight border through what is clear corrects them there. All images of a
    name together count as the square root of their weights, as names do when they walk.

    Parameters
    ----------
    z : np.ndarray, (n, d)
        Features, such as `leading_components`, of length one.
    reach : np.ndarray, (n, k)
        From `spread_names`.
    rows, names : array of int, (m,)
        The images that were named, and the numbers of their names, as given to it.
    random_state : int, RandomState or None
        Draws 5,000 images to learn from, where there are more.

    Returns
    -------
    np.ndarray
        float64 (n, k): the geometric mean of both, rows that add up to one, or zeros.

    References
    ----------
    Lee (2013), Pseudo-label, with the margin of both likeliest names as the weight of an image.

    Examples
    --------
    >>> z, reach = np.repeat([[[1, 0], [0, 1]], [[0.9, 0.1], [0.2, 0.8]]], 5, axis=1)
    >>> reach[1] = 0.45, 0.55  # a walk went astray
    >>> learn_names(z, reach, [0, 9], [0, 1]).argmax(axis=1)
    array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    """
    if len(np.unique(names)) < 2:
        return reach
    learned, sure = reach.argmax(axis=1), np.ptp(np.sort(reach, axis=1)[:, -2:], axis=1)
    learned[rows], sure[rows] = names, 1
    sure /= np.sqrt(np.bincount(learned, sure).clip(1e-12) / sure.sum())[learned]
    drawn = check_random_state(random_state).permutation(len(z))[:MOST_LEARNED]
    some = np.union1d(drawn[sure[drawn] > 0], rows)
    model = LogisticRegression(max_iter=300).fit(z[some], learned[some], sample_weight=sure[some])
    both = np.zeros_like(reach)
    both[:, model.classes_] = np.sqrt(reach[:, model.classes_] * model.predict_proba(z))
    return both / np.maximum(both.sum(axis=1, keepdims=True), 1e-300)
