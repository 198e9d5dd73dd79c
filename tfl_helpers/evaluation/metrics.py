"""Open sealed answers, and score groups without a pairing: sizes, collapse, an upper view."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from scipy.stats import entropy
from sklearn.metrics.cluster import contingency_matrix

from tfl_helpers.datasets import SealedAnswers
from tfl_helpers.datasets.answers import _unseal

Answers = SealedAnswers | ArrayLike
UNKNOWN = -1  # among answers: this image has none; among predictions: a group never seen on train


class CollapseWarning(UserWarning):
    """Most images ended up in a few groups, or some groups are empty."""


def unseal(answers: Answers | None) -> np.ndarray:
    """Open sealed answers on purpose, to teach or to score; never to fit, tune or stop.

    `ImageSet.answers`, and plain class numbers, become int64 (n,), -1 where an image has no answer;
    `Scene.people` becomes int64 (n, 6).

    Examples
    --------
    >>> unseal(SealedAnswers([2, 0, -1]))
    array([ 2,  0, -1])
    """
    if answers is None:
        raise ValueError(
            "these images have no answers, so nothing can be scored: look at the groups with "
            "plots.group_gallery, or sort a few images into one folder per class"
        )
    sealed = isinstance(answers, SealedAnswers)
    return _unseal(answers) if sealed else whole_numbers(answers, "answers")


def whole_numbers(values: ArrayLike, what: str) -> np.ndarray:
    """Check that there is one whole number per image: int64 (n,)."""
    values = np.asarray(values)
    if values.ndim != 1 or (values.size and values.dtype.kind not in "iub"):
        raise ValueError(
            f"{what} must be whole numbers, one per image, but they are {values.dtype} of shape "
            f"{values.shape}: of probabilities take .argmax(axis=1) first"
        )
    return values.astype("int64")


def answered(answers: Answers, rows: ArrayLike, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Answers, and rows of an array named `what`, of the images that have an answer."""
    answers, rows = unseal(answers), np.asarray(rows)
    if len(answers) != len(rows):
        raise ValueError(
            f"{len(answers):,} answers but {len(rows):,} {what}: give both for the same images"
        )
    known = answers != UNKNOWN
    if not known.any():
        raise ValueError("no image has an answer, so nothing can be scored")
    return answers[known], rows[known]


def hungarian_accuracy(answers: Answers, groups: ArrayLike) -> float:
    """Compute the share of images that are right under the best one-to-one pairing.

    The pairing is found on the images it is counted on: an upper view; `score` is the honest one.
    Images whose answer is -1 are ignored.

    Examples
    --------
    >>> hungarian_accuracy([0, 0, 0, 1], [7, 7, 4, 4])
    0.75
    """
    answers, groups = answered(answers, whole_numbers(groups, "groups"), "groups")
    counts = contingency_matrix(groups, answers)
    return float(counts[linear_sum_assignment(counts, maximize=True)].sum() / len(answers))


def check_collapse(groups: ArrayLike, n_groups: int) -> str | None:
    """Say in words whether the images crowd into few groups (None: they do not).

    Alarm if a group is empty, or if the effective number of groups (the exponential of the entropy
    of their sizes) is less than 40 % of the way from 1 to `n_groups`: 4.6 of 10; for two groups, a
    split more lopsided than 90 to 10. Sizes that fall off like 1, 1/2, 1/3 … are no alarm (7.6).

    Examples
    --------
    >>> check_collapse([0, 0, 0, 0], 3)
    'possible collapse: 2 of 3 groups are empty, the effective number is 1.0, ...'
    """
    groups = whole_numbers(groups, "groups")
    if n_groups < 1 or not len(groups):
        raise ValueError(f"{len(groups)} images in {n_groups} groups: there is nothing to check")
    sizes = np.unique(groups, return_counts=True)[1]
    empty, effective = max(n_groups - len(sizes), 0), np.exp(entropy(sizes))
    if not empty and (n_groups == 1 or (effective - 1) / (n_groups - 1) >= 0.4):
        return None
    return (
        f"possible collapse: {empty} of {n_groups} groups are empty, the effective number is "
        f"{effective:.1f}, the largest holds {sizes.max() / len(groups):.0%} of the images. "
        "Look at their sizes (np.bincount) before you trust any score"
    )
