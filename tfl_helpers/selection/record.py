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

_PACKAGES = "tfl-helpers", "tensorflow", "keras", "scikit-learn", "numpy"
_COLUMNS = "time", "settings", "scores", "seconds", "versions"


def record(
    file: str | Path, run: Callable[..., Mapping[str, float]], /, **settings: Any
) -> dict[str, float]:
    """Call `run(**settings)`, add a row to a table of results, and return the scores it gave.

    Parameters
    ----------
    file : str or Path
        The table, made where there is none; two notebooks may share it.
    run, **settings : callable, and what JSON can hold
        Returns a dict of numbers, such as `evaluation.score` does; numbers, texts, lists.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "runs.jsonl"
    >>> record(file, lambda k: {"accuracy": k / 10}, k=3)
    {'accuracy': 0.3}
    >>> read_record(file).accuracy.tolist()
    [0.3]
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
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
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
    """Read the table that `record` writes: a row per run, oldest first.

    Its columns: `time` (UTC), the settings, the scores (as "found NAME" where NAME is taken),
    `seconds`, `versions` (a text).
    """
    file = Path(file).expanduser()
    rows, n_torn = _read(file) if file.exists() else ([], 0)
    if not rows:
        raise FileNotFoundError(f"no runs in {file}: selection.record adds the first")
    if n_torn:
        warnings.warn(f"{file}: {n_torn} lines cannot be read and are passed over", stacklevel=2)
    runs = pd.DataFrame(rows)
    settings, scores = (pd.DataFrame(list(runs[key])) for key in ("settings", "scores"))
    runs["versions"] = [", ".join(f"{k} {v}" for k, v in row.items()) for row in runs.versions]
    runs = runs.drop(columns=["settings", "scores"])
    taken = {name: f"found {name}" for name in [*settings, *runs]}
    table = settings.join(scores.rename(columns=taken)).assign(**runs)
    return table[["time", *table.columns.drop("time")]]


def _read(file: Path) -> tuple[list[dict], int]:
    """Rows of a table, and how many lines are none."""
    rows, lines = [], [line for line in file.read_bytes().splitlines() if line.strip()]
    for line in lines:
        try:
            row = json.loads(line)
            rows.append({column: row[column] for column in _COLUMNS})
        except (ValueError, TypeError, KeyError):
            continue  # half a line, or something else
    if lines and not rows:
        raise ValueError(f"{file} is no table of runs, and was left as it is: give another file")
    return rows, len(lines) - len(rows)
