"""Exercises of notebook 01."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tfl_helpers.lessons.exercises.checks import Mistakes, checker, is_close, letter, pair, shape


def _no_pair(result: Any) -> tuple:
    return "pair", not (isinstance(result, tuple) and len(result) == 2)


@checker("01-a")
def _split(answer: Callable) -> Mistakes:
    result = answer(100, 20, 0)
    yield _no_pair(result)
    train, test = (np.asarray(part) for part in result)
    yield "swapped", len(train) == 20 and len(test) == 80
    yield shape(test, (20,), "test")
    yield "seen", {*test.tolist()} <= {*train.tolist()}
    yield "twice", any(len({*part.tolist()}) < len(part) for part in (train, test))
    yield shape(train, (80,), "train")
    yield "everyone", {*train.tolist(), *test.tolist()} != set(range(100))
    first, last = np.arange(20), np.arange(80, 100)
    yield "one_end", any(np.array_equal(np.sort(test), end) for end in (first, last))
    yield "chance", not np.array_equal(answer(100, 20, 0)[1], test)
    yield "seed", np.array_equal(answer(100, 20, 1)[1], test)


@checker("01-b")
def _standardise(answer: Callable) -> Mistakes:
    rng = np.random.default_rng(0)
    train, test = rng.normal((0, 3, 50), (1, 4, 9), (60, 3)), rng.normal((9, 1, 80), 5, (20, 3))
    both = np.concatenate([train, test])

    def by(part: np.ndarray, ruler: np.ndarray) -> np.ndarray:
        return (part - ruler.mean(0)) / ruler.std(0)

    def is_by(one: np.ndarray, other: np.ndarray) -> bool:
        return is_close(result[0], by(train, one)) and is_close(result[1], by(test, other))

    result = answer(train.copy(), test.copy())
    yield _no_pair(result)
    yield shape(result[0], train.shape, "train")
    yield shape(result[1], test.shape, "test")
    yield "both", is_by(both, both)
    yield "own", is_by(train, test)
    yield "test", is_by(test, test)
    yield "swapped", is_by(test, train)
    yield "one_for_all", is_close(result[0], (train - train.mean()) / train.std())
    yield "spread", is_close(result[0], train - train.mean(0))
    yield "train", not is_close(result[0], by(train, train))
    yield "other", not is_close(result[1], by(test, train))


@checker("01-c")
def _there_and_back(answer: tuple) -> Mistakes:
    yield from pair(answer)
    off, reason = answer
    yield "negative", off < 0
    yield "setting", off >= 0.5
    yield from letter(reason)


@checker("01-e")
def _first_copies(answer: Callable) -> Mistakes:
    images = np.random.default_rng(0).integers(0, 256, (6, 3, 3, 1)).astype("uint8")
    images[4], images[5] = images[1], images[1]
    images[3] = images[2][::-1]  # the same values in other places
    result = answer(images.copy())
    yield shape(result, (6,))
    yield "yes_no", np.asarray(result).dtype == bool
    got = np.asarray(result).tolist()
    yield "all_new", got == list(range(6))
    yield "chain", got == [0, 1, 2, 3, 1, 4]
    yield "last", got == [0, 5, 2, 3, 5, 5]
    yield "places", got[3] != 3
    yield "own", got[:4] != [0, 1, 2, 3]
    yield "other", got != [0, 1, 2, 3, 1, 1]
