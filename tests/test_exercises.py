import functools
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from tfl_helpers.lessons.exercises import check, checker, expect_close


@checker("98-a", "sums add up.")
def add(answer: Callable):
    expect_close(answer(2, 3), 5, "use +")


@checker("98-b", "counting works.")
def count(answer: int, items: list):
    expect_close(answer, len(items), "count them")


@pytest.fixture(autouse=True)
def lenient(monkeypatch):
    monkeypatch.delenv("TFL_STRICT_EXERCISES", raising=False)


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


def test_a_value_that_is_zero_or_empty_is_an_answer(capsys):
    check("98-b", 0, [])
    check("98-b", 0, [1])
    assert capsys.readouterr().out == "Right: counting works.\nNot yet: count them\n"


def test_an_unknown_exercise_lists_those_there_are():
    with pytest.raises(KeyError, match="98-a, 98-b"):
        check("98-z", 1)


def test_two_checkers_cannot_share_a_name():
    with pytest.raises(ValueError, match="98-a"):
        checker("98-a", "again")(lambda answer: None)


def test_strict_mode_keeps_the_cause(monkeypatch):
    monkeypatch.setenv("TFL_STRICT_EXERCISES", "1")
    with pytest.raises(AssertionError) as caught:
        check("98-a", lambda a, b: 1 / 0)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_the_largest_share(capsys):
    groups = np.array([0, 0, 0, 1])
    check("00-a", 0.75, groups)
    check("00-a", 3, groups)
    check("00-a", 0.25, groups)
    right, count, small = capsys.readouterr().out.splitlines()
    assert right.startswith("Right") and "divide" in count and "largest" in small


def test_l2_normalise(capsys):
    def right(z):
        length = np.linalg.norm(z, axis=1, keepdims=True)
        return z / np.where(length == 0, 1, length)

    check("03-a", right)
    check("03-a", lambda z: z / np.linalg.norm(z, axis=1, keepdims=True))
    check("03-a", lambda z: z / np.linalg.norm(z))
    check("03-a", lambda z: np.abs(right(z)))
    verdicts = capsys.readouterr().out.splitlines()
    for verdict, words in zip(verdicts, ["Right", "NaN", "axis=1", "direction"], strict=True):
        assert words in verdict


def test_calibration_and_choosing(capsys):
    def stability(runs):
        pairs = combinations(runs, 2)
        return np.mean([len(set(a)) > 1 and adjusted_rand_score(a, b) for a, b in pairs])

    def error(sure, right):
        part = np.minimum((sure * 10).astype(int), 9)
        inside = [part == p for p in np.unique(part)]
        return sum(np.mean(i) * abs(sure[i].mean() - right[i].mean()) for i in inside)

    def kept(sure, right, target):
        good = np.cumsum(right[np.argsort(-sure)]) / np.arange(1, len(sure) + 1) >= target
        return np.flatnonzero(good).max(initial=-1) / len(sure) + 1 / len(sure) * good.any()

    check("05-a", stability)
    check("05-a", lambda runs: np.mean([adjusted_rand_score(*p) for p in combinations(runs, 2)]))
    check("05-a", lambda runs: np.mean(runs[0] == runs[1]))
    check("05-b", error)
    check("05-b", lambda sure, right: abs(sure.mean() - right.mean()))
    check("05-c", lambda *given: kept(*given) if given[1].sum() > 1 else 0.0)
    check("05-c", lambda sure, right, target: 0.4)
    check("05-c", lambda sure, right, target: np.mean(np.sort(sure) > 0.85))
    verdicts = capsys.readouterr().out.splitlines()
    words = ["Right", "one group", "names", "Right", "weight", "Right", "rise", "rise"]
    for verdict, word in zip(verdicts, words, strict=True):
        assert word in verdict
