"""Every way to group, side by side: same frozen features, same split, five seeds.

    TFL_DATA_DIR=... KERAS_HOME=... python benchmarks/scoreboard.py [DATA ...] [--limit 5000]

Fitted on train, scored on test; labels only score. Writes docs/results/scoreboard.json, the rows of
the data sets that were run, and keeps the others. All methods see features scaled to length one,
but "k-means, raw" (as they are), "standardised", "PCA-whitened" (as named), and SCAN, TEMI and
TURTLE (standardised: on short vectors they do not move).

Test images get their group as the method itself says it (k-means, GMM, heads, ours), or, where it
knows only the images it was fitted on, by the group most frequent among the 15 nearest training
images (Ward, spectral; in the layout that UMAP.transform gives for UMAP + Ward). These two are
fitted on at most 10,000 images drawn at random; the others follow by the same vote.
"""

import argparse
import json
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from sklearn.cluster import AgglomerativeClustering, KMeans, SpectralClustering
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier
from umap import UMAP

from tfl_helpers import backbones, clustering, datasets, evaluation, features

FILE = Path(__file__).resolve().parents[1] / "docs" / "results" / "scoreboard.json"
MOST = 10_000  # images for methods whose time or memory grows with the square
Groups = tuple[np.ndarray, np.ndarray]


def k_means(a: np.ndarray, b: np.ndarray, k: int, seed: int) -> Groups:
    """Group training rows a and test rows b; so do all functions below."""
    model = KMeans(k, n_init=10, random_state=seed).fit(a)
    return model.labels_, model.predict(b)


def gmm(a: np.ndarray, b: np.ndarray, k: int, seed: int) -> Groups:
    """Gaussian mixture with full covariances, on at most 32 principal axes."""
    if a.shape[1] > 32:
        pca = PCA(32, random_state=seed).fit(a)
        a, b = pca.transform(a), pca.transform(b)
    model = GaussianMixture(k, reg_covar=1e-5, random_state=seed).fit(a)
    return model.predict(a), model.predict(b)


def by_vote(a: np.ndarray, b: np.ndarray, fit: Callable[[np.ndarray], np.ndarray], seed: int):
    """Fit where no prediction exists: on MOST rows; the others take their neighbours' vote."""
    rows = np.arange(len(a))
    if len(a) > MOST:
        rows = np.sort(np.random.default_rng(seed).choice(len(a), MOST, replace=False))
    groups = fit(a[rows])
    vote = KNeighborsClassifier(min(15, len(rows))).fit(a[rows], groups)
    return (groups if len(rows) == len(a) else vote.predict(a)), vote.predict(b)


def ward(a: np.ndarray, b: np.ndarray, k: int, seed: int) -> Groups:
    """Ward's hierarchical clustering."""
    return by_vote(a, b, AgglomerativeClustering(k).fit_predict, seed)


def spectral(a: np.ndarray, b: np.ndarray, k: int, seed: int) -> Groups:
    """scikit-learn's spectral clustering, 15 neighbours."""
    model = SpectralClustering(
        k, affinity="nearest_neighbors", n_neighbors=15, n_init=10, random_state=seed
    )
    return by_vote(a, b, model.fit_predict, seed)


def scan(a: np.ndarray, b: np.ndarray, k: int, seed: int) -> Groups:
    """SCAN: ten linear heads, 20 neighbours, entropy weight 5, 100 epochs of batches of 128."""
    near, _ = clustering.nearest(a, 20)
    steps = 100 * max(len(a) // 128, 1)
    settings = {"learning_rate": 1e-4, "batch_size": 128, "n_steps": steps, "random_state": seed}
    head = clustering.neighbour_head(a, near, k, **settings)
    return tuple(head.predict(z, verbose=0).argmax(1) for z in (a, b))


def turtle(a: np.ndarray, b: np.ndarray, k: int, seed: int, n_steps: int = 6000) -> Groups:
    """TURTLE in one space: 6,000 steps, 10 inner ones, rate 1e-3, entropy weight 10."""
    (head,) = clustering.turtle_head([a], k, n_steps=n_steps, random_state=seed)
    return tuple(head.predict(z, verbose=0).argmax(1) for z in (a, b))


def ours(a: np.ndarray, b: np.ndarray, k: int, seed: int, balance: str = "relaxed") -> Groups:
    """Run the project's own."""
    model = clustering.NeighbourClustering(k, balance=balance, random_state=seed).fit(a)
    return model.labels_, model.predict(b)


def umap_layout(a: np.ndarray, b: np.ndarray, seed: int) -> Groups:
    """Lay out by UMAP in ten dimensions: 15 neighbours, no minimum distance."""
    layout = UMAP(n_neighbors=15, n_components=10, min_dist=0.0, random_state=seed).fit(a)
    return layout.embedding_, layout.transform(b)


METHODS = {  # name -> (method, how features are scaled)
    "k-means, raw": (k_means, "none"),
    "k-means, L2": (k_means, "l2"),
    "k-means, standardised": (k_means, "standard"),
    "k-means, PCA-whitened": (k_means, "pca-whiten"),
    "GMM": (gmm, "l2"),
    "Ward": (ward, "l2"),
    "spectral": (spectral, "l2"),
    "UMAP + k-means": (k_means, "l2"),
    "UMAP + GMM": (gmm, "l2"),
    "UMAP + Ward": (ward, "l2"),
    "ours": (ours, "l2"),
    "SCAN": (scan, "standard"),
    "TURTLE": (turtle, "standard"),
}


class Peak:
    """Peak memory of this process in MB while the block runs, looked at every 50 ms."""

    def __enter__(self) -> "Peak":
        self.mb, self._stop = 0.0, threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return self

    def _look(self) -> None:
        process = psutil.Process()
        while True:
            self.mb = max(self.mb, process.memory_info().rss / 1e6)
            if self._stop.wait(0.05):
                return

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._watch.join()


def measure(label: str, pair: Groups, train, test, n_seeds: int, layouts: dict) -> dict:
    """Means over the seeds; a collapse is shown by its score, not by a warning.

    The layout that UMAP makes with a seed is made once, and its time counted every time.
    """
    method, k, scores = METHODS[label][0], len(train.class_names), []
    with Peak() as peak, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(n_seeds):
            shown, start = pair, time.perf_counter()
            if label.startswith("UMAP"):
                if seed not in layouts:
                    layouts[seed] = umap_layout(*pair, seed), time.perf_counter() - start
                shown, seconds = layouts[seed]
                start = time.perf_counter() - seconds
            groups = method(*shown, k, seed)
            seconds = time.perf_counter() - start
            found = evaluation.score(train.answers, groups[0], test.answers, groups[1], n_groups=k)
            scores.append({**found, "seconds": seconds})
    table = pd.DataFrame(scores)
    return {
        "accuracy_mean": round(table.accuracy.mean(), 4),
        "accuracy_sd": round(table.accuracy.std(), 4) if n_seeds > 1 else 0.0,
        "nmi_mean": round(table.nmi.mean(), 4),
        "ari_mean": round(table.ari.mean(), 4),
        "seeds": n_seeds,
        "seconds": round(table.seconds.median(), 2),
        "peak_mb": round(peak.mb),
    }


def record(rows: list[dict]) -> None:
    """Replace rows of the same data, stage and method in the results, keep the others."""
    old = json.loads(FILE.read_text()) if FILE.exists() else []
    new = {(row["data"], row["stage"], row["method"]) for row in rows}
    kept = [row for row in old if (row["data"], row["stage"], row["method"]) not in new]
    FILE.write_text(json.dumps([*kept, *rows], indent=1) + "\n")


def main() -> None:
    """Measure each data set; print and record row by row."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="*", default=["digits", "pedestrians", "mnist", "cifar10"])
    parser.add_argument("--limit", type=int, default=5_000, help="training images at most")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    options = parser.parse_args()
    for name in options.data:
        train, test = datasets.load(name, limit=options.limit)
        backbone = backbones.load(**backbones.suggested(name))
        raw = [features.extract(backbone, images) for images in (train, test)]
        layouts = {}
        for label in options.methods:
            scale = features.normaliser(METHODS[label][1]).fit(raw[0])
            pair = tuple(scale.transform(z) for z in raw)
            found = measure(label, pair, train, test, options.seeds, layouts)
            about = {"data": name, "backbone": backbone.name, "method": label, "stage": "frozen"}
            row = {**about, **found, "n_train": len(train), "n_test": len(test)}
            record([row])
            print(
                pd.DataFrame([row]).to_string(index=False, header=label == options.methods[0]),
                flush=True,
            )


if __name__ == "__main__":
    main()
