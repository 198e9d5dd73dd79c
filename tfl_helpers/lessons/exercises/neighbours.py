"""Exercises of notebook 04."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.cluster import KMeans
from sklearn.datasets import make_moons
from sklearn.metrics import adjusted_rand_score

from tfl_helpers import clustering, evaluation
from tfl_helpers.lessons.exercises.checks import Mistakes, checker, is_close, letter, pair, shape


@checker("04-b")
def _groups_of_graph(answer: Callable) -> Mistakes:
    z, truth = make_moons(200, noise=0.05, random_state=0)
    got = answer(z.copy(), 2)
    yield shape(got, (200,), "the groups, one number for each row,")
    yield "one", len(np.unique(got)) == 1
    yield "number", len(np.unique(got)) != 2
    by_place = KMeans(2, n_init=10, random_state=0).fit_predict(z)
    yield "points", adjusted_rand_score(by_place, got) >= 0.9
    yield "mixed", adjusted_rand_score(truth, got) <= 0.5
    yield "nearly", adjusted_rand_score(truth, got) <= 0.95


@checker("04-c")
def _missed(
    answer: tuple, train: Any, test: Any, z_train: np.ndarray, z_test: np.ndarray, seed: int
) -> Mistakes:
    yield "answers", train.answers is None
    yield from pair(answer)
    value, why = answer
    yield "whole", not isinstance(value, int | np.integer), value
    model = clustering.NeighbourClustering(len(train.class_names), random_state=seed).fit(z_train)
    named = evaluation.Pairing(train.answers, model.labels_).predict(model.predict(z_test))
    wrong = named != evaluation.unseal(test.answers)
    strict, usual = model.unsure(z_test, share=0.05), model.unsure(z_test)
    if abs(value - wrong[~strict].sum()) > 1:
        yield "setting", value == wrong[~usual].sum()
        yield "wrong", value == wrong.sum()
        yield "named", value == wrong[strict].sum()
        yield "not_named", value == np.sum(~strict)
        yield "other", True
    yield from letter(why)


@checker("04-d")
def _vote(answer: Callable) -> Mistakes:
    distances = np.array([[0.1, 0.9, 1.2], [0.5, 0.5, 0.6], [0.0, 1.0, 2.0], [0.3, 1.5, 1.6]])
    groups, n = np.array([[0, 1, 1], [2, 0, 0], [1, 1, 1], [2, 0, 0]]), 4

    def votes(weights: np.ndarray) -> np.ndarray:
        return np.stack([(weights * (groups == g)).sum(1) for g in range(n)], axis=1)

    def shares(weights: np.ndarray, axis: int = 1) -> np.ndarray:
        return votes(weights) / np.maximum(votes(weights).sum(axis, keepdims=True), 1e-9)

    weights = np.exp(-(distances**2))
    wanted = shares(weights)
    got = np.asarray(answer(distances.copy(), groups.copy(), n))
    yield shape(got, (4, n), "the shares, a column for each group, also for one nobody votes for,")
    yield "even", is_close(got, shares(np.ones((4, 3))))
    yield "sign", is_close(got, shares(1 / weights))
    yield "sum", is_close(got, votes(weights))
    yield "among_images", is_close(got, shares(weights, axis=0))
    yield "softmax", is_close(got, softmax(votes(weights), axis=1))
    yield "square", is_close(got, shares(np.exp(-distances)))
    yield "winner", is_close(got, np.eye(n)[wanted.argmax(1)])
    yield "other", not is_close(got, wanted)


@checker("04-e")
def _suggest(answer: Callable) -> Mistakes:
    none = float("nan")
    curves = pd.DataFrame(
        {
            "k": [2, 3, 5, 8, 10, 11, 20, 25, 75],
            "eigengap": [0.26, 0.03, 0.02, 0.01, 0.05, 0.02, 0.01, 0.00, 0.00],
            "silhouette": [none, 0.45, 0.76, 0.35, 0.33, 0.67, 0.49, 0.40, 0.20],
            "walk": [none, 0.20, 0.25, 0.28, 0.26, 0.30, 0.41, 0.38, 0.33],
            "information": [0.10, 0.12, 0.14, 0.15, 0.16, 0.17, 0.18, 0.19, 0.20],
        }
    )
    got = answer(curves.copy())
    yield "one", np.shape(got) != ()
    yield "position", got in (3, 4)
    yield "k", got == 20
    yield "nan", got == 2
    yield "mean", got in (25, 26)
    yield "logarithms", got in (12, 12.5, 13)
    yield "mean_log", got == 11
    yield "other", not is_close(got, 10) or got != round(got)
