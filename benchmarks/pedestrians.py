"""People in street crops and whole streets without a label: what notebook 07 shows as recorded.

    TFL_DATA_DIR=... KERAS_HOME=... python benchmarks/pedestrians.py [DATA ...] [--seeds 5]

DATA: drawn_streets (needs nothing) and pedestrians (INRIA's crops, in a bundle). Groups by
`clustering.NeighbourClustering` on training crops; each group takes the class that is the more
frequent in it on train, which is what a reader's names come to; a linear classifier learns the
named groups. Its threshold, log-odds of 0, is set without labels. All scores are of test crops,
mean and sd over the seeds. With more than two groups the network also scans whole pictures: drawn
test scenes, or montages of INRIA's test crops. Writes results/pedestrians.json.
"""

import argparse
import json
import time
from pathlib import Path

from tfl_helpers import backbones, clustering, datasets, evaluation, features, pedestrians

import numpy as np
import pandas as pd
from sklearn.metrics import precision_score, recall_score, roc_curve

FILE = Path(__file__).resolve().parents[1] / "tfl_helpers" / "results" / "pedestrians.json"
GROUPS = (2, 12)
N_SCENES = {"drawn_streets": 40, "pedestrians": 3}


def crops(data: str, k: int, seed: int, stored: dict) -> dict[str, float]:
    """Scores of one seed on test crops, and the network behind them."""
    train, test, z, z_test = (stored[key] for key in ("train", "test", "z", "z_test"))
    start = time.perf_counter()
    scale = features.normaliser("l2").fit(z)
    model = clustering.NeighbourClustering(k, random_state=seed).fit(scale.transform(z))
    pairing = evaluation.Pairing(train.answers, model.labels_)
    wanted = pairing.predict(model.labels_) == 1
    network = pedestrians.classifier(stored["backbone"], z, wanted)
    kernel, bias = network.get_layer("log_odds").get_weights()
    score = (z_test @ kernel + bias)[:, 0]
    seconds = time.perf_counter() - start
    pairs = train.answers, model.labels_, test.answers, model.predict(scale.transform(z_test))
    groups = evaluation.score(*pairs)
    true = evaluation.unseal(test.answers) == 1
    false_alarms, found, _ = roc_curve(true, score)
    grey = test.images.mean((1, 2, 3))
    dark = true & (grey <= np.quantile(grey[true], 1 / 3))
    stored["wanted"] = wanted
    return {
        "accuracy_groups": groups["accuracy"],
        "accuracy": np.mean((score > 0) == true),
        "precision": precision_score(true, score > 0),
        "recall": recall_score(true, score > 0),
        "recall_dark": np.mean(score[dark] > 0),
        "recall_at_1_percent": found[false_alarms <= 0.01].max(),
        "seconds": seconds,
    }


def whole(data: str, stored: dict, seed: int) -> dict[str, float]:
    """Miss rate on whole pictures, of the last network."""
    z, wanted, backbone = stored["z"], stored["wanted"], stored["backbone"]
    extra = [pedestrians.parts_of_people(stored["train"].images[wanted], 1000, seed=seed)]
    if data == "drawn_streets":
        inside, scenes = pedestrians.load_scenes(data, limit=N_SCENES[data])
        extra.append(pedestrians.random_windows(inside, 3000, seed=seed))
    else:
        known = evaluation.unseal(stored["test"].answers)  # to build the pictures
        scenes = [
            pedestrians.montage(stored["test"].images, known, seed=i) for i in range(N_SCENES[data])
        ]
    background = features.extract(backbone, np.concatenate(extra), progress=False)
    labels = np.append(wanted, np.zeros(len(background), bool))
    score = pedestrians.scorer(pedestrians.classifier(backbone, np.vstack([z, background]), labels))
    boxes, sure = [], []
    for scene in scenes:
        places, scores = pedestrians.scan(scene.image, score)
        places = pedestrians.person_boxes(places)
        places, scores = pedestrians.suppress(places, scores, threshold=scores.max() - 8)
        boxes.append(places)
        sure.append(scores)
    people = [scene.people for scene in scenes]
    found, missed = pedestrians.match_boxes(people, boxes, sure, aspect=0.41)
    curve = pedestrians.miss_rate_curve(found, len(missed), len(scenes))
    return {
        "log_average_miss_rate": pedestrians.log_average_miss_rate(curve),
        "miss_rate_at_1_fppi": curve.miss_rate[curve.fppi <= 1].min(),
    }


def measure(data: str, seeds: range) -> list[dict]:
    """One row per number of groups."""
    train, test = datasets.load(data)
    backbone, rows = backbones.load(**datasets.describe(data).backbone), []
    stored = {"train": train, "test": test, "backbone": backbone}
    stored |= {"z": features.extract(backbone, train), "z_test": features.extract(backbone, test)}
    for k in GROUPS:
        runs = []
        for seed in seeds:
            runs.append(crops(data, k, seed, stored))
            if k > 2:
                runs[-1] |= whole(data, stored, seed)
        table = pd.DataFrame(runs)
        row = {"data": data, "backbone": backbone.name, "groups": k, "seeds": len(seeds)}
        row |= {"n_train": len(train), "n_test": len(test)}
        if k > 2:
            row["n_scenes"] = N_SCENES[data]
        for name in table.columns:
            row[name] = round(float(table[name].mean()), 4)
            if name != "seconds":
                row[f"{name}_sd"] = round(float(table[name].std()), 4)
        print(row, flush=True)
        rows.append(row)
    return rows


def main() -> None:
    """Measure each set; print and record."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="*", default=["drawn_streets", "pedestrians"])
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    for data in options.data:
        rows = measure(data, range(options.seeds))
        old = json.loads(FILE.read_text()) if FILE.exists() else []
        kept = [row for row in old if row["data"] != data]
        FILE.write_text(json.dumps([*kept, *rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
