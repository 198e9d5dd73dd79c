"""Exercises of notebook 03."""

from collections.abc import Callable

import numpy as np
from scipy.stats import entropy

from tfl_helpers.lessons.exercises.checks import checker, expect, expect_close, expect_shape


@checker("03-a", "length one, so k-means compares directions and a zero row does no harm.")
def _l2_normalise(answer: Callable) -> None:
    z = np.random.default_rng(0).normal(size=(5, 3)) * [[1], [10], [0.1], [3], [0]]
    with np.errstate(invalid="ignore", divide="ignore"):
        got = answer(z.copy())
    expect_shape(got, z.shape)
    expect(not np.isnan(got).any(), "a row of zeros became NaN: do not divide by a length of 0")
    lengths = np.linalg.norm(got, axis=1)
    expect_close(lengths, [1, 1, 1, 1, 0], "divide each row by its own length (axis=1)")
    expect_close((got * z).sum(1), np.linalg.norm(z, axis=1), "keep the direction of each row")


@checker("03-b", "assigning to the nearest centre is half of k-means; the other half is the mean.")
def _assign(answer: Callable) -> None:
    rng = np.random.default_rng(0)
    z, centres = rng.normal(size=(40, 3)), rng.normal(size=(5, 3))
    nearest = np.linalg.norm(z[:, None] - centres, axis=2).argmin(1)
    expect_close(answer(z, centres), nearest, "take the nearest centre for each row of z")


@checker("03-c", "the alarm that needs no label: near 1 means nearly everything is in one group.")
def _effective_groups(answer: Callable) -> None:
    hint = "exp of the entropy: np.exp(-(share * np.log(share)).sum())"
    expect_close(answer(np.repeat([0, 1, 2, 3], 25)), 4, f"four equal groups give 4; {hint}")
    expect_close(answer(np.zeros(9, int)), 1, "all in one group gives 1")
    wanted = np.exp(entropy([0.5, 0.3, 0.2]))
    expect_close(answer(np.repeat([7, 1, 4], [5, 3, 2])), wanted, hint)
