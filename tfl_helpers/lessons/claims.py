"""Sentences about a result that the cell which measured it holds to the numbers."""

import os
from typing import Any

from IPython.display import Markdown, display


def claim(holds: Any, sentence: str) -> None:
    """Show a sentence with a tick, or say that it is not so in this run.

    Parameters
    ----------
    holds : bool
        Whether what was measured agrees with the sentence, within the margin that it states.
    sentence : str
        In Markdown; what is measured stands in it as a number.

    Raises
    ------
    AssertionError
        It does not hold, and TFL_STRICT_CLAIMS=1 is set: so the committed notebooks are tested.
    """
    if not holds and os.environ.get("TFL_STRICT_CLAIMS") == "1":
        raise AssertionError(f"not so in this run: {sentence}")
    display(Markdown(f"✓ {sentence}" if holds else f"✗ **Not so in this run:** {sentence}"))
