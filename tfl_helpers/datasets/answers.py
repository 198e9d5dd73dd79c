"""Answers under seal: class numbers that nothing but `tfl_helpers.evaluation` can read."""

from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import numpy as np


class SealedError(RuntimeError):
    """Something other than `tfl_helpers.evaluation` tried to look at the answers."""


class SealedAnswers:
    """Class numbers, one per image, of which only their length is known; a look raises SealedError.

    Examples
    --------
    >>> SealedAnswers([7, 2, 7])
    <sealed answers of 3 images>
    """

    __slots__ = ("__values",)

    def __init__(self, values: Iterable[int]) -> None:
        self.__values = np.asarray(values, "int64")

    def __len__(self) -> int:
        return len(self.__values)

    def __repr__(self) -> str:
        return f"<sealed answers of {len(self):,} images>"

    def take(self, indices: Sequence[int] | np.ndarray) -> "SealedAnswers":
        """Return the answers of some images, still sealed."""
        return SealedAnswers(self.__values[indices])

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise SealedError(
            "these labels are sealed: nothing that fits, tunes or stops may see them. To score a "
            "finished result, hand them to a function of tfl_helpers.evaluation; to look at them "
            "on purpose, for teaching, call evaluation.unseal"
        )

    # converting, indexing, iterating, copying and pickling; comparing; computing
    __array__ = __getitem__ = __iter__ = __contains__ = __reduce_ex__ = __getstate__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse  # type: ignore[assignment]
    __add__ = __radd__ = __sub__ = __rsub__ = __int__ = __float__ = __index__ = _refuse
    __hash__ = object.__hash__
    shape = property(_refuse)  # what Keras asks for first


def _unseal(answers: SealedAnswers) -> np.ndarray:
    """Open the answers: int64 (n,). For `evaluation` only; a test looks for any other use."""
    return answers._SealedAnswers__values.copy()
