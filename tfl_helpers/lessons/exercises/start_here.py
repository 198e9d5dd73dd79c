"""Exercises of notebook 00."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tfl_helpers.lessons.exercises.bets import question
from tfl_helpers.lessons.exercises.checks import checker, expect, expect_shape, is_close


@checker("00-a", "a prototype shows at a glance what a group is about.")
def _nearest_image(answer: Callable) -> None:
    z = np.random.default_rng(0).normal(size=(50, 4))
    for row in (7, 31):
        centre = z[row] + 0.001
        far = np.linalg.norm(z - centre, axis=1)
        got = answer(z.copy(), centre.copy())
        hint = "these are the features of an image: which image is it, the first, the second, ...?"
        expect(not is_close(got, z[row]), hint)
        hint = "you have one number per image; only one image is asked for"
        expect(np.shape(got) != (50,), hint)
        expect_shape(got, (), "the position")
        expect(not is_close(got, far.min()), "this is how far away it is, not where it stands")
        expect(got != far.argmax(), "this is the image that is farthest away")
        hint = "differences up and down cancel each other: when is a distance zero?"
        expect(got != (z - centre).sum(1).argmin(), hint)
        hint = "large features win, however far they are: a product is no distance"
        expect(got == row or got != (z @ centre).argmax(), hint)
        hint = "a position counts images; yours counts single features"
        expect(got != np.abs(z - centre).argmin(), hint)
        expect(got == row, f"it should be {row} when the centre is next to image {row}")


question(
    "00-b",
    {
        "same": "that holds for k-means on pixels, where each pixel is a number like any other; "
        "but does the network not care which pixels lie side by side?",
        "between": "you expect that something of the shapes is left; but strokes and curves are "
        "all that it learned to see, and there are none any more",
        "below": "this network made use of pixels wherever they lie, or pixels alone were no good",
    },
    "the network knows strokes and curves: what lies next to what. Without them it is worse than "
    "no network; so transfer needs images that have something in common with what was learned.",
)


@checker("00-c", "a share of right ones; on images that were kept aside it is an honest number.")
def _accuracy(answer: Callable) -> None:
    true, said = np.array([1, 2, 3, 4, 4, 4, 1, 3]), np.array([1, 2, 4, 3, 4, 4, 1, 4])
    right = true == said
    got = answer(true.copy(), said.copy())
    hint = "you say for each image whether it is right; what share of them is that?"
    expect(np.shape(got) != true.shape, hint)
    expect_shape(got, (), "the share")
    expect(not is_close(got, right.sum()), "this is how many are right, not which share of all")
    expect(not is_close(got, 1 - right.mean()), "this is the share of wrong ones")
    expect(not is_close(got, 100 * right.mean()), "a share goes from 0 to 1, not to 100")
    by_class = np.mean([right[true == c].mean() for c in np.unique(true)])
    hint = "each class counts the same here; each image should, whatever its class"
    expect(not is_close(got, by_class), hint)
    same = [(true == c).sum() - (said == c).sum() for c in range(5)]
    in_any_order = 1 - np.abs(same).sum() / 2 / len(true)
    hint = "the same classes somewhere are not enough: image by image, is the answer right?"
    expect(not is_close(got, np.isin(said, true).mean()), hint)
    expect(not is_close(got, in_any_order), hint)
    expect(is_close(got, right.mean()), f"of {true} against {said}, five of eight are right")
    expect(is_close(answer(true, true.copy()), 1), "where all agree, the share is 1")


@checker("00-d", "what names the groups must not be what counts: else noise looks like knowledge.")
def _share_right(answer: Callable) -> None:
    train_groups, test_groups = np.repeat([0, 1, 2], [5, 6, 9]), np.repeat([0, 1, 2], [3, 5, 3])
    train_true = np.array([5, 5, 5, 5, 7, 7, 7, 7, 7, 5, 5, 1, 1, 1, 1, 1, 1, 1, 1, 7])
    test_true = np.array([7, 7, 5, 5, 5, 5, 5, 7, 1, 1, 7])

    def named_by(groups: np.ndarray, true: np.ndarray) -> np.ndarray:
        return np.array([np.bincount(true[groups == g]).argmax() for g in range(3)])

    train_names, test_names = named_by(train_groups, train_true), named_by(test_groups, test_true)
    both = np.r_[train_groups, test_groups], np.r_[train_true, test_true]
    given = train_groups, train_true, test_groups, test_true
    got = answer(*(array.copy() for array in given))
    expect_shape(got, (), "the share")
    right = train_names[test_groups] == test_true
    hint = "still too good: the images that are counted have named their groups themselves"
    expect(not is_close(got, (test_names[test_groups] == test_true).mean()), hint)
    hint = "the names are right now, but count how they do on images that did not choose them"
    expect(not is_close(got, (train_names[train_groups] == train_true).mean()), hint)
    hint = "test images still have a vote on the names, beside the train images"
    expect(not is_close(got, (named_by(*both)[test_groups] == test_true).mean()), hint)
    expect(not is_close(got, right.sum()), "this is how many are right, not which share")
    hint = "you divide by the number of train images, but count test images"
    expect(not is_close(got, right.sum() / len(train_true)), hint)
    hint = "here each group counts the same; each image should"
    each = np.mean([right[test_groups == g].mean() for g in range(3)])
    expect(not is_close(got, each), hint)
    expect(is_close(got, right.mean()), f"on a small example it is {right.mean()}, not {got}")


@checker("00-e", "a group stands for one class: the number of groups caps what can be right.")
def _fewer_groups(answer: tuple, train: Any) -> None:
    expect(isinstance(answer, tuple) and len(answer) == 2, "give two things: the share, the letter")
    share, reason = answer
    expect(isinstance(share, int | float | np.number), f"the share is a number, not {share!r}")
    expect(0 <= share <= 1, "the share goes from 0 to 1: 0.5, not 50")
    groups = max(len(train.class_names) // 2, 1)
    hint = f"with {groups} groups so many cannot be right: did the jump-in cell run again?"
    expect(share < 0.7, hint)
    expect(share > 0.25, f"so few are right with fewer groups still: is `N_GROUPS` {groups}?")
    reasons = {
        "a": "look at the rows of section 2 again: do they hold bits of everything, or a few whole "
        "classes each? k-means sees the shapes as it did before",
        "c": "chance changes with the number of groups, but nothing here is drawn by chance",
    }
    letter = str(reason).lower()
    expect(letter not in reasons, reasons.get(letter, ""))
    expect(letter == "b", f"the reason is one letter, a, b or c, not {reason!r}")
