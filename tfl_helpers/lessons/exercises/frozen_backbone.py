"""Exercises of notebook 02."""

from collections.abc import Callable

import numpy as np

from tfl_helpers.lessons.exercises.checks import Mistakes, checker, is_close, letter, pair, shape


@checker("02-b")
def _convolve(answer: Callable) -> Mistakes:
    rng = np.random.default_rng(0)
    image, kernel = rng.normal(size=(7, 5)), rng.normal(size=(3, 3))
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3))
    wanted = (windows * kernel).sum((2, 3))
    got = answer(image.copy(), kernel.copy())
    yield "as_large", np.shape(got) == image.shape
    yield "too_few", np.shape(got) == (4, 2)
    yield "swapped", np.shape(got) == wanted.shape[::-1]
    yield shape(got, wanted.shape, "the map")
    yield "turned", is_close(got, (windows * kernel[::-1, ::-1]).sum((2, 3)))
    yield "side", is_close(got, (windows * kernel.T).sum((2, 3)))
    yield "mean", is_close(got, wanted / 9)
    yield "pixels", is_close(got, windows.sum((2, 3)))
    yield "other", not is_close(got, wanted)


@checker("02-c")
def _convolution_parameters(answer: Callable) -> Mistakes:
    for side, before, after in ((5, 2, 8), (3, 4, 32)):
        window = side * side * before
        wanted = (window + 1) * after
        got = answer(side, before, after)
        yield shape(got, ())
        for mistake, number in {
            "no_bias": window * after,
            "grey": (side * side + 1) * after,
            "one_bias": window * after + 1,
            "bias_each": (window + before) * after,
            "flat": (side * before + 1) * after,
            "one_filter": window + 1,
        }.items():
            yield mistake, got == number != wanted
        yield "other", not is_close(got, wanted)


@checker("02-d")
def _neighbour_agreement(answer: Callable) -> Mistakes:
    rng = np.random.default_rng(0)
    z, groups = rng.normal(size=(60, 3)), rng.integers(3, size=60)
    order = np.argsort(np.linalg.norm(z[:, None] - z, axis=2), axis=1)  # itself first
    same = groups[order] == groups[:, None]

    def share(first: int, last: int) -> float:
        return np.mean(same[:, first:last])

    four = answer(z.copy(), groups.copy(), 4)
    yield "each", np.shape(four) != ()
    yield "itself", is_close(four, share(0, 4))
    yield "five", is_close(four, share(0, 5))
    yield "three", is_close(four, share(1, 4))
    yield "taken_off", is_close(four, share(0, 4) - 1 / 4)
    votes = same[:, 1:5].mean(axis=1)
    yield "majority", is_close(four, np.mean(votes > 0.5), np.mean(votes >= 0.5))
    yield "other", not is_close(four, share(1, 5))
    yield "fixed", not is_close(answer(z.copy(), groups.copy(), 1), share(1, 2))


@checker("02-e")
def _pooling(answer: tuple) -> Mistakes:
    yield from pair(answer)
    share, reason = answer
    yield "share", not 0 <= share <= 1
    yield "mean", share <= 0.55
    yield "deeper", share >= 0.85
    yield from letter(reason)
