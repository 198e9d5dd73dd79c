"""Groups without labels, from neighbours: who is near whom says more than where anyone is.

Each part is taught and usable alone: a graph of neighbours, its spectral embedding, balanced
assignment (Sinkhorn), k-means with it, two heads trained in Keras, the consensus of many labelings.
`NeighbourClustering` puts the parts together that need no training.
"""

import warnings
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
import scipy.sparse as sp
import tensorflow as tf
from numpy.typing import ArrayLike
from scipy.linalg import eigh
from scipy.optimize import brentq, linear_sum_assignment
from scipy.sparse.linalg import eigsh
from scipy.special import logsumexp
from scipy.stats import entropy
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

BALANCES = ("uniform", "relaxed", "none")
AXES = 64  # principal axes that are kept: more bring noise and cost time
MOST_STEPS = 1000.0  # of a random walk
STRETCHES = (1, 1.5, 2, 3)  # times the walk length: the one on which the views agree best is kept
VIEWS = (2 / 3, 1, 2)  # times n_neighbors: one graph and one labeling each
NEARLY_ALL = 0.99  # of the training rows are nearer to their neighbours than a row that is far
SHARP = 10.0  # what cosines are multiplied by before softmax
_SEEDS = 2**31 - 1


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
    neighbours : np.ndarray, int (n, n_neighbors)
        Row numbers, nearest first.
    distances : np.ndarray, float (n, n_neighbors)
        Between rows of length one: 0 for the same direction, 1.41 at right angles, 2 opposite.

    Notes
    -----
    Taught in notebook 03.
    """
    z = normalize(z)
    wanted = min(n_neighbors, len(z) - 1)
    distances, found = NearestNeighbors(n_neighbors=wanted).fit(z).kneighbors()
    return found, distances


def neighbour_graph(z: ArrayLike, n_neighbors: int = 15) -> sp.csr_matrix:
    """Connect every row with its nearest neighbours.

    Parameters
    ----------
    z : array, shape (n, d)
        Features.
    n_neighbors : int
        Neighbours of each row.

    Returns
    -------
    scipy.sparse.csr_matrix, float64 (n, n)
        Symmetric, zero on the diagonal. A link weighs exp(-d^2 / (s_i s_j)), where s is the
        distance of a row to its seventh neighbour, so that dense and sparse regions count alike;
        links that only one side has weigh half.

    Notes
    -----
    Zelnik-Manor and Perona (2004), Self-tuning spectral clustering. Taught in notebook 03.
    """
    return _graph(*nearest(z, n_neighbors))


def _graph(found: np.ndarray, distances: np.ndarray) -> sp.csr_matrix:
    n, wanted = found.shape
    scale = _scale(distances)
    weights = np.exp(-(distances**2) / (scale[:, None] * scale[found]))
    graph = sp.csr_matrix((weights.ravel(), (np.repeat(np.arange(n), wanted), found.ravel())))
    graph.resize(n, n)
    return ((graph + graph.T) / 2).tocsr()


def spectral_embedding(
    graph: sp.csr_matrix,
    n_components: int,
    *,
    n_steps: float | None = None,
    random_state: Any = None,
) -> np.ndarray:
    """Place the rows of a graph so that those well connected point the same way.

    Parameters
    ----------
    graph : scipy.sparse.csr_matrix, shape (n, n)
        From `neighbour_graph`.
    n_components : int
        How many directions; the number of groups that are looked for.
    n_steps : float, optional
        None: the leading `n_components` eigenvectors, the usual embedding. A number: three times as
        many, each multiplied by its eigenvalue that many times, which is where a random walk of
        that length leads. What a walk soon forgets fades, what separates groups stays.
        `walk_length` says how long a walk leaves `n_components` directions.
    random_state : int, RandomState or None
        Starts the eigenvalue solver.

    Returns
    -------
    np.ndarray, float64 (n, n_components) or (n, 3 * n_components)
        Leading eigenvectors of D^-1/2 W D^-1/2, weighted, then every row scaled to length one.

    Notes
    -----
    Ng, Jordan and Weiss (2001), On spectral clustering; Coifman and Lafon (2006), Diffusion maps.
    Taught in notebook 03.
    """
    if n_steps is None:
        return normalize(_spectrum(graph, n_components, random_state)[1])
    values, vectors = _spectrum(graph, _width(graph, n_components), random_state)
    return normalize(vectors * values.clip(0) ** n_steps)


def walk_length(graph: sp.csr_matrix, n_components: int, *, random_state: Any = None) -> float:
    """Say how long a random walk must be until it knows only `n_components` directions.

    A walk of t steps weighs each eigenvector with its eigenvalue to the power t. The effective
    number of directions, (sum of w)^2 / sum of w^2 with w the squared weights, falls with t from
    all of them to one. Where it passes `n_components`, about that many groups can be told apart,
    and finer detail is forgotten. No answer, and no setting, is needed for it.

    Parameters
    ----------
    graph, n_components, random_state
        As in `spectral_embedding`.

    Returns
    -------
    float
        Steps, 0 to 1000.

    Notes
    -----
    The participation ratio is the inverse of Simpson's (1949) index. Taught in notebook 03.
    """
    values, _ = _spectrum(graph, _width(graph, n_components), random_state)
    return _walk_length(values, n_components)


def sinkhorn(
    scores: ArrayLike,
    balance: str = "uniform",
    *,
    strength: float = 0.9,
    n_iter: int = 1000,
    tol: float = 1e-4,
) -> np.ndarray:
    """Turn scores into shares per group, with a say in how large the groups are.

    Parameters
    ----------
    scores : array, shape (n, k)
        Log-probabilities, or minus squared distances divided by a temperature.
    balance : {"uniform", "relaxed", "none"}
        All groups equally large; drawn towards it; each row for itself (softmax).
    strength : float
        For "relaxed": 0 is none, 1 is uniform.
    n_iter : int
        Steps at most.
    tol : float
        Stop when no group's size is off by more than this share.

    Returns
    -------
    np.ndarray, float64 (n, k)
        Every row sums to one; with "uniform" every column to n / k.

    Raises
    ------
    ValueError
        There is no such balance.

    Notes
    -----
    One number per group is added to its scores until the sizes fit; all in logarithms, since
    probabilities of small data vanish otherwise. Asano et al. (2020), Self-labelling via
    simultaneous clustering; the relaxed form is unbalanced transport (Chizat et al. 2018). Taught
    in notebook 03.
    """
    scores = np.asarray(scores, "float64")
    add = _sizes(scores, balance, strength, n_iter, tol, np.zeros(scores.shape[1]))
    return _shares(scores + add)


def _sizes(
    scores: np.ndarray, balance: str, strength: float, n_iter: int, tol: float, add: np.ndarray
) -> np.ndarray:
    """Find what to add to each group's scores, starting from `add`."""
    pull = {"uniform": 1.0, "relaxed": strength, "none": 0.0}
    if balance not in pull:
        raise ValueError(f"no balance is called {balance!r}; there are {', '.join(BALANCES)}")
    n, k = scores.shape
    for _ in range(n_iter if pull[balance] else 0):
        share = _shares(scores + add).sum(0)
        before = add
        add = pull[balance] * (add + np.log(n / k) - np.log(share.clip(1e-300)))
        if np.abs(add - before).max() < tol:
            break
    return add


def _shares(scores: np.ndarray) -> np.ndarray:
    return np.exp(scores - logsumexp(scores, axis=1, keepdims=True))


def balanced_kmeans(
    z: np.ndarray,
    n_clusters: int,
    balance: str = "relaxed",
    *,
    temperature: float = 0.05,
    random_state: Any = None,
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
    temperature : float
        What squared distances are divided by: small is hard, large is soft.
    random_state : int, RandomState or None
        Starts k-means.

    Returns
    -------
    np.ndarray, int (n,)
        Group of each row.

    Notes
    -----
    Taught in notebook 03.
    """
    start = KMeans(n_clusters, n_init=10, random_state=random_state).fit(z)
    centres, groups, add = start.cluster_centers_, start.labels_, np.zeros(n_clusters)
    for _ in range(50 if balance != "none" else 0):
        distances = ((z**2).sum(1)[:, None] - 2 * z @ centres.T + (centres**2).sum(1)).clip(0)
        scores = -distances / temperature
        last, add = add, _sizes(scores, balance, 0.9, 5, 0.01, add)  # on from where it was
        shares = _shares(scores + add)
        before, groups = groups, shares.argmax(1)
        if np.mean(groups == before) > 0.999 and np.abs(add - last).max() < 0.01:
            break
        centres = shares.T @ z / np.maximum(shares.sum(0)[:, None], 1e-12)
    return groups


def consensus(labelings: Sequence[ArrayLike]) -> np.ndarray:
    """Let many labelings of the same images vote.

    Group numbers mean nothing, so every labeling is first renamed to fit the most typical one
    (Hungarian matching of counts), then all vote; twice more with the result of the vote as guide.

    Parameters
    ----------
    labelings : sequence of int arrays, each (n,)
        The numbers of groups may differ; the result has as many as the most typical one.

    Returns
    -------
    np.ndarray, float64 (n, k)
        Share of the votes that each group gets; `argmax(1)` is the consensus.

    Raises
    ------
    ValueError
        There is no labeling, or they are of different lengths.

    Notes
    -----
    Most typical: largest mean adjusted Rand index with the others. Dudoit and Fridlyand (2003),
    Bagging to improve the accuracy of a clustering procedure. Taught in notebook 03.
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
            votes[np.arange(len(guide)), _renamed(groups, guide, k)] += 1 / len(labelings)
        guide = votes.argmax(1)
    return votes


class NeighbourClustering(ClusterMixin, BaseEstimator):
    """Group images by a graph of their neighbours, three times, and let the results vote.

    1. Scale every row to length one, take the mean away, keep the 64 loudest principal axes.
    2. Link every row with its nearest neighbours, in a close, a middling and a wide neighbourhood
       (`neighbour_graph`).
    3. Place the rows by where random walks on each graph lead, so long that about `n_clusters`
       directions are left, or up to three times longer (`spectral_embedding`, `walk_length`).
    4. Find groups there (`balanced_kmeans`). Of the lengths of walk, take the one where the three
       neighbourhoods agree best and no group is a mere handful.
    5. Let their three labelings vote (`consensus`).
    6. A new image takes the weighted vote of its nearest training images. Where they disagree, or
       are farther than is usual, `unsure` says so.

    Parameters
    ----------
    n_clusters : int
        Number of groups.
    n_neighbors : int
        Neighbours in the middling graph and in the vote; the others have two thirds of it and
        twice as many. Fewer where there are fewer rows.
    balance : {"relaxed", "uniform", "none"}
        Groups drawn towards equal sizes, forced to, or left alone. See `sinkhorn` and
        `balance_evidence`.
    random_state : int, RandomState or None
        An int makes every fit the same.

    Attributes
    ----------
    labels_ : np.ndarray, int (n,)
        Group of each training row.
    votes_ : np.ndarray, float64 (n, n_clusters)
        Share of the labelings that put a training row into each group.
    stability_ : float
        Mean adjusted Rand index of two labelings: 1 where all agree.
    n_steps_ : list of float
        Length of the walk on each graph.
    far_ : float
        Distance from its nearest training rows above which a row is far from everything: 99 of 100
        training rows are nearer to their neighbours.
    n_features_in_ : int
        Features seen in `fit`.

    Notes
    -----
    `fit` takes `y` as scikit-learn wants it and never looks at it. Rows of zeros have no direction
    and are as far from everything else. Taught in notebook 03.
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        n_neighbors: int = 15,
        balance: str = "relaxed",
        random_state: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_neighbors = n_neighbors
        self.balance = balance
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any = None) -> "NeighbourClustering":
        """Find the groups of X (n, d); `y` is not looked at. Taught in notebook 03."""
        X = validate_data(self, X, dtype=[np.float64, np.float32])
        if self.balance not in BALANCES:
            raise ValueError(f"balance={self.balance!r} must be one of {', '.join(BALANCES)}")
        if self.n_clusters < 1 or self.n_neighbors < 1:
            raise ValueError(
                f"n_clusters={self.n_clusters} and n_neighbors={self.n_neighbors} must be 1 or more"
            )
        if len(X) < self.n_clusters:
            raise ValueError(f"n_samples={len(X)} should be >= n_clusters={self.n_clusters}.")
        rng = check_random_state(self.random_state)
        unit = normalize(X)
        alike = unit.var(axis=0).sum() < 1e-12
        if alike and self.n_clusters > 1:
            warnings.warn(
                f"all {len(X)} rows of X point the same way: they are one group, not "
                f"n_clusters={self.n_clusters}",
                ConvergenceWarning,
                stacklevel=2,
            )
        axes = min(AXES, *X.shape)
        self._axes = PCA(axes, random_state=rng.randint(_SEEDS))
        with np.errstate(invalid="ignore", divide="ignore"):  # all rows alike: no variance to share
            self._rows = normalize(self._axes.fit_transform(unit))
        self._search = NearestNeighbors(n_neighbors=min(self.n_neighbors, len(X))).fit(self._rows)
        mates = max(len(X) // self.n_clusters - 1, 2)  # more would link any group to others
        wanted = [max(min(round(v * self.n_neighbors), mates), 1) for v in VIEWS]
        if len(X) == 1:
            distances = np.zeros((1, 1))
        else:
            found, distances = nearest(self._rows, max(*wanted, self.n_neighbors))
        mean = distances[:, : self.n_neighbors].mean(1)
        self.far_ = max(float(np.quantile(mean, NEARLY_ALL)), 1e-6)  # twins are no distance apart
        self.n_steps_ = []
        if self.n_clusters in (1, len(X)):  # nothing to find
            labelings = [np.arange(len(X)) % self.n_clusters]
        elif alike:
            labelings = [np.zeros(len(X), int)]
        else:
            graphs = [_graph(found[:, :m], distances[:, :m]) for m in wanted]
            labelings = self._group(graphs, rng)
        votes = consensus(labelings)
        self.votes_ = np.pad(votes, ((0, 0), (0, self.n_clusters - votes.shape[1])))
        self.labels_ = self.votes_.argmax(1)
        self.stability_ = _stability(labelings)
        return self

    def _group(self, graphs: list[sp.csr_matrix], rng: Any) -> list[np.ndarray]:
        """One labeling per graph, by the walk on which they agree best.

        A walk too long singles out a handful of odd rows, and all graphs agree on them: labelings
        with a group smaller than one neighbourhood (or half a fair share) count only if all have.
        """
        k, best = self.n_clusters, (False, -np.inf)
        least = min(self.n_neighbors, len(self._rows) // (2 * k))
        spectra = [_spectrum(graph, _width(graph, k), rng) for graph in graphs]
        for stretch in STRETCHES:
            steps = [stretch * _walk_length(values, k) for values, _ in spectra]
            labelings = [
                balanced_kmeans(
                    normalize(vectors * values.clip(0) ** n_steps),
                    k,
                    self.balance,
                    random_state=rng.randint(_SEEDS),
                )
                for (values, vectors), n_steps in zip(spectra, steps, strict=True)
            ]
            smallest = min(np.bincount(groups, minlength=k).min() for groups in labelings)
            if (standing := (smallest >= least, _stability(labelings))) > best:
                best, found, self.n_steps_ = standing, labelings, steps
        return found

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Share of each group in the vote of the nearest training rows.

        Float64 (n, n_clusters), rows sum to one. Taught in notebook 03.
        """
        return self._vote(*self._near(X))

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Group of each row of X, new or old: int (n,). Taught in notebook 03."""
        return self.predict_proba(X).argmax(1)

    def unsure(self, X: ArrayLike, share: float = 2 / 3) -> np.ndarray:
        """Say which rows lie between groups or belong nowhere.

        Parameters
        ----------
        X : array, shape (n, d)
            Features of images, new or old.
        share : float
            A row whose largest share of votes is below this lies between groups. 0: none does.

        Returns
        -------
        np.ndarray, bool (n,)
            True: look at this image yourself. Either its nearest training rows disagree, or they
            are on average farther away than `far_`. About one in a hundred ordinary images is.

        Notes
        -----
        No answer decides where the lines are: two thirds is the usual large majority, and `far_`
        comes from the training rows. An image of something new that happens to look like a group
        is not noticed. Taught in notebook 03.
        """
        distances, found = self._near(X)
        votes = self._vote(distances, found).max(1)
        return (votes < share) | (distances.mean(1) > self.far_)

    def _near(self, X: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Distances and row numbers of the nearest training rows."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return self._search.kneighbors(normalize(self._axes.transform(normalize(X))))

    def _vote(self, distances: np.ndarray, found: np.ndarray) -> np.ndarray:
        weights = np.exp(-((distances / _scale(distances)[:, None]) ** 2))
        weights /= weights.sum(1, keepdims=True)
        return np.einsum("ij,ijk->ik", weights, self.votes_[found])


def neighbour_head(
    z: np.ndarray,
    neighbours: np.ndarray,
    n_clusters: int,
    *,
    n_heads: int = 10,
    entropy_weight: float = 5.0,
    learning_rate: float = 1e-3,
    batch_size: int = 512,
    n_steps: int = 1000,
    random_state: Any = None,
) -> keras.Model:
    """Train a linear layer that puts neighbours into the same group.

    Parameters
    ----------
    z : np.ndarray, shape (n, d)
        Features, best standardised: tiny ones hardly move the layer.
    neighbours : np.ndarray, int (n, m)
        From `nearest`; every step draws one of the m.
    n_clusters : int
        Number of groups.
    n_heads : int
        Layers trained side by side; the one with the lowest loss is kept.
    entropy_weight : float
        Reward for groups of equal size; at 0 everything ends up in one.
    learning_rate, batch_size, n_steps : float, int, int
        Of Adam.
    random_state : int, RandomState or None
        Draws start and batches.

    Returns
    -------
    keras.Model
        Features (b, d) to probabilities (b, n_clusters).

    Notes
    -----
    Loss: -mean log <p_a, p_n> - w H(mean p). Van Gansbeke et al. (2020), SCAN. Taught in
    notebook 03.
    """
    rng, z = check_random_state(random_state), tf.constant(z, tf.float32)
    start = keras.initializers.GlorotUniform(int(rng.randint(_SEEDS)))
    layer = keras.layers.Dense(n_heads * n_clusters, kernel_initializer=start)
    layer.build((None, z.shape[1]))
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer.build(layer.trainable_variables)

    def losses(rows: tf.Tensor, friends: tf.Tensor) -> tf.Tensor:
        """Loss of each head."""
        p, q = (
            tf.nn.softmax(tf.reshape(layer(tf.gather(z, i)), (-1, n_heads, n_clusters)))
            for i in (rows, friends)
        )
        agreement = tf.reduce_mean(tf.math.log(tf.reduce_sum(p * q, -1) + 1e-8), 0)
        return -agreement - entropy_weight * _entropy(tf.reduce_mean(p, 0))

    @tf.function(reduce_retracing=True)
    def step(rows: tf.Tensor, friends: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(losses(rows, friends))
        slopes = tape.gradient(loss, layer.trainable_variables)
        optimizer.apply_gradients(zip(slopes, layer.trainable_variables, strict=True))

    def draw(size: int) -> tuple[tf.Tensor, tf.Tensor]:
        rows = rng.randint(len(neighbours), size=size)
        return rows, neighbours[rows, rng.randint(neighbours.shape[1], size=size)]

    for _ in range(n_steps):
        step(*map(tf.constant, draw(min(batch_size, len(neighbours)))))
    best = int(np.argmin(losses(*draw(min(20_000, 10 * len(neighbours))))))
    own = slice(best * n_clusters, (best + 1) * n_clusters)
    kernel, bias = (w[..., own] for w in layer.get_weights())
    return _linear_model(kernel, bias)


def view_head(
    z: np.ndarray,
    views: np.ndarray,
    n_clusters: int,
    *,
    n_axes: int = 128,
    n_neighbors: int = 20,
    n_init: int = 2,
    n_heads: int = 40,
    entropy_weight: float = 5.0,
    learning_rate: float = 1e-3,
    batch_size: int = 1024,
    n_steps: int = 600,
    random_state: Any = None,
) -> keras.Model:
    """Train a small network that puts changed copies of neighbours into the same group.

    1. Turn the features to the axes along which images differ most in relation to how much the
       copies of one image do: what a crop or another light changes says nothing about the kind.
    2. Find every image's neighbours there.
    3. Train a small network with many heads on pairs: a copy of an image, a copy of one of its
       neighbours. Of all starts the head with the lowest loss is kept.

    Which changes make the copies matters most, as they say what may differ inside a group. The loss
    wants groups of equal size; where they are not, `NeighbourClustering` is better.

    Parameters
    ----------
    z : np.ndarray, shape (n, d)
        Features of the images as they are, from `features.extract`.
    views : np.ndarray, shape (v, n, d)
        Features of one or more changed copies of each, from `features.extract_views`.
    n_clusters : int
        Number of groups; the loss draws them towards equal sizes.
    n_axes, n_neighbors : int
        Kept axes; neighbours of which every step draws one.
    n_init, n_heads : int
        Starts, and heads trained side by side in each: where one ends is partly luck.
    entropy_weight : float
        Reward for groups of equal size; at 0 everything ends up in one.
    learning_rate, batch_size, n_steps : float, int, int
        Of AdamW.
    random_state : int, RandomState or None
        Draws start and batches.

    Returns
    -------
    keras.Model
        Features (b, d), as `z`, to probabilities (b, n_clusters); plain Keras layers.

    Raises
    ------
    ValueError
        The views are not of the same images, or do not differ from them.

    Notes
    -----
    The axes: linear discriminant analysis (Fisher 1936) with every image as a class of its own. The
    loss: Van Gansbeke et al. (2020), SCAN, there for one copy. Taught in notebook 04.
    """
    if np.ndim(views) != 3 or not len(views) or np.shape(views)[1:] != np.shape(z):
        raise ValueError(
            f"views must be (1 or more, {len(z):,} images, {np.shape(z)[-1]} features), not "
            f"{np.shape(views)}"
        )
    rng = check_random_state(random_state)
    copies = [z, *views]
    axes, offset = _steady_axes(copies, n_axes, rng)
    first = keras.layers.Dense(len(offset), name="axes", trainable=False)
    unit = keras.layers.UnitNormalization()
    first.build((None, z.shape[1]))
    first.set_weights([axes, offset])
    turned = np.stack([np.asarray(copy, "float32") @ axes + offset for copy in copies])
    near = tf.constant(nearest(turned[0], n_neighbors)[0], tf.int32)
    v, n = turned.shape[:2]
    seen = unit(tf.constant(turned.reshape(v * n, -1))) * np.sqrt(len(offset))
    draw = tf.random.Generator.from_seed(int(rng.randint(_SEEDS)))

    def pairs() -> tf.Tensor:
        """Draw copies of images and of their neighbours, (2, batch_size), as rows of `seen`."""
        rows, rank, *copy = (
            draw.uniform((batch_size,), maxval=top, dtype=tf.int32)
            for top in (n, near.shape[1], v, v)
        )
        friends = tf.gather_nd(near, tf.stack([rows, rank], 1))
        return tf.stack([rows + n * copy[0], friends + n * copy[1]])

    check = [pairs() for _ in range(50)]  # the same for all starts
    heads = {"n_clusters": n_clusters, "n_heads": n_heads, "entropy_weight": entropy_weight}
    about = heads | {"learning_rate": learning_rate, "n_steps": n_steps, "rng": rng}
    starts = [_train_heads(seen, pairs, check, **about) for _ in range(n_init)]
    _, body, kernel = min(starts, key=lambda found: found[0])
    last = keras.layers.Dense(n_clusters, "softmax", use_bias=False, name="groups")
    scale = keras.layers.Rescaling(float(np.sqrt(len(offset))))
    features = keras.Input((z.shape[1],), name="features")
    model = keras.Sequential([features, first, unit, scale, *body.layers, last], name="head")
    last.set_weights([kernel])
    return model


def _train_heads(
    seen: tf.Tensor,
    pairs: Callable[[], tf.Tensor],
    check: list[tf.Tensor],
    *,
    n_clusters: int,
    n_heads: int,
    entropy_weight: float,
    learning_rate: float,
    n_steps: int,
    rng: Any,
) -> tuple[float, keras.Model, np.ndarray]:
    """Train one small network: the loss of its best head, the network, that head's kernel."""
    starts = [keras.initializers.GlorotUniform(int(rng.randint(_SEEDS))) for _ in range(2)]
    body = keras.Sequential(
        [
            keras.Input(seen.shape[1:]),
            keras.layers.Dense(512, "gelu", kernel_initializer=starts[0]),
            keras.layers.Dense(128, kernel_initializer=starts[1]),
            keras.layers.UnitNormalization(),
        ]
    )
    heads = keras.Variable(rng.normal(size=(128, n_heads * n_clusters)).astype("float32"))
    weights = [*body.trainable_variables, heads]
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, n_steps, warmup_target=learning_rate, warmup_steps=min(100, n_steps // 10)
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=1e-4)
    optimizer.build(weights)

    @tf.function
    def losses(rows: tf.Tensor) -> tf.Tensor:
        """Loss of each head."""
        z = body(tf.gather(seen, tf.reshape(rows, [-1])))
        scores = SHARP * z @ tf.math.l2_normalize(heads.value, 0)
        p = tf.nn.softmax(tf.reshape(scores, (2, -1, n_heads, n_clusters)))
        agreement = tf.reduce_mean(tf.math.log(tf.reduce_sum(p[0] * p[1], -1) + 1e-8), 0)
        return -agreement - entropy_weight * _entropy(tf.reduce_mean(p, (0, 1)))

    @tf.function
    def step() -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(losses(pairs()))
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))

    for _ in range(n_steps):
        step()
    found = np.mean([losses(rows) for rows in check], axis=0)
    own = slice(found.argmin() * n_clusters, (found.argmin() + 1) * n_clusters)
    return float(found.min()), body, SHARP * normalize(heads.numpy(), axis=0)[:, own]


def _steady_axes(
    copies: Sequence[np.ndarray], n_axes: int, rng: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Axes, and an offset, that differ between images more than between copies of one."""
    some = np.sort(rng.permutation(len(copies[0]))[:10_000])  # enough for two covariances
    z = np.stack([np.asarray(copy[some], "float32") for copy in copies])
    centre, spread = z[0].mean(0), np.maximum(z[0].std(0), 1e-6)
    z = (z - centre) / spread
    mean = z.mean(0)
    within = sum((copy - mean).T @ (copy - mean) for copy in z) / (len(z) - 1) / len(some)
    level = np.trace(within) / len(within)
    if level < 1e-12:
        raise ValueError("the views are the same as the images: nothing says what may change")
    within = 0.9 * within + 0.1 * level * np.eye(len(within))  # shrunk: it can be short of rank
    d, kept = len(within), min(n_axes, len(within), len(some) - 1)
    values, axes = eigh(np.cov(z[0].T), within, subset_by_index=[d - kept, d - 1])
    axes = axes * (values / (1 + values)) / spread[:, None]
    return axes.astype("float32"), (-centre @ axes).astype("float32")


def turtle_head(
    spaces: Sequence[np.ndarray],
    n_clusters: int,
    *,
    entropy_weight: float = 10.0,
    learning_rate: float = 1e-3,
    inner_steps: int = 10,
    batch_size: int = 10_000,
    n_steps: int = 6000,
    random_state: Any = None,
) -> list[keras.Model]:
    """Search the grouping that a linear classifier learns most easily.

    Parameters
    ----------
    spaces : sequence of np.ndarray, each (n, d)
        One or more kinds of features of the same images, best standardised: on tiny ones nothing
        moves.
    n_clusters : int
        Number of groups.
    entropy_weight : float
        Reward for using all groups.
    learning_rate, inner_steps, batch_size, n_steps : float, int, int, int
        Of Adam, for the grouping; the classifier takes `inner_steps` of its own per step.
    random_state : int, RandomState or None
        Draws start and batches.

    Returns
    -------
    list of keras.Model
        One per space: features (b, d) to probabilities (b, n_clusters). Their mean is the grouping.

    Notes
    -----
    Inner: a linear probe is fitted to the grouping t. Outer: CE(probe(z), t) - w H(mean t) is
    lowered through t alone. Gadetsky et al. (2024), Let go of your labels with unsupervised
    transfer. Taught in notebook 03.
    """
    rng = check_random_state(random_state)
    spaces = [tf.constant(z, tf.float32) for z in spaces]

    def layers() -> list[keras.layers.Layer]:
        made = []
        for z in spaces:
            start = keras.initializers.GlorotUniform(int(rng.randint(_SEEDS)))
            made.append(keras.layers.Dense(n_clusters, kernel_initializer=start))
            made[-1].build((None, z.shape[1]))
        return made

    probes, tasks = layers(), layers()
    lengths = [tf.Variable(tf.norm(layer.kernel.value, axis=0)) for layer in tasks]
    inner = [w for layer in probes for w in layer.trainable_variables]
    outer = [w for layer in tasks for w in layer.trainable_variables] + lengths
    optimizers = [keras.optimizers.Adam(learning_rate) for _ in range(2)]
    optimizers[0].build(inner)
    optimizers[1].build(outer)

    def kernel(layer: keras.layers.Layer, length: tf.Variable) -> tf.Tensor:
        return length * tf.math.l2_normalize(layer.kernel, axis=0)  # weight normalisation

    def grouping(batch: list[tf.Tensor]) -> tf.Tensor:
        parts = zip(batch, tasks, lengths, strict=True)
        logits = [z @ kernel(layer, length) + layer.bias for z, layer, length in parts]
        return tf.add_n([tf.nn.softmax(x) for x in logits]) / len(logits)

    def hardness(batch: list[tf.Tensor], target: tf.Tensor) -> tf.Tensor:
        """Cross-entropy of the probes with the grouping."""
        losses = [
            tf.nn.softmax_cross_entropy_with_logits(target, layer(z))
            for z, layer in zip(batch, probes, strict=True)
        ]
        return tf.reduce_mean(tf.add_n(losses))

    @tf.function(reduce_retracing=True)
    def step(rows: tf.Tensor) -> None:
        batch = [tf.gather(z, rows) for z in spaces]
        target = tf.stop_gradient(grouping(batch))
        for _ in range(inner_steps):
            with tf.GradientTape() as tape:
                loss = hardness(batch, target)
            optimizers[0].apply_gradients(zip(tape.gradient(loss, inner), inner, strict=True))
        with tf.GradientTape() as tape:
            target = grouping(batch)
            spread = _entropy(tf.reduce_mean(target, 0))
            loss = hardness(batch, target) - entropy_weight * len(batch) * spread
        optimizers[1].apply_gradients(zip(tape.gradient(loss, outer), outer, strict=True))

    for _ in range(n_steps):
        n = len(spaces[0])
        step(tf.constant(rng.choice(n, min(batch_size, n), replace=False)))
    return [
        _linear_model(kernel(layer, length).numpy(), layer.bias.numpy())
        for layer, length in zip(tasks, lengths, strict=True)
    ]


class GroupNumber(NamedTuple):
    """How many groups there may be: `suggestion`, a range `low` to `high`, and the `curves`.

    Taught in notebook 03.
    """

    suggestion: int
    low: int
    high: int
    curves: pd.DataFrame


def estimate_n_clusters(
    z: ArrayLike,
    k_min: int = 2,
    k_max: int = 20,
    *,
    n_neighbors: int = 15,
    n_repeats: int = 3,
    random_state: Any = None,
) -> GroupNumber:
    """Estimate the number of groups, with a range.

    Parameters
    ----------
    z : array, shape (n, d)
        Features; a few thousand rows are enough.
    k_min, k_max : int
        Numbers to try; 2 <= k_min <= k_max < n - 1.
    n_neighbors : int
        Of the graph.
    n_repeats : int
        Random halves of the images, for the stability.
    random_state : int, RandomState or None
        Draws them.

    Returns
    -------
    GroupNumber
        `suggestion`: best mean rank over three curves; `low` and `high`: the least and the largest
        number that one of the curves prefers, or the suggestion. `curves`: a row per `k` with
        `eigengap` (fall from the k-th to the next eigenvalue of the graph), `stability` (adjusted
        Rand index of groups found on two random halves, where they overlap), `silhouette` (of the
        groups in the embedding, at most 2,000 rows); larger is better.

    Raises
    ------
    ValueError
        The range makes no sense.

    Notes
    -----
    von Luxburg (2007), A tutorial on spectral clustering; von Luxburg (2010), Clustering stability;
    Rousseeuw (1987), Silhouettes. Taught in notebook 03.
    """
    z, rng = normalize(z), check_random_state(random_state)
    n = len(z)
    if not 2 <= k_min <= k_max < n - 1:
        raise ValueError(f"k_min={k_min}, k_max={k_max}: 2 <= k_min <= k_max < {n - 1} is needed")
    values, vectors = _spectrum(neighbour_graph(z, n_neighbors), k_max + 1, rng)
    halves = []  # rows and eigenvectors of two overlapping random parts, per repetition
    for _ in range(2 * n_repeats):
        rows = np.sort(rng.choice(n, max(n * 2 // 3, min(k_max + 2, n)), replace=False))
        graph = neighbour_graph(z[rows], n_neighbors)
        halves.append((rows, _spectrum(graph, k_max, rng)[1]))
    shown = rng.choice(n, min(n, 2000), replace=False)

    def groups(vectors: np.ndarray, k: int) -> np.ndarray:
        seed = rng.randint(_SEEDS)
        return balanced_kmeans(normalize(vectors[:, :k]), k, "none", random_state=seed)

    rows = []
    for k in range(k_min, k_max + 1):
        whole = groups(vectors, k)[shown]
        place, stable = normalize(vectors[shown, :k]), []
        for (r1, v1), (r2, v2) in zip(halves[::2], halves[1::2], strict=True):
            _, i, j = np.intersect1d(r1, r2, return_indices=True)
            stable.append(adjusted_rand_score(groups(v1, k)[i], groups(v2, k)[j]))
        found = 1 < len(np.unique(whole)) < len(whole)
        fit = silhouette_score(place, whole) if found else 0.0
        rows.append((k, values[k - 1] - values[k], np.mean(stable), fit))
    curves = pd.DataFrame(rows, columns=["k", "eigengap", "stability", "silhouette"])
    three = curves.set_index("k")
    best = three.rank().mean(axis=1)
    suggestion = int(best.idxmax())
    liked = [*three.idxmax().astype(int), suggestion]
    return GroupNumber(suggestion, min(liked), max(liked), curves)


def balance_evidence(
    z: ArrayLike,
    n_clusters: int,
    *,
    n_neighbors: int = 15,
    n_repeats: int = 3,
    random_state: Any = None,
) -> pd.DataFrame:
    """Group once with each balance and say what speaks for it.

    Parameters
    ----------
    z : array, shape (n, d)
        Features; a few thousand rows are enough.
    n_clusters : int
        Number of groups, 2 or more and fewer than two thirds of the rows.
    n_neighbors : int
        Of the graph.
    n_repeats : int
        Pairs of random parts of the images, for the stability.
    random_state : int, RandomState or None
        Draws them.

    Returns
    -------
    pd.DataFrame
        A row per balance, best mean rank first (where they tie: relaxed, none, uniform).
        `effective_groups`: exp of the entropy of the
        sizes. `smallest_group`: images. `agreement`: share of neighbours in the same group,
        corrected for chance. `stability`: mean adjusted Rand index of the groups found on two
        random parts, where they overlap. `mean_rank`: of the last two, 1 is best.

    Raises
    ------
    ValueError
        The number of groups makes no sense.

    Notes
    -----
    Forcing equal sizes on unequal kinds cuts a large kind in two, right through neighbours, and
    where it cuts is chance. Both can be seen. What cannot: that kinds are equally large, and
    forcing would help. "uniform" never came first in 30 trials (`benchmarks/skew.py`): right where
    sizes differed, and a point of accuracy lost on balanced MNIST. Taught in notebook 03.
    """
    rng, z = check_random_state(random_state), normalize(z)
    n = len(z)
    if not 2 <= n_clusters < n * 2 // 3:
        raise ValueError(f"n_clusters={n_clusters}: 2 <= n_clusters < {n * 2 // 3} is needed")
    z = normalize(PCA(min(AXES, *z.shape), random_state=rng.randint(_SEEDS)).fit_transform(z))
    parts = [np.arange(n)]
    parts += [np.sort(rng.choice(n, n * 2 // 3, replace=False)) for _ in range(2 * n_repeats)]
    places = []
    for part in parts:
        graph = neighbour_graph(z[part], n_neighbors)
        values, vectors = _spectrum(graph, _width(graph, n_clusters), rng)
        places.append(normalize(vectors * values.clip(0) ** _walk_length(values, n_clusters)))
    near, rows = nearest(z, n_neighbors)[0], []
    for balance in ("relaxed", "none", "uniform"):
        whole, *found = (
            balanced_kmeans(place, n_clusters, balance, random_state=rng.randint(_SEEDS))
            for place in places
        )
        stable = []
        for r1, r2, g1, g2 in zip(parts[1::2], parts[2::2], found[::2], found[1::2], strict=True):
            _, i, j = np.intersect1d(r1, r2, return_indices=True)
            stable.append(adjusted_rand_score(g1[i], g2[j]))
        sizes = np.bincount(whole, minlength=n_clusters)
        chance = ((sizes / n) ** 2).sum()
        agree = (np.mean(whole[:, None] == whole[near]) - chance) / max(1 - chance, 1e-12)
        effective = np.exp(entropy(sizes))
        rows.append((balance, effective, sizes.min(), agree, np.mean(stable)))
    columns = ["balance", "effective_groups", "smallest_group", "agreement", "stability"]
    table = pd.DataFrame(rows, columns=columns).set_index("balance")
    table["mean_rank"] = table[["agreement", "stability"]].rank(ascending=False).mean(axis=1)
    return table.sort_values("mean_rank", kind="stable")


def _spectrum(
    graph: sp.csr_matrix, n_components: int, random_state: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Leading eigenvalues and eigenvectors of D^-1/2 W D^-1/2, largest first."""
    n = graph.shape[0]
    root = sp.diags(1 / np.sqrt(np.maximum(np.asarray(graph.sum(1)).ravel(), 1e-12)))
    scaled = root @ graph @ root
    if n < 200 or n_components >= n - 1:  # the iterative solver needs room
        values, vectors = np.linalg.eigh(scaled.toarray())
    else:
        start = check_random_state(random_state).uniform(-1, 1, n)
        values, vectors = eigsh(scaled, k=n_components, which="LA", v0=start)
    order = np.argsort(-values)[:n_components]
    return values[order], vectors[:, order]


def _stability(labelings: Sequence[np.ndarray]) -> float:
    """Mean adjusted Rand index of two of them; 1 if there is only one."""
    pairs = list(combinations(labelings, 2))
    return float(np.mean([adjusted_rand_score(*pair) for pair in pairs])) if pairs else 1.0


def _width(graph: sp.csr_matrix, n_components: int) -> int:
    """How many eigenvectors a walk is watched in."""
    return min(max(3 * n_components, 8), graph.shape[0])


def _walk_length(values: np.ndarray, n_components: int) -> float:
    def surplus(n_steps: float) -> float:
        weights = values.clip(0) ** (2 * n_steps)
        return weights.sum() ** 2 / (weights**2).sum() - n_components

    if surplus(0) <= 0:
        return 0.0
    return float(brentq(surplus, 0, MOST_STEPS)) if surplus(MOST_STEPS) < 0 else MOST_STEPS


def _scale(distances: np.ndarray) -> np.ndarray:
    """Distance to the seventh neighbour (or the last there is), never zero."""
    return np.maximum(distances[:, min(6, distances.shape[1] - 1)], 1e-6)


def _renamed(groups: np.ndarray, guide: np.ndarray, k: int) -> np.ndarray:
    """Group numbers of the guide in place of one's own, matched by counts."""
    table = np.zeros((groups.max() + 1, k))
    np.add.at(table, (groups, guide), 1)
    names = table.argmax(1)  # of groups that find no partner
    rows, columns = linear_sum_assignment(table, maximize=True)
    names[rows] = columns
    return names[groups]


def _entropy(p: tf.Tensor) -> tf.Tensor:
    return -tf.reduce_sum(p * tf.math.log(p + 1e-8), -1)


def _linear_model(kernel: np.ndarray, bias: np.ndarray) -> keras.Model:
    layer = keras.layers.Dense(len(bias), activation="softmax", name="groups")
    model = keras.Sequential([keras.Input((len(kernel),)), layer])
    layer.set_weights([kernel, bias])
    return model
