"""Exercises of notebook 02."""

from collections.abc import Callable

import numpy as np

from tfl_helpers.lessons.exercises.checks import checker, expect_close


@checker("02-a", "this is global average pooling: where a pattern was is gone, how much is kept.")
def _average_pooling(answer: Callable) -> None:
    maps = np.random.default_rng(0).normal(size=(2, 4, 5, 3))
    hint = "take the mean over height and width: axes 1 and 2"
    expect_close(answer(maps), maps.mean((1, 2)), hint)


@checker("02-b", "multiply, add, move on: the whole of a convolutional network is made of this.")
def _convolve(answer: Callable) -> None:
    rng = np.random.default_rng(0)
    image, kernel = rng.normal(size=(6, 5)), rng.normal(size=(3, 3))
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3))
    hint = "multiply each 3 x 3 window with the kernel as it is (no flipping) and add up"
    expect_close(answer(image, kernel), (windows * kernel).sum((2, 3)), hint)


@checker("02-c", "parameters depend on the kernel and the channels, not on the image's size.")
def _convolution_parameters(answer: Callable) -> None:
    hint = "side x side x channels in for each channel out, and one bias for each of them"
    for side, before, after in ((3, 3, 32), (5, 1, 8)):
        expect_close(answer(side, before, after), (side * side * before + 1) * after, hint)
