"""Exercises of notebook 08."""

from collections.abc import Callable

from tfl_helpers.lessons.exercises.checks import checker, expect, expect_close


@checker("08-a", "a name costs one look per group, in place of one per image.")
def _name_groups(answer: Callable) -> None:
    got = answer(dict(a=1, b=1, c=1, d=2, e=3), dict(a="cat", b="dog", c="cat", d="dog"))
    expect(isinstance(got, dict), "return a dict: group to name")
    expect(3 not in got, "a group without an example gets no name")
    expect(got == {1: "cat", 2: "dog"}, "count the names in each group and take the most frequent")


@checker("08-b", "an example never votes on itself: that is what makes the estimate honest.")
def _left_out_share(answer: Callable) -> None:
    expect_close(answer([1, 1, 1], ["cat"] * 3), 1, "all three are named alike by the other two")
    expect_close(answer([1, 2], ["cat", "dog"]), 0, "where nobody else votes, nothing is proved")
    groups, names = [1, 1, 1, 1, 2, 2, 3], ["cat", "cat", "dog", "cat", "dog", "dog", "cow"]
    hint = "leave the example itself out of the vote, and compare with the most frequent name"
    expect_close(answer(groups, names), 5 / 7, hint)


@checker("08-c", "size and time of change are enough: nobody reads 100,000 files to see that.")
def _to_read(answer: Callable) -> None:
    known = {"b.png": (10, 1), "c.png": (10, 1), "gone.png": (5, 1)}
    now = {"c.png": (10, 2), "b.png": (10, 1), "a.png": (3, 3)}
    expect(list(answer(known, now)) == ["a.png", "c.png"], "new: a.png; changed: c.png; not gone")
