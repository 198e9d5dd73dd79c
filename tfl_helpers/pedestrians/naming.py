"""Names for groups, given to a few images that somebody looked at."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClusterMixin


def name_groups(
    model: ClusterMixin, z: ArrayLike, z_seen: ArrayLike, names: Sequence[str]
) -> dict[int, str]:
    """Give every group the name that somebody gave to a few images in it.

    It is the most frequent one in the group, of ties the first; where nobody looked at an image of
    the group, the name of the image nearest to its centre.

    Parameters
    ----------
    model, z : fitted clusterer with `labels_` and `predict`, and array, shape (n, d)
        Such as `clustering.NeighbourClustering`; the features that it was fitted on.
    z_seen, names : array, shape (s, d), and sequence of str
        Features of the images that were looked at, and what each of them shows.

    Examples
    --------
    >>> from sklearn.cluster import KMeans
    >>> z = np.array([[0.0], [1], [9]])
    >>> sorted(name_groups(KMeans(2).fit(z), z, z[[0, 2]], ["tree", "person"]).values())
    ['person', 'tree']
    """
    z, z_seen, groups = np.asarray(z), np.asarray(z_seen), model.labels_
    if not len(names) or len(names) != len(z_seen):
        counts = f"{len(names)} names for {len(z_seen)} images"
        raise ValueError(f"{counts}: look at one prototype or more, and name each")
    groups_seen, named = model.predict(z_seen), {}
    for group in np.unique(groups).tolist():
        votes = Counter(name for name, g in zip(names, groups_seen, strict=True) if g == group)
        centre = z[groups == group].mean(0)
        nearest = int(np.linalg.norm(z_seen - centre, axis=1).argmin())
        named[group] = votes.most_common(1)[0][0] if votes else names[nearest]
    return named
