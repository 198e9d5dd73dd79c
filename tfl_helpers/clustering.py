"""Groups without labels, from neighbours: who is near whom says more than where anyone is.

Each part is taught and usable alone: a graph of neighbours, its spectral embedding, balanced
assignment (Sinkhorn), k-means with it, two heads trained in Keras, the consensus of many labelings.
`NeighbourClustering` puts them together.
"""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
import scipy.sparse as sp
import tensorflow as tf
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

EXACT = 20_000  # rows up to which all pairs are compared; beyond, neighbours are approximate
BALANCES = ("uniform", "relaxed", "none")


def nearest(
    z: np.ndarray, n_neighbors: int = 15, *, random_state: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest neighbours of every row by the angle between them.

    Parameters
    ----------
    z : np.ndarray, shape (n, d)
        Features; only their directions count.
    n_neighbors : int
        How many, without the row itself; at most n - 1 are found.
    random_state : int, RandomState or None
        For the approximate search (pynndescent) that more than 20,000 rows take.

    Returns
    -------
    neighbours : np.ndarray, int64 (n, n_neighbors)
        Row numbers, nearest first.
    distances : np.ndarray, float (n, n_neighbors)
        Distances between rows of length one: 0 same direction, 1.41 at right angles, 2 opposite.

    Notes
    -----
    Taught in notebook 03.
    """
    z = normalize(z)
    wanted = min(n_neighbors, len(z) - 1)
    if len(z) <= EXACT:
        distances, found = NearestNeighbors(n_neighbors=wanted).fit(z).kneighbors()
        return found, distances
    from pynndescent import NNDescent  # slow to import, so only where it is needed

    search = NNDescent(z, n_neighbors=wanted + 1, random_state=check_random_state(random_state))
    found, distances = search.neighbor_graph
    return _without_self(found, distances)
