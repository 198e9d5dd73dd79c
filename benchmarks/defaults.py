"""Do the plain defaults of `NeighbourClustering` matter? One is changed at a time.

    TFL_DATA_DIR=... KERAS_HOME=... python benchmarks/defaults.py [DATA ...] [--limit 3000]

Axes kept (64 by default) and neighbours (15): accuracy on test, and NMI, five seeds. Nothing was
chosen by it. Writes results/defaults.json.
"""

import argparse
import json
from pathlib import Path

from tfl_helpers import backbones, clustering, datasets, evaluation, features

import pandas as pd

FILE = Path(__file__).resolve().parents[1] / "tfl_helpers" / "results" / "defaults.json"
TRIED = ((64, 15), (32, 15), (128, 15), (64, 10), (64, 30))  # axes, neighbours


def measure(train, test, raw: list, axes: int, n_neighbors: int, n_seeds: int) -> dict:
    """Means over the seeds."""
    found, k, (a, b) = [], len(train.class_names), raw
    settings = {"n_components": axes, "n_neighbors": n_neighbors}
    for seed in range(n_seeds):
        model = clustering.NeighbourClustering(k, random_state=seed, **settings)
        pairs = train.answers, model.fit(a).labels_, test.answers, model.predict(b)
        found.append(evaluation.score(*pairs, n_groups=k))
    table = pd.DataFrame(found)
    scores = {f"{name}_mean": round(table[name].mean(), 4) for name in ("accuracy", "nmi")}
    return scores | {"accuracy_sd": round(table.accuracy.std(), 4), "seeds": n_seeds}


def main() -> None:
    """Measure each data set; print and record it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="*", default=["digits", "mnist", "cifar10"])
    parser.add_argument("--limit", type=int, default=3_000, help="training images at most")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    for data in options.data:
        train, test = datasets.load(data, limit=options.limit)
        backbone = backbones.load(**backbones.suggested(data))
        raw = [features.extract(backbone, images) for images in (train, test)]
        new = []
        for axes, n_neighbors in TRIED:
            row = {"data": data, "backbone": backbone.name, "axes": axes, "neighbours": n_neighbors}
            row |= measure(train, test, raw, axes, n_neighbors, options.seeds)
            new.append(row | {"n_train": len(train), "n_test": len(test)})
            print(new[-1], flush=True)
        old = json.loads(FILE.read_text()) if FILE.exists() else []
        rows = [row for row in old if row["data"] != data] + new
        FILE.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
