import functools
import importlib.util
import inspect
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tfl_helpers.lessons.exercises import bet, bets, check, settle
from tfl_helpers.lessons.exercises.bets import QUESTIONS
from tfl_helpers.lessons.exercises.checks import (
    CHECKERS,
    TEXTS,
    checker,
    is_close,
    letter,
    pair,
    shape,
)

HINTS = {"up": "it rises", "down": "it falls", "same": "it moves"}
QUESTIONS["98-c"] = {"shows": "it goes up.", "hints": HINTS}
TEXTS["98-a"] = {"shows": "sums add up.", "hints": {"sum": "use +"}}
TEXTS["98-b"] = {"shows": "counting works.", "hints": {"number": "count them"}}


@checker("98-a")
def add(answer: Callable):
    got = answer(2, 3)
    yield shape(got, ())
    yield "sum", not is_close(got, 5)


@checker("98-b")
def count(answer: int, items: list):
    yield "number", not is_close(answer, len(items))


@pytest.fixture(autouse=True)
def lenient(monkeypatch, tmp_path):
    monkeypatch.delenv("TFL_STRICT_EXERCISES", raising=False)
    monkeypatch.setenv("TFL_CACHE_DIR", str(tmp_path))


def not_done(a, b):
    raise NotImplementedError("your turn")


def long_message(a, b):
    raise OSError("one\ntwo")


STUBS = {
    "None": None,
    "dots": ...,
    "returns None": lambda a, b: None,
    "returns dots": lambda a, b: ...,
    "raises": not_done,
    "returns dots among others": lambda a, b: (1, ...),
    "partial": functools.partial(lambda a, b, c: None, 1),
}


@pytest.mark.parametrize("stub", STUBS.values(), ids=STUBS)
def test_a_stub_is_your_turn_and_stops_nothing(capsys, monkeypatch, stub):
    check("98-a", stub)
    assert capsys.readouterr().out == "Your turn: exercise 98-a is waiting for you.\n"
    monkeypatch.setenv("TFL_STRICT_EXERCISES", "1")
    with pytest.raises(AssertionError, match="98-a: Your turn"):
        check("98-a", stub)


WRONG = {
    "value": (lambda a, b: a * b, "use +"),
    "nan": (lambda a, b: np.nan, "use +"),
    "shape": (lambda a, b: [a + b], r"should have shape (), not (1,)"),
    "text": (lambda a, b: "five", "ValueError"),
    "breaks": (lambda a, b: a + b + missing, "NameError: name 'missing' is not defined"),  # noqa: F821
    "long message": (long_message, "OSError: one"),
    "arguments": (lambda a: a, "TypeError"),
    "no return": (lambda a, b: print(end=str(a + b)[:0]), "end it with `return`"),
    "not a function": (5, "a function is asked for, this is int"),
}


@pytest.mark.parametrize(("answer", "hint"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_gets_a_hint_and_stops_nothing(capsys, monkeypatch, answer, hint):
    check("98-a", answer)
    printed = capsys.readouterr().out
    assert printed.startswith("Not yet: ") and hint in printed and printed.count("\n") == 1
    monkeypatch.setenv("TFL_STRICT_EXERCISES", "1")
    with pytest.raises(AssertionError, match="98-a: Not yet"):
        check("98-a", answer)


@pytest.mark.parametrize("strict", ["0", "1"])
def test_a_right_answer_says_what_it_shows(capsys, monkeypatch, strict):
    monkeypatch.setenv("TFL_STRICT_EXERCISES", strict)
    check("98-a", lambda a, b: a + b)
    check("98-b", 2, ["x", "y"])
    assert capsys.readouterr().out == "Right: sums add up.\nRight: counting works.\n"


def test_an_error_says_in_which_line_it_was_raised(capsys):
    def answer(a, b):
        total = a + b
        return total[0]

    check("98-a", answer)
    assert "total[0]" in capsys.readouterr().out


def test_a_value_that_is_zero_or_empty_is_an_answer(capsys):
    check("98-b", 0, [])
    check("98-b", 0, [1])
    assert capsys.readouterr().out == "Right: counting works.\nNot yet: count them\n"


def test_an_unknown_exercise_lists_those_there_are():
    with pytest.raises(KeyError, match="98-a, 98-b"):
        check("98-z", 1)


def test_two_checkers_cannot_share_a_name():
    with pytest.raises(ValueError, match="98-a"):
        checker("98-a")(lambda answer: None)


def test_strict_mode_keeps_the_cause(monkeypatch):
    monkeypatch.setenv("TFL_STRICT_EXERCISES", "1")
    with pytest.raises(AssertionError) as caught:
        check("98-a", lambda a, b: 1 / 0)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_bet_is_noted_settled_and_scored(capsys):
    bet("98-c", ..., ...)
    settle("98-c", "up")
    bet("98-c", "up", 0.8)
    settle("98-c", "up")
    bet("98-c", "same", 0.6)
    assert bets().right.tolist() == [None]
    settle("98-c", "up")
    lines = capsys.readouterr().out.splitlines()
    words = ["Your turn", "Your turn", "Noted", "Right: it goes up", "1 of 1 right", "Noted"]
    words += ["it moves", "0 of 1 right, and you were 60% sure"]
    for line, word in zip(lines, words, strict=True):
        assert word in line
    assert bets().values.tolist() == [["98-c", "same", 0.6, False]]


@pytest.mark.parametrize(("answer", "sure", "hint"), [("?", 0.5, "one of"), ("up", 70, "0 to 1")])
def test_a_bet_that_is_none_gets_a_hint_and_is_not_kept(capsys, answer, sure, hint):
    bet("98-c", answer, sure)
    assert hint in capsys.readouterr().out and bets().empty


def test_an_outcome_that_nobody_could_bet_on_is_an_error():
    with pytest.raises(ValueError, match="'up', 'down', 'same'"):
        settle("98-c", "sideways")


def lessons():
    """What is typical to answer: the exercises of each file in `tests/lessons`."""
    found = {}
    for path in sorted((Path(__file__).parent / "lessons").glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"lesson_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found |= module.EXERCISES
    return found


LESSONS = lessons()


def test_each_exercise_is_tried_on_typical_answers():
    registered = {name for name in [*CHECKERS, *QUESTIONS] if not name.startswith("98-")}
    assert registered == set(LESSONS)


@pytest.mark.parametrize("name", sorted(set(LESSONS) & set(CHECKERS)))
def test_typical_mistakes_are_named_and_other_right_answers_accepted(name, capsys):
    lesson = LESSONS[name]
    context = lesson.get("context", ())
    assert len(lesson["right"]) >= 2 and len(lesson["wrong"]) >= 5
    for answer in lesson["right"]:
        check(name, answer, *context)
        assert capsys.readouterr().out.startswith("Right: "), name
    verdicts = []
    for answer, words in lesson["wrong"]:
        check(name, answer, *context)
        verdicts.append(capsys.readouterr().out)
        assert verdicts[-1].startswith("Not yet: ") and words in verdicts[-1], verdicts[-1]
    assert len(set(verdicts)) >= 3, "one hint for all mistakes"


@pytest.mark.parametrize("name", sorted(set(LESSONS) & set(CHECKERS)))
def test_a_checker_and_the_hints_know_the_same_mistakes(name):
    source = inspect.getsource(CHECKERS[name])
    source += "".join(inspect.getsource(f) for f in (pair, letter) if f"{f.__name__}(" in source)
    hints = TEXTS[name]["hints"]
    assert [hint for hint in hints if f'"{hint}"' not in source] == []
    assert set(re.findall(r'yield "(\w+)"', source)) <= {*hints, *TEXTS["all"]}


@pytest.mark.parametrize("name", sorted(set(LESSONS) & set(QUESTIONS)))
def test_each_answer_one_may_bet_on_has_a_hint_of_its_own(name):
    hints = QUESTIONS[name]["hints"]
    assert LESSONS[name] == {"answers": set(hints)}
    assert len(hints) >= 2 and len(set(hints.values())) == len(hints)
