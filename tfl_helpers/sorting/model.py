"""model.keras: raw RGB images to probabilities of the groups, without this package."""

from pathlib import Path
from typing import Any

import numpy as np

from tfl_helpers.datasets import write_whole
from tfl_helpers.sorting.corrections import MOST_FITTED
from tfl_helpers.sorting.grouping import Groups


def write_model(path: Path, backbone: Any, found: Groups, seed: int) -> None:
    """Train a head on a backbone that says what the grouping found, and save both as one."""
    from tfl_helpers import selflabel

    some = np.random.default_rng(seed).permutation(len(found.z))[:MOST_FITTED]
    with write_whole(path) as part:
        selflabel.classifier(backbone, found.z[some], found.p[some], seed=seed).save(part)
