"""Exercises of notebook 00."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tfl_helpers.lessons.exercises.checks import Mistakes, checker, is_close, letter, pair, shape


@checker("00-a")
def _nearest_image(answer: Callable) -> Mistakes:
    z = np.random.default_rng(0).normal(size=(50, 4))
    for row in (7, 31):
        centre = z[row] + 0.001
        far = np.linalg.norm(z - centre, axis=1)
        got = answer(z.copy(), centre.copy())
        yield "features", is_close(got, z[row])
        yield "all", np.shape(got) == (50,)
        yield shape(got, (), "the position")
        yield "distance", is_close(got, far.min())
        yield "farthest", got == far.argmax()
        yield "cancel", got == (z - centre).sum(1).argmin()
        yield "product", got == (z @ centre).argmax() != row
        yield "single", got == np.abs(z - centre).argmin()
        yield "other", got != row, row


@checker("00-c")
def _accuracy(answer: Callable) -> Mistakes:
    true, said = np.array([1, 2, 3, 4, 4, 4, 1, 3]), np.array([1, 2, 4, 3, 4, 4, 1, 4])
    right = true == said
    got = answer(true.copy(), said.copy())
    yield "each", np.shape(got) == true.shape
    yield shape(got, (), "the share")
    yield "count", is_close(got, right.sum())
    yield "wrong", is_close(got, 1 - right.mean())
    yield "percent", is_close(got, 100 * right.mean())
    yield "by_class", is_close(got, np.mean([right[true == c].mean() for c in np.unique(true)]))
    surplus = [(true == c).sum() - (said == c).sum() for c in range(5)]
    in_any_order = 1 - np.abs(surplus).sum() / 2 / len(true)
    yield "order", is_close(got, np.isin(said, true).mean(), in_any_order)
    yield "other", not is_close(got, right.mean()), true, said
    yield "perfect", not is_close(answer(true, true.copy()), 1)


@checker("00-d")
def _share_right(answer: Callable) -> Mistakes:
    train_groups, test_groups = np.repeat([0, 1, 2], [5, 6, 9]), np.repeat([0, 1, 2], [3, 5, 3])
    train_true = np.array([5, 5, 5, 5, 7, 7, 7, 7, 7, 5, 5, 1, 1, 1, 1, 1, 1, 1, 1, 7])
    test_true = np.array([7, 7, 5, 5, 5, 5, 5, 7, 1, 1, 7])

    def named_by(groups: np.ndarray, true: np.ndarray) -> np.ndarray:
        return np.array([np.bincount(true[groups == g]).argmax() for g in range(3)])

    train_names, test_names = named_by(train_groups, train_true), named_by(test_groups, test_true)
    both = np.r_[train_groups, test_groups], np.r_[train_true, test_true]
    given = train_groups, train_true, test_groups, test_true
    got = answer(*(array.copy() for array in given))
    yield shape(got, (), "the share")
    right = train_names[test_groups] == test_true
    yield "themselves", is_close(got, (test_names[test_groups] == test_true).mean())
    yield "on_train", is_close(got, (train_names[train_groups] == train_true).mean())
    yield "both", is_close(got, (named_by(*both)[test_groups] == test_true).mean())
    yield "count", is_close(got, right.sum())
    yield "divided", is_close(got, right.sum() / len(train_true))
    yield "by_group", is_close(got, np.mean([right[test_groups == g].mean() for g in range(3)]))
    yield "other", not is_close(got, right.mean()), right.mean(), got


@checker("00-e")
def _fewer_groups(answer: tuple, train: Any) -> Mistakes:
    yield from pair(answer)
    share, reason = answer
    groups = max(len(train.class_names) // 2, 1)
    yield "share", not 0 <= share <= 1
    yield "many", share >= 0.7, groups
    yield "few", share <= 0.25, groups
    yield from letter(reason)
