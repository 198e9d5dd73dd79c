"""Recorded results that ship with the package: tables for the notebooks, wherever they run."""

import importlib.resources
import json
from typing import Any

import pandas as pd


def recorded(name: str) -> Any:
    """Read what a script in `benchmarks/` wrote: a file in `tfl_helpers/results`, by its name.

    Its rows come as a pd.DataFrame; where they have an accuracy, `value` is "mean ± sd" of it. A
    file with several tables comes as a dict of lists of rows. The README there says what they hold.

    Examples
    --------
    >>> table = recorded("scoreboard")
    >>> table[(table.data == "digits") & (table.method == "ours")].value.item()
    '0.964 ± 0.000'
    """
    file = importlib.resources.files("tfl_helpers") / "results" / f"{name}.json"
    rows = json.loads(file.read_text("utf-8"))
    if not isinstance(rows, list):
        return rows
    table = pd.DataFrame(rows)
    mean = table.get("accuracy_mean", table.get("accuracy"))
    spread = table.get("accuracy_sd", table.get("sd"))
    if mean is not None and spread is not None:
        sd = spread.map(" ± {:.3f}".format, na_action="ignore").fillna("")
        table["value"] = mean.map("{:.3f}".format) + sd
    return table
