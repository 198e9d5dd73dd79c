"""Exercises of notebook 06."""

from collections.abc import Callable

import numpy as np
from sklearn.metrics import adjusted_rand_score

from tfl_helpers.lessons.exercises.checks import checker, expect_close


@checker("06-a", "stable groups may still be wrong ones: it is one score of three.")
def _stability(answer: Callable) -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(3, size=60)
    second, third = np.where(rng.random(60) < 0.8, (first + 1) % 3, 0), rng.integers(4, size=60)
    expect_close(answer([first, (first + 1) % 3]), 1, "the names of groups mean nothing: use ARI")
    pairs = [(first, second), (first, third), (second, third)]
    wanted = np.mean([adjusted_rand_score(*pair) for pair in pairs])
    expect_close(answer([first, second, third]), wanted, "take the mean over all three pairs")
    one = np.zeros(60, int)
    expect_close(answer([one, one]), 0, "two runs of one group agree, and should count 0")


@checker("06-b", "0 is perfect; a method that is always sure has all its mistakes in it.")
def _calibration_error(answer: Callable) -> None:
    hint = "weight each part by its share of the images; a confidence of 1 belongs in the last part"
    expect_close(answer(np.ones(4), np.array([1, 1, 1, 0], bool)), 0.25, hint)
    sure, right = np.array([0.62, 0.68, 0.91, 0.99, 0.95]), np.array([1, 1, 1, 1, 0], bool)
    wanted = 2 / 5 * 0.35 + 3 / 5 * (2.85 / 3 - 2 / 3)  # one part says too little, one too much
    expect_close(answer(sure, right), wanted, hint)


@checker("06-c", "a little human help where it is unsure buys a lot where it is sure.")
def _share_kept(answer: Callable) -> None:
    sure = np.array([0.5, 0.9, 0.8, 1.0, 0.6])
    right = np.array([True, True, False, True, True])  # the third surest image is the wrong one
    expect_close(answer(sure, right, 1.0), 0.4, "the two surest are right, the third is not")
    hint = "it may fall below the target and rise above it again: take the largest share"
    expect_close(answer(sure, right, 0.8), 1.0, hint)
    expect_close(answer(sure, ~right, 0.9), 0.0, "where even the surest is wrong, keep none")
