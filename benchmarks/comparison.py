"""The first comparison (notebooks 02 and 03) on every data set that is found on this machine.

    TFL_DATA_DIR=... KERAS_HOME=... python benchmarks/comparison.py [--limit 10000] [DATA ...]

Chance, pixels, PCA of pixels, the article's network untrained, the embedded backbone, MobileNetV2
with ImageNet weights, each with its supervised ceiling; then the same k-means after each way of
normalising. Five k-means seeds. Writes docs/results/comparison.json and whitening.json.
"""

import argparse
import json
from pathlib import Path

import pandas as pd
from sklearn.decomposition import PCA

from tfl_helpers import backbones, datasets, evaluation, features

RESULTS = Path(__file__).parents[1] / "docs" / "results"
PHOTO_SIZE = {"pedestrians": (160, 96)}  # height, width: crops are twice as tall as wide
KINDS = ("none", "l2", "standard", "pca-whiten")


def spaces(train: datasets.ImageSet, test: datasets.ImageSet) -> dict:
    """Name of each representation -> raw (train, test) features."""
    size = PHOTO_SIZE.get(train.name, 128)
    article = backbones.define_model((32, 32, 3), 10, seed=0)
    models = {
        "pixels": backbones.load("pixels"),
        "article's network, untrained": backbones.cut(article, "add"),
        "letters": backbones.load("letters"),
        f"MobileNetV2 at {size}": backbones.load("MobileNetV2", size=size),
    }
    if train.name == "digits":
        inner = backbones.load("MobileNetV2", size=128, layer="block_13_expand_relu")
        models["MobileNetV2 at 128, block_13"] = inner
    return {
        name: tuple(features.extract(model, images) for images in (train, test))
        for name, model in models.items()
    }


def record(table: pd.DataFrame, file: str, data: list[str]) -> None:
    """Replace these data sets' rows in a results file, keep the others."""
    path = RESULTS / file
    old = json.loads(path.read_text()) if path.exists() else []
    rows = [row for row in old if row["data"] not in data]
    rows += json.loads(table.to_json(orient="records"))
    path.write_text(json.dumps(rows, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="*", default=["digits", "mnist", "cifar10", "pedestrians"])
    parser.add_argument("--limit", type=int, default=10_000, help="training images at most")
    options = parser.parse_args()
    for name in options.data:
        train, test = datasets.load(name, limit=options.limit)
        n_groups = len(train.class_names)
        raw = spaces(train, test)
        about = {"n_train": len(train), "n_test": len(test), "seeds": 5}

        scaled = {}
        for source, pair in raw.items():
            scale = features.normaliser("none" if source == "pixels" else "l2").fit(pair[0])
            scaled[source] = tuple(scale.transform(z) for z in pair)
        pca = PCA(50, random_state=0).fit(raw["pixels"][0])
        scaled["PCA of pixels"] = tuple(pca.transform(z) for z in raw["pixels"])
        table = evaluation.comparison(train, test, scaled, n_clusters=n_groups)
        table.insert(0, "data", name)
        record(table.assign(**about), "comparison.json", [name])
        print(table.to_string(index=False), flush=True)

        tables = []
        for source in [s for s in raw if s.startswith(("letters", "MobileNetV2"))]:
            for kind in KINDS:
                scale = features.normaliser(kind).fit(raw[source][0])
                pair = tuple(scale.transform(z) for z in raw[source])
                found = evaluation.repeat(lambda seed, p=pair: k_means(seed, p, train, test))
                row = {"data": name, "backbone": source, "normaliser": kind}
                for key in ("accuracy", "nmi", "ari"):
                    row |= {key: found.loc[key, "mean"], f"{key}_sd": found.loc[key, "sd"]}
                tables.append(row)
        table = pd.DataFrame(tables).round(3)
        record(table.assign(**about), "whitening.json", [name])
        print(table.to_string(index=False), flush=True)


def k_means(seed: int, pair: tuple, train: datasets.ImageSet, test: datasets.ImageSet) -> dict:
    """Scores of one k-means run, fitted on train, counted on test."""
    from sklearn.cluster import KMeans

    k = len(train.class_names)
    found = KMeans(k, n_init=10, random_state=seed).fit(pair[0])
    groups = found.predict(pair[1])
    return evaluation.score(train.answers, found.labels_, test.answers, groups, n_groups=k)


if __name__ == "__main__":
    main()
