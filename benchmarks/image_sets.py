"""Sets of images for `doubt.py` and `skew.py`: features of a frozen backbone, and what is right.

`draw` gives one by name and seed. Classes are drawn anew with each seed, so are 500 images of each,
and the images of what is too large; what has neither is the same each time.
"""

import os
from functools import cache
from pathlib import Path

from tfl_helpers import backbones, datasets, evaluation, features

import numpy as np

BALANCED = (  # what `draw` understands: a source, and how many classes of it
    "digits",
    "mnist",
    "cifar10",
    "pedestrians",
    "cifar10, 3",
    "cifar10, 5",
    "photos64, 10",
    "photos64, 20",
)
SKEWED = ("digits, skewed", "cifar10, 5 skewed")
MOST = 5_000  # images of one set
SHARES = np.array([1, 0.5, 0.2, 0.06, 0.02])  # of the five skewed classes; ten classes go 1 to 0.1


@cache
def source(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, d) and classes (n,) of all that a source has, in no particular order."""
    if name == "photos64":
        root = Path(os.environ["TFL_DATA_DIR"]) / name
        images = datasets.FolderImages(root, datasets.list_files(root))
        y = np.unique([file.split("/")[0] for file in images.files], return_inverse=True)[1]
        return features.extract(backbones.load("MobileNetV2", size=160), images), y
    train, test = datasets.load(name, progress=False)
    backbone, parts = backbones.load(**backbones.suggested(name)), [test]
    if name == "digits":  # all there are
        parts = [train, test]
    z = np.concatenate([features.extract(backbone, part) for part in parts])
    return z, np.concatenate([evaluation.unseal(part.answers) for part in parts])


def draw(name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, d) and classes (n,), numbered from 0, of a set by its name."""
    origin, _, kind = name.partition(", ")
    (z, y), rng = source(origin), np.random.default_rng(seed)
    classes = rng.permutation(y.max() + 1)
    if kind[:1].isdigit():
        classes = classes[: int(kind.split()[0])]
    sizes = np.array([np.sum(y == c) for c in classes])
    if kind.isdigit():
        sizes = sizes.clip(max=500)
    if kind.endswith("skewed"):
        shares = SHARES if len(classes) == 5 else np.geomspace(1, 0.1, len(classes))
        sizes = np.rint(sizes.min() * shares).astype(int)
    rows = [
        rng.permutation(np.flatnonzero(y == c))[:n] for c, n in zip(classes, sizes, strict=True)
    ]
    rows = rng.permutation(np.concatenate(rows))[:MOST]
    return z[rows], np.unique(y[rows], return_inverse=True)[1]
