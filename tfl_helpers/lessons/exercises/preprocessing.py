"""Exercises of notebook 01."""

from collections.abc import Callable

import numpy as np

from tfl_helpers.lessons.exercises.checks import checker, expect, expect_close, expect_shape


@checker("01-a", "one scaling, in one place; done twice it would turn every image black.")
def _to_minus_one_to_one(answer: Callable) -> None:
    got = answer(np.array([[0, 51, 255]], "uint8"))
    expect(np.asarray(got).dtype == np.float32, "the result should be float32: .astype('float32')")
    expect_close(got, [[-1, -0.6, 1]], "0 becomes -1 and 255 becomes 1: divide by half of 255")


@checker("01-b", "three equal channels are still grey, but a photo network now takes them.")
def _grey_to_rgb(answer: Callable) -> None:
    images = np.arange(2 * 4 * 5, dtype="uint8").reshape(2, 4, 5, 1)
    got = answer(images)
    expect_close(got, images + np.zeros((1, 1, 1, 3)), "each channel is a copy of the grey one")
    expect(np.asarray(got).dtype == np.uint8, "the type should stay uint8")


@checker("01-c", "nobody is in both parts, and everybody gets the same split.")
def _split(answer: Callable) -> None:
    result = answer(100, 20, 0)
    expect(isinstance(result, tuple) and len(result) == 2, "return two arrays: train, test")
    train, test = (np.asarray(part) for part in result)
    expect_shape(test, (20,), "test")
    expect_shape(train, (80,), "train")
    everyone = {*train.tolist(), *test.tolist()}
    expect(everyone == set(range(100)), "every position belongs in exactly one part")
    expect(np.array_equal(answer(100, 20, 0)[1], test), "the same seed should give the same split")
    expect(not np.array_equal(answer(100, 20, 1)[1], test), "another seed, another split")
    expect(not np.array_equal(np.sort(test), np.arange(20)), "draw at random, not the first ones")


@checker("01-d", "a dictionary finds exact copies in one pass; near ones need a perceptual hash.")
def _first_copies(answer: Callable) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 3, 3, 1)).astype("uint8")
    images[4], images[5] = images[1], images[1]
    got = list(answer(images))
    expect_shape(got, (6,))
    hint = "give each image the position of the first one equal to it, else its own"
    expect(got == [0, 1, 2, 3, 1, 1], hint)
