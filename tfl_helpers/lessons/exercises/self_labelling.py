"""Exercises of notebook 05."""

from collections.abc import Callable

import numpy as np

from tfl_helpers.lessons.exercises.checks import Mistakes, checker, is_close, letter, pair, shape


@checker("05-a")
def _surest(answer: Callable) -> Mistakes:
    labels = np.array([1, 0, 1, 0, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1])
    sure = np.array([0.4, 0.8, 0.1, 0.9, 0.7, 0.3, 0.6, 0.2, 0.15, 0.25, 0.35, 0.45, 0.5, 0.05])

    def half_of_each(order: np.ndarray) -> np.ndarray:
        keep = np.zeros(len(labels), bool)
        for group in (0, 1):
            inside = order[labels[order] == group]
            keep[inside[: len(inside) // 2]] = True
        return keep

    surer = half_of_each(np.argsort(-sure))
    got = answer(labels.copy(), sure.copy(), 0.5)
    yield shape(got, labels.shape)
    got = np.asarray(got)
    yield "yes_no", got.dtype != bool, got.dtype
    yield "one_bar", is_close(got, sure >= np.median(sure))
    yield "fixed", is_close(got, sure >= 0.5, sure >= 0.501)
    yield "least", is_close(got, half_of_each(np.argsort(sure)))
    yield "as_many", got[labels == 0].sum() == got[labels == 1].sum() > 0
    yield "half", not is_close(got, surer)
    got = np.asarray(answer(labels.copy(), sure.copy(), 0.25))
    few, many = got[labels == 0].sum(), got[labels == 1].sum()
    yield "other_side", few == 3
    yield "quarter", few != 1 or many not in (2, 3)
    yield "inside", np.any(got > surer)


@checker("05-b")
def _undo(answer: Callable) -> Mistakes:
    partner = np.arange(8).reshape(4, 2)[:, ::-1].reshape(8, 1)  # 0 with 1, 2 with 3, ...
    crossed = np.array([2, 3, 0, 1, 6, 7, 4, 5])[:, None]
    whole = np.array([0, 0, 1, 1, 0, 0, 1, 1])
    torn, mended = np.array([0, 1, 0, 1, 0, 1, 0, 1]), np.array([0, 0, 1, 1, 0, 1, 1, 1])
    for mistake, before, after, trained, undo in (
        ("unchanged", whole, whole, partner, False),
        ("mended", mended, whole, partner, False),
        ("bent", whole, torn, crossed, True),
        ("small", whole, mended, partner, True),
    ):
        got = answer(before.copy(), after.copy(), partner.copy(), trained.copy())
        yield "each", np.shape(got) != ()
        yield "yes_no", not isinstance(got, bool | np.bool_), got
        yield mistake, got != undo


@checker("05-c")
def _budget(answer: tuple, few: int) -> Mistakes:
    yield from pair(answer)
    gap, reason = answer
    yield "share", not -1 <= gap <= 1
    yield "sign", gap <= 0
    yield "small", gap <= 0.1, few
    yield from letter(reason)
