"""The checks behind the "Your turn" cells of the notebooks.

`check("03-a", my_function)` says whether an exercise is solved. An exercise left as it is stops
nothing, so Run All goes through. Each checker below is a plain function: it gets the answer (and
whatever else the cell passes on), tries it, and calls `_expect` with a hint for each thing that has
to hold. An exercise cell is a stub while it holds or returns None or `...`, or raises
`NotImplementedError`.
"""

import functools
import os
import types
from collections.abc import Callable
from typing import Any

import numpy as np

_CHECKERS: dict[str, Callable[..., None]] = {}
_SHOWS: dict[str, str] = {}


class _Hint(Exception):
    """The answer is not right yet; the message helps."""


class _Unfinished(Exception):
    """The exercise cell is still the stub."""


def check(name: str, answer: Any, *context: Any) -> None:
    """Say whether the answer to an exercise is right, or give a hint. Prints one line.

    Parameters
    ----------
    name : str
        The exercise, such as "03-a".
    answer : object
        The function or the value that was asked for.
    *context : object
        What the checker needs from the notebook to judge it; the exercise cell passes it on.

    Raises
    ------
    KeyError
        There is no such exercise; the message lists those there are.
    AssertionError
        Only with the environment variable TFL_STRICT_EXERCISES=1, which is how the solutions are
        tested: the answer is wrong or unfinished.

    Notes
    -----
    Taught in notebook 00.
    """
    if name not in _CHECKERS:
        raise KeyError(f"no exercise {name!r}; there are: {', '.join(sorted(_CHECKERS))}")
    cause = None
    try:
        if answer is None or answer is ...:
            raise _Unfinished
        _CHECKERS[name](_watched(answer), *context)
        print(f"Right: {_SHOWS[name]}")
        return
    except (_Unfinished, NotImplementedError):
        verdict = f"Your turn: exercise {name} is waiting for you."
    except _Hint as hint:
        verdict = f"Not yet: {hint}"
    except Exception as error:  # a learner's code may fail in any way, and must not stop Run All
        cause = error
        first_line = str(error).strip().partition("\n")[0]
        verdict = f"Not yet: trying it stopped with {type(error).__name__}: {first_line}"
    if os.environ.get("TFL_STRICT_EXERCISES") == "1":
        raise AssertionError(f"exercise {name}: {verdict}") from cause
    print(verdict)


def _watched(answer: Any) -> Any:
    """Wrap a function so that a stub's None or `...` is noticed wherever a checker calls it."""
    if not isinstance(answer, types.FunctionType | types.MethodType | functools.partial):
        return answer

    def call(*args: Any, **kwargs: Any) -> Any:
        result = answer(*args, **kwargs)
        if result is None or result is ...:
            raise _Unfinished
        return result

    return call


def _checker(name: str, shows: str) -> Callable:
    """Register a checker under the exercise's name; `shows` is what a right answer teaches."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        if name in _CHECKERS:
            raise ValueError(f"two checkers are called {name!r}")
        _CHECKERS[name], _SHOWS[name] = function, shows
        return function

    return register


def _expect(condition: Any, hint: str) -> None:
    """Stop with the hint unless the condition holds."""
    if not condition:
        raise _Hint(hint)


def _expect_function(answer: Any) -> None:
    """Stop unless the answer can be called."""
    _expect(callable(answer), f"a function is asked for, this is {type(answer).__name__}")


def _expect_shape(got: Any, shape: tuple[int, ...], what: str = "the result") -> None:
    """Stop unless an array has this shape."""
    _expect(np.shape(got) == shape, f"{what} should have shape {shape}, not {np.shape(got)}")


def _expect_close(got: Any, wanted: Any, hint: str, tolerance: float = 1e-4) -> None:
    """Stop with the hint unless numbers agree, shapes first; NaN is never close."""
    _expect_shape(got, np.shape(wanted))
    _expect(np.allclose(np.asarray(got, float), wanted, tolerance, tolerance), hint)


@_checker("00-a", "well above an equal share means one group swallows others; here it doesn't.")
def _largest_share(answer: float, groups: np.ndarray) -> None:
    _expect_shape(answer, (), "the share")
    _expect(0 <= answer <= 1, "a share lies between 0 and 1: divide by the number of images")
    share = np.bincount(groups).max() / len(groups)
    _expect_close(answer, share, "count the images of each group (np.bincount), take the largest")


@_checker("03-a", "length one, so k-means compares directions and a zero row does no harm.")
def _l2_normalise(answer: Callable) -> None:
    _expect_function(answer)
    z = np.random.default_rng(0).normal(size=(5, 3)) * [[1], [10], [0.1], [3], [0]]
    with np.errstate(invalid="ignore", divide="ignore"):
        got = answer(z.copy())
    _expect_shape(got, z.shape)
    _expect(not np.isnan(got).any(), "a row of zeros became NaN: do not divide by a length of 0")
    lengths = np.linalg.norm(got, axis=1)
    _expect_close(lengths, [1, 1, 1, 1, 0], "divide each row by its own length (axis=1)")
    _expect_close((got * z).sum(1), np.linalg.norm(z, axis=1), "keep the direction of each row")
