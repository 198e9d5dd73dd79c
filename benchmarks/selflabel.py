"""What self-labelling adds to clustering, on every data set that is found on this machine.

    TFL_DATA_DIR=... KERAS_HOME=... python benchmarks/selflabel.py [DATA ...] [--seeds 5]

Groups by `clustering.NeighbourClustering` on frozen features ("start"); the same after
`selflabel.self_label` ("ours, self-labelled"); and with the guard switched off, where asked for
("no guard"). Fit on train, pairing found on train, scored on test. Writes
docs/results/selflabel.json; rows of the same data and method are replaced, others kept.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from tfl_helpers import backbones, datasets, evaluation, features, selflabel
from tfl_helpers.clustering import NeighbourClustering

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results" / "selflabel.json"
PHOTOS = {"learning_rate": 1e-4, "from_layer": "block_14_expand", "steps": 48, "rounds": 2}
SETTINGS = {"pedestrians": PHOTOS, "cifar10": PHOTOS | {"steps": 128}}


def measure(name: str, options: argparse.Namespace) -> list[dict]:
    """Rows of one data set."""
    train, test = datasets.load(name, limit=options.limit, progress=False)
    chosen = backbones.suggested(name)
    backbone, n_groups = backbones.load(**chosen), len(train.class_names)
    a, b = (features.extract(backbone, images, progress=False) for images in (train, test))
    runs: dict[str, list[dict]] = {}

    def note(method: str, groups: np.ndarray, test_groups: np.ndarray, begun: float) -> None:
        row = evaluation.score(train.answers, groups, test.answers, test_groups)
        row["seconds"] = time.perf_counter() - begun
        runs.setdefault(method, []).append(row)
        print(f"{name}, {method}: {row['accuracy']:.4f}, {row['seconds']:.0f} s", flush=True)

    for seed in range(options.seeds):
        begun = time.perf_counter()
        found = NeighbourClustering(n_groups, random_state=seed).fit(a)
        note("start", found.labels_, found.predict(b), begun)
        for method, guard in (("ours, self-labelled", True), ("no guard", False)):
            if guard or options.no_guard:
                begun = time.perf_counter()
                result = selflabel.self_label(
                    backbone,
                    train,
                    found.labels_,
                    seed=seed,
                    guard=guard,
                    **SETTINGS.get(name, {}),
                )
                note(method, result.labels, result.predict(test), begun)
                shown = result.history.drop(columns="sizes")
                print(shown.round(4).to_string(index=False), flush=True)
    before = np.array([row["accuracy"] for row in runs["start"]])
    rows = []
    for method, scores in runs.items():
        after = np.array([row["accuracy"] for row in scores])
        mean = {
            key: float(np.mean([row[key] for row in scores])) for key in ("nmi", "ari", "seconds")
        }
        rows.append(
            {
                "data": name,
                "backbone": chosen["name"],
                "method": method,
                "accuracy_mean": round(float(after.mean()), 4),
                "accuracy_sd": round(float(after.std(ddof=1)), 4) if len(after) > 1 else None,
                "nmi_mean": round(mean["nmi"], 4),
                "ari_mean": round(mean["ari"], 4),
                "seeds": len(scores),
                "seconds": round(mean["seconds"], 1),
                "n_train": len(train),
                "n_test": len(test),
                "worst_gain": round(float((after - before).min()), 4),
            }
        )
    return rows


def main() -> None:
    """Measure each data set; print and record its rows."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="*", default=["digits"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--limit", type=int, help="training images at most")
    parser.add_argument("--no-guard", action="store_true", help="also without the guard")
    options = parser.parse_args()
    for name in options.data:
        rows = measure(name, options)
        print(json.dumps(rows, indent=1), flush=True)
        old = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
        new = {(row["data"], row["method"]) for row in rows}
        kept = [row for row in old if (row["data"], row["method"]) not in new]
        RESULTS.write_text(json.dumps(kept + rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
