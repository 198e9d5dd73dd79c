"""What self-labelling adds to clustering: the self-labelled rows of the scoreboard.

    TFL_DATA_DIR=... KERAS_HOME=... python benchmarks/selflabel.py [DATA ...] [--limit 5000]

Groups by `clustering.NeighbourClustering` on frozen features, then `selflabel.self_label`, with the
same seed. Fitted on train, pairing found on train, scored on test; answers only score. Writes a row
per data set into results/scoreboard.json (`ours, self-labelled`; seconds without the features
of the frozen backbone) and every run, before and after, into results/selflabel.json.

With --views: a small network learns groups from changed copies of neighbours instead
(`clustering.view_head`), on top of a backbone that stays frozen (`ours, changed copies`).
With --views --no-strokes the copies keep their strokes (`ours, copies without strokes`).
With --beside FILE both: two frozen networks side by side, the suggested one and that of a file in
KERAS_HOME (`ours, two networks`, and with changed copies, which both see, `ours, two networks,
changed copies`): one copy of each, none mirrored. What takes longest, features of copies, is kept
in --keep FOLDER: empty it when `augment` or a network has changed.
"""

import argparse
import json
import tempfile
import time
from itertools import product
from pathlib import Path

import layers
import scoreboard
from methods import peak_mb
from tfl_helpers import backbones, clustering, datasets, evaluation, features, selflabel
from tfl_helpers.augment import PenStrokes, augmenter
from tfl_helpers.clustering import NeighbourClustering

import keras
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import normalize

RUNS = Path(__file__).resolve().parents[1] / "tfl_helpers" / "results" / "selflabel.json"
PHOTOS = {"learning_rate": 1e-4, "from_layer": "block_14_expand", "steps": 48, "rounds": 2}
LONGER = {"from_layer": "block1_conv1", "steps": 256, "keep": (0.6, 0.9)}  # all of the network
SETTINGS = {"pedestrians": PHOTOS, "cifar10": PHOTOS | {"steps": 128}, "mnist": LONGER}
TUNED, VIEWED = "ours, self-labelled", "ours, changed copies"
TWO = "ours, two networks"
STEPS = {"mnist": 2_000}  # of the small network, where it is given all 60,000 images
VIEWS = {"cifar10": ["block_16_depthwise_relu", "block_16_project", "out_relu"]}


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
        about = {
            "data": name,
            "method": TUNED,
            "seed": seed,
            "n_train": len(train),
            "before": before["accuracy"],
        }
        verdicts = result.history.verdict.tolist()[1:]
        runs.append({**about, **after, "seconds": seconds, "verdicts": verdicts})
        print({key: runs[-1][key] for key in ("data", "seed", "before", "accuracy", "verdicts")})
    return _row(name, backbone.name, TUNED, runs, len(test))


def measure_views(
    name: str, limit: int | None, seeds: list[int], strokes: bool
) -> tuple[dict, list[dict]]:
    """As `measure`, with groups learned from changed copies; the backbone stays frozen."""
    train, test = scoreboard.load(name, limit)
    backbone, k = backbones.load(**backbones.suggested(name)), len(train.class_names)
    backbone = layers.side_by_side(backbone, VIEWS[name]) if name in VIEWS else backbone
    looks = backbones.MIRROR if name in scoreboard.MIRROR else None
    a, b = (features.extract(backbone, images, looks=looks) for images in (train, test))
    method, changes = VIEWED, augmenter(name, damage=False).layers
    if not strokes:
        method = "ours, copies without strokes"
        changes = [layer for layer in changes if not isinstance(layer, PenStrokes)]
    views = features.extract_views(backbone, train, keras.Sequential(changes))
    runs, settings = [], {"n_steps": STEPS[name]} if name in STEPS else {}
    for seed in seeds:
        start = time.perf_counter()
        head = clustering.view_head(a, views, k, random_state=seed, **settings)
        groups, new = (head.predict(z, batch_size=1000, verbose=0).argmax(1) for z in (a, b))
        seconds = time.perf_counter() - start
        score = evaluation.score(train.answers, groups, test.answers, new, n_groups=k)
        about = {"data": name, "method": method, "seed": seed, "n_train": len(train)}
        runs.append({**about, **score, "seconds": seconds})
        print({key: runs[-1][key] for key in ("data", "seed", "accuracy", "seconds")}, flush=True)
    return _row(name, backbone.name + ", mirrored" * (looks is not None), method, runs, len(test))


def measure_two(
    name: str, limit: int | None, seeds: list[int], beside: str, keep: Path
) -> list[tuple[dict, list[dict]]]:
    """As `measure_views`, with features of two networks, and before it their groups alone."""
    train, test = scoreboard.load(name, limit)
    small, k = backbones.load(**backbones.suggested(name)), len(train.class_names)
    other = backbones.load(str(datasets.keras_home() / beside))
    plain, parts = [small, other], [small, other]
    if name in VIEWS:
        parts[0] = layers.side_by_side(small, VIEWS[name])

    def extract(networks: list[keras.Model]) -> list[np.ndarray]:
        both = [[features.extract(one, images) for one in networks] for images in (train, test)]
        return [np.hstack([normalize(z) for z in found]) for found in both]

    views = _copies(parts, train, keep)[None]  # one copy of each: Lite0 at 224 takes long
    seen = {TWO: extract(plain), f"{TWO}, changed copies": extract(parts)}
    kinds = {method: [] for method in seen}
    for method, seed in product(kinds, seeds):
        start, (a, b) = time.perf_counter(), seen[method]
        if method == TWO:
            found = NeighbourClustering(k, random_state=seed).fit(a)
            groups, new = found.labels_, found.predict(b)
        else:
            head = clustering.view_head(a, views, k, random_state=seed)
            groups, new = (head.predict(z, batch_size=1000, verbose=0).argmax(1) for z in (a, b))
        seconds = time.perf_counter() - start
        score = evaluation.score(train.answers, groups, test.answers, new, n_groups=k)
        about = {"data": name, "method": method, "seed": seed, "n_train": len(train)}
        kinds[method].append({**about, **score, "seconds": seconds})
        print({**about, "accuracy": score["accuracy"], "seconds": seconds}, flush=True)
    titles = ("_and_".join(one.name for one in networks) for networks in (plain, parts))
    return [
        _row(name, title, method, runs, len(test))
        for title, (method, runs) in zip(titles, kinds.items(), strict=True)
    ]


def _copies(parts: list[keras.Model], train: datasets.ImageSet, keep: Path) -> np.ndarray:
    """Features of one changed copy of each image, the same copy for all networks; or those kept."""
    found = []
    for part in parts:
        file = keep / f"{train.name}_{part.name}_{len(train)}.npy"
        if not file.exists():
            changes = augmenter(train.name, damage=False)
            np.save(file, features.extract_views(part, train, changes, n_views=1)[0])
        found.append(normalize(np.load(file).astype("float32")))
    return np.hstack(found)


def _row(
    name: str, backbone: str, method: str, runs: list[dict], n_test: int
) -> tuple[dict, list[dict]]:
    table = pd.DataFrame(runs)
    row = {
        "data": name,
        "backbone": backbone,
        "method": method,
        "stage": "frozen" if method == TWO else "self-labelled",
        "accuracy_mean": round(table.accuracy.mean(), 4),
        "accuracy_sd": round(table.accuracy.std(), 4) if len(runs) > 1 else 0.0,
        "nmi_mean": round(table.nmi.mean(), 4),
        "ari_mean": round(table.ari.mean(), 4),
        "seeds": len(runs),
        "seconds": round(table.seconds.median(), 2),
        "peak_mb": round(peak_mb()),
        "n_train": int(table.n_train[0]),
        "n_test": n_test,
    }
    return row, table.round(4).to_dict("records")


def main() -> None:
    """Measure each data set; print and record."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="*", default=["digits"])
    parser.add_argument("--limit", type=int, default=5_000, help="training images at most")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--views", action="store_true", help="learn from views instead")
    parser.add_argument("--no-strokes", action="store_true", help="views without `PenStrokes`")
    parser.add_argument("--beside", metavar="FILE", help="a second network, in KERAS_HOME")
    parser.add_argument("--keep", type=Path, help="a folder for features of copies")
    options = parser.parse_args()
    for name in options.data:
        about = name, options.limit, list(range(options.seeds))
        if options.beside:
            with tempfile.TemporaryDirectory() as own:
                found = measure_two(*about, options.beside, options.keep or Path(own))
        elif options.views:
            found = [measure_views(*about, not options.no_strokes)]
        else:
            found = [measure(*about)]
        for row, runs in found:
            record(row, runs)


def record(row: dict, runs: list[dict]) -> None:
    """Print and record a row and its runs in place of those of the same method."""
    print(pd.DataFrame([row]).to_string(index=False), flush=True)
    scoreboard.record(row, scoreboard.FILE)
    kept = [
        old
        for old in scoreboard.read(RUNS)
        if [old["data"], old.get("method", TUNED)] != [row["data"], row["method"]]
    ]
    RUNS.write_text(json.dumps([*kept, *runs], indent=1) + "\n")


if __name__ == "__main__":
    main()
