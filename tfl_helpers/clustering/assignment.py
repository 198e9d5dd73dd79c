"""Which image goes to which group: by assignment or by links, numbers that match, votes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils import check_random_state

BALANCES = {"uniform": 1.0, "relaxed": 0.9, "none": 0.0}  # how strongly sizes are made equal
LINKED = "linked"  # no k-means at all
MOST_LINKED = 2_500  # rows that are linked: time and memory grow with the square
FAR = 100  # logarithm of a factor: with larger ones exponentials are computed anew
STARTS = 200  # centres in all starts of k-means: of many, no start has most in a bad place
TEMPERATURE = 0.05  # squared distances are divided by it: small is hard, large is soft


def match(shared: ArrayLike, *, spare: int | None = None) -> np.ndarray:
    """Match rows one-to-one with the columns (n_rows, n_columns) that they share most with.

    Rows left over get `spare`, by default their best column (Kuhn 1955, the Hungarian method).

    Examples
    --------
    >>> match([[9, 1], [8, 7], [2, 3]], spare=-1)
    array([ 0,  1, -1])
    """
    shared = np.asarray(shared)
    columns = shared.argmax(axis=1) if spare is None else np.full(len(shared), spare)
    rows, partners = linear_sum_assignment(shared, maximize=True)
    columns[rows] = partners
    return columns


def sinkhorn(
    scores: ArrayLike,
    balance: str = "uniform",
    bonus: ArrayLike = 0.0,
    *,
    n_iter: int = 1000,
    tol: float = 1e-4,
) -> tuple[np.ndarray, np.ndarray]:
    """Turn scores (n, k) into shares (n, k), rows of sum one, with a say in the groups' sizes.

    A bonus (k,) is added to the scores of each group before the softmax of each row. With "uniform"
    it makes all groups equally large (Asano et al. 2020, Self-labelling), with "relaxed" about so
    (Chizat et al. 2018, Unbalanced optimal transport), with "none" it stays as given. Returns the
    shares and the bonus.

    Examples
    --------
    >>> sinkhorn([[5, 0], [4, 0], [3, 0], [0, 0]])[0].sum(axis=0).round(2)
    array([2., 2.])
    """
    if balance not in BALANCES:
        raise ValueError(f"no balance is called {balance!r}; there are {', '.join(BALANCES)}")
    scores, strength = np.asarray(scores, "float64"), BALANCES[balance]
    n, k = scores.shape
    base, bonus = None, np.zeros(k) + bonus
    for _ in range(n_iter if strength else 0):
        if base is None or np.abs(bonus - base).max() > FAR:
            base, rows = bonus, _exp(scores + bonus)
        factors = np.exp(bonus - base)
        sizes, last = factors * (rows.T @ (1 / (rows @ factors))), bonus
        bonus = strength * (bonus + np.log(n / k) - np.log(sizes.clip(1e-300)))
        if np.abs(bonus - last).max() < tol:
            break
    shares = _exp(scores + bonus)
    return shares / shares.sum(axis=1, keepdims=True), bonus


def _exp(scores: np.ndarray) -> np.ndarray:
    """Exponentials of each row, the largest one 1."""
    return np.exp(scores - scores.max(axis=1, keepdims=True))


def balanced_kmeans(
    z: np.ndarray, n_clusters: int, balance: str = "relaxed", *, random_state: Any = None
) -> np.ndarray:
    """Run k-means on rows (n, d) of about length one, with `sinkhorn`'s say in the sizes: int (n,).

    Examples
    --------
    >>> groups = balanced_kmeans(np.eye(4)[[0, 0, 0, 1]], 2, random_state=0)
    >>> groups == groups[0]
    array([ True,  True,  True, False])
    """
    n_init = int(np.clip(STARTS // n_clusters, 1, 10))
    start = KMeans(n_clusters, n_init=n_init, random_state=random_state).fit(z)
    centres, groups, bonus = start.cluster_centers_, start.labels_, np.zeros(n_clusters)
    for _ in range(50 if balance != "none" else 0):
        # Squared distances, but for the rows' lengths, which count alike for each group
        scores = (2 * z @ centres.T - (centres**2).sum(axis=1)) / TEMPERATURE
        before, last = groups, bonus
        shares, bonus = sinkhorn(scores, balance, bonus, n_iter=5, tol=0.01)
        groups = shares.argmax(axis=1)
        if np.mean(groups == before) > 0.999 and np.abs(bonus - last).max() < 0.01:
            break
        centres = shares.T @ z / np.maximum(shares.sum(0)[:, None], 1e-12)
    return groups


def linked(z: np.ndarray, n_clusters: int, *, random_state: Any = None) -> np.ndarray:
    """Join rows (n, d) upwards to groups (n,), those first that are nearest on average.

    A large kind stays in one piece where k-means would cut it in two. Of more than 2,500 rows some
    are joined, and the others go with the nearest of these.

    Examples
    --------
    >>> np.bincount(linked(np.eye(4)[[0, 0, 0, 0, 1]], 2, random_state=0)).max()
    np.int64(4)
    """
    order, most = check_random_state(random_state).permutation(len(z)), max(MOST_LINKED, n_clusters)
    some, rest = np.split(order, [most])
    groups = np.zeros(len(z), int)  # a vote of all would leave out small groups
    groups[some] = AgglomerativeClustering(n_clusters, linkage="average").fit_predict(z[some])
    if len(rest):
        groups[rest] = KNeighborsClassifier(5).fit(z[some], groups[some]).predict(z[rest])
    return groups


def group_places(
    z: np.ndarray, n_clusters: int, balance: str = "relaxed", *, random_state: Any = None
) -> np.ndarray:
    """Group rows (n, d) by `linked` for the balance of that name, else by `balanced_kmeans`.

    Examples
    --------
    >>> np.bincount(group_places(np.eye(2)[[0, 0, 1, 1]], 2, "linked", random_state=0))
    array([2, 2])
    """
    if balance == LINKED:
        return linked(z, n_clusters, random_state=random_state)
    return balanced_kmeans(z, n_clusters, balance, random_state=random_state)


def consensus(labelings: Sequence[ArrayLike]) -> np.ndarray:
    """Let labelings, each int (n,), vote: the share of each of k groups, float64 (n, k).

    Each is renamed (`match`) to fit the most typical one, which has the largest mean adjusted Rand
    index with the others, then all vote; twice more with the result as guide. See Dudoit and
    Fridlyand (2003), Bagging to improve the accuracy of a clustering procedure.

    Examples
    --------
    >>> consensus([[0, 0, 1], [1, 1, 0], [5, 5, 7]]).argmax(1)
    array([0, 0, 1])
    """
    labelings = [np.unique(np.asarray(g), return_inverse=True)[1] for g in labelings]
    lengths = [len(groups) for groups in labelings]
    if len(set(lengths)) != 1:
        raise ValueError(f"labelings must be one or more, of the same images; lengths: {lengths}")
    typical = [np.mean([adjusted_rand_score(a, b) for b in labelings]) for a in labelings]
    guide = labelings[int(np.argmax(typical))]
    k = guide.max() + 1
    for _ in range(3):
        votes = np.zeros((len(guide), k))
        for groups in labelings:
            counts = np.eye(groups.max() + 1)[groups].T @ np.eye(k)[guide]
            votes += np.eye(k)[match(counts)[groups]] / len(labelings)
        guide = votes.argmax(1)
    return votes
