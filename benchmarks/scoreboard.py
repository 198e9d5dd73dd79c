"""Every way to group, side by side: same frozen features, same split, five seeds.

    TFL_DATA_DIR=... KERAS_HOME=... python benchmarks/scoreboard.py [DATA ...] [--limit 5000]
    python benchmarks/scoreboard.py cifar10 --backbone dinov2_small

Fitted on train, scored on test; labels only score. Writes results/scoreboard.json and, to be
read, scoreboard.md: a row is replaced when it is measured again (`--missing`: measured only if it
is not there), the others stay. With `--backbone` the rows go to a scoreboard of its own, such as
scoreboard_dinov2_small.json and .md. Methods that are too slow for five seeds get fewer:
`--methods TURTLE --seeds 1`.

The methods are in `methods.py`. All see features scaled to length one, but "k-means, raw" (as they
are), "standardised", "PCA-whitened" (as named), and SCAN, TEMI and TURTLE (standardised: on short
vectors they do not move). Ours has the scale that `choices.py` chose without labels (standardised
on CIFAR-10 and MNIST), CIFAR-10 its layer too, and features averaged over each photo and its
mirror image. Test images get their group as the method itself says it (k-means, GMM,
heads, ours), or, where it knows only the images it was fitted on, by the group most frequent among
the 15 nearest training images (Ward, spectral; in the layout that UMAP.transform gives for UMAP +
Ward). These two are fitted on at most 10,000 images drawn at random; the others follow by the same
vote.

Each row is made in a fresh process that gets the scaled features and nothing else. `seconds`: fit
and predict, the median of the seeds (what is compiled on the first call counts only where there is
one seed). `peak_mb`: the most memory that this process held, Python, libraries and features
included.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

from methods import METHODS
from tfl_helpers import backbones, datasets, evaluation, features

import numpy as np
import pandas as pd

FILE = Path(__file__).resolve().parents[1] / "tfl_helpers" / "results" / "scoreboard.json"
DATA = ["digits", "pedestrians", "mnist", "cifar10"]
# Where a set is measured otherwise than `suggested`: layer and scale of ours are what choices.py
# chose without labels. Mirrored features for photos that have no left and right.
LAYER, MIRROR = {"cifar10": "block_16_project"}, {"cifar10"}
SCALE = {"cifar10": "standard", "mnist": "standard"}


def load(name: str, limit: int | None) -> tuple[datasets.ImageSet, datasets.ImageSet]:
    """Load some training images and all test images: of 1,000, half a point would be luck."""
    train, _ = datasets.load(name, limit=limit, progress=False)
    return train, datasets.load(name, progress=False)[1]


def measure(label: str, raw: Sequence[np.ndarray], train, test, n_seeds: int) -> dict:
    """Means over the seeds; a collapse is shown by its score, not by a warning."""
    kind = SCALE.get(train.name, "l2") if label == "ours" else METHODS[label][1]
    k, scale = len(train.class_names), features.normaliser(kind).fit(raw[0])
    with tempfile.TemporaryDirectory() as folder:
        for split, z in zip(("train", "test"), raw, strict=True):
            np.save(Path(folder) / f"{split}.npy", scale.transform(z))
        script = Path(__file__).with_name("methods.py")
        job = [sys.executable, str(script), folder, label, str(k), str(n_seeds)]
        subprocess.run(job, check=True)
        with np.load(Path(folder) / "groups.npz") as stored:
            found = dict(stored)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", evaluation.CollapseWarning)
        table = pd.DataFrame(
            evaluation.score(train.answers, a, test.answers, b, n_groups=k)
            for a, b in zip(found["train"], found["test"], strict=True)
        )
    return {
        "accuracy_mean": round(table.accuracy.mean(), 4),
        "accuracy_sd": round(table.accuracy.std(), 4) if n_seeds > 1 else 0.0,
        "nmi_mean": round(table.nmi.mean(), 4),
        "ari_mean": round(table.ari.mean(), 4),
        "seeds": n_seeds,
        "seconds": round(float(np.median(found["seconds"])), 2),
        "peak_mb": round(float(found["peak_mb"])),
    }


def read(file: Path) -> list[dict]:
    """Rows that are there already."""
    return json.loads(file.read_text()) if file.exists() else []


def record(row: dict, file: Path) -> None:
    """Replace the row of the same data, stage and method, keep the others; write both files."""
    key = ("data", "stage", "method")
    kept = [old for old in read(file) if any(old[name] != row[name] for name in key)]
    file.write_text(json.dumps([*kept, row], indent=1) + "\n")
    file.with_suffix(".md").write_text(readable([*kept, row]))


def readable(rows: list[dict]) -> str:
    """Markdown: a table per data set, best accuracy first, ours in bold."""
    text = [
        "# Scoreboard",
        "",
        "Made by `benchmarks/scoreboard.py`, which says how; the same numbers are in"
        " `scoreboard.json`.",
        "Groups, and their pairing with classes, are found on train and scored on test: mean ± sd"
        " of the seeds. MB: the whole process.",
    ]
    for data, table in pd.DataFrame(rows).groupby("data", sort=False):
        names = "method, stage, accuracy, NMI, ARI, seeds, seconds, MB, train, test, features"
        cells = names.split(", ")
        text += ["", f"## {data}", "", f"| {' | '.join(cells)} |", "|---" * len(cells) + "|"]
        for row in table.sort_values("accuracy_mean", ascending=False).itertuples():
            spread = f" ± {row.accuracy_sd:.3f}" if row.seeds > 1 else ""
            cells = [
                f"**{row.method}**" if row.method.startswith("ours") else row.method,
                row.stage,
                f"{row.accuracy_mean:.3f}{spread}",
                f"{row.nmi_mean:.3f}",
                f"{row.ari_mean:.3f}",
                f"{row.seeds}",
                f"{row.seconds:,.1f}",
                f"{row.peak_mb:,.0f}",
                f"{row.n_train:,}",
                f"{row.n_test:,}",
                row.backbone,
            ]
            text.append(f"| {' | '.join(cells)} |")
    return "\n".join(text) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure each data set; print and record row by row."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="*", default=DATA)
    parser.add_argument("--limit", type=int, default=5_000, help="training images at most")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--missing", action="store_true", help="rows that are not there yet")
    parser.add_argument("--backbone", metavar="NAME", help="any that backbones.load takes")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    if options.out is None:
        own = options.backbone and re.sub(r"[^\w.-]+", "_", Path(options.backbone).name)
        options.out = FILE.with_stem(f"scoreboard_{own}") if own else FILE
    for name in options.data:
        train, test = load(name, options.limit)
        about = {"data": name, "stage": "frozen", "n_train": len(train)}
        there = [
            row["method"]
            for row in read(options.out)
            if options.missing and all(row[key] == about[key] for key in about)
        ]
        wanted = [label for label in options.methods if label not in there]
        if not wanted:
            continue
        suggested = {**backbones.suggested(name), "layer": LAYER.get(name)}
        backbone = backbones.load(**({"name": options.backbone} if options.backbone else suggested))
        looks = backbones.MIRROR if name in MIRROR else None
        raw = [features.extract(backbone, images, looks=looks) for images in (train, test)]
        title = backbone.name + ", mirrored" * (looks is not None)
        for label in wanted:
            row = {"data": name, "backbone": title, "method": label, "stage": "frozen"}
            row |= measure(label, raw, train, test, options.seeds)
            row |= {"n_train": len(train), "n_test": len(test)}
            record(row, options.out)
            print(pd.DataFrame([row]).to_string(index=False, header=label == wanted[0]), flush=True)


if __name__ == "__main__":
    main()
