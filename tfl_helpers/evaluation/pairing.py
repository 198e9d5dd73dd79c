"""Which class each group stands for: found on training images, then applied to test images."""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import entropy
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from tfl_helpers.clustering import match
from tfl_helpers.evaluation.metrics import (
    UNKNOWN,
    Answers,
    CollapseWarning,
    answered,
    check_collapse,
    hungarian_accuracy,
    whole_numbers,
)


class Pairing:
    """Pair groups with classes on training images, and count on test images.

    One-to-one (Hungarian) as far as there are classes; with more groups than classes, each group
    left over takes the class most frequent in it. Images whose answer is -1 are ignored.

    Parameters
    ----------
    train_answers, train_groups : array of int, shape (n,)
        True class (sealed or not) and group of each training image.
    n_classes : int, optional
        Number of classes, where `train_answers` may not show all of 0 .. n_classes - 1. Then the
        pairing stays one-to-one for up to `n_classes` groups.

    Attributes
    ----------
    mapping : dict
        Group number to class number, for every group that holds an answered image.

    Examples
    --------
    >>> pairing = Pairing([0, 0, 1, 1], [5, 5, 3, 3])
    >>> pairing.mapping
    {3: 1, 5: 0}
    >>> pairing.predict([5, 3, 4])
    array([ 0,  1, -1])
    """

    def __init__(
        self, train_answers: Answers, train_groups: ArrayLike, n_classes: int | None = None
    ) -> None:
        self._groups = whole_numbers(train_groups, "train_groups")
        answers, groups = answered(train_answers, self._groups, "groups")
        counts = pd.crosstab(groups, answers)
        self._n_classes = counts.shape[1]
        if n_classes is not None:
            if answers.min() < 0 or answers.max() >= n_classes:
                raise ValueError(
                    f"answers run from {answers.min()} to {answers.max()}, which does not fit "
                    f"n_classes={n_classes}: they must be 0 .. n_classes - 1"
                )
            counts = counts.reindex(columns=range(n_classes), fill_value=0)
        classes = counts.columns[match(counts)].tolist()
        self.mapping: dict[int, int] = dict(zip(counts.index.tolist(), classes, strict=True))

    def predict(self, groups: ArrayLike) -> np.ndarray:
        """Name groups: int (m,), the class of each image; -1 in a group not seen on train."""
        groups = whole_numbers(groups, "groups").tolist()
        return np.array([self.mapping.get(group, UNKNOWN) for group in groups], int)

    def score(
        self, test_answers: Answers, test_groups: ArrayLike, n_groups: int | None = None
    ) -> dict[str, float]:
        """Score groups of test images: see the function `score`."""
        return self._score(test_answers, test_groups, n_groups)

    def confusion(
        self, test_answers: Answers, test_groups: ArrayLike, class_names: Sequence[str] = ()
    ) -> pd.DataFrame:
        """Count test images by true class (rows) and the class their group stands for (columns).

        A last column "no class" counts those in a group that no training image is in.
        """
        true, groups = answered(test_answers, whole_numbers(test_groups, "test_groups"), "groups")
        called = self.predict(groups)
        rows = sorted({*true, *called, *range(len(class_names))} - {UNKNOWN})
        columns = [*rows, UNKNOWN] if UNKNOWN in called else rows
        table = pd.crosstab(true, called).reindex(index=rows, columns=columns, fill_value=0)
        table.index = pd.Index(_names(rows, class_names), name="class")
        table.columns = pd.Index(_names(columns, class_names), name="group stands for")
        return table

    def reliability(
        self, test_answers: Answers, test_probabilities: ArrayLike, n_bins: int = 10
    ) -> pd.DataFrame:
        """Compare how sure a method was of test images with how often it was right.

        Parameters
        ----------
        test_answers : array of int, shape (m,)
            True classes, sealed or not.
        test_probabilities : array of float, shape (m, k)
            Share of each group 0 .. k - 1, rows sum to one. The largest is the confidence.
        n_bins : int
            Equal parts of 0..1; images are counted by their confidence.

        Returns
        -------
        pandas.DataFrame
            A row per part: `low`, `high`, `images`, `confidence` (mean), `right` (share).

        References
        ----------
        Niculescu-Mizil and Caruana (2005), Predicting good probabilities with supervised learning.
        """
        if n_bins < 1:
            raise ValueError(f"n_bins={n_bins} must be 1 or more")
        table = self._called(test_answers, test_probabilities)
        table["right"] = table.called == table.true
        part = np.minimum((table.confidence * n_bins).astype(int), n_bins - 1)
        means = table.groupby(part)[["confidence", "right"]].mean().reindex(range(n_bins))
        images, edges = np.bincount(part, minlength=n_bins), np.linspace(0, 1, n_bins + 1)
        bins = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "images": images})
        return bins.join(means)

    def mistakes(
        self, test_answers: Answers, test_probabilities: ArrayLike, class_names: Sequence[str] = ()
    ) -> pd.DataFrame:
        """List the test images that were called wrong, the most confident first.

        Takes what `reliability` takes; columns `image` (position among the test images), `true`,
        `called` ("no class" in a group that no training image is in), `confidence`.
        """
        table = self._called(test_answers, test_probabilities).query("true != called")
        table = table.sort_values("confidence", ascending=False, kind="stable", ignore_index=True)
        names = {column: _names(table[column], class_names) for column in ("true", "called")}
        return table.assign(**names)

    def _score(self, test_answers, test_groups, n_groups) -> dict[str, float]:
        """Score; a warning points two calls up, as both public ways lead here."""
        true, groups = answered(test_answers, whole_numbers(test_groups, "test_groups"), "groups")
        sizes = np.unique(self._groups, return_counts=True)[1]
        asked = n_groups or max(len(sizes), self._n_classes)
        if alarm := check_collapse(self._groups, asked, warn=False):
            warnings.warn(alarm, CollapseWarning, stacklevel=3)
        return {
            "accuracy": float(np.mean(self.predict(groups) == true)),
            "hungarian_test": hungarian_accuracy(true, groups),
            "nmi": float(normalized_mutual_info_score(true, groups)),
            "ari": float(adjusted_rand_score(true, groups)),
            "n_groups": len(sizes),
            "effective_groups": float(np.exp(entropy(sizes))),
            "smallest_group": int(sizes.min()),
        }

    def _called(self, test_answers, test_probabilities) -> pd.DataFrame:
        """Position, true class, predicted class and confidence of each answered image."""
        p = np.asarray(test_probabilities, "float64")
        if p.ndim != 2 or not len(p) or not (p >= 0).all() or np.abs(p.sum(1) - 1).max() > 1e-3:
            raise ValueError(
                f"test_probabilities of shape {p.shape} must be (images, groups), each row 0 or "
                "more and summing to one, without NaN: what predict_proba returns"
            )
        true, rows = answered(test_answers, np.arange(len(p)), "rows of probabilities")
        called, sure = self.predict(p[rows].argmax(1)), p[rows].max(1)
        return pd.DataFrame({"image": rows, "true": true, "called": called, "confidence": sure})


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
    train_answers, test_answers : array of int, shape (n,) and (m,)
        True classes, sealed or not; rows with -1 are ignored.
    train_groups, test_groups : array of int, shape (n,) and (m,)
        Group of each image. A test group that no training image is in counts as wrong.
    n_groups : int, optional
        How many groups were asked for, for `check_collapse`, which may warn. By default the number
        of groups or of classes in the training images, whichever is larger.

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
    return Pairing(train_answers, train_groups)._score(test_answers, test_groups, n_groups)


def _names(numbers: Sequence[int], class_names: Sequence[str]) -> list[str]:
    """Names of classes: the number where there is none, "no class" for UNKNOWN."""
    known = {UNKNOWN: "no class", **dict(enumerate(class_names))}
    return [known.get(int(number), str(number)) for number in numbers]
