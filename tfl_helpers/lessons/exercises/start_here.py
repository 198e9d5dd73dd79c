"""Exercises of notebook 00."""

from collections.abc import Callable

import numpy as np

from tfl_helpers.lessons.exercises.checks import checker, expect, expect_close, expect_shape


@checker("00-a", "well above an equal share means one group swallows others; here it doesn't.")
def _largest_share(answer: float, groups: np.ndarray) -> None:
    expect_shape(answer, (), "the share")
    expect(0 <= answer <= 1, "a share lies between 0 and 1: divide by the number of images")
    share = np.bincount(groups).max() / len(groups)
    expect_close(answer, share, "count the images of each group (np.bincount), take the largest")


@checker("00-b", "a prototype shows at a glance what a group is about.")
def _nearest_image(answer: Callable) -> None:
    z = np.random.default_rng(0).normal(size=(50, 4))
    for row in (7, 31):
        got = answer(z, z[row] + 0.001)
        expect_shape(got, (), "the position")
        expect(got == row, "take the row with the smallest distance: np.linalg.norm(..., axis=1)")


@checker("00-c", "a share of right ones; on images that were kept aside it is an honest number.")
def _accuracy(answer: Callable) -> None:
    expect_close(answer(np.array([1, 2, 3, 4]), np.array([1, 2, 0, 0])), 0.5, "count the agreeing")
    expect_close(answer(np.array([0, 0, 5]), np.array([0, 0, 5])), 1.0, "equal arrays give 1")
