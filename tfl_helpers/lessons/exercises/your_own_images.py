"""Exercises of notebook 08."""

from collections.abc import Callable

import numpy as np

from tfl_helpers.lessons.exercises.checks import Mistakes, checker, is_close, letter, pair


@checker("08-a")
def _name_groups(answer: Callable) -> Mistakes:
    shown = {1: ["dog", "ant", "cat", "eel", "cat", "bee"], 2: ["cow"] * 4, 3: ["yak"]}
    examples = {f"{g}{i}.png": name for g, names in shown.items() for i, name in enumerate(names)}
    groups = {"z.png": 4} | {file: int(file[0]) for file in examples}
    got = answer(dict(groups), dict(examples))
    yield "dict", not isinstance(got, dict)
    yield "files", set(got) & set(examples)
    yield "names", set(got) & {"cat", "cow"}
    yield "nobody", 4 in got
    for group in shown:
        yield "missing", group not in got, group
    yield "text", not all(isinstance(name, str) for name in got.values())
    yield "last", got[1] == "bee"
    yield "first", got[1] == "dog"
    yield "alphabet", got[1] in ("ant", "eel")
    yield "frequent", got[1] == "cow"
    yield "other", got != {1: "cat", 2: "cow", 3: "yak"}


@checker("08-b")
def _left_out_share(answer: Callable) -> Mistakes:
    got = answer([1, 1, 1], ["cat"] * 3)
    yield "one", np.shape(got) != ()
    yield "count", is_close(got, 3)
    yield "three", not is_close(got, 1)
    got = answer([1, 1, 1, 1, 2, 2, 3], ["cat", "cat", "dog", "cat", "dog", "dog", "cow"])
    alone = answer([1, 2], ["cat", "dog"])
    yield "itself", is_close(alone, 1)
    yield "left_out", is_close(got, 5 / 6) or np.isnan(alone)
    yield "alone", not is_close(alone, 0)
    yield "others", is_close(got, 0)
    yield "all_agree", is_close(got, 2 / 7)
    yield "other", not is_close(got, 5 / 7)


@checker("08-c")
def _to_read(answer: Callable) -> Mistakes:
    known = {"b.png": (10, 1), "c.png": (10, 1), "d.png": (10, 1), "e.png": (10, 5)}
    now = {"e.png": (10, 3), "d.png": (12, 1), "c.png": (10, 2), "b.png": (10, 1), "a.png": (3, 3)}
    got = answer(known | {"gone.png": (5, 1)}, dict(now))
    yield "list", isinstance(got, str | dict)
    got = list(got)
    yield "names", not all(isinstance(name, str) for name in got)
    yield "gone", "gone.png" in got
    yield "new", "a.png" not in got
    yield "same", "b.png" in got
    yield "time", "c.png" not in got
    yield "size", "d.png" not in got
    yield "older", "e.png" not in got
    yield "twice", len(got) > len(set(got))
    yield "order", got != sorted(got)


@checker("08-e")
def _few_examples(answer: tuple) -> Mistakes:
    yield from pair(answer)
    width, reason = answer
    yield "negative", width <= 0
    yield "percent", width >= 1
    yield "narrow", width <= 0.25
    yield "wide", width >= 0.57
    yield from letter(reason)


@checker("08-f")
def _next_question(answer: Callable) -> Mistakes:
    kinds = np.repeat(range(5), [5, 4, 3, 4, 1])
    reach = np.where(kinds[:, None] == kinds, np.array([0.93, 0.8, 0.5, 0.9, 0.9])[kinds], 0.02)
    typical, between = [0, 5, 9, 12], kinds == 3  # what the names of 0 and 5 reach a little
    reach[typical] = reach[typical] + 0.03 * (reach[typical] > 0.1)
    reach[np.ix_([0, 5], between)], reach[:-1, -1] = 0.4, 0.01
    np.fill_diagonal(reach, 1)
    got = answer(reach.copy(), [0, 5])
    yield "number", np.shape(got) != () or got != int(got)
    yield "asked", got in (0, 5)
    yield "typical", kinds[got] == 0
    yield "far", got == 16
    yield "sum", kinds[got] == 2
    yield "other", got != 12
    yield "after_one", answer(reach.copy(), [0]) != 5
    yield "first", answer(reach.copy(), []) != 0
