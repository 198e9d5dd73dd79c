"""Which class each group stands for: found on training images, then applied to test images."""

import warnings

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import entropy
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from tfl_helpers.clustering import match
from tfl_helpers.evaluation import metrics
from tfl_helpers.evaluation.metrics import UNKNOWN, Answers, answered, whole_numbers


class Pairing:
    """Pair groups with classes on training images, and count on test images.

    One-to-one (Hungarian) as far as there are classes; with more groups than classes, each group
    left over takes the class most frequent in it. Images whose answer is -1 are ignored. The
    attribute `mapping` is a dict from group to class.

    Parameters
    ----------
    train_answers, train_groups : array of int, shape (n,)
        True class (sealed or not) and group of each training image.

    Examples
    --------
    >>> pairing = Pairing([0, 0, 1, 1], [5, 5, 3, 3])
    >>> pairing.mapping, pairing.predict([5, 3, 4])
    ({3: 1, 5: 0}, array([ 0,  1, -1]))
    """

    def __init__(self, train_answers: Answers, train_groups: ArrayLike) -> None:
        groups = whole_numbers(train_groups, "train_groups")
        answers, groups = answered(train_answers, groups, "groups")
        counts = pd.crosstab(groups, answers)
        classes = counts.columns[match(counts)].tolist()
        self.mapping: dict[int, int] = dict(zip(counts.index.tolist(), classes, strict=True))

    def predict(self, groups: ArrayLike) -> np.ndarray:
        """Name groups: int (m,), the class of each image; -1 in a group not seen on train."""
        groups = whole_numbers(groups, "groups").tolist()
        return np.array([self.mapping.get(group, UNKNOWN) for group in groups], int)


def score(
    train_answers: Answers,
    train_groups: ArrayLike,
    test_answers: Answers,
    test_groups: ArrayLike,
    *,
    n_groups: int | None = None,
) -> dict[str, float]:
    """Score groups on test images, with the `Pairing` found on training images.

    Parameters
    ----------
    train_answers, train_groups, test_answers, test_groups : array of int, shape (n,) or (m,)
        True class (sealed or not, -1 is ignored) and group of each image. Test images in a group
        that no training image is in are wrong.
    n_groups : int, optional
        How many `check_collapse` expects; by default as many as train has groups or classes.

    Returns
    -------
    dict
        `accuracy`: pairing from train, counted on test. `hungarian_test`: pairing found on test
        itself, an upper view. `nmi` (arithmetic mean) and `ari`: on test, no pairing needed.
        `n_groups`, `effective_groups` (exp of entropy) and `smallest_group` (images): of train.

    Examples
    --------
    >>> score([0, 0, 1, 1], [1, 1, 0, 0], [0, 1, 1], [1, 1, 0])["accuracy"]
    0.666...
    """
    pairing = Pairing(train_answers, train_groups)
    true, groups = answered(test_answers, whole_numbers(test_groups, "test_groups"), "groups")
    sizes = np.unique(train_groups, return_counts=True)[1]
    n_classes = len(np.unique(answered(train_answers, train_groups, "groups")[0]))
    asked = n_groups or max(len(sizes), n_classes)
    if alarm := metrics.check_collapse(train_groups, asked):
        warnings.warn(alarm, metrics.CollapseWarning, stacklevel=2)
    return {
        "accuracy": float(np.mean(pairing.predict(groups) == true)),
        "hungarian_test": metrics.hungarian_accuracy(true, groups),
        "nmi": float(normalized_mutual_info_score(true, groups)),
        "ari": float(adjusted_rand_score(true, groups)),
        "n_groups": len(sizes),
        "effective_groups": float(np.exp(entropy(sizes))),
        "smallest_group": int(sizes.min()),
    }
