"""Exercises of notebook 08."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tfl_helpers.lessons.exercises.bets import question
from tfl_helpers.lessons.exercises.checks import checker, expect, is_close


@checker("08-a", "a name costs one look per group, in place of one per image.")
def _name_groups(answer: Callable) -> None:
    shown = {1: ["dog", "ant", "cat", "eel", "cat", "bee"], 2: ["cow"] * 4, 3: ["yak"]}
    examples = {f"{g}{i}.png": name for g, names in shown.items() for i, name in enumerate(names)}
    groups = {"z.png": 4} | {file: int(file[0]) for file in examples}
    got = answer(dict(groups), dict(examples))
    hint = "give a dict that leads from a group to its name"
    expect(isinstance(got, dict), hint)
    hint = "your dict leads from files to names; a file in group 4 shows what a group's name is for"
    expect(not set(got) & set(examples), hint)
    expect(not set(got) & {"cat", "cow"}, "your dict leads from names to groups: turn it round")
    hint = "nobody has given an example of group 4: what could its name be worth?"
    expect(4 not in got, hint)
    missing = sorted({1, 2, 3} - set(got))
    expect(not missing, f"group {missing and missing[0]} has an example, but gets no name")
    hint = "a name is text, and nothing else: no list, no count"
    expect(all(isinstance(name, str) for name in got.values()), hint)
    named = {
        "bee": "the last example of a group wins: is a later file a better witness?",
        "dog": "the first example of a group wins, and all others have no say",
        "ant": "the alphabet decides: what if the examples in one group disagree?",
        "eel": "the alphabet decides: what if the examples in one group disagree?",
        "cow": "one name is frequent in the whole folder; but who asks about the whole folder?",
    }
    expect(got[1] not in named, named.get(got[1], ""))
    expect(got == {1: "cat", 2: "cow", 3: "yak"}, "go through the examples of group 1 by hand")


@checker("08-b", "an example never votes on itself: that is what makes the estimate honest.")
def _left_out_share(answer: Callable) -> None:
    def share(*given: list) -> Any:
        got = answer(*given)
        expect(np.shape(got) == (), "one share for all examples")
        return got

    three = share([1, 1, 1], ["cat"] * 3)
    expect(not is_close(three, 3), "that is how many are right; which share of all is it?")
    expect(is_close(three, 1), "three of a kind in one group are all right")
    groups, names = [1, 1, 1, 1, 2, 2, 3], ["cat", "cat", "dog", "cat", "dog", "dog", "cow"]
    got, alone = share(groups, names), share([1, 2], ["cat", "dog"])
    hint = (
        "one example in each group, and all is proved? Go through your code for such a group: who "
        "has spoken for it?"
    )
    expect(not is_close(alone, 1), hint)
    hint = (
        "an example that stands alone is left out of the count; then whoever has one example in "
        "each group has no mistake"
    )
    expect(not is_close(got, 5 / 6) and not np.isnan(alone), hint)
    expect(is_close(alone, 0), "where nobody else has spoken, nothing is proved")
    hint = "you ask the examples of other groups too; what do they know of this one?"
    expect(not is_close(got, 0), hint)
    hint = "you ask for all others to agree; a vote is enough"
    expect(not is_close(got, 2 / 7), hint)
    expect(is_close(got, 5 / 7), "go through group 1 example by example: what do the others say?")


@checker("08-c", "size and time of change are enough: nobody reads 100,000 files to see that.")
def _to_read(answer: Callable) -> None:
    known = {"b.png": (10, 1), "c.png": (10, 1), "d.png": (10, 1), "e.png": (10, 5)}
    now = {"e.png": (10, 3), "d.png": (12, 1), "c.png": (10, 2), "b.png": (10, 1), "a.png": (3, 3)}
    got = answer(known | {"gone.png": (5, 1)}, dict(now))
    expect(not isinstance(got, str | dict), "give a list of names")
    got = list(got)
    expect(all(isinstance(name, str) for name in got), "give names alone, without size and time")
    expect("gone.png" not in got, "gone.png is there no more: what would you read?")
    expect("a.png" in got, "a.png was not known, and nobody has looked at it yet")
    expect("b.png" not in got, "b.png is as it was; with 100,000 such files that would take long")
    hint = "c.png has the size that it had, but was written anew: a picture may have been turned"
    expect("c.png" in got, hint)
    hint = "d.png has its old time (some copy programs keep it), but another size"
    expect("d.png" in got, hint)
    hint = "e.png is older than the one you know: somebody put a backup in its place"
    expect("e.png" in got, hint)
    expect(len(got) == len(set(got)), "a name is in it twice")
    expect(got == ["a.png", "c.png", "d.png", "e.png"], "the names are right, their order is not")


question(
    "08-d",
    {
        "higher": "the groups are less sound where the network is sure; look at the gallery",
        "same": "that would be so if an image's place in the vote said nothing of its group; but "
        "the sure ones lie in the middle of their groups, where mistakes are rare",
        "lower": "mistakes would have to be among the sure images; the curve of section 3 shows "
        "where they are",
    },
    "who picks clear cases tests clear cases. Draw at random, or the interval says nothing.",
)


@checker("08-e", "few examples name groups quickly, but they prove little: the interval says so.")
def _few_examples(answer: tuple) -> None:
    expect(len(answer) == 2, "give two things: the width, and the letter of the reason")
    width, reason = answer
    expect(isinstance(width, int | float | np.number), f"the width is a number, not {width!r}")
    expect(width > 0, "the width is the upper end less the lower end")
    expect(width < 1, "the ends are shares from 0 to 1, so the width is such as 0.4, not 40")
    hint = "so narrow a range takes more than ten examples: were 10 drawn, and did all run anew?"
    expect(width > 0.25, hint)
    hint = "that is no width: ten examples say more than that. Take one end from the other"
    expect(width < 0.57, hint)
    reasons: dict[Any, str] = {
        "a": "look at the list of groups: are they not the ones that you had before?",
        "c": "nobody says that these ten images are hard to sort: they were drawn like the forty",
    }
    letter = str(reason).lower()
    expect(letter not in reasons, reasons.get(letter, ""))
    expect(letter == "b", f"the reason is one letter, a, b or c, not {reason!r}")
