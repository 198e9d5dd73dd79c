"""What self-labelling adds to clustering: the self-labelled rows of the scoreboard.

    TFL_DATA_DIR=... KERAS_HOME=... python benchmarks/selflabel.py [DATA ...] [--limit 5000]

Groups by `clustering.NeighbourClustering` on frozen features, then `selflabel.self_label`, with the
same seed. Fitted on train, pairing found on train, scored on test; answers only score. Writes a row
per data set into docs/results/scoreboard.json (`ours, self-labelled`; seconds without the features
of the frozen backbone) and every run, before and after, into docs/results/selflabel.json.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pandas as pd
import scoreboard
from methods import peak_mb
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from tfl_helpers import backbones, evaluation, features, selflabel
from tfl_helpers.clustering import NeighbourClustering

RUNS = Path(__file__).resolve().parents[1] / "docs" / "results" / "selflabel.json"
PHOTOS = {"learning_rate": 1e-4, "from_layer": "block_14_expand", "steps": 48, "rounds": 2}
SETTINGS = {"pedestrians": PHOTOS, "cifar10": PHOTOS | {"steps": 128}}


def measure(name: str, limit: int | None, seeds: list[int]) -> tuple[dict, list[dict]]:
    """One row for the scoreboard, and what happened with each seed."""
    train, test = scoreboard.load(name, limit)
    backbone, k = backbones.load(**backbones.suggested(name)), len(train.class_names)
    a, b = (features.extract(backbone, images, progress=False) for images in (train, test))
    runs = []
    for seed in seeds:
        start = time.perf_counter()
        scale = features.normaliser(scoreboard.SCALE.get(name, "l2"))
        found = make_pipeline(scale, NeighbourClustering(k, random_state=seed)).fit(a)
        groups, settings = found[-1].labels_, SETTINGS.get(name, {})
        result = selflabel.self_label(
            backbone, train, groups, cluster=clone(found), data=name, seed=seed, **settings
        )
        new = result.predict(test)
        seconds = time.perf_counter() - start
        before = evaluation.score(train.answers, groups, test.answers, found.predict(b))
        after = evaluation.score(train.answers, result.labels, test.answers, new, n_groups=k)
        about = {"data": name, "seed": seed, "n_train": len(train), "before": before["accuracy"]}
        verdicts = result.history.verdict.tolist()[1:]
        runs.append({**about, **after, "seconds": seconds, "verdicts": verdicts})
        print({key: runs[-1][key] for key in ("data", "seed", "before", "accuracy", "verdicts")})
    table = pd.DataFrame(runs)
    row = {
        "data": name,
        "backbone": backbone.name,
        "method": "ours, self-labelled",
        "stage": "self-labelled",
        "accuracy_mean": round(table.accuracy.mean(), 4),
        "accuracy_sd": round(table.accuracy.std(), 4) if len(seeds) > 1 else 0.0,
        "nmi_mean": round(table.nmi.mean(), 4),
        "ari_mean": round(table.ari.mean(), 4),
        "seeds": len(seeds),
        "seconds": round(table.seconds.median(), 2),
        "peak_mb": round(peak_mb()),
        "n_train": len(train),
        "n_test": len(test),
    }
    return row, table.round(4).to_dict("records")


def main() -> None:
    """Measure each data set; print and record."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="*", default=["digits"])
    parser.add_argument("--limit", type=int, default=5_000, help="training images at most")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    for name in options.data:
        row, runs = measure(name, options.limit, list(range(options.seeds)))
        print(pd.DataFrame([row]).to_string(index=False), flush=True)
        scoreboard.record(row, scoreboard.FILE)
        kept = [old for old in scoreboard.read(RUNS) if old["data"] != name]
        RUNS.write_text(json.dumps([*kept, *runs], indent=1) + "\n")


if __name__ == "__main__":
    main()
