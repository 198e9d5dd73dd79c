"""The first comparison (notebooks 02 and 03) on every data set that is found on this machine.

    TFL_DATA_DIR=... KERAS_HOME=... python benchmarks/comparison.py [--limit 5000] [DATA ...]

Chance, pixels, PCA of pixels, the article's network untrained, the embedded backbone, MobileNetV2
with ImageNet weights, each with its supervised ceiling; then the same k-means after each way of
normalising. Five k-means seeds. Writes results/comparison.json and whitening.json.
"""

import argparse
import json
from pathlib import Path

from tfl_helpers import backbones, datasets, evaluation, features
from tfl_helpers.lessons import article

import pandas as pd
from sklearn.decomposition import PCA

RESULTS = Path(__file__).resolve().parents[1] / "tfl_helpers" / "results"
PHOTO_SIZE = {"pedestrians": (160, 96)}  # height, width: crops are twice as tall as wide
KINDS = ("none", "l2", "standard", "pca-whiten")


def spaces(train: datasets.ImageSet, test: datasets.ImageSet) -> dict:
    """Name of each representation -> raw (train, test) features."""
    size = PHOTO_SIZE.get(train.name, 128)
    models = {
        "pixels": backbones.load("pixels"),
        "article's network, untrained": backbones.from_layer(
            article.define_model((32, 32, 3), 10, seed=0), "add"
        ),
        "letters": backbones.load("letters"),
        "MobileNetV2": backbones.load("MobileNetV2", size=size),
        "MobileNetV2, block_13": backbones.load(
            "MobileNetV2", size=size, layer="block_13_expand_relu"
        ),
    }
    return {
        name: tuple(features.extract(model, images) for images in (train, test))
        for name, model in models.items()
    }


def scaled(pair: tuple, kind: str) -> tuple:
    """Train and test features after a normaliser that was fitted on train."""
    scale = features.normaliser(kind).fit(pair[0])
    return tuple(scale.transform(z) for z in pair)


def record(table: pd.DataFrame, file: str, data: str) -> None:
    """Replace a data set's rows in a results file, keep the others."""
    path = RESULTS / file
    old = json.loads(path.read_text()) if path.exists() else []
    rows = [row for row in old if row["data"] != data]
    rows += json.loads(table.to_json(orient="records"))
    path.write_text(json.dumps(rows, indent=1) + "\n")


def main() -> None:
    """Measure each data set; print and record its two tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="*", default=["digits", "mnist", "cifar10", "pedestrians"])
    parser.add_argument("--limit", type=int, default=5_000, help="training images at most")
    options = parser.parse_args()
    for name in options.data:
        train, test = datasets.load(name, limit=options.limit)
        n_groups = len(train.class_names)
        about = {"data": name, "n_train": len(train), "n_test": len(test), "seeds": 5}
        raw = spaces(train, test)

        pca = PCA(50, random_state=0).fit(raw["pixels"][0])
        shown = {source: scaled(pair, "l2") for source, pair in raw.items()}
        shown["pixels"] = raw["pixels"]
        shown["PCA of pixels"] = tuple(pca.transform(z) for z in raw["pixels"])
        table = evaluation.comparison(train, test, shown, n_clusters=n_groups)
        record(table.assign(**about), "comparison.json", name)
        print(table.to_string(index=False), flush=True)

        ways = {
            f"{source}|{kind}": scaled(pair, kind)
            for source, pair in raw.items()
            if source.startswith(("letters", "MobileNetV2"))
            for kind in KINDS
        }
        table = evaluation.comparison(train, test, ways, n_clusters=n_groups, ceilings=False)
        table = table[table.method == "k-means"]
        parts = table.representation.str.split("|", expand=True)
        table = table.assign(backbone=parts[0], normaliser=parts[1], **about)
        columns = ["backbone", "normaliser", "dims", "accuracy", "accuracy_sd", "nmi", "ari"]
        record(table[[*about, *columns]], "whitening.json", name)
        print(table[columns].to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
