"""What the scoreboard compares: ways to group training rows a and to place test rows b.

    python benchmarks/methods.py FOLDER METHOD K SEEDS

`scoreboard.py` calls this for every row, in a process of its own that sees no answer: FOLDER holds
`train.npy` and `test.npy`, scaled as METHODS says. Groups of each seed, seconds of each seed and
peak memory go to `groups.npz` there. A method imports what it needs by itself, so that the memory
of one does not count for another.
"""

import importlib
import re
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

MOST = 10_000  # images for methods whose time or memory grows with the square
Groups = tuple[np.ndarray, np.ndarray]


def k_means(a: np.ndarray, b: np.ndarray, k: int, seed: int) -> Groups:
    """k-means, best of ten starts."""
    from sklearn.cluster import KMeans

    model = KMeans(k, n_init=10, random_state=seed).fit(a)
    return model.labels_, model.predict(b)


def gmm(a: np.ndarray, b: np.ndarray, k: int, seed: int) -> Groups:
    """Gaussian mixture with full covariances, on at most 32 principal axes."""
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture

    if a.shape[1] > 32:
        pca = PCA(32, random_state=seed).fit(a)
        a, b = pca.transform(a), pca.transform(b)
    model = GaussianMixture(k, reg_covar=1e-5, random_state=seed).fit(a)
    return model.predict(a), model.predict(b)


def by_vote(a: np.ndarray, b: np.ndarray, fit: Callable[[np.ndarray], np.ndarray], seed: int):
    """Fit where no prediction exists: on MOST rows; the others take their neighbours' vote."""
    from sklearn.neighbors import KNeighborsClassifier

    rows = np.arange(len(a))
    if len(a) > MOST:
        rows = np.sort(np.random.default_rng(seed).choice(len(a), MOST, replace=False))
    groups = fit(a[rows])
    vote = KNeighborsClassifier(min(15, len(rows))).fit(a[rows], groups)
    return (groups if len(rows) == len(a) else vote.predict(a)), vote.predict(b)


def ward(a: np.ndarray, b: np.ndarray, k: int, seed: int) -> Groups:
    """Ward's hierarchical clustering."""
    from sklearn.cluster import AgglomerativeClustering

    return by_vote(a, b, AgglomerativeClustering(k).fit_predict, seed)


def spectral(a: np.ndarray, b: np.ndarray, k: int, seed: int) -> Groups:
    """scikit-learn's spectral clustering, 15 neighbours."""
    from sklearn.cluster import SpectralClustering

    model = SpectralClustering(
        k, affinity="nearest_neighbors", n_neighbors=15, n_init=10, random_state=seed
    )
    return by_vote(a, b, model.fit_predict, seed)


def after_umap(then: Callable, a: np.ndarray, b: np.ndarray, k: int, seed: int) -> Groups:
    """Group in UMAP's layout of ten dimensions: 15 neighbours, no minimum distance."""
    from umap import UMAP

    layout = UMAP(n_neighbors=15, n_components=10, min_dist=0.0, random_state=seed).fit(a)
    return then(layout.embedding_, layout.transform(b), k, seed)


def scan(a: np.ndarray, b: np.ndarray, k: int, seed: int) -> Groups:
    """SCAN: ten linear heads, 20 neighbours, entropy weight 5, 100 epochs of batches of 128."""
    from heads import neighbour_head
    from tfl_helpers.clustering import nearest

    near, _ = nearest(a, 20)
    steps = 100 * max(len(a) // 128, 1)
    settings = {"learning_rate": 1e-4, "batch_size": 128, "n_steps": steps, "random_state": seed}
    head = neighbour_head(a, near, k, **settings)
    return tuple(head.predict(z, verbose=0).argmax(1) for z in (a, b))


def temi(a: np.ndarray, b: np.ndarray, k: int, seed: int) -> Groups:
    """TEMI: 16 heads, 50 neighbours, 100 epochs, power 0.6, teacher 0.996, rate 4e-4.

    Batches of 1,024, but on fewer than 50,000 images as many steps as there, 49 an epoch, at the
    same rate: with fewer it stays near its start.
    """
    from temi import temi_head
    from tfl_helpers import clustering

    near, _ = clustering.nearest(a, 50)
    batch_size = min(max(len(a) // 49, 1), 1024)
    head = temi_head(a, near, k, batch_size=batch_size, random_state=seed)
    return tuple(head.predict(z, verbose=0).argmax(1) for z in (a, b))


def turtle(a: np.ndarray, b: np.ndarray, k: int, seed: int) -> Groups:
    """TURTLE in one space: 6,000 steps, 10 inner ones, rate 1e-3, entropy weight 10."""
    from heads import turtle_head

    (head,) = turtle_head([a], k, n_steps=6000, random_state=seed)
    return tuple(head.predict(z, verbose=0).argmax(1) for z in (a, b))


def ours(a: np.ndarray, b: np.ndarray, k: int, seed: int, balance: str = "relaxed") -> Groups:
    """Run the project's own."""
    from tfl_helpers import clustering

    model = clustering.NeighbourClustering(k, balance=balance, random_state=seed).fit(a)
    return model.labels_, model.predict(b)


METHODS = {  # name -> (method, how features are scaled, what is imported before the clock starts)
    "k-means, raw": (k_means, "none", "sklearn.cluster"),
    "k-means, L2": (k_means, "l2", "sklearn.cluster"),
    "k-means, standardised": (k_means, "standard", "sklearn.cluster"),
    "k-means, PCA-whitened": (k_means, "pca-whiten", "sklearn.cluster"),
    "GMM": (gmm, "l2", "sklearn.mixture"),
    "Ward": (ward, "l2", "sklearn.cluster"),
    "spectral": (spectral, "l2", "sklearn.cluster"),
    "UMAP + k-means": (partial(after_umap, k_means), "l2", "umap"),
    "UMAP + GMM": (partial(after_umap, gmm), "l2", "umap"),
    "UMAP + Ward": (partial(after_umap, ward), "l2", "umap"),
    "ours": (ours, "l2", "tfl_helpers.clustering"),
    "SCAN": (scan, "standard", "heads"),
    "TEMI": (temi, "standard", "temi"),
    "TURTLE": (turtle, "standard", "heads"),
}


def peak_mb() -> float:
    """Most memory that this process has held.

    Linux counts in `ru_maxrss` what the parent held when it started this process, so it is not
    asked there; elsewhere (macOS) it is, in bytes.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) * 1024 / 1e6
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main(folder: str, label: str, k: str, n_seeds: str) -> None:
    """Run one method, a seed after the other."""
    method, _, needs = METHODS[label]
    if needs == "umap":
        sys.modules["tensorflow"] = None  # it would load it, for a part that is not used here
    warnings.simplefilter("ignore")
    importlib.import_module(needs)
    a, b = (np.load(Path(folder) / f"{split}.npy") for split in ("train", "test"))
    train, test, seconds = [], [], []
    for seed in range(int(n_seeds)):
        start = time.perf_counter()
        groups = method(a, b, int(k), seed)
        seconds.append(time.perf_counter() - start)
        train.append(groups[0])
        test.append(groups[1])
    found = {"train": train, "test": test, "seconds": seconds, "peak_mb": peak_mb()}
    np.savez(Path(folder) / "groups.npz", **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
