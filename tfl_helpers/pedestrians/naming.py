"""Names for groups, given to a few images that somebody looked at."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClusterMixin


def prototypes(z: ArrayLike, groups: ArrayLike, n: int = 8) -> dict[int, np.ndarray]:
    """Find the images that show best what a group is about: those nearest to its centre.

    Parameters
    ----------
    z, groups : array, shape (m, d), and array of int, shape (m,)
        Features, scaled as they were grouped; group of each image.
    n : int
        How many of each group, fewer where it has fewer.

    Returns
    -------
    dict
        Group number to positions int (<= n,), the nearest first.

    Examples
    --------
    >>> prototypes([[0.0], [1], [5], [9]], [0, 0, 0, 1], n=2)
    {0: array([1, 0]), 1: array([3])}
    """
    z, groups, found = np.asarray(z), np.asarray(groups), {}
    for group in np.unique(groups).tolist():
        rows = np.flatnonzero(groups == group)
        distances = np.linalg.norm(z[rows] - z[rows].mean(0), axis=1)
        found[group] = rows[np.argsort(distances, kind="stable")[:n]]
    return found


def name_groups(
    model: ClusterMixin, z: ArrayLike, z_seen: ArrayLike, names: Sequence[str]
) -> dict[int, str]:
    """Give every group the name that somebody gave to a few images in it.

    Parameters
    ----------
    model : scikit-learn clusterer
        Fitted; with `labels_` and `predict`, such as `clustering.NeighbourClustering`.
    z, z_seen : array, shape (n, d) and (s, d)
        The features that it was fitted on; those of the images that were looked at.
    names : sequence of str
        What each of these shows.

    Returns
    -------
    dict
        Group number to name: the most frequent one among its images that were looked at, of ties
        the first; where there is none, that of the image nearest to the group's centre.

    Examples
    --------
    >>> from sklearn.cluster import KMeans
    >>> z = np.array([[0.0], [1], [9]])
    >>> names = name_groups(KMeans(2, random_state=0).fit(z), z, z[[0, 2]], ["tree", "person"])
    >>> sorted(names.values())
    ['person', 'tree']
    """
    z, z_seen, groups = np.asarray(z), np.asarray(z_seen), model.labels_
    if not len(names) or len(names) != len(z_seen):
        raise ValueError(
            f"{len(names)} names for {len(z_seen)} images: look at one prototype or more, and give "
            "each image a name"
        )
    groups_seen, named = model.predict(z_seen), {}
    for group in np.unique(groups).tolist():
        votes = Counter(name for name, g in zip(names, groups_seen, strict=True) if g == group)
        centre = z[groups == group].mean(0)
        nearest = int(np.linalg.norm(z_seen - centre, axis=1).argmin())
        named[group] = votes.most_common(1)[0][0] if votes else names[nearest]
    return named
