"""Exercises of notebook 09."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from tfl_helpers.lessons.exercises.checks import Mistakes, checker, is_close, letter, pair, shape


@checker("09-a")
def _cut(answer: Callable) -> Mistakes:
    got = [tuple(block) for block in answer(10, 4)]
    yield "pairs", not all(len(block) == 2 for block in got)
    yield "steps", got == [(0, 4), (4, 4), (8, 2)]
    seen = [i for start, stop in got for i in range(start, min(stop, 10))]
    yield "last", seen == list(range(8))
    yield "once", len(seen) > len(set(seen))
    yield "gap", len(seen) < 10
    yield "order", seen != list(range(10))
    yield "beyond", any(stop > 10 for _, stop in got)
    yield "size", len(got) != 3 or any(b - a > 4 for a, b in got)
    even = [tuple(block) for block in answer(8, 4)]
    yield "empty", any(start >= stop for start, stop in even)
    yield "other", even != [(0, 4), (4, 8)] or any(a[1] != b[0] for a, b in pairwise(got))


@checker("09-b")
def _put_together(answer: Callable) -> Mistakes:
    rows = np.arange(20.0).reshape(10, 2)
    starts = [4, 0, 8, 4]  # one is late, and one comes twice
    once = [(0, rows[:4]), (4, rows[4:8]), (8, rows[8:])]
    yield "list", not isinstance(answer(list(once)), np.ndarray)
    plain = answer([once[1], once[0], once[2]])
    yield "columns", np.ndim(plain) != 2
    yield "order", len(plain) == 10 and not is_close(plain, rows)
    got = answer([(start, rows[start : start + 4]) for start in starts])
    yield "twice", len(got) == 14
    yield "lost", len(got) < 10
    yield shape(got, (10, 2))
    large = np.arange(24.0).reshape(12, 2)  # as text 10 comes before 2
    many = answer([(start, large[start : start + 2]) for start in (10, 2, 0, 8, 4, 6)])
    yield "text", is_close(got, rows) and not is_close(many, large)
    equal = answer([(0, rows[:2]), (2, rows[:2])])
    yield "alike", len(equal) != 4
    yield "other", not is_close(got, rows)


@checker("09-d")
def _hurry(answer: tuple) -> Mistakes:
    yield from pair(answer)
    factor, reason = answer
    yield "tenfold", is_close(factor, 10)
    yield "tenth", is_close(factor, 0.1)
    yield "same", not 0.99 <= factor <= 1.01
    yield from letter(reason)
