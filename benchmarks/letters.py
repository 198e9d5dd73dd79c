"""Measure the embedded backbone: how well its features cluster digits nobody labelled.

`python benchmarks/letters.py` prints a table and writes results/letters.json. Labels are
used for scoring alone. With TFL_DATA_DIR naming a folder that holds mnist.npz, MNIST's 10,000
test images are measured too, at 28 x 28 pixels.
"""

import json
import os
import warnings
from pathlib import Path

from tfl_helpers import backbones, evaluation

import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.manifold import spectral_embedding
from sklearn.metrics import normalized_mutual_info_score
from sklearn.neighbors import kneighbors_graph
from sklearn.preprocessing import normalize

SEEDS = range(5)
RESULTS = Path(__file__).resolve().parent.parent / "tfl_helpers" / "results" / "letters.json"


def kmeans(vectors: np.ndarray, seed: int) -> np.ndarray:
    """Ten groups of the rows."""
    return KMeans(n_clusters=10, n_init=10, random_state=seed).fit_predict(vectors)


def spectral(vectors: np.ndarray, seed: int) -> np.ndarray:
    """Ten groups of the rows of the 15-neighbour graph's first 12 eigenvectors."""
    graph = kneighbors_graph(vectors, 15, metric="cosine", include_self=False)
    embedded = spectral_embedding(
        (graph + graph.T) / 2, n_components=12, drop_first=False, random_state=seed
    )
    return kmeans(normalize(embedded), seed)


def umap_kmeans(vectors: np.ndarray, seed: int) -> np.ndarray:
    """Ten groups of the rows laid out by UMAP in ten dimensions."""
    from umap import UMAP

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layout = UMAP(n_neighbors=15, n_components=10, min_dist=0, random_state=seed)
        return kmeans(layout.fit_transform(vectors), seed)


def data() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Grey images of shape (n, h, w, 1) in 0..255 and their labels, by name."""
    digits = load_digits()
    found = {"digits": (digits.images[..., None] * 255 / 16, digits.target)}
    path = Path(os.environ.get("TFL_DATA_DIR", "")) / "mnist.npz"
    if path.is_file():
        with np.load(path) as stored:
            found["mnist-test"] = (stored["x_test"][..., None], stored["y_test"])
    return found


def main() -> None:
    """Measure, print and write."""
    backbone, rows = backbones.load("letters"), []
    print(f"{'data':<12}{'features':<10}{'method':<10}{'accuracy':>9}{'sd':>8}{'nmi':>8}")
    for name, (images, truth) in data().items():
        features = backbone.predict(images.astype("float32"), batch_size=256, verbose=0)
        pixels = images.reshape(len(images), -1).astype("float32")
        for kind, vectors in (("pixels", pixels), ("letters", features)):
            methods = {"k-means": kmeans, "spectral": spectral, "umap": umap_kmeans}
            for method, cluster in methods.items():
                if kind == "pixels" and method != "k-means":
                    continue
                groups = [cluster(normalize(vectors), seed) for seed in SEEDS]
                scores = [evaluation.hungarian_accuracy(truth, g) for g in groups]
                nmi = np.mean([normalized_mutual_info_score(truth, g) for g in groups])
                row = {
                    "data": name,
                    "features": kind,
                    "method": method,
                    "accuracy_mean": round(float(np.mean(scores)), 4),
                    "accuracy_sd": round(float(np.std(scores, ddof=1)), 4),
                    "nmi_mean": round(float(nmi), 4),
                    "seeds": len(SEEDS),
                    "n_images": len(truth),
                }
                rows.append(row)
                print(
                    f"{name:<12}{kind:<10}{method:<10}{row['accuracy_mean']:>9.4f}"
                    f"{row['accuracy_sd']:>8.4f}{row['nmi_mean']:>8.4f}",
                    flush=True,
                )
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
