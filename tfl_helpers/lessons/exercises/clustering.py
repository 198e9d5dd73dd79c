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
from tfl_helpers.lessons.exercises.checks import Mistakes, checker, is_close, letter, pair, shape


@checker("03-b")
def _accuracy(answer: Callable) -> Mistakes:
    # A row per group: the first two are mostly of one class, which only one of them can have.
    counts = np.array([[10, 0, 0], [9, 8, 0], [0, 3, 2], [1, 0, 6]])
    group, kind = np.nonzero(counts)
    old = np.repeat([group + 5, kind], counts[group, kind], axis=1)
    new = np.array([[5, 5, 6, 6, 7, 7, 7, 8, 8], [0, 0, 0, 1, 1, 1, 1, 2, 2]])  # groups, classes
    got = answer(*old, *new)
    yield "one", np.shape(got) != ()
    yield "two_groups", is_close(got, 8 / 9)
    yield "new", is_close(got, 7 / 9)
    yield "left_out", is_close(got, 5 / 6)
    yield "least", is_close(got, 0)
    yield "other", not is_close(got, 5 / 9)
    groups, classes = np.repeat([[0, 0, 1], [0, 1, 0]], [10, 9, 8], axis=1)
    got = answer(groups, classes, groups, classes)
    yield "greedy", is_close(got, 10 / 27)
    yield "best", not is_close(got, 17 / 27)


@checker("03-c")
def _whitened(
    answer: tuple, train: Any, test: Any, raw_train: np.ndarray, raw_test: np.ndarray, seed: int
) -> Mistakes:
    yield "answers", train.answers is None
    yield from pair(answer)
    value, why = answer
    yield "share", not 0 <= value <= 1

    def accuracy(scale: Any) -> float:
        a, b = scale.fit_transform(raw_train), scale.transform(raw_test)
        found = KMeans(len(train.class_names), n_init=10, random_state=seed).fit(a)
        groups = found.labels_, found.predict(b)
        return evaluation.score(train.answers, groups[0], test.answers, groups[1])["accuracy"]

    unit, white = (accuracy(features.normaliser(kind)) for kind in ("l2", "pca-whiten"))
    yield "setting", abs(value - unit) < 0.002 < abs(unit - white)
    yield "other", abs(value - white) >= 0.02
    if str(why).lower() == "c":
        cut = make_pipeline(Normalizer(), PCA(0.9, svd_solver="full"), Normalizer())
        yield "c", True, accuracy(cut)
    yield from letter(why)


@checker("03-d")
def _nmi(answer: Callable) -> Mistakes:
    table = np.array([[8, 1, 0], [2, 5, 0], [0, 0, 9], [0, 3, 4]])
    both, groups, classes = entropy(table.ravel()), entropy(table.sum(1)), entropy(table.sum(0))
    shared = groups + classes - both
    got = answer(table.copy())
    yield "nan", np.isnan(got).any()
    yield "grows", is_close(got, shared)
    yield "sum", is_close(got, shared / (groups + classes))
    others = max(groups, classes), min(groups, classes), np.sqrt(groups * classes)
    yield "means", is_close(got, *(shared / other for other in others))
    yield "not_shared", is_close(got, 2 * both / (groups + classes))
    yield shape(got, ())
    yield "shares", not is_close(got, 2 * shared / (groups + classes))
    yield "same", not is_close(answer(np.diag([5, 5, 2])), 1)


@checker("03-e")
def _effective_groups(answer: Callable) -> Mistakes:
    groups, share = np.repeat([7, 1, 4], [5, 3, 2]), np.array([0.5, 0.3, 0.2])
    nats, bits = entropy(share), entropy(share, base=2)
    got = answer(groups.copy())
    yield "count", is_close(got, 3)
    yield "entropy", is_close(got, nats)
    yield "logarithms", is_close(got, np.exp(bits), 2**nats)
    yield "simpson", is_close(got, 1 / (share**2).sum())
    yield "sign", is_close(got, np.exp(-nats))
    yield shape(got, ())
    yield "other", not is_close(got, np.exp(nats))
    yield "one", not is_close(answer(np.full(9, 3)), 1)
    yield "four", not is_close(answer(np.repeat([0, 1, 2, 3], 25)), 4)
