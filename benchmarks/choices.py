"""How good is a choice made without labels? A grid on every data set, chosen blind, then scored.

    TFL_DATA_DIR=... KERAS_HOME=... python benchmarks/choices.py [DATA ...] [--early N]

Backbones, layers (pixels and an early layer as traps) and input sizes x ways of normalising x
methods, ranked by `selection.search` on the training images. Only then every candidate is fitted on
all training images, with five seeds, and scored on test. Writes results/choices.json: per data
set what was chosen, its accuracy, the best, the median, the regret, the rank correlation of the
order with the accuracy; the same for each score alone; and every candidate. `at_home` is neighbour
agreement where each representation judges its own groups, to compare with.

`--early N` is a harder case: N training images, and five representations most of which see edges
and colours (those of notebook 06: pixels; first, middle and late layer; the end).
"""

import argparse
import json
import time
import warnings
from itertools import product
from pathlib import Path

from tfl_helpers import backbones, clustering, datasets, evaluation, features, selection

import numpy as np
from sklearn.cluster import KMeans
from sklearn.pipeline import make_pipeline

FILE = Path(__file__).resolve().parents[1] / "tfl_helpers" / "results" / "choices.json"
LIMITS = {"digits": 5_000, "mnist": 5_000, "pedestrians": 2_000, "cifar10": 4_000}
DRAWN = ("block1_conv1_relu", "block2_conv2_relu", "block3_conv2_relu", "block4_conv2_relu", None)
PHOTO = ("block_3_project", "block_13_expand_relu", "block_16_project", "out_relu")
SIZES = {"cifar10": (96, 128, 160, 192), "pedestrians": ((96, 64), (128, 64), (160, 96))}
MIDDLE = {"cifar10": 128, "pedestrians": (128, 64)}  # the early layers are tried at one size
SCALES = ("none", "l2", "standard", "pca-whiten")
SCORES = ("agreement", "silhouette", "stability", "at_home")


def loaded(data: str) -> dict:
    """Name of each representation -> backbone."""
    models = {"pixels": backbones.load("pixels")}
    if data not in SIZES:
        models |= {f"letters {n or ''}".strip(): backbones.load("letters", layer=n) for n in DRAWN}
        return models
    for size, layer in product(SIZES[data], PHOTO):
        if layer in PHOTO[2:] or size == MIDDLE[data]:
            shown = size if isinstance(size, int) else "x".join(map(str, size))
            name = f"MobileNetV2 {shown} {layer}"
            models[name] = backbones.load("MobileNetV2", size=size, layer=layer)
    return models


def early(data: str) -> dict:
    """Name of each representation of the harder case -> backbone."""
    choice = backbones.suggested(data)
    models = {"pixels": backbones.load("pixels"), "end": backbones.load(**choice)}
    inner = backbones.inner_layers(models["end"])
    convolutions = list(inner.layer[inner.type == "Conv2D"])
    for name, place in {"first layer": 0, "middle": 0.5, "late": 0.75}.items():
        layer = convolutions[int(place * (len(convolutions) - 1))]
        models[name] = backbones.load(**choice, layer=layer)
    return models


def methods(k: int) -> dict:
    """Ways of normalising x clusterers; ours scales to length one by itself."""
    k_means, ours = KMeans(k, n_init=3), clustering.NeighbourClustering(k)
    found = {f"{s}, k-means": make_pipeline(features.normaliser(s), k_means) for s in SCALES}
    return found | {f"{s}, ours": make_pipeline(features.normaliser(s), ours) for s in SCALES[1:]}


def measure(data: str, n_seeds: int, n_early: int | None) -> dict:
    """Choose blind, then open the seal."""
    train, test = datasets.load(data, limit=n_early or LIMITS[data])
    k, raw = len(train.class_names), {}
    for name, model in (early if n_early else loaded)(data).items():
        raw[name] = [features.extract(model, images) for images in (train, test)]
        print(data, name, raw[name][0].shape, flush=True)
    tried = methods(k)
    start = time.perf_counter()
    table = selection.search({name: a for name, (a, _) in raw.items()}, tried)
    seconds = time.perf_counter() - start

    # The choice is made. From here on answers are open.
    for name in table.index:
        a, b = raw[table.representation[name]]
        found = []
        for seed in range(n_seeds):
            model = selection.seeded(tried[table.method[name]], seed)
            groups = model.fit(a)[-1].labels_, model.predict(b)
            pairs = train.answers, groups[0], test.answers, groups[1]
            found.append(evaluation.score(*pairs, n_groups=k)["accuracy"])
        table.loc[name, ["accuracy", "accuracy_sd"]] = np.mean(found), np.std(found, ddof=1)
        print(
            table.loc[name, ["mean_rank", *SCORES, "accuracy"]].round(3).tolist(), name, flush=True
        )
    accuracy = table.accuracy.to_dict()
    orders = {"mean rank": list(table.index)}
    orders |= {s: list(table.sort_values(s, ascending=False).index) for s in SCORES}
    about = {
        "data": title(data, n_early),
        "n_train": len(train),
        "n_test": len(test),
        "seeds": n_seeds,
    }
    chosen = {"search_seconds": round(seconds, 1)} | {
        name: evaluation.regret(order, accuracy) for name, order in orders.items()
    }
    columns = ["mean_rank", *SCORES, "accuracy", "accuracy_sd"]
    rows = json.loads(table[columns].round(4).reset_index().to_json(orient="records"))
    return about | chosen | {"alarms": int((table.alarm != "").sum()), "all": rows}


def title(data: str, n_early: int | None) -> str:
    """Name of the case in the results."""
    return f"{data}, {n_early:,} images, mostly early layers" if n_early else data


def main() -> None:
    """Measure each data set; print and record it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="*", default=list(LIMITS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--early", type=int, help="the harder case, with so many images")
    options = parser.parse_args()
    for data in options.data:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", evaluation.CollapseWarning)
            found = measure(data, options.seeds, options.early)
        old = json.loads(FILE.read_text()) if FILE.exists() else []
        rows = [row for row in old if row["data"] != found["data"]] + [found]
        rows.sort(key=lambda row: list(LIMITS).index(row["data"].split(",")[0]))
        FILE.write_text(json.dumps(rows, indent=1) + "\n")
        print(json.dumps({key: found[key] for key in found if key != "all"}, indent=1), flush=True)


if __name__ == "__main__":
    main()
