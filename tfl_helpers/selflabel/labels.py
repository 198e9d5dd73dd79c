"""Labels to learn from: checked, renumbered, and which of them are reliable."""

from typing import Any

import numpy as np
from sklearn.preprocessing import normalize

from tfl_helpers.clustering import match, nearest, neighbour_agreement


def reliable(
    labels: np.ndarray,
    z: np.ndarray,
    confidence: np.ndarray | None = None,
    *,
    neighbours: int | np.ndarray = 20,
    agree: float = 0.9,
    top: float = 0.6,
    least: int = 10,
) -> np.ndarray:
    """Choose the images whose labels are worth learning from.

    An image is kept if at least `agree` of its nearest neighbours carry its label and its
    confidence is in the `top` share of its group. A group left with fewer than `least` images keeps
    the `least` that their neighbours agree on most.

    Parameters
    ----------
    labels, z : np.ndarray, int (n,) and float (n, d)
        Group of each image, from 0; its features.
    confidence : np.ndarray, shape (n,), optional
        By default how much closer an image is to its group's mean than to the next one.
    neighbours : int or np.ndarray, int (n, m)
        How many are asked, or their rows, from `clustering.nearest`.
    agree, top, least : float, float, int
        Shares, 0..1; images that a group keeps in any case, as far as it has them.

    Returns
    -------
    np.ndarray
        bool (n,); true somewhere in every group.

    References
    ----------
    Neighbours as in SPICE (Niu et al. 2022); SCAN (Van Gansbeke et al. 2020) takes a fixed 0.99.

    Examples
    --------
    >>> z = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [0, 1], [0, 1]])
    >>> reliable(np.array([0, 0, 0, 0, 1, 1]), z, neighbours=2, top=1.0, least=2)
    array([ True,  True,  True, False,  True,  True])
    """
    labels, _ = checked(labels, len(z))
    sure = margin(labels, z) if confidence is None else np.nan_to_num(confidence)
    if len(sure) != len(labels):
        raise ValueError(f"{len(labels):,} labels but {len(sure):,} confidences: give one for each")
    if np.ndim(neighbours) == 0:
        neighbours, _ = nearest(z, neighbours)
    same, keep = neighbour_agreement(labels, neighbours), np.zeros(len(labels), bool)
    for group in np.unique(labels):
        inside = np.flatnonzero(labels == group)
        surest = sure[inside] >= np.quantile(sure[inside], 1 - top)
        chosen = inside[(same[inside] >= agree) & surest]
        if len(chosen) < least:  # relaxed for this group alone
            chosen = inside[np.lexsort((-sure[inside], -same[inside]))[:least]]
        keep[chosen] = True
    return keep


def margin(labels: np.ndarray, z: np.ndarray) -> np.ndarray:
    """How much closer (cosine) each image is to its own group's mean than to the next: (n,)."""
    unit, (groups, own) = normalize(z), np.unique(labels, return_inverse=True)
    if len(groups) < 2:
        return np.zeros(len(z))
    means = normalize([unit[own == group].mean(axis=0) for group in range(len(groups))])
    similarity, rows = unit @ means.T, np.arange(len(z))
    to_own = similarity[rows, own]
    similarity[rows, own] = -np.inf
    return to_own - similarity.max(axis=1)


def renumber(groups: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Give groups (n,) the numbers of the old ones that they share most with, by p (n, k)."""
    shared = np.zeros((groups.max() + 1, p.shape[1]))
    if len(shared) > p.shape[1]:
        raise ValueError(f"cluster found {len(shared)} groups, but there were {p.shape[1]} before")
    np.add.at(shared, groups, p)
    return match(shared)[groups]


def checked(labels: Any, n: int, *, least_groups: int = 1) -> tuple[np.ndarray, np.ndarray | None]:
    """Check groups (n,) or probabilities (n, k): groups, and the confidence of probabilities."""
    labels, confidence = np.asarray(labels), None
    if labels.ndim == 2:
        labels, confidence = labels.argmax(1), labels.max(1)
    if labels.shape != (n,) or not n:
        raise ValueError(f"there are {n:,} images, but the labels' shape is {labels.shape}")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise ValueError("labels must be whole numbers from 0 (leave -1 out), or probabilities")
    if len(np.unique(labels)) < least_groups:
        raise ValueError("all images are in one group: there is nothing to learn from")
    return labels.astype("int64"), confidence
