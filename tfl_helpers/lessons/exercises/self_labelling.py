"""Exercises of notebook 05."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tfl_helpers.lessons.exercises.bets import question
from tfl_helpers.lessons.exercises.checks import checker, expect, expect_shape, is_close


@checker("05-a", "each group gives its surest, so that none runs empty, however unsure it is.")
def _surest(answer: Callable) -> None:
    labels = np.array([1, 0, 1, 0, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1])
    sure = np.array([0.4, 0.8, 0.1, 0.9, 0.7, 0.3, 0.6, 0.2, 0.15, 0.25, 0.35, 0.45, 0.5, 0.05])

    def by_group(top: float, sign: int = 1) -> np.ndarray:
        keep = np.zeros(len(labels), bool)
        for group in (0, 1):
            inside = np.flatnonzero(labels == group)
            keep[inside[np.argsort(-sign * sure[inside])[: round(top * len(inside))]]] = True
        return keep

    got = answer(labels.copy(), sure.copy(), 0.5)
    expect_shape(got, labels.shape)
    got = np.asarray(got)
    expect(got.dtype == bool, f"say True or False for each image, not {got.dtype}")
    hint = "one bar for all images: look which group it leaves with hardly anything"
    expect(not is_close(got, sure >= np.median(sure)), hint)
    hint = "you compare with a fixed number; how unsure a group is differs from group to group"
    expect(not any(is_close(got, sure >= bar) for bar in (0.5, 0.501)), hint)
    expect(not is_close(got, by_group(0.5, -1)), "these are the least sure of each group")
    hint = "as many from each group: but groups differ in size, and a share is asked for"
    expect(not (got[labels == 0].sum() == got[labels == 1].sum() > 0), hint)
    expect(is_close(got, by_group(0.5)), "with top=0.5, keep the surer half of every group")
    got = np.asarray(answer(labels.copy(), sure.copy(), 0.25))
    hint = "with top=0.25 you keep three quarters: which side of the bar is the `top` share?"
    expect(got[labels == 0].sum() != 3, hint)
    wanted = got[labels == 0].sum() == 1 and got[labels == 1].sum() in (2, 3)
    expect(wanted, "top=0.25 should keep a quarter of each group")
    expect(np.all(got <= by_group(0.5)), "a smaller share should be a part of the larger one")


@checker("05-b", "only neighbours that training could not move may judge what training did.")
def _undo(answer: Callable) -> None:
    partner = np.arange(8).reshape(4, 2)[:, ::-1].reshape(8, 1)  # 0 with 1, 2 with 3, ...
    crossed = np.array([2, 3, 0, 1, 6, 7, 4, 5])[:, None]
    whole = np.array([0, 0, 1, 1, 0, 0, 1, 1])
    torn, mended = np.array([0, 1, 0, 1, 0, 1, 0, 1]), np.array([0, 0, 1, 1, 0, 1, 1, 1])

    def judge(*given: np.ndarray) -> bool:
        got = answer(*(array.copy() for array in given))
        expect(np.shape(got) == (), "one verdict for the round, not one for each image")
        expect(isinstance(got, bool | np.bool_), f"say True or False, not {got!r}")
        return bool(got)

    hint = "a round that changed no label is undone, though nothing got worse: what is a fall?"
    expect(not judge(whole, whole, partner, partner), hint)
    hint = (
        "a round that mended a label is undone: there are good changes too, so compare how well "
        "labels fit the neighbours, before and after"
    )
    expect(not judge(mended, whole, partner, partner), hint)
    hint = (
        "a round that learned nonsense gets through: its network was bent until neighbours agreed. "
        "Which of the two sets of neighbours has training not touched?"
    )
    expect(judge(whole, torn, partner, crossed), hint)
    expect(judge(whole, mended, partner, partner), "a small fall is a fall too: one label of eight")


@checker("05-c", "the labels are the same; what the old weights save is the time to learn to see.")
def _budget(answer: tuple, few: int) -> None:
    expect(len(answer) == 2, "give two things: the gap, and the letter of the reason")
    gap, reason = answer
    expect(isinstance(gap, float | np.floating), f"the gap is a number, not {gap!r}")
    expect(-1 <= gap <= 1, "the gap is a difference of two shares: 0.5, not 50")
    expect(gap > 0, "subtract the fresh network's share from the pretrained one's")
    hint = f"so small a gap comes from many batches: is `BUDGET` {few}, and did both train anew?"
    expect(gap > 0.1, hint)
    reasons: dict[Any, str] = {
        "a": "the labels are from the frozen network in any case: no budget changes them",
        "c": "both networks have the same layers, and so the same number of weights",
    }
    letter = str(reason).lower()
    expect(letter not in reasons, reasons.get(letter, ""))
    expect(letter == "b", f"the reason is one letter, a, b or c, not {reason!r}")


question(
    "05-d",
    {
        "below": "mistakes would have to teach more than right labels do; but they point in "
        "all directions, and there are fewer of them",
        "same": "you expect it to copy each label; but a straight border cannot follow single "
        "images, and mistakes that have nothing in common cancel",
        "above": "the mistakes did have a pattern, or there were too few images to cancel them",
    },
    "mistakes without a pattern cancel: a student can be better than its teacher's labels. "
    "Mistakes with a pattern are learned like anything else.",
)
