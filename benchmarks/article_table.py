"""The table that answers the article: what transfer buys, and what labels would buy.

    TFL_DATA_DIR=... KERAS_HOME=... python benchmarks/article_table.py [DATA ...] [--untrained]

From chance to fine-tuning with every label, on the same split: accuracy, NMI and ARI on test, the
pairing of groups and classes found on train, mean and sd over the seeds; labels used; seconds per
run once the features are there. Then the label-efficiency curve of a linear classifier on the same
features. Writes results/article_table.json, a row per data set and method, and
results/label_efficiency.json; keeps the other rows. `--untrained` leaves out the rows that
train a network.

All that is trained sees the same number of images (steps x 64), changed in the same way. "From
scratch" is the article's network, repaired, trained on the groups that ours found; "fine-tuned" is
the backbone with all answers, its second half open.
"""

import argparse
import json
from pathlib import Path

import scoreboard
from tfl_helpers import backbones, datasets, evaluation, features, selflabel
from tfl_helpers.augment import augmenter
from tfl_helpers.clustering import NeighbourClustering, view_head
from tfl_helpers.lessons import article

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

RESULTS = Path(__file__).resolve().parents[1] / "tfl_helpers" / "results"
LIMITS = {"digits": 5_000, "mnist": 5_000, "pedestrians": 2_000, "cifar10": 4_000}
ROUNDS, STEPS, BATCH = 2, 256, 64
PER_CLASS = (1, 2, 3, 5, 10, 20, 50, 100)
DRAWN = {"digits", "mnist"}  # with the small embedded backbone, which bears a high rate


def fine_tune(train: datasets.ImageSet, backbone: keras.Model, rate: float, seed: int):
    """Train the second half of a backbone and a new head on all answers: plain Keras."""
    answers = evaluation.unseal(train.answers)  # on purpose: the row that may see them
    keras.utils.set_random_seed(seed)
    inner = backbones.inner_layers(backbone).layer
    body = backbones.unfreeze(keras.models.clone_model(backbone), inner[len(inner) // 2])
    body.set_weights(backbone.get_weights())
    head = keras.layers.Dense(len(train.class_names), activation="softmax")
    model = keras.Model(body.input, head(body.output))
    model.compile(keras.optimizers.AdamW(rate), "sparse_categorical_crossentropy")
    change, rng = augmenter(train.name, seed), np.random.default_rng(seed)
    total = ROUNDS * STEPS * BATCH
    order = np.concatenate([rng.permutation(len(train)) for _ in range(total // len(train) + 1)])
    images = datasets.batches(
        train.images[order[:total]],
        size=backbones.input_size(body),
        channels=body.input_shape[-1],
        batch_size=BATCH,
    )
    labels = tf.data.Dataset.from_tensor_slices(answers[order[:total]]).batch(BATCH)
    pairs = tf.data.Dataset.zip(images.map(lambda x: change(x, training=True)), labels)
    known = tf.data.experimental.assert_cardinality(ROUNDS * STEPS)
    model.fit(pairs.apply(known), shuffle=False, verbose=0)
    return model


def classes(model: keras.Model, body: keras.Model, images: datasets.ImageSet) -> np.ndarray:
    """Most probable class of each image, at the size that `body` sees."""
    size = backbones.input_size(body) if body is not model else None
    ready = datasets.batches(images, size=size, channels=model.input_shape[-1])
    return np.concatenate([model(batch, training=False).numpy().argmax(1) for batch in ready])


def table(data: str, seeds: range, untrained: bool) -> tuple[list[dict], list[dict]]:
    """Rows of one data set, and its label-efficiency curve."""
    train, test = scoreboard.load(data, LIMITS[data])
    backbone, k = backbones.load(**datasets.describe(data).backbone), len(train.class_names)
    rate = 2e-3 if data in DRAWN else 1e-4
    pixels = backbones.load("pixels")
    pixel_a, pixel_b = (features.extract(pixels, x) for x in (train, test))
    raw_a, raw_b = (features.extract(backbone, x) for x in (train, test))
    scale = features.normaliser("l2").fit(raw_a)
    a, b = scale.transform(raw_a), scale.transform(raw_b)
    known = evaluation.unseal(train.answers)
    ours: dict[int, NeighbourClustering] = {}

    def scored(groups: np.ndarray, test_groups: np.ndarray) -> dict[str, float]:
        return evaluation.score(train.answers, groups, test.answers, test_groups, n_groups=k)

    def random_groups(seed: int) -> dict[str, float]:
        rng = np.random.default_rng(seed)
        return scored(rng.integers(k, size=len(train)), rng.integers(k, size=len(test)))

    def k_means(seed: int, z: np.ndarray, new: np.ndarray) -> dict[str, float]:
        found = KMeans(k, n_init=10, random_state=seed).fit(z)
        return scored(found.labels_, found.predict(new))

    def neighbours(seed: int) -> dict[str, float]:
        ours[seed] = NeighbourClustering(k, random_state=seed).fit(a)
        return scored(ours[seed].labels_, ours[seed].predict(b))

    def scratch(seed: int) -> dict[str, float]:
        model = article.define_model(train.images.shape[1:], k, seed=seed)
        article.train(model, train, ours[seed].labels_, steps=ROUNDS * STEPS, seed=seed)
        return scored(*(classes(model, model, x) for x in (train, test)))

    def self_labelled(seed: int) -> dict[str, float]:
        found = selflabel.self_label(
            backbone,
            train,
            ours[seed].labels_,
            rounds=ROUNDS,
            steps=STEPS,
            learning_rate=rate,
            seed=seed,
        )
        return scored(found.labels, found.predict(test))

    def copies(seed: int) -> dict[str, float]:
        change = augmenter(data, seed, damage=False)
        views = features.extract_views(backbone, train, change)
        head = view_head(raw_a, views, k, random_state=seed)
        return scored(*(head.predict(z, verbose=0).argmax(1) for z in (raw_a, raw_b)))

    def probe(seed: int) -> dict[str, float]:
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        return scored(known, model.fit(raw_a, known).predict(raw_b))

    def tuned(seed: int) -> dict[str, float]:
        model = fine_tune(train, backbone, rate, seed)
        return scored(known, classes(model, backbone, test))

    runs = {
        "chance": (random_groups, 0),
        "pixels, k-means": (lambda seed: k_means(seed, pixel_a, pixel_b), 0),
        "frozen, k-means": (lambda seed: k_means(seed, a, b), 0),
        "frozen, ours": (neighbours, 0),
        "from scratch, on the groups of ours": (scratch, 0),
        "self-labelled": (self_labelled, 0),
        "frozen, changed copies": (copies, 0),
        "frozen, linear classifier": (probe, len(train)),
        "fine-tuned on all labels": (tuned, len(train)),
    }
    rows, trained = [], (scratch, self_labelled, tuned)
    for method, (run, labels) in runs.items():
        if untrained and run in trained:
            continue
        found = evaluation.repeat(run, seeds)
        mean, sd = found["mean"], found["sd"]
        about = {"data": data, "backbone": backbone.name, "method": method, "labels": labels}
        scores = {name: round(mean[name], 4) for name in ("accuracy", "nmi", "ari")}
        spread = {f"{name}_sd": round(sd[name], 4) for name in ("accuracy", "nmi", "ari")}
        counts = {"seeds": len(seeds), "n_train": len(train), "n_test": len(test)}
        rows.append(about | scores | spread | {"seconds": round(mean["seconds"], 2)} | counts)
        print(pd.DataFrame(rows[-1:]).to_string(index=False, header=len(rows) == 1), flush=True)
    smallest = np.bincount(known).min()
    curve = evaluation.label_efficiency(
        raw_a,
        train.answers,
        raw_b,
        test.answers,
        per_class=[n for n in PER_CLASS if n <= smallest],
        seeds=seeds,
    )
    print(curve.round(3).to_string(index=False), flush=True)
    curve = json.loads(curve.round(4).to_json(orient="records"))
    return rows, [{"data": data, "backbone": backbone.name, **row} for row in curve]


def main() -> None:
    """Measure each data set; print and record its rows."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="*", default=["digits"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--untrained", action="store_true", help="no row that trains a network")
    options = parser.parse_args()
    for data in options.data:
        found = table(data, range(options.seeds), options.untrained)
        files = {"article_table.json": "method", "label_efficiency.json": "per_class"}
        for rows, (file, key) in zip(found, files.items(), strict=True):
            path = RESULTS / file
            old = json.loads(path.read_text()) if path.exists() else []
            new = {(row["data"], row[key]) for row in rows}
            kept = [row for row in old if (row["data"], row[key]) not in new]
            ordered = sorted(kept + rows, key=lambda row: list(LIMITS).index(row["data"]))
            path.write_text(json.dumps(ordered, indent=1) + "\n")


if __name__ == "__main__":
    main()
