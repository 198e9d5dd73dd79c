"""What checks the answer to an exercise.

An exercise left as it is stops nothing, so Run All goes through: it is a stub while it is or
returns None or `...`, or raises `NotImplementedError`. A checker is a plain function that gets the
answer (and whatever else the cell passes on), and calls `expect` for each thing that has to hold.
"""

import dis
import os
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

CHECKERS: dict[str, tuple[Callable[..., None], str]] = {}  # with what a right answer teaches
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
    function, shows = CHECKERS[name]
    try:
        _finished(answer)
        if function.__annotations__["answer"] is Callable:
            expect(callable(answer), f"a function is asked for, this is {type(answer).__name__}")
            function(lambda *given: _finished(answer(*given), answer), *context)
        else:
            function(answer, *context)
    except NotImplementedError:
        say(f"Your turn: exercise {name} is waiting for you.", name)
    except Hint as hint:
        say(f"Not yet: {hint}", name)
    except Exception as error:  # a learner's code may fail in any way, and must not stop Run All
        first_line = str(error).strip().partition("\n")[0]
        say(f"Not yet: {type(error).__name__}: {first_line}{_place(error, answer)}", name, error)
    else:
        print(f"Right: {shows}")


def say(verdict: str, name: str, cause: Exception | None = None) -> None:
    """Print a verdict that is not yet "Right"; in strict mode it is an error."""
    if os.environ.get("TFL_STRICT_EXERCISES") == "1":
        raise AssertionError(f"exercise {name}: {verdict}") from cause
    print(verdict)


def _finished(result: Any, function: Any = None) -> Any:
    """Return a result; stop if it is that of a stub, or if `return` was forgotten."""
    parts = result if isinstance(result, tuple) else (result,)
    if not any(part is None or part is ... for part in parts):
        return result
    code = getattr(function, "__code__", None)
    if result is None and code and {line.opname for line in dis.get_instructions(code)} - _TRIVIAL:
        raise Hint("the function computes something but gives nothing back: end it with `return`")
    raise NotImplementedError


def _place(error: Exception, answer: Any) -> str:
    """Say in which line of a learner's function an error was raised, if it was in one."""
    file = getattr(getattr(answer, "__code__", None), "co_filename", None)
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f" (in line {lines[-1].lineno}: {lines[-1].line})" if lines else ""


def checker(name: str, shows: str) -> Callable:
    """Register a checker; its first parameter is `answer: Callable` if a function is asked for."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        if name in CHECKERS:
            raise ValueError(f"two checkers are called {name!r}")
        CHECKERS[name] = function, shows
        return function

    return register


def expect(condition: Any, hint: str) -> None:
    """Stop with the hint unless the condition holds."""
    if not condition:
        raise Hint(hint)


def expect_shape(got: Any, shape: tuple[int, ...], what: str = "the result") -> None:
    """Stop unless an array has this shape."""
    expect(np.shape(got) == shape, f"{what} should have shape {shape}, not {np.shape(got)}")


def expect_close(got: Any, wanted: Any, hint: str) -> None:
    """Stop with the hint unless numbers agree, shapes first; NaN is never close."""
    expect_shape(got, np.shape(wanted))
    expect(is_close(got, wanted), hint)


def is_close(got: Any, wanted: Any) -> bool:
    """Tell whether two arrays of numbers have one shape and agree; for known wrong answers too."""
    same = np.shape(got) == np.shape(wanted)
    return same and bool(np.allclose(np.asarray(got, float), wanted, rtol=1e-4, atol=1e-4))
