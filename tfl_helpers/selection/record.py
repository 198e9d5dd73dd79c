"""A table of all runs: settings, scores, time and versions, one line of JSON each."""

import importlib.metadata
import json
import platform
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

PACKAGES = ("tfl-helpers", "tensorflow", "keras", "scikit-learn", "numpy")
COLUMNS = {"time", "settings", "scores", "seconds", "versions"}


def record(
    file: str | Path, run: Callable[..., Mapping[str, float]], /, **settings: Any
) -> dict[str, float]:
    """Run once with these settings and add a row to a table of results.

    Parameters
    ----------
    file : str or Path
        The table, made where there is none. Two notebooks may use the same.
    run : callable
        Takes the settings, returns a dict of numbers such as `evaluation.score` does.
    **settings
        Numbers, texts, lists: what JSON can hold.

    Returns
    -------
    dict
        What `run` returned.

    Raises
    ------
    TypeError, ValueError
        A setting cannot be written; the file is no such table. Nothing is run or changed.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "runs.jsonl"
    >>> record(file, lambda k: {"accuracy": k / 10}, k=3)
    {'accuracy': 0.3}
    >>> read_record(file)[["k", "accuracy"]]
       k  accuracy
    0  3       0.3
    """
    file = Path(file).expanduser()
    json.dumps(settings, default=_plain)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab"):  # what will not work shall not work before the run, not after it
        _read(file)
    start = time.perf_counter()
    scores = dict(run(**settings))
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    row = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "settings": settings,
        "scores": scores,
        "seconds": round(time.perf_counter() - start, 3),
        "versions": {"python": platform.python_version()} | versions,
    }
    line = json.dumps(row, default=lambda v: v.item() if isinstance(v, np.generic) else str(v))
    torn = file.read_bytes()[-1:] not in (b"", b"\n")  # a run was stopped while it wrote
    with file.open("ab") as table:  # one write, so that rows of two notebooks do not mix
        table.write(b"\n" * torn + line.encode() + b"\n")
    return scores


def read_record(file: str | Path) -> pd.DataFrame:
    """Read the table that `record` writes.

    Returns
    -------
    pandas.DataFrame
        A row per run, oldest first: `time` (UTC), a column per setting, a column per score (with
        "found " before its name where another column has the same), `seconds`, `versions` (a text).

    Raises
    ------
    FileNotFoundError, ValueError
        Nothing was recorded in this file; it is no such table.
    """
    file = Path(file).expanduser()
    lines = _read(file) if file.exists() else []
    if not (rows := [row for row in lines if row]):
        raise FileNotFoundError(f"no runs in {file}: selection.record adds the first")
    if torn := len(lines) - len(rows):
        warnings.warn(f"{file}: {torn} lines cannot be read and are passed over", stacklevel=2)
    settings, scores = (
        pd.DataFrame([row[part] for row in rows]) for part in ("settings", "scores")
    )
    taken = {name: f"found {name}" for name in [*settings, "time", "seconds", "versions"]}
    table = settings.join(scores.rename(columns=taken)).assign(
        time=[row["time"] for row in rows],
        seconds=[row["seconds"] for row in rows],
        versions=[", ".join(f"{k} {v}" for k, v in row["versions"].items()) for row in rows],
    )
    return table[["time", *table.columns.drop("time")]]


def _read(file: Path) -> list[dict | None]:
    """Read the rows of a table, with None for a line that is none."""
    rows = [_row(line) for line in file.read_bytes().splitlines() if line.strip()]
    if rows and not any(rows):
        raise ValueError(
            f"{file} is no table of runs (no line of it can be read): it was left as it is. Give "
            "the name of a new file, or of one that selection.record made"
        )
    return rows


def _row(line: bytes) -> dict | None:
    """Read one line; None if it is no row."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and row.keys() >= COLUMNS else None


def _plain(value: Any) -> Any:
    """Numbers of NumPy as Python's, for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(
        f"{value!r} of type {type(value).__name__} cannot be kept in a table of runs: give a "
        "number, a text or a list of them"
    )
