"""Exercises of notebook 06."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from tfl_helpers import clustering, evaluation
from tfl_helpers.lessons.exercises.checks import Mistakes, checker, is_close, letter, pair, shape


@checker("06-b")
def _report(answer: Callable) -> Mistakes:
    runs = pd.DataFrame(
        {"agreement": [0.7, 0.9, 0.4, 0.8], "accuracy": [0.95, 0.93, 0.60, 0.91]},
        index=["first", "second", "third", "fourth"],
    )
    name, accuracy = answer(runs.copy())
    yield "accurate", name == "first"
    yield "least", name == "third"
    yield "name", name not in runs.index, name
    yield "other_run", is_close(accuracy, 0.95)
    yield "mean", is_close(accuracy, runs.accuracy.mean(), runs.accuracy.median())
    yield "agreement", is_close(accuracy, 0.9)
    yield shape(accuracy, ())
    yield "other", not is_close(accuracy, runs.accuracy[name])
    changed = runs.assign(accuracy=[0.2, 0.1, 0.9, 0.95])
    yield "answers", not answer(changed)[0] == name == "second"


@checker("06-c")
def _more_groups(
    answer: tuple, train: Any, test: Any, z_train: np.ndarray, z_test: np.ndarray, seed: int
) -> Mistakes:
    yield "answers", train.answers is None
    yield from pair(answer)
    value, why = answer
    yield "share", not 0 <= value <= 1

    def accuracy(k: int) -> float:
        found = clustering.NeighbourClustering(k, random_state=seed).fit(z_train)
        groups = found.labels_, found.predict(z_test)
        scores = evaluation.score(train.answers, groups[0], test.answers, groups[1], n_groups=k)
        return scores["accuracy"]

    n_groups = len(train.class_names)
    few, many = accuracy(n_groups), accuracy(4 * n_groups)
    yield "setting", abs(value - few) < 0.002 < abs(few - many)
    yield "other", abs(value - many) >= 0.02
    yield from letter(why)


@checker("06-d")
def _calibration_error(answer: Callable) -> Mistakes:
    sure, right = np.array([0.62, 0.68, 0.91, 0.99, 0.95]), np.array([1, 1, 1, 1, 0], bool)
    unsure_part, sure_part = 0.35, 2.85 / 3 - 2 / 3  # one says too little, one too much
    got = answer(sure, right)
    yield "cancel", is_close(np.abs(got), abs(sure.mean() - right.mean()))
    yield "cancel", is_close(got, 2 / 5 * -unsure_part + 3 / 5 * sure_part)
    yield "by_part", is_close(got, (unsure_part + sure_part) / 2)
    yield "alone", is_close(got, np.abs(sure - right).mean())
    yield shape(got, ())
    yield "other", not is_close(got, 2 / 5 * unsure_part + 3 / 5 * sure_part)
    yield "last", not is_close(answer(np.ones(4), np.array([1, 1, 1, 0], bool)), 0.25)


@checker("06-e")
def _share_kept(answer: Callable) -> Mistakes:
    sure = np.array([0.8, 0.5, 1.0, 0.9, 0.6, 0.7])
    right = np.array([False, True, True, True, True, True])  # the third surest is the wrong one
    got = answer(sure, right, 1.0)
    yield "right", is_close(got, 5 / 6)
    yield "count", is_close(got, 2)
    yield "order", is_close(got, 0, 1 / 2)
    yield shape(got, ())
    yield "other", not is_close(got, 1 / 3)
    yield "early", not is_close(answer(sure, right, 0.8), 1.0)
    yield "none", not is_close(answer(sure, ~right, 0.9), 0.0)
