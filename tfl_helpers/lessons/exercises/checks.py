"""What checks the answer to an exercise.

An exercise left as it is stops nothing, so Run All goes through: it is a stub while it is or
returns None or `...`, or raises `NotImplementedError`. A checker is a generator that gets the
answer (and whatever else the cell passes on) and yields mistakes by name, each with whether it was
made. The first that was made gets its hint, from checks.toml.
"""

import dis
import os
import tomllib
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Mistakes = Iterator[tuple]  # name, whether it was made, and what fills the gaps in its hint
CHECKERS: dict[str, Callable[..., Mistakes]] = {}
# Of each exercise what a right answer `shows`, and `hints`; "all" has hints for every one.
TEXTS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
_TRIVIAL = {"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST"}  # a body of `...`


class Hint(Exception):
    """The answer is not right yet; the message helps."""


def check(name: str, answer: Any, *context: Any) -> None:
    """Say in one line whether the answer to an exercise is right, or give a hint.

    Parameters
    ----------
    name : str
        The exercise, such as "03-a".
    answer, *context : object
        The function or the value that was asked for, and what it takes to judge it.

    Raises
    ------
    AssertionError
        It is wrong or unfinished, and TFL_STRICT_EXERCISES=1 is set: so solutions are tested.

    Examples
    --------
    >>> check("00-c", lambda true, predicted: np.mean(true == predicted))
    Right: a share of right ones; on images that were kept aside it is an honest number.
    """
    if name not in CHECKERS:
        raise KeyError(f"no exercise {name!r}; there are: {', '.join(sorted(CHECKERS))}")
    try:
        for mistake, made, *details in _mistakes(CHECKERS[name], answer, context):
            if made:
                raise Hint((TEXTS["all"] | TEXTS[name]["hints"])[mistake].format(*details))
    except NotImplementedError:
        say(f"Your turn: exercise {name} is waiting for you.", name)
    except Hint as hint:
        say(f"Not yet: {hint}", name)
    except Exception as error:  # a learner's code may fail in any way, and must not stop Run All
        first_line = str(error).strip().partition("\n")[0]
        say(f"Not yet: {type(error).__name__}: {first_line}{_place(error, answer)}", name, error)
    else:
        print(f"Right: {TEXTS[name]['shows']}")


def say(verdict: str, name: str, cause: Exception | None = None) -> None:
    """Print a verdict that is not yet "Right"; in strict mode it is an error."""
    if os.environ.get("TFL_STRICT_EXERCISES") == "1":
        raise AssertionError(f"exercise {name}: {verdict}") from cause
    print(verdict)


def _mistakes(function: Callable[..., Mistakes], answer: Any, context: tuple) -> Mistakes:
    """Yield what a checker looks for; its parameter `answer: Callable` asks for a function."""
    _finished(answer)
    if function.__annotations__["answer"] is not Callable:
        yield from function(answer, *context)
        return
    yield "function", not callable(answer), type(answer).__name__
    yield from function(lambda *given: _finished(answer(*given), answer), *context)


def _finished(result: Any, function: Any = None) -> Any:
    """Return a result; stop if it is that of a stub, or if `return` was forgotten."""
    parts = result if isinstance(result, tuple) else (result,)
    if not any(part is None or part is ... for part in parts):
        return result
    code = getattr(function, "__code__", None)
    if result is None and code and {line.opname for line in dis.get_instructions(code)} - _TRIVIAL:
        raise Hint(TEXTS["all"]["return"])
    raise NotImplementedError


def _place(error: Exception, answer: Any) -> str:
    """Say in which line of a learner's function an error was raised, if it was in one."""
    file = getattr(getattr(answer, "__code__", None), "co_filename", None)
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f" (in line {lines[-1].lineno}: {lines[-1].line})" if lines else ""


def checker(name: str) -> Callable:
    """Register what checks an exercise."""

    def register(function: Callable[..., Mistakes]) -> Callable[..., Mistakes]:
        if name in CHECKERS:
            raise ValueError(f"two checkers are called {name!r}")
        CHECKERS[name] = function
        return function

    return register


def shape(got: Any, wanted: tuple[int, ...], what: str = "the result") -> tuple:
    """Mistake: an array has another shape."""
    return "shape", np.shape(got) != wanted, what, wanted, np.shape(got)


def is_close(got: Any, *wanted: Any) -> bool:
    """Tell whether numbers agree with one of those wanted, in shape too; NaN is never close."""
    return any(
        np.shape(got) == np.shape(one)
        and np.allclose(np.asarray(got, float), one, rtol=1e-4, atol=1e-4)
        for one in wanted
    )


def pair(answer: Any) -> Mistakes:
    """Mistakes in an answer that is not a pair of a number and something else."""
    yield "pair", not (isinstance(answer, tuple) and len(answer) == 2)
    yield "number", not isinstance(answer[0], int | float | np.number), answer[0]


def letter(reason: Any) -> Mistakes:
    """Mistakes in giving a reason by its letter, where b is right."""
    given = str(reason).lower()
    yield "a", given == "a"
    yield "c", given == "c"
    yield "letter", given != "b", reason
