"""`NeighbourClustering`: groups from graphs of neighbours, without training."""

import warnings
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils.validation import check_is_fitted, validate_data

from tfl_helpers.clustering.assignment import BALANCES, LINKED, consensus, group_places, linked
from tfl_helpers.clustering.doubt import CLEAR, N_NEIGHBORS, Doubt, share_flagged
from tfl_helpers.clustering.graph import (
    local_scale,
    nearest,
    neighbour_graph,
    spectral_embedding,
    walk_length,
    walk_spectrum,
)
from tfl_helpers.clustering.scores import stability

MAX_SEED = np.iinfo(np.int32).max


class NeighbourClustering(ClusterMixin, BaseEstimator):
    """Group images by three graphs of their neighbours, and let the results vote.

    1. Scale every row to length one and keep the leading principal components.
    2. Link every row with its nearest neighbours, near and farther ones (`neighbour_graph`).
    3. Place the rows by where random walks on each graph lead, so long that about `n_clusters`
       directions are left, or up to three times longer (`walk_length`, `spectral_embedding`).
    4. Find groups there (`group_places`), by the walks on which the graphs agree best.
    5. Let the three labelings vote (`consensus`). A new image takes the weighted vote of its
       nearest training images. Equal rows count once, and are in one group.
    6. Rank the rows by how likely their group is wrong (`Doubt`).

    Parameters
    ----------
    n_clusters, n_components : int
        Number of groups; principal components that are kept.
    n_neighbors : int
        Neighbours in the vote and, times `WIDTHS`, in the graphs.
    balance : {"relaxed", "uniform", "none", "linked"}
        All groups drawn to equal size, equally large, as k-means finds them, or joined upwards, so
        that a large one stays whole: `selection.balance_evidence` says which.
    random_state : int, RandomState or None
        An int makes every fit the same.

    Attributes
    ----------
    labels_, votes_, doubt_ : np.ndarray
        int (n,): group of each training row; float64 (n, n_clusters): votes for each group; float64
        (n,): share of the rows that are no more doubtful.
    flagged_ : float
        Share of the rows that `unsure` names: a tenth, or a fifth where more than 5 % have less
        than 2/3 of the vote, or are far from all.
    stability_ : float
        Of the labelings, 1 where all agree.
    n_steps_, far_ : list of float, float
        Length of the walk on each graph; mean distance from the neighbours that counts as far.

    Examples
    --------
    >>> z = np.repeat(np.eye(3), 20, axis=0) + np.random.default_rng(0).normal(0, 0.1, (60, 3))
    >>> model = NeighbourClustering(3, random_state=0).fit(z)
    >>> np.bincount(model.predict(z))
    array([20, 20, 20])
    """

    WIDTHS: ClassVar = (2 / 3, 1, 2)  # times n_neighbors: one graph and one labeling each
    STRETCHES: ClassVar = (1, 1.5, 2, 3)  # times the walk length: the best is kept
    NEARLY_ALL: ClassVar = 0.99  # of the training rows are not far from their neighbours

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        n_neighbors: int = 15,
        n_components: int = 64,
        balance: str = "relaxed",
        random_state: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_neighbors = n_neighbors
        self.n_components = n_components
        self.balance = balance
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any = None) -> "NeighbourClustering":
        """Find the groups of X, shape (n, d); `y` is not looked at."""
        X = validate_data(self, X, dtype=[np.float64, np.float32])
        self._check_settings(len(X))
        same = pd.factorize(np.array([hash(row.tobytes()) for row in X]))[0]
        X = X[np.unique(same, return_index=True)[1]]  # a knot of copies tells nothing, and costs
        rng, unit = check_random_state(self.random_state), normalize(X)
        self._pca = PCA(min(self.n_components, *X.shape), random_state=rng.randint(MAX_SEED))
        with np.errstate(invalid="ignore", divide="ignore"):  # all rows alike: no variance to share
            rows = normalize(self._pca.fit_transform(unit))
        self._search = NearestNeighbors(n_neighbors=min(self.n_neighbors, len(X))).fit(rows)
        most = max(len(X) // self.n_clusters - 1, 2)  # more would link any group to others
        widths = [max(min(round(w * self.n_neighbors), most), 1) for w in self.WIDTHS]
        self.far_, self.n_steps_, near, places = 1e-6, [], None, None
        if len(X) > 1:
            near = nearest(rows, max(*widths, self.n_neighbors, N_NEIGHBORS))
            distance = near[1][:, : self.n_neighbors].mean(axis=1)
            self.far_ = max(float(np.quantile(distance, self.NEARLY_ALL)), self.far_)
        if (groups := self._without_search(unit)) is not None:
            labelings = [groups]
        else:
            graphs = [neighbour_graph(near, width) for width in widths]
            labelings, places = self._label(graphs, rng)
        self.stability_ = stability(labelings) if len(labelings) > 1 else 1.0
        votes = consensus(labelings)
        # Small groups may be outvoted
        if places is not None and len(np.unique(votes.argmax(axis=1))) < self.n_clusters:
            whole = [groups for groups in labelings if len(np.unique(groups)) == self.n_clusters]
            votes = consensus(whole[:1] or [linked(rows, self.n_clusters, random_state=rng)])
        self._known = np.pad(votes, ((0, 0), (0, self.n_clusters - votes.shape[1])))
        self.votes_ = self._known[same]
        self.labels_ = self.votes_.argmax(axis=1)
        self._rank(rows, near, places, same)
        return self

    def _rank(self, rows: np.ndarray, near: Any, places: Any, same: np.ndarray) -> None:
        """Rank the different rows by doubt, and say how many of them count as unsure."""
        groups = self._known.argmax(axis=1)
        self._doubt = Doubt(rows, groups, near=near, places=places, random_state=0)
        self.doubt_, self.flagged_ = self._doubt.known_[same], share_flagged(False)
        if near is not None:
            neighbours, distances = (part[:, : self.n_neighbors] for part in near)
            unclear = self._vote(distances, neighbours).max(axis=1) < CLEAR
            self.flagged_ = share_flagged(unclear | (distances.mean(axis=1) > self.far_))

    def _check_settings(self, n: int) -> None:
        """Raise ValueError where a setting makes no sense for n rows."""
        if self.balance not in (names := [*BALANCES, LINKED]):
            raise ValueError(f"balance={self.balance!r} must be one of {', '.join(names)}")
        for name in ("n_clusters", "n_neighbors", "n_components"):
            check_scalar(getattr(self, name), name, Integral, min_val=1)
        if n < self.n_clusters:
            raise ValueError(f"n_samples={n} should be >= n_clusters={self.n_clusters}.")

    def _without_search(self, unit: np.ndarray) -> np.ndarray | None:
        """Label different rows where nothing is to be found: one group, or a group each."""
        k, alike = self.n_clusters, unit.var(axis=0).sum() < 1e-12
        different = 1 if alike else len(unit)
        if different < k:
            warnings.warn(
                f"n_clusters={k}, but X has {different} different rows, up to their length: "
                + ("they are one group" if alike else "each is a group"),
                ConvergenceWarning,
                stacklevel=3,
            )
        if k == 1 or alike:
            return np.zeros(len(unit), int)
        return np.arange(len(unit)) if different <= k else None

    def _label(
        self, graphs: list[sp.csr_matrix], rng: np.random.RandomState
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """Label the rows once per graph, by the walks on which the graphs agree best.

        Returned with the labelings is where the walks on the second graph lead.

        A walk too long singles out a handful of odd rows, and all graphs agree on them: labelings
        with a group smaller than one neighbourhood (or half a fair share) count only if all have.
        """
        k, best = self.n_clusters, (False, -np.inf)
        least = min(self.n_neighbors, graphs[0].shape[0] // (2 * k))
        spectra = [walk_spectrum(graph, k, random_state=rng) for graph in graphs]
        lengths = [walk_length(spectrum, k) for spectrum in spectra]
        for stretch in self.STRETCHES:
            steps = [stretch * length for length in lengths]
            places = [
                spectral_embedding(spectrum, n_steps=n_steps)
                for spectrum, n_steps in zip(spectra, steps, strict=True)
            ]
            labelings = [
                group_places(z, k, self.balance, random_state=rng.randint(MAX_SEED)) for z in places
            ]
            smallest = min(np.bincount(groups, minlength=k).min() for groups in labelings)
            standing = smallest >= least, stability(labelings)
            if standing > best:
                best, found, self.n_steps_ = standing, (labelings, places[1]), steps
        return found

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Share of each group in the vote of the nearest training rows: float64 (n, n_clusters)."""
        return self._vote(*self._near(X)[1:])

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Group of each row of X, new or old: int (n,)."""
        return self.predict_proba(X).argmax(axis=1)

    def doubt(self, X: ArrayLike) -> np.ndarray:
        """Share of the training rows that are no more doubtful than each row of X: float64 (n,).

        It is 1 for what is far from all. Something new that looks like a group is not noticed. Of
        training rows `doubt_` knows more, as they have been on walks.
        """
        rows, distances, neighbours = self._near(X)
        groups = self._vote(distances, neighbours).argmax(axis=1)
        return np.where(distances.mean(axis=1) > self.far_, 1, self._doubt.of(rows, groups))

    def unsure(self, X: ArrayLike, share: float | None = None) -> np.ndarray:
        """Say which rows of X belong to the most doubtful `share`, by default `flagged_`: (n,)."""
        return self.doubt(X) > 1 - (self.flagged_ if share is None else share)

    def _near(self, X: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows as they are compared, distances and row numbers of the nearest training rows."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        rows = normalize(self._pca.transform(normalize(X)))
        return rows, *self._search.kneighbors(rows)

    def _vote(self, distances: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
        """Mean of the neighbours' votes, weighted by how near they are."""
        weights = np.exp(-((distances / local_scale(distances)[:, None]) ** 2))
        weights /= weights.sum(axis=1, keepdims=True)
        return np.einsum("ij,ijk->ik", weights, self._known[neighbours])
