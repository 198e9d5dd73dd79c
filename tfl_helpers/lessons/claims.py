"""Sentences about a result that the cell which measured it holds to the numbers."""

import os
from typing import Any

from IPython.display import Markdown, display


def claim(holds: Any, sentence: str) -> None:
    """Show a sentence with a tick, or say that it is not so in this run.

    The sentence is Markdown, with what was measured as a number; it `holds` if that agrees with it
    within the margin that it states. With TFL_STRICT_CLAIMS=1 one that does not hold raises an
    AssertionError: so the committed notebooks are tested.
    """
    if not holds and os.environ.get("TFL_STRICT_CLAIMS") == "1":
        raise AssertionError(f"not so in this run: {sentence}")
    display(Markdown(f"✓ {sentence}" if holds else f"✗ **Not so in this run:** {sentence}"))
