"""What several looks and several networks are worth, on 5,000 photos of CIFAR-10's test set.

    TFL_DATA_DIR=... KERAS_HOME=... python benchmarks/looks.py [--missing]

Frozen features alone; the same photos are grouped and scored, as nothing is trained. Needs
EfficientNet-Lite0 as KERAS_HOME/other/efficientnet_lite0_224.keras (0..255 in, maps out). Writes
results/looks.json: accuracy of k-means and of the project's clustering with ten groups (five
seeds); of a linear classifier with all labels (five folds); and of all photos after 50 names, given
to one photo of each of 50 groups (five seeds), which spread over the graph of neighbours. `steady`
is what can be seen of each kind of features without labels: how far the groups of the seeds agree
(mean ARI).
"""

import argparse
import json
from pathlib import Path

from tfl_helpers import backbones, clustering, datasets, evaluation, features

import keras
import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FILE = Path(__file__).resolve().parents[1] / "tfl_helpers" / "results" / "looks.json"
PHOTOS, SEEDS, NAMES = 5_000, range(5), 50
SMALL, LITE = "MobileNetV2:128", "other/efficientnet_lite0_224.keras"
ROWS = {  # name: the backbone, looks, whether each part is centred and scaled to equal variance
    "MobileNetV2 at 128": (SMALL, None, False),
    "EfficientNet-Lite0 at 224": (LITE, None, False),
    "MobileNetV2 and EfficientNet-Lite0": (f"{SMALL}+{LITE}", None, False),
    "MobileNetV2 and EfficientNet-Lite0, centred": (f"{SMALL}+{LITE}", None, True),
    "MobileNetV2 and EfficientNet-Lite0, mirror images too": (f"{SMALL}+{LITE}", "mirror", False),
    "MobileNetV2 at 96, 128, 160, mirror images too": (SMALL, (0.75, 1, 1.25, "mirror"), False),
}


def photos() -> datasets.ImageSet:
    """Take 5,000 test photos, which come in no order."""
    return datasets.load("cifar10", progress=False)[1].take(range(PHOTOS))


def load(name: str) -> keras.Model:
    """Load a backbone; a file is looked for in KERAS_HOME."""
    home = datasets.keras_home()
    names = [str(home / part) if part.endswith(".keras") else part for part in name.split("+")]
    return backbones.load("+".join(names))


def centred(z: np.ndarray, widths: list[int]) -> np.ndarray:
    """Centre each part of features (n, d) and scale it to equal variance."""
    parts = np.split(z, np.cumsum(widths)[:-1], axis=1)
    parts = [part - part.mean(axis=0) for part in parts]
    return np.hstack([part / np.sqrt(part.var(axis=0).sum()) for part in parts])


def named(z: np.ndarray, answers: np.ndarray, seed: int) -> float:
    """Name one photo of each of 50 groups; let the names walk: accuracy of all photos."""
    unit = clustering.leading_components(z, random_state=seed)
    groups = KMeans(NAMES, random_state=seed, n_init=1).fit(unit)
    asked = groups.transform(unit).argmin(axis=0)
    given = np.zeros((len(z), answers.max() + 1))
    given[asked, answers[asked]] = 1
    given /= given.sum(axis=0).clip(1)
    graph = clustering.neighbour_graph(clustering.nearest(unit))
    degree = 1 / np.sqrt(np.asarray(graph.sum(axis=1)).ravel())
    graph, found = graph.multiply(degree[:, None]).multiply(degree).tocsr(), given
    for _ in range(60):
        found = 0.95 * (graph @ found) + 0.05 * given
    return float((found.argmax(axis=1) == answers).mean())


def measure(z: np.ndarray, answers: np.ndarray) -> tuple[list[dict], list[np.ndarray]]:
    """Score one kind of features; also return the project's groups of each seed."""
    z, ours = features.normaliser("l2").fit_transform(z).astype("float32"), []
    scores = {"k-means": [], "the project's": [], f"{NAMES} names": []}
    for seed in SEEDS:
        groups = KMeans(10, n_init=1, random_state=seed).fit_predict(z)
        scores["k-means"].append(evaluation.hungarian_accuracy(answers, groups))
        ours.append(clustering.NeighbourClustering(10, random_state=seed).fit(z).labels_)
        scores["the project's"].append(evaluation.hungarian_accuracy(answers, ours[-1]))
        scores[f"{NAMES} names"].append(named(z, answers, seed))
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=300))
    scores["probe"] = cross_val_score(probe, z, answers, cv=5)
    rows = [
        {
            "method": method,
            "accuracy_mean": round(float(np.mean(of)), 4),
            "accuracy_sd": round(float(np.std(of, ddof=1)), 4),
            "seeds": len(of),
        }
        for method, of in scores.items()
    ]
    return rows, ours


def steadiness(ours: list[np.ndarray]) -> float:
    """Mean ARI of the groups of all pairs of seeds."""
    pairs = [(a, b) for i, a in enumerate(ours) for b in ours[:i]]
    return round(float(np.mean([adjusted_rand_score(a, b) for a, b in pairs])), 4)


def main() -> None:
    """Measure row by row; print and record."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--missing", action="store_true", help="rows that are not there yet")
    there = json.loads(FILE.read_text()) if FILE.exists() and parser.parse_args().missing else []
    images = photos()
    answers, groups = evaluation.unseal(images.answers), {}
    for name, (backbone, looks, centre) in ROWS.items():
        if name in {row["features"] for row in there}:
            continue
        network = load(backbone)
        z = features.extract(network, images, looks=looks)
        if centre:
            z = centred(z, [part.output_shape[-1] for part in backbones.parts(network)])
        rows, groups[name] = measure(z, answers)
        about = {"features": name, "width": z.shape[1], "steady": steadiness(groups[name])}
        there += [about | row for row in rows]
        FILE.write_text(json.dumps(there, indent=1) + "\n")
        print(pd.DataFrame(there[-4:]).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
