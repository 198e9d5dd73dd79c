"""What a name is worth: accuracy of all images after a few of them were named.

    TFL_DATA_DIR=... KERAS_HOME=... python benchmarks/names.py [SET ...] [--seeds 5] [--backbone B]

SET: digits, mnist and cifar10 (5,000 test images), kinds (20 kinds of photos64, drawn
anew with each seed), pedestrians (2,000 crops), skewed (five kinds of CIFAR-10 with 1,000, 500,
200, 60 and 20 photos). An oracle names the images that a way asks for, and each way says what all
images are: so the accuracy needs no pairing of groups. Features are frozen, 64 leading components.
The ways: `ours` (`clustering.questions`, which hears the names at each budget, and
`clustering.spread_names`), `ours, all asked at once`, and `ours, learned`, where a classifier
learns the names that walked (`clustering.learn_names`); random images, or the medoids of as many
k-means clusters, and a logistic regression or walks; margin sampling (ten medoids, then ten at a
time, those between which a regression wavers most); scikit-learn's LabelSpreading and
SelfTrainingClassifier on random images. `one in ten wrong`: ours, where every tenth name is another
one.

`review`: 20 names, then the least sure images are looked at, four rounds of them, and the wrong
ones are moved: one click each, until the budget of names and clicks is spent. What was looked at
counts as named, and `looks` says how many that were.

Mean and sd over seeds, which draw images and starts; writes results/names.json.
"""

import argparse
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import looks
from tfl_helpers import backbones, clustering, datasets, evaluation, features

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

FILE = Path(__file__).resolve().parents[1] / "tfl_helpers" / "results" / "names.json"
BUDGETS = 10, 20, 50, 100, 200
CLICKS, FIRST, ROUNDS = (50, 100, 200, 400), 20, 4
SKEWED = 1000, 500, 200, 60, 20
N_KINDS, BATCH = 20, 10
# Name of the data, which part, images drawn
SETS = {
    "digits": ("digits", None, None),
    "mnist": ("mnist", 1, 5_000),
    "cifar10": ("cifar10", 1, 5_000),
    "kinds": ("folder", None, None),
    "pedestrians": ("pedestrians", 1, 2_000),
    "skewed": ("cifar10", 1, None),
}


def extracted(name: str, backbone: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Features and classes of a whole set."""
    data, part, _ = SETS[name]
    if data == "folder":
        data = f"folder:{Path(os.environ['TFL_DATA_DIR']) / 'photos64'}"
    parts = datasets.load(data, progress=False)
    parts = parts if part is None else [parts[part]]
    network = looks.load(backbone) if backbone else backbones.load(**backbones.suggested(data))
    z = np.concatenate([features.extract(network, one) for one in parts])
    return z, np.concatenate([evaluation.unseal(one.answers) for one in parts])


def drawn(name: str, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of one draw of a set."""
    if name == "kinds":
        return np.flatnonzero(np.isin(y, rng.choice(y.max() + 1, N_KINDS, replace=False)))
    if name == "skewed":
        kinds = rng.choice(y.max() + 1, len(SKEWED), replace=False)
        rows = [
            rng.permutation(np.flatnonzero(y == kind))[:size]
            for kind, size in zip(kinds, SKEWED, strict=True)
        ]
        return np.sort(np.concatenate(rows))
    return np.sort(rng.permutation(len(y))[: SETS[name][2] or len(y)])


def regression(x: np.ndarray, rows: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Probabilities (n, k) of a logistic regression on what was named."""
    if len(set(names)) == 1:
        return np.eye(names[0] + 1)[[names[0]] * len(x)]
    linear = LogisticRegression(C=10, max_iter=500).fit(x[rows], names)
    p = np.zeros((len(x), names.max() + 1))
    p[:, linear.classes_] = linear.predict_proba(x)
    return p


def medoids(x: np.ndarray, m: int, seed: int) -> np.ndarray:
    """Images nearest to the means of m clusters."""
    distances = KMeans(m, n_init=3, random_state=seed).fit_transform(x)
    return np.unique(distances.argmin(axis=0))


def uncertain(x: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """Images in the order of margin sampling."""
    rows = medoids(x, BATCH, seed)
    while len(rows) < max(BUDGETS):
        best = np.sort(regression(x, rows, y[rows]), axis=1)
        margin = best[:, -1] - best[:, -2] if best.shape[1] > 1 else best[:, -1]
        margin[rows] = np.inf
        rows = np.append(rows, np.argsort(margin, kind="stable")[:BATCH])
    return rows


def told_in_turn(graph: sp.csr_matrix, told: np.ndarray, seed: int) -> np.ndarray:
    """Images in the order of `questions`, which hears the names at each budget."""
    rows = np.zeros(0, int)
    for budget in BUDGETS:
        wanted = budget - len(rows)
        more = clustering.questions(graph, wanted, rows, told[rows], random_state=seed)
        rows = np.append(rows, more)
    return rows


def spreading(x: np.ndarray, rows: np.ndarray, names: np.ndarray) -> np.ndarray:
    """scikit-learn's LabelSpreading: classes of all."""
    given = np.full(len(x), -1)
    given[rows] = names
    model = LabelSpreading(kernel="knn", n_neighbors=15, max_iter=200)
    return model.fit(x, given).transduction_


def self_trained(x: np.ndarray, rows: np.ndarray, names: np.ndarray) -> np.ndarray:
    """scikit-learn's SelfTrainingClassifier: classes of all."""
    given = np.full(len(x), -1)
    given[rows] = names
    if len(set(names)) == 1:
        return np.full(len(x), names[0])
    model = SelfTrainingClassifier(LogisticRegression(C=10, max_iter=500), threshold=0.9)
    return model.fit(x, given).predict(x)


def review(
    x: np.ndarray, y: np.ndarray, graph: sp.csr_matrix, asked: np.ndarray, clicks: int, seed: int
) -> tuple[float, int]:
    """Name 20 images, then move wrong ones among the least sure: accuracy, and images looked at."""
    rows, spent = asked[:FIRST], FIRST
    for left in range(ROUNDS, -1, -1):
        p = clustering.spread_names(graph, rows, y[rows])
        p = clustering.learn_names(x, p, rows, y[rows], random_state=seed)
        found = p.argmax(axis=1)
        found[rows] = y[rows]
        if not left or len(rows) == len(y):
            break
        margin = np.ptp(np.sort(p, axis=1)[:, -2:], axis=1)
        margin[rows] = np.inf
        shown = np.argsort(margin, kind="stable")[: len(y) - len(rows)]
        moved = np.cumsum(found[shown] != y[shown])
        seen = moved <= (clicks - spent) // left
        rows, spent = np.append(rows, shown[seen]), spent + int(moved[seen].max(initial=0))
    return float(np.mean(found == y)), len(rows)


def measure(z: np.ndarray, y: np.ndarray, seed: int) -> dict[tuple[str, int], list[float]]:
    """Accuracy of each way and budget; of review also how many images were looked at."""
    rng = np.random.default_rng(seed)
    x = normalize(clustering.leading_components(z, random_state=seed))
    graph, chance = clustering.neighbour_graph(x), rng.permutation(len(y))
    once = clustering.questions(graph, max(BUDGETS), random_state=seed)
    wrong, planted = y.copy(), rng.random(len(y)) < 0.1
    wrong[planted] += rng.integers(1, y.max() + 1, planted.sum())
    wrong %= y.max() + 1
    asked, misled = (told_in_turn(graph, told, seed) for told in (y, wrong))
    margin = uncertain(x, y, seed)

    def walk(rows: np.ndarray, names: np.ndarray) -> np.ndarray:
        found = clustering.spread_names(graph, rows, names).argmax(axis=1)
        found[rows] = names
        return found

    def learned(rows: np.ndarray, names: np.ndarray) -> np.ndarray:
        reach = clustering.spread_names(graph, rows, names)
        found = clustering.learn_names(x, reach, rows, names, random_state=seed).argmax(axis=1)
        found[rows] = names
        return found

    def linear(rows: np.ndarray, names: np.ndarray) -> np.ndarray:
        return regression(x, rows, names).argmax(axis=1)

    ways: dict[str, tuple[Callable, Callable, np.ndarray]] = {
        "ours": (lambda m: asked[:m], walk, y),
        "ours, learned": (lambda m: asked[:m], learned, y),
        "ours, all asked at once": (lambda m: once[:m], walk, y),
        "one in ten wrong": (lambda m: misled[:m], walk, wrong),
        "random, regression": (lambda m: chance[:m], linear, y),
        "medoids, regression": (lambda m: medoids(x, m, seed), linear, y),
        "medoids, walk": (lambda m: medoids(x, m, seed), walk, y),
        "margin sampling, regression": (lambda m: margin[:m], linear, y),
        "random, LabelSpreading": (lambda m: chance[:m], lambda *a: spreading(x, *a), y),
        "random, self-training": (lambda m: chance[:m], lambda *a: self_trained(x, *a), y),
    }
    right = {
        (way, m): [float(np.mean(say(pick(m), told[pick(m)]) == y))]
        for way, (pick, say, told) in ways.items()
        for m in BUDGETS
    }
    reviewed = {clicks: review(x, y, graph, once, clicks, seed) for clicks in CLICKS}
    return right | {("review", clicks): [*found] for clicks, found in reviewed.items()}


def main() -> None:
    """Measure each set; print and record."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sets", nargs="*", default=list(SETS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--backbone", help="other than the set's own; files are in KERAS_HOME")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of classes that nobody has named yet
    for name in options.sets:
        z, y = extracted(name, options.backbone)
        runs, label = [], f"{name}, {options.backbone}" if options.backbone else name
        for seed in range(options.seeds):
            rows = drawn(name, y, np.random.default_rng(seed))
            classes = np.unique(y[rows], return_inverse=True)[1]
            runs.append(measure(z[rows], classes, seed))
            print(label, seed, runs[-1], flush=True)
        found = []
        for way, m in runs[0]:
            right, *looked = np.array([run[way, m] for run in runs]).T
            row = {"data": label, "images": len(rows), "way": way, "clicks": m}
            row |= {"accuracy_mean": round(float(right.mean()), 4)}
            row |= {"accuracy_sd": round(float(right.std(ddof=1)), 4), "seeds": len(runs)}
            found.append(row | ({"looks": round(float(looked[0].mean()))} if looked else {}))
        table = pd.DataFrame(found).pivot(index="way", columns="clicks", values="accuracy_mean")
        print(f"{label}\n{table.to_string()}", flush=True)
        kept = json.loads(FILE.read_text()) if FILE.exists() else []
        kept = [row for row in kept if row["data"] != label]
        FILE.write_text(json.dumps([*kept, *found], indent=1) + "\n")


if __name__ == "__main__":
    main()
