"""Scores of groups: paired with classes on train, counted on test.

`metrics` opens sealed answers, which nothing else in the package does, and scores what needs no
pairing; `pairing` holds which class each group stands for; `comparisons` makes tables of results.
"""

from tfl_helpers.evaluation.comparisons import (
    comparison,
    label_efficiency,
    regret,
    repeat,
)
from tfl_helpers.evaluation.metrics import (
    CollapseWarning,
    check_collapse,
    hungarian_accuracy,
    unseal,
)
from tfl_helpers.evaluation.pairing import Pairing, score
