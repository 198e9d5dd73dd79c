"""Bets: say what will happen, and how sure you are, before the cell that shows it is run.

Bets are kept in a file, so that notebook 06 can show a reader how well they know what they know.
"""

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd
import platformdirs

from tfl_helpers.datasets import write_whole
from tfl_helpers.lessons.exercises.checks import say

# Of each exercise what the outcome `shows`, and `hints` for each answer that turns out wrong.
QUESTIONS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
COLUMNS = ("exercise", "answer", "confidence", "right")


def bet(name: str, answer: Any, confidence: Any) -> None:
    """Note what a reader expects to happen; `settle` in a later cell says how it came.

    Parameters
    ----------
    name : str
        The exercise, such as "03-d".
    answer : str
        One of the answers that the exercise offers; `...` while it is open.
    confidence : float
        How sure the reader is: 1 is certain, 0.5 a coin's toss.
    """
    hints, table = QUESTIONS[name]["hints"], bets()
    table = table[table.exercise != name]
    if answer in (..., None) or confidence in (..., None):
        say(f"Your turn: exercise {name} is waiting for your bet.", name)
    elif answer not in hints:
        say(f"Not yet: answer with one of {', '.join(map(repr, hints))}, not {answer!r}", name)
    elif not isinstance(confidence, int | float) or not 0 <= confidence <= 1:
        say(f"Not yet: confidence is a share from 0 to 1, not {confidence!r}", name)
    else:
        table.loc[len(table)] = [name, answer, float(confidence), None]
        print(f"Noted: you bet on {answer!r}, {confidence:.0%} sure. The next cell settles it.")
    _keep(table)


def settle(name: str, outcome: str) -> None:
    """Say whether the bet on an exercise was right, and how well the reader bets so far."""
    hints = QUESTIONS[name]["hints"]
    if outcome not in hints:
        raise ValueError(f"{outcome!r} is no outcome of {name}: {', '.join(map(repr, hints))}")
    table = bets()
    row = table.index[table.exercise == name]
    if not len(row):
        print(f"Your turn: bet in the cell above, then run this one again ({name}).")
        return
    answer = table.answer[row[0]]
    table.loc[row, "right"] = answer == outcome
    _keep(table)
    if answer == outcome:
        print(f"Right: {QUESTIONS[name]['shows']}")
    else:
        say(f"Not this time: it is {outcome!r}. You bet on {answer!r}: {hints[answer]}", name)
    done = table[table.right.notna()]
    print(
        f"Your bets so far: {int(done.right.sum())} of {len(done)} right, "
        f"and you were {done.confidence.mean():.0%} sure of them."
    )


def bets() -> pd.DataFrame:
    """Read all bets: `exercise`, `answer`, `confidence` (0 to 1), `right` (True, False or None)."""
    rows = json.loads(_file().read_text("utf-8")) if _file().exists() else []
    return pd.DataFrame(rows, columns=COLUMNS, dtype=object)


def _keep(table: pd.DataFrame) -> None:
    with write_whole(_file()) as part:
        table.reset_index(drop=True).to_json(part, orient="records")


def _file() -> Path:
    folder = os.environ.get("TFL_CACHE_DIR") or platformdirs.user_data_path("tfl_helpers")
    return Path(folder) / "bets.json"
