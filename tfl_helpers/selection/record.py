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

PACKAGES = "tfl-helpers", "tensorflow", "keras", "scikit-learn", "numpy"
COLUMNS = "time", "settings", "scores", "seconds", "versions"


def record(
    file: str | Path, run: Callable[..., Mapping[str, float]], /, **settings: Any
) -> dict[str, float]:
    """Run once with these settings and add a row to a table of results.

    Parameters
    ----------
    file : str or Path
        The table, made where there is none; two notebooks may share it.
    run : callable
        Takes the settings, returns a dict of numbers such as `evaluation.score` does.
    **settings
        Numbers, texts, lists: what JSON can hold.

    Returns
    -------
    dict
        What `run` returned.

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
    try:  # what will not work shall fail before the run
        json.dumps(settings, default=np.generic.item)
    except TypeError as error:
        raise TypeError(f"{settings} cannot be kept: give numbers, texts or lists") from error
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab"):
        _read(file)
    start, scores = time.perf_counter(), dict(run(**settings))
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
    """Read the table that `record` writes, a row per run, oldest first.

    Returns
    -------
    pandas.DataFrame
        `time` (UTC), a column per setting, a column per score (with "found " before its name where
        another column has the same), `seconds`, `versions` (a text).
    """
    file = Path(file).expanduser()
    rows, n_torn = _read(file) if file.exists() else ([], 0)
    if not rows:
        raise FileNotFoundError(f"no runs in {file}: selection.record adds the first")
    if n_torn:
        warnings.warn(f"{file}: {n_torn} lines cannot be read and are passed over", stacklevel=2)
    settings, scores = (pd.DataFrame([row[key] for row in rows]) for key in ("settings", "scores"))
    taken = {name: f"found {name}" for name in [*settings, "time", "seconds", "versions"]}
    table = settings.join(scores.rename(columns=taken)).assign(
        time=[row["time"] for row in rows],
        seconds=[row["seconds"] for row in rows],
        versions=[", ".join(f"{k} {v}" for k, v in row["versions"].items()) for row in rows],
    )
    return table[["time", *table.columns.drop("time")]]


def _read(file: Path) -> tuple[list[dict], int]:
    """Rows of a table, and how many lines are none."""
    rows, lines = [], [line for line in file.read_bytes().splitlines() if line.strip()]
    for line in lines:
        try:
            row = json.loads(line)
            rows.append({column: row[column] for column in COLUMNS})
        except (ValueError, TypeError, KeyError):  # half a line, or something else
            continue
    if lines and not rows:
        raise ValueError(f"{file} is no table of runs, and was left as it is: give another file")
    return rows, len(lines) - len(rows)
