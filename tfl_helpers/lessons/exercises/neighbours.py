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
from tfl_helpers.lessons.exercises.bets import question
from tfl_helpers.lessons.exercises.checks import (
    checker,
    expect,
    expect_close,
    expect_shape,
    is_close,
)

question(
    "04-a",
    {
        "longer": "more groups are a finer map: is it known for longer, or forgotten sooner?",
        "same": "more directions must be left, of the same graph: what do steps do to them?",
        "shorter": "directions fade with every step, so more of them are left early: look whether "
        "the graph has fallen apart",
    },
    "each step fades some directions; who wants to keep more of them stops earlier.",
)


@checker("04-b", "what is large for the graph is small for the Laplacian: walks keep those.")
def _groups_of_graph(answer: Callable) -> None:
    z, truth = make_moons(200, noise=0.05, random_state=0)
    got = answer(z.copy(), 2)
    expect_shape(got, (200,), "the groups, one number for each row,")
    expect(len(np.unique(got)) > 1, "all rows are in one group: on what was k-means run?")
    expect(len(np.unique(got)) == 2, "two groups were asked for, others came out")
    by_place = KMeans(2, n_init=10, random_state=0).fit_predict(z)
    hint = "that is what k-means finds in the points themselves: where do the vectors come in?"
    expect(adjusted_rand_score(by_place, got) < 0.9, hint)
    hint = "the moons are mixed: one minus a large eigenvalue is what? Which ones does a walk keep?"
    expect(adjusted_rand_score(truth, got) > 0.5, hint)
    hint = "nearly: as section 1 does, leave each row's length out of it, and take enough vectors"
    expect(adjusted_rand_score(truth, got) > 0.95, hint)


@checker("04-c", "votes name what lies between groups; on an island of mistakes all agree.")
def _missed(
    answer: tuple, train: Any, test: Any, z_train: np.ndarray, z_test: np.ndarray, seed: int
) -> None:
    expect(train.answers is not None, "these images have no answers; try it with digits")
    expect(isinstance(answer, tuple) and len(answer) == 2, "give a number of images and a letter")
    value, why = answer
    expect(isinstance(value, int | np.integer), f"count images: a whole number, not {value!r}")
    model = clustering.NeighbourClustering(len(train.class_names), random_state=seed).fit(z_train)
    named = evaluation.Pairing(train.answers, model.labels_).predict(model.predict(z_test))
    wrong = named != evaluation.unseal(test.answers)
    strict, usual = model.unsure(z_test, share=0.05), model.unsure(z_test)
    wanted = int(wrong[~strict].sum())
    if abs(value - wanted) > 1:
        hint = "that is with the usual share: was the setting used?"
        expect(value != wrong[~usual].sum(), hint)
        expect(value != wrong.sum(), "these are all mistakes: some of them are named")
        expect(value != wrong[strict].sum(), "these are named: how many wrong images are not?")
        expect(value != np.sum(~strict), "these are all that it does not name; which are wrong?")
        expect(False, "count the images that are wrong, and not named with a share of 0.05")
    expect(why in ("a", "b", "c"), "say why with one of the letters a, b, c")
    expect(why != "a", "look at their share of votes: how much higher could a bar be?")
    expect(why != "c", "then nearly all of that group would be wrong: is one group that bad?")


@checker("04-d", "near images say more than far ones, and an even vote is seen to be even.")
def _vote(answer: Callable) -> None:
    distances = np.array([[0.1, 0.9, 1.2], [0.5, 0.5, 0.6], [0.0, 1.0, 2.0], [0.3, 1.5, 1.6]])
    groups, n = np.array([[0, 1, 1], [2, 0, 0], [1, 1, 1], [2, 0, 0]]), 4

    def shares(weights: np.ndarray, axis: int | None = 1) -> np.ndarray:
        votes = np.stack([(weights * (groups == g)).sum(1) for g in range(n)], axis=1)
        return votes if axis is None else votes / np.maximum(votes.sum(axis, keepdims=True), 1e-9)

    weights = np.exp(-(distances**2))
    got = np.asarray(answer(distances.copy(), groups.copy(), n))
    expect_shape(got, (4, n), "the shares, a column for each group, also for one nobody votes for,")
    expect(not is_close(got, shares(np.ones((4, 3)))), "a far neighbour counts like a near one")
    expect(not is_close(got, shares(1 / weights)), "the farther, the louder: look at the sign")
    expect(not is_close(got, shares(weights, None)), "shares of one image's vote add up to one")
    expect(not is_close(got, shares(weights, 0)), "that divides among images, but each has a vote")
    expect(not is_close(got, softmax(shares(weights, None), axis=1)), "one exponential is enough")
    expect(not is_close(got, shares(np.exp(-distances))), "the weight falls with d squared")
    wanted = shares(weights)
    expect(not is_close(got, np.eye(n)[wanted.argmax(1)]), "the winner is not all: keep the shares")
    expect_close(got, wanted, "add up the weights of the neighbours in each group, for each image")


@checker(
    "04-e", "one rule that errs, however far, moves a median of unlike rules by a step at most."
)
def _suggest(answer: Callable) -> None:
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
    expect(np.shape(got) == (), "one number of groups is asked for")
    expect(got not in (3, 4), "that is a position in the table: which number of groups is there?")
    expect(got != 20, "`k` is no curve: it would have a vote, always for the largest number")
    expect(got != 2, "a NaN is no peak: pandas passes over it, NumPy's argmax does not")
    expect(got not in (25, 26), "a mean follows the rule that errs the farthest: take the median")
    hint = "from 5 to 10 is a step like from 10 to 20: take the median of logarithms"
    expect(got not in (12, 12.5, 13), hint)
    expect(got != 11, "that is a mean on the right scale: it follows the rule that errs farthest")
    expect(is_close(got, 10) and got == round(got), "peaks, their logarithms, the median, back")
