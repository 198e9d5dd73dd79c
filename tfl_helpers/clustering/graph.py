"""Who is near whom: leading components, nearest neighbours, and the spectrum of their graph."""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.sparse.linalg import eigsh
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state, gen_batches

N_COMPONENTS = 64  # more bring noise and cost time
MOST_STEPS = 1000.0  # of a random walk
ROWS_AT_A_TIME = 10_000  # a scaled copy of all features would cost much memory


def leading_components(
    z: np.ndarray, *, random_state: int | None = None, sample: int | None = None
) -> np.ndarray:
    """Project rows (n, d), scaled to length one, onto their first 64 principal components.

    With `sample` the components are found in so many rows only, drawn at random.
    """
    n = len(z) if sample is None else min(sample, len(z))
    pca = PCA(min(N_COMPONENTS, n, z.shape[1]), random_state=random_state)
    with np.errstate(invalid="ignore", divide="ignore"):  # all rows alike: no variance to share
        if sample is None:
            return pca.fit_transform(normalize(z))
        rows = np.random.default_rng(random_state).permutation(len(z))[:n]
        pca.fit(normalize(z[np.sort(rows)]))
    batches = gen_batches(len(z), ROWS_AT_A_TIME)
    return np.concatenate([pca.transform(normalize(z[batch])) for batch in batches])


def nearest(z: ArrayLike, n_neighbors: int = 15) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest other rows of every row, by the angle between them.

    Parameters
    ----------
    z : array, shape (n, d)
        Features; only their directions count.
    n_neighbors : int
        How many; at most n - 1 are found.

    Returns
    -------
    neighbours, distances : np.ndarray
        int and float (n, n_neighbors), nearest first. Distances are 0 in the same direction, 1.41
        at right angles, 2 opposite.

    Examples
    --------
    >>> nearest([[1, 0], [5, 1], [0, 1]], 1)[0].ravel()
    array([1, 0, 1])
    """
    z = normalize(z)
    wanted = min(n_neighbors, len(z) - 1)
    distances, neighbours = NearestNeighbors(n_neighbors=wanted).fit(z).kneighbors()
    return neighbours, distances


def local_scale(distances: np.ndarray) -> np.ndarray:
    """Return each row's distance to its seventh neighbour (or the last there is), never zero."""
    return np.maximum(distances[:, min(6, distances.shape[1] - 1)], 1e-6)


def neighbour_graph(
    z: ArrayLike | tuple[np.ndarray, np.ndarray], n_neighbors: int = 15
) -> sp.csr_matrix:
    """Connect every row with its nearest neighbours.

    Parameters
    ----------
    z : array, shape (n, d), or tuple
        Features, or what `nearest` returned for them.
    n_neighbors : int
        Neighbours of each row.

    Returns
    -------
    scipy.sparse.csr_matrix
        float64 (n, n), symmetric. A link weighs exp(-d^2 / (s_i s_j)), with s the distance of a row
        to its seventh neighbour; links that only one side has weigh half.

    References
    ----------
    Zelnik-Manor and Perona (2004), Self-tuning spectral clustering.

    Examples
    --------
    >>> neighbour_graph([[1, 0], [0, 1], [1, 1]], 2).toarray().round(2)
    array([[0.  , 0.37, 0.58],
           [0.37, 0.  , 0.58],
           [0.58, 0.58, 0.  ]])
    """
    neighbours, distances = z if isinstance(z, tuple) else nearest(z, n_neighbors)
    neighbours, distances = neighbours[:, :n_neighbors], distances[:, :n_neighbors]
    n, m = neighbours.shape
    scale = local_scale(distances)
    weights = np.exp(-(distances**2) / (scale[:, None] * scale[neighbours]))
    links = np.repeat(np.arange(n), m), neighbours.ravel()
    graph = sp.csr_matrix((weights.ravel(), links), shape=(n, n))
    return ((graph + graph.T) / 2).tocsr()


def normalised(graph: sp.csr_matrix) -> sp.csr_matrix:
    """Scale a graph W by its degrees D: D^-1/2 W D^-1/2."""
    root = sp.diags(1 / np.sqrt(np.maximum(np.asarray(graph.sum(1)).ravel(), 1e-12)))
    return root @ graph @ root


class Spectrum(NamedTuple):
    """Leading eigenvalues (k,) of a graph, largest first, and their eigenvectors (n, k)."""

    values: np.ndarray
    vectors: np.ndarray


def spectrum(graph: sp.csr_matrix, n_components: int, *, random_state: Any = None) -> Spectrum:
    """Compute leading eigenvectors of the `normalised` graph."""
    n, scaled = graph.shape[0], normalised(graph)
    if n < 200 or n_components >= n - 1:  # the iterative solver needs room
        values, vectors = np.linalg.eigh(scaled.toarray())
    else:
        start = check_random_state(random_state).uniform(-1, 1, n)
        values, vectors = eigsh(scaled, k=n_components, which="LA", v0=start)
    order = np.argsort(-values)[:n_components]
    return Spectrum(values[order], vectors[:, order])


def walk_spectrum(graph: sp.csr_matrix, n_clusters: int, *, random_state: Any = None) -> Spectrum:
    """Compute the `spectrum` for walks: three eigenvectors for each group, eight at least."""
    return spectrum(graph, max(3 * n_clusters, 8), random_state=random_state)


def walk_length(
    graph: sp.csr_matrix | Spectrum, n_clusters: int, *, random_state: Any = None
) -> float:
    """Compute how long a random walk must be until about `n_clusters` directions are left.

    A walk of t steps multiplies each eigenvector by its eigenvalue to the power t. The effective
    number of directions, (sum of w)^2 / sum of w^2 with w the squares of these factors (the inverse
    of Simpson's index), falls with t. From 0 to 1000 steps are tried, of a `neighbour_graph` or its
    `walk_spectrum`; `random_state` starts the eigenvalue solver.

    Examples
    --------
    >>> round(walk_length(Spectrum(np.array([1, 0.9, 0.5]), np.eye(3)), 2), 2)
    2.25
    """
    if not isinstance(graph, Spectrum):
        graph = walk_spectrum(graph, n_clusters, random_state=random_state)

    def surplus(n_steps: float) -> float:
        weights = graph.values.clip(0) ** (2 * n_steps)
        return weights.sum() ** 2 / (weights**2).sum() - n_clusters

    if surplus(0) <= 0:
        return 0.0
    return float(brentq(surplus, 0, MOST_STEPS)) if surplus(MOST_STEPS) < 0 else MOST_STEPS


def walk_places(graph: sp.csr_matrix, n_clusters: int, *, random_state: Any = None) -> np.ndarray:
    """Place the rows of a graph by where walks of the `walk_length` lead: (n, n_components)."""
    walks = walk_spectrum(graph, n_clusters, random_state=random_state)
    return spectral_embedding(walks, n_steps=walk_length(walks, n_clusters))


def spectral_embedding(
    spectrum: Spectrum, n_components: int | None = None, *, n_steps: float = 0
) -> np.ndarray:
    """Place the rows of a graph, at length one, so that those well connected point the same way.

    Takes the leading eigenvectors (all by default; Ng, Jordan and Weiss 2001), each times its
    eigenvalue to the power `n_steps`: a random walk of that length (Coifman and Lafon 2006).
    """
    values, vectors = spectrum.values[:n_components], spectrum.vectors[:, :n_components]
    return normalize(vectors * values.clip(0) ** n_steps)
