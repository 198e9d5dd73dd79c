"""Exercises of notebook 03."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import entropy
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from tfl_helpers import evaluation, features
from tfl_helpers.lessons.exercises.bets import question
from tfl_helpers.lessons.exercises.checks import checker, expect, expect_close, is_close

question(
    "03-a",
    {
        "half": "fewer centres are farther from the images: what does one more centre do?",
        "classes": "the loss knows nothing of classes: what does one more centre do to distances?",
        "four times": "a start may have been unlucky: run the cell again with another seed",
    },
    "each centre more brings some image nearer, down to zero with a centre per image: this loss "
    "compares starts, never numbers of groups.",
)


@checker("03-b", "one class, one group: only then does a score stop rewarding more groups.")
def _accuracy(answer: Callable) -> None:
    # A row per group: the first two are mostly of one class, which only one of them can have.
    counts = np.array([[10, 0, 0], [9, 8, 0], [0, 3, 2], [1, 0, 6]])
    group, kind = np.nonzero(counts)
    old = np.repeat([group + 5, kind], counts[group, kind], axis=1)
    new = np.array([[5, 5, 6, 6, 7, 7, 7, 8, 8], [0, 0, 0, 1, 1, 1, 1, 2, 2]])  # groups, classes
    got = answer(*old, *new)
    expect(np.shape(got) == (), "one number is asked for, over all new images")
    hint = "there two groups carry one class: what happens if each image gets a group of its own?"
    expect(not is_close(got, 8 / 9), hint)
    expect(not is_close(got, 7 / 9), "the names come from the new images: what is then predicted?")
    expect(not is_close(got, 5 / 6), "what is in a group without a class is wrong, and counts")
    expect(not is_close(got, 0), "that matches each group with what it is not")
    expect_close(got, 5 / 9, "match on the old images, then count the new ones")
    groups, classes = np.repeat([[0, 0, 1], [0, 1, 0]], [10, 9, 8], axis=1)
    got = answer(groups, classes, groups, classes)
    hint = "taking the largest count first can block a better sum: a small loss there, a gain here"
    expect(not is_close(got, 10 / 27), hint)
    expect_close(got, 17 / 27, "two classes may want one group: which choice is best for both?")


@checker("03-c", "equal weight for all axes is a choice: here the leading ones held the groups.")
def _whitened(
    answer: tuple, train: Any, test: Any, raw_train: np.ndarray, raw_test: np.ndarray, seed: int
) -> None:
    expect(train.answers is not None, "these images have no answers; try it with digits")
    expect(isinstance(answer, tuple) and len(answer) == 2, "give an accuracy and a letter")
    value, why = answer
    expect(isinstance(value, float | np.floating), f"the accuracy is a number, not {value!r}")
    expect(0 <= value <= 1, "accuracy is a share, from 0 to 1")

    def accuracy(scale: Any) -> float:
        a, b = scale.fit_transform(raw_train), scale.transform(raw_test)
        found = KMeans(len(train.class_names), n_init=10, random_state=seed).fit(a)
        groups = found.labels_, found.predict(b)
        return evaluation.score(train.answers, groups[0], test.answers, groups[1])["accuracy"]

    unit, white = (accuracy(features.normaliser(kind)) for kind in ("l2", "pca-whiten"))
    known = abs(value - unit) < 0.002 < abs(unit - white)
    expect(not known, "that is the accuracy with length one: was the setting used for both parts?")
    expect(abs(value - white) < 0.02, "with whitened features, another accuracy comes out")
    expect(why in ("a", "b", "c"), "say why with one of the letters a, b, c")
    expect(why != "a", "they do: the length of a whitened vector is made one again, look at them")
    if why == "c":
        cut = accuracy(make_pipeline(Normalizer(), PCA(0.9, svd_solver="full"), Normalizer()))
        hint = f"with the same axes left out, but not whitened, it is {cut:.3f}: are they missed?"
        expect(False, hint)


@checker("03-d", "the scale from 0 to 1 is what makes tables of other sizes comparable.")
def _nmi(answer: Callable) -> None:
    table = np.array([[8, 1, 0], [2, 5, 0], [0, 0, 9], [0, 3, 4]])
    both, groups, classes = entropy(table.ravel()), entropy(table.sum(1)), entropy(table.sum(0))
    shared = groups + classes - both
    got = answer(table.copy())
    expect(not np.isnan(got).any(), "NaN: what is 0 times log 0, and which cells may be left out?")
    expect(not is_close(got, shared), "this grows with the number of groups: it must end at 1")
    expect(not is_close(got, shared / (groups + classes)), "a sum is no mean: 1 is never reached")
    others = max(groups, classes), min(groups, classes), np.sqrt(groups * classes)
    hint = "other means are in use too, with other numbers: here it is half of the sum"
    expect(not any(is_close(got, shared / other) for other in others), hint)
    hint = "that is what the two do NOT share: which entropies are added, which one taken off?"
    expect(not is_close(got, 2 * both / (groups + classes)), hint)
    hint = "entropy wants shares that add up to one: over which images, for groups, for both?"
    expect_close(got, 2 * shared / (groups + classes), hint)
    expect_close(answer(np.diag([5, 5, 2])), 1, "groups that are the classes get 1")


@checker("03-e", "the alarm that needs no label: near 1 means nearly everything is in one group.")
def _effective_groups(answer: Callable) -> None:
    groups, share = np.repeat([7, 1, 4], [5, 3, 2]), np.array([0.5, 0.3, 0.2])
    got = answer(groups.copy())
    expect(not is_close(got, 3), "that counts groups: one image alone would count as much as half")
    expect(not is_close(got, entropy(share)), "the entropy itself is no number of groups yet")
    hint = "two logarithms are in play: undo the one that you took"
    bits = entropy(share, base=2)
    expect(not is_close(got, np.exp(bits)) and not is_close(got, 2 ** entropy(share)), hint)
    expect(not is_close(got, 1 / (share**2).sum()), "a cousin (Simpson's), but no entropy is in it")
    expect(not is_close(got, np.exp(-entropy(share))), "it must be 1 or more: look at the sign")
    hint = "entropy is about shares of images, not about the numbers that groups are called by"
    expect_close(got, np.exp(entropy(share)), hint)
    hint = "all in one group should give 1, whatever that group is called"
    expect_close(answer(np.full(9, 3)), 1, hint)
    expect_close(answer(np.repeat([0, 1, 2, 3], 25)), 4, "four equal groups should give 4")
