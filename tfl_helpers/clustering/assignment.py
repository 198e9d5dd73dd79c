"""Which image goes to which group: balanced assignment, group numbers that match, votes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from scipy.special import softmax
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, euclidean_distances

BALANCES = {"uniform": 1.0, "relaxed": 0.9, "none": 0.0}  # how strongly sizes are made equal
TEMPERATURE = 0.05  # squared distances are divided by it: small is hard, large is soft


def match(shared: ArrayLike, *, spare: int | None = None) -> np.ndarray:
    """Match rows with columns one-to-one so that they share as much as possible.

    Parameters
    ----------
    shared : array, shape (n_rows, n_columns)
        Such as the images that a group (row) and a class or another group (column) share.
    spare : int, optional
        What a row without a partner gets; by default the column that it shares most with.

    Returns
    -------
    np.ndarray
        int (n_rows,): the column of each row.

    References
    ----------
    Kuhn (1955), The Hungarian method for the assignment problem.

    Examples
    --------
    >>> match([[9, 1], [8, 7], [2, 3]])
    array([0, 1, 1])
    >>> match([[9, 1], [8, 7], [2, 3]], spare=-1)
    array([ 0,  1, -1])
    """
    shared = np.asarray(shared)
    columns = shared.argmax(axis=1) if spare is None else np.full(len(shared), spare)
    rows, partners = linear_sum_assignment(shared, maximize=True)
    columns[rows] = partners
    return columns


def sinkhorn(scores: ArrayLike, balance: str = "uniform") -> np.ndarray:
    """Turn scores into shares per group, with a say in how large the groups are.

    One number per group is added to its scores until the sizes fit, then each row takes a softmax.

    Parameters
    ----------
    scores : array, shape (n, k)
        Log-probabilities, or minus squared distances divided by a temperature.
    balance : {"uniform", "relaxed", "none"}
        All groups equally large; drawn towards it; each row for itself.

    Returns
    -------
    np.ndarray
        float64 (n, k). Every row sums to one; with "uniform" every column to n / k.

    References
    ----------
    Asano et al. (2020), Self-labelling via simultaneous clustering; the relaxed form: Chizat et al.
    (2018), Scaling algorithms for unbalanced optimal transport problems.

    Examples
    --------
    >>> sinkhorn([[5, 0], [4, 0], [3, 0], [0, 0]]).sum(axis=0).round(2)
    array([2., 2.])
    """
    scores = np.asarray(scores, "float64")
    bonus = _size_bonus(scores, np.zeros(scores.shape[1]), balance, n_iter=1000, tol=1e-4)
    return softmax(scores + bonus, axis=1)


def _size_bonus(
    scores: np.ndarray, bonus: np.ndarray, balance: str, n_iter: int, tol: float
) -> np.ndarray:
    """Find what to add to the scores of each group, starting from `bonus`."""
    if balance not in BALANCES:
        raise ValueError(f"no balance is called {balance!r}; there are {', '.join(BALANCES)}")
    n, k = scores.shape
    for _ in range(n_iter if BALANCES[balance] else 0):
        sizes, last = softmax(scores + bonus, axis=1).sum(0), bonus
        bonus = BALANCES[balance] * (bonus + np.log(n / k) - np.log(sizes.clip(1e-300)))
        if np.abs(bonus - last).max() < tol:
            break
    return bonus


def balanced_kmeans(
    z: np.ndarray, n_clusters: int, balance: str = "relaxed", *, random_state: Any = None
) -> np.ndarray:
    """Run k-means whose assignment knows how large the groups shall be.

    Parameters
    ----------
    z : np.ndarray, shape (n, d)
        Places, rows of about length one.
    n_clusters : int
        Number of groups.
    balance : {"uniform", "relaxed", "none"}
        As in `sinkhorn`; "none" is plain k-means.
    random_state : int, RandomState or None
        Starts k-means.

    Returns
    -------
    np.ndarray
        int (n,): group of each row.

    Examples
    --------
    >>> groups = balanced_kmeans(np.eye(4)[[0, 0, 0, 1]], 2, random_state=0)
    >>> groups == groups[0]
    array([ True,  True,  True, False])
    """
    start = KMeans(n_clusters, n_init=10, random_state=random_state).fit(z)
    centres, groups, bonus = start.cluster_centers_, start.labels_, np.zeros(n_clusters)
    for _ in range(50 if balance != "none" else 0):
        scores = -euclidean_distances(z, centres, squared=True) / TEMPERATURE
        last, bonus = bonus, _size_bonus(scores, bonus, balance, n_iter=5, tol=0.01)
        shares = softmax(scores + bonus, axis=1)
        before, groups = groups, shares.argmax(axis=1)
        if np.mean(groups == before) > 0.999 and np.abs(bonus - last).max() < 0.01:
            break
        centres = shares.T @ z / np.maximum(shares.sum(0)[:, None], 1e-12)
    return groups


def consensus(labelings: Sequence[ArrayLike]) -> np.ndarray:
    """Let many labelings of the same images vote.

    Every labeling is first renamed to fit the most typical one (the largest mean adjusted Rand
    index with the others), then all vote; twice more with the result of the vote as guide.

    Parameters
    ----------
    labelings : sequence of int arrays, each (n,)
        The numbers of groups may differ.

    Returns
    -------
    np.ndarray
        float64 (n, k): share of the votes for each of the most typical labeling's k groups.

    Raises
    ------
    ValueError
        There is no labeling, or they are of different lengths.

    References
    ----------
    Dudoit and Fridlyand (2003), Bagging to improve the accuracy of a clustering procedure.

    Examples
    --------
    >>> consensus([[0, 0, 1], [1, 1, 0], [5, 5, 7]]).argmax(1)
    array([0, 0, 1])
    """
    labelings = [np.unique(np.asarray(g), return_inverse=True)[1] for g in labelings]
    if len({len(g) for g in labelings}) != 1:
        lengths = [len(g) for g in labelings]
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
