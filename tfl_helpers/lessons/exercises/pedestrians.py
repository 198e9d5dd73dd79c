"""Exercises of notebook 07."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tfl_helpers import clustering, evaluation, pedestrians
from tfl_helpers.lessons.exercises.checks import Mistakes, checker, is_close, letter, pair, shape


@checker("07-b")
def _recall_of_boxes(answer: Callable) -> Mistakes:
    shared = np.zeros((7, 4))
    shared[[0, 1, 2], 0] = 0.9, 0.7, 0.6  # three boxes for one person
    shared[3, 1] = 0.4  # beside somebody
    shared[4, 2] = 0.8
    shared[5, 3] = 0.9  # right, but unsure
    scores = np.array([2.0, 1.5, 1.2, 1.0, 0.9, -1.0, 0.3])
    got = answer(shared.copy(), scores.copy(), 0.5)
    yield shape(got, (), "recall")
    yield "negative", got < 0
    yield "count", is_close(got, 2)
    yield "precision", is_close(got, 4 / 5)
    yield "by_boxes", is_close(got, 2 / 5)
    yield "cut_off", is_close(got, 4 / 4)
    yield "thrice", is_close(got, 5 / 4)
    yield "beside", is_close(got, 3 / 4)
    yield "threshold", is_close(got, 1 / 2) and not is_close(answer(shared, scores, -2.0), 3 / 4)
    yield "other", not is_close(got, 1 / 2)
    yield "nobody", not is_close(answer(shared, scores, 9.0), 0)
    yield "enough", not is_close(answer(np.array([[0.5, 0.1]]), np.ones(1), 0.0), 1 / 2)


@checker("07-c")
def _eight_groups(
    answer: tuple,
    backbone: keras.Model,
    z: np.ndarray,
    raw: np.ndarray,
    raw_test: np.ndarray,
    test: Any,
    z_seen: np.ndarray,
    words: Sequence[str],
    seed: int,
) -> Mistakes:
    yield "seen", not len(words)
    yield from pair(answer)
    value, why = answer
    yield "share", not 0 <= value <= 1
    person = evaluation.unseal(test.answers) == 1

    def measure(n_groups: int) -> tuple[float, float]:
        model = clustering.NeighbourClustering(n_groups, random_state=seed).fit(z)
        names = pedestrians.name_groups(model, z, z_seen, words)
        wanted = [names[group] == "person" for group in model.labels_]
        head = pedestrians.classifier(backbone, raw, wanted).get_layer("log_odds")
        called = head(raw_test).numpy()[:, 0] > 0
        return np.mean(person[called]), np.mean(called[person])

    (precision, recall), (_, before) = measure(8), measure(12)
    if abs(value - recall) > 0.01:
        yield "precision", abs(value - precision) <= 0.002
        yield "setting", abs(value - before) <= 0.002
        yield "other", True
    yield from letter(why)


@checker("07-d")
def _non_maximum_suppression(answer: Callable) -> Mistakes:
    overlap = np.array([[1, 0.6, 0, 0.2], [0.6, 1, 0.5, 0], [0, 0.5, 1, 0], [0.2, 0, 0, 1]])
    scores = np.array([0.7, 0.9, 0.8, 0.1])
    got = answer(scores.copy(), overlap.copy(), 0.4)
    yield "list", np.ndim(got) != 1
    yield "yes_no", np.asarray(got).dtype == bool or (len(got) == 4 and set(got) <= {0, 1})
    got = list(got)
    yield "positions", not set(got) <= {0, 1, 2, 3}
    yield "surest", 1 not in got
    yield "overlaps", {0, 2} & set(got)
    yield "far", 3 not in got
    yield "once", got != [1, 3]
    got = list(answer(np.array([0.9, 0.8, 0.7, 0.1]), overlap, 0.4))
    yield "removed", 2 not in got
    yield "once", got != [0, 2, 3]
    yield "most", sorted(answer(scores, overlap, 0.5)) != [1, 2, 3]


@checker("07-e")
def _alarm_budget(answer: Callable) -> Mistakes:
    scores = np.random.default_rng(0).permutation(4000) / 10  # of many pictures, in no order
    for windows, alarms in ((500, 5), (1000, 2), (200, 8)):
        got = answer(scores.copy(), windows, alarms)
        yield shape(got, (), "the threshold")
        above, wanted = np.sum(scores > got), alarms / windows * len(scores)
        yield "share", is_close(got, alarms / windows, 1 - alarms / windows)
        yield "windows", abs(above - alarms) <= 1
        yield "below", abs(len(scores) - above - wanted) <= 1.5
        off = abs(above - wanted) >= 2
        ends = [int(wanted), int(alarms), -int(wanted), -int(alarms)]
        yield "order", off and got in scores[ends]
        yield "other", off, alarms, windows, wanted, len(scores), above
