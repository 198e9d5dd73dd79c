"""Exercises of notebook 06."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from tfl_helpers import clustering, evaluation
from tfl_helpers.lessons.exercises.bets import question
from tfl_helpers.lessons.exercises.checks import checker, expect, expect_close, is_close

question(
    "06-a",
    {
        "groups": "a group's one image may be an odd one, and then the whole group gets its name: "
        "where groups are mixed, that happens often.",
        "classifier": "it draws its borders from one image per class, while each group has been "
        "found from all images: how much does one odd image harm either?",
        "same": "both saw as many labels, but not as many images: the groups were found from all.",
    },
    "unlabelled images say where the borders are; the labels only have to name what is inside.",
)


@checker("06-b", "what may see the answers must not choose, and what chooses must not see them.")
def _report(answer: Callable) -> None:
    runs = pd.DataFrame(
        {"agreement": [0.7, 0.9, 0.4, 0.8], "accuracy": [0.95, 0.93, 0.60, 0.91]},
        index=["first", "second", "third", "fourth"],
    )
    name, accuracy = answer(runs.copy())
    expect(name != "first", "this run was chosen because the answers like it: who may not choose?")
    expect(name != "third", "this is the run whose neighbours agree least: which way is better?")
    expect(name in runs.index, f"{name!r} is no run: give back the name in the table's index")
    expect(not is_close(accuracy, 0.95), "the run that is reported is not the one that was chosen")
    found = runs.accuracy.mean(), runs.accuracy.median()
    expect(not any(is_close(accuracy, x) for x in found), "that sums up runs that nobody will use")
    expect(
        not is_close(accuracy, 0.9), "that is what it was chosen by: a reader asks what is right"
    )
    expect_close(accuracy, runs.accuracy[name], "report the accuracy of the run that was chosen")
    other = runs.assign(accuracy=[0.2, 0.1, 0.9, 0.95])
    hint = "with other answers another run is chosen: they still have a say in it"
    expect(answer(other)[0] == name == "second", hint)


@checker("06-c", "each name is read off the answers: with more groups, more of these are used.")
def _more_groups(
    answer: tuple, train: Any, test: Any, z_train: np.ndarray, z_test: np.ndarray, seed: int
) -> None:
    expect(train.answers is not None, "these images have no answers; try it with digits")
    n_groups = len(train.class_names)
    expect(isinstance(answer, tuple) and len(answer) == 2, "give an accuracy and a letter")
    value, why = answer

    def accuracy(k: int) -> float:
        found = clustering.NeighbourClustering(k, random_state=seed).fit(z_train)
        groups = found.labels_, found.predict(z_test)
        scores = evaluation.score(train.answers, groups[0], test.answers, groups[1], n_groups=k)
        return scores["accuracy"]

    expect(0 <= value <= 1, "accuracy is a share, from 0 to 1")
    few, many = accuracy(n_groups), accuracy(4 * n_groups)
    known = abs(value - few) < 0.002 < abs(few - many)
    expect(not known, "that is the accuracy with as many groups as classes: was the setting used?")
    expect(abs(value - many) < 0.02, "with four times as many groups, another accuracy comes out")
    expect(why in ("a", "b", "c"), "say why with one of the letters a, b, c")
    expect(why != "a", "then the ARI, which gives no group a name, would have risen too: did it?")
    expect(why != "c", "the names came from training images, as always: nothing leaked from test")


@checker("06-d", "0 is perfect; a method that is always sure has all its mistakes in it.")
def _calibration_error(answer: Callable) -> None:
    sure, right = np.array([0.62, 0.68, 0.91, 0.99, 0.95]), np.array([1, 1, 1, 1, 0], bool)
    got = answer(sure, right)
    wanted = 2 / 5 * 0.35 + 3 / 5 * (2.85 / 3 - 2 / 3)  # one part says too little, one too much
    hint = "what is said too little in one part may not make up for what is said too much elsewhere"
    expect(not is_close(np.abs(got), abs(sure.mean() - right.mean())), hint)
    expect(not is_close(got, 2 / 5 * -0.35 + 3 / 5 * (2.85 / 3 - 2 / 3)), hint)
    hint = "a part with few images counts as much as one with many here: should it?"
    expect(not is_close(got, (0.35 + 2.85 / 3 - 2 / 3) / 2), hint)
    hint = "the ten parts are there in vain if each image is compared alone: 0.9 sure is not wrong"
    expect(not is_close(got, np.abs(sure - right).mean()), hint)
    expect_close(got, wanted, "per part: mean confidence, share of right ones, share of all images")
    hint = "an image of confidence 1 lies in the last part, and must not be lost"
    expect_close(answer(np.ones(4), np.array([1, 1, 1, 0], bool)), 0.25, hint)


@checker("06-e", "a little human help where it is unsure buys a lot where it is sure.")
def _share_kept(answer: Callable) -> None:
    sure = np.array([0.8, 0.5, 1.0, 0.9, 0.6, 0.7])
    right = np.array([False, True, True, True, True, True])  # the third surest is the wrong one
    got = answer(sure, right, 1.0)
    expect(not is_close(got, 5 / 6), "that is the share of right ones: how many can be kept?")
    expect(not is_close(got, 2), "that counts images: asked is a share of all of them")
    hint = "the order matters: it is the surest that are kept, whatever their place in the list"
    expect(not is_close(got, 0) and not is_close(got, 1 / 2), hint)
    expect_close(got, 1 / 3, "the two surest are right, the third is not")
    hint = "among those kept it may fall below the target and rise again: do not stop too early"
    expect_close(answer(sure, right, 0.8), 1.0, hint)
    hint = "where even the surest is wrong, nothing can be kept"
    expect_close(answer(sure, ~right, 0.9), 0.0, hint)
