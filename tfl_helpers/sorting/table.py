"""groups.csv: a row per file, which people, spreadsheets and the page may change.

A file name is only data: one that is no plain text is written so that it reads back exactly.
"""

import csv
import io
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tfl_helpers.datasets import write_whole

NEEDED = ("file", "group", "doubt", "unsure", "duplicate_of", "problem")
LEVELS = ("level_1", "level_2")  # what the group belongs to, in coarser ones
COLUMNS = (*NEEDED, "corrected", *LEVELS)
TEXTS = ("file", "group", "duplicate_of", "problem", "corrected", *LEVELS)
# Each says more of an image than those before.
CORRECTED = ("", "renamed", "confirmed", "named", "moved")
YES = ("true", "1", "yes", "wahr", "vrai", "vero", "verdadero", "verdadeiro")
NO = ("false", "0", "no", "", "falsch", "faux", "falso")  # as spreadsheets write them
YES_NO = dict.fromkeys(YES, True) | dict.fromkeys(NO, False)
# What would break a line or is no text, and a backslash that would be taken for one of these.
ODD = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]|\\(?=u[0-9a-f]{4})")
FORMULA = r"[=+\-@]"  # a spreadsheet takes a cell that starts so for a formula
MARKS = {"file": "./", "duplicate_of": "./"}  # put in front of one; in other columns: '


def write_table(table: pd.DataFrame, path: str | Path) -> Path:
    r"""Write a table with the columns of `COLUMNS` (the last three may be absent) as CSV, RFC 4180.

    One line per row: a control character, or what is no text in a file's name, is written like
    ``\u000a``. A path that a spreadsheet would take for a formula gets ``./`` in front, which is
    the same file; another such text gets an apostrophe.
    """
    table = checked(table)
    for name in TEXTS:
        table[name] = pd.Series([plain_cell(text, name) for text in table[name]], dtype=object)
    with write_whole(path) as part:
        table.to_csv(part, index=False, encoding="utf-8", lineterminator="\n")
    return Path(path)


def read_table(path: str | Path | io.StringIO) -> pd.DataFrame:
    """Read a table that `write_table` wrote, or the page exported.

    Parameters
    ----------
    path : str, Path or io.StringIO
        The CSV file, or its text. What a spreadsheet does to one is understood: a byte order mark,
        semicolons or tabs for commas, a comma in decimals, TRUE or WAHR for True.

    Returns
    -------
    pd.DataFrame
        The columns of `COLUMNS`: str, but doubt is float (NaN: none) and unsure is bool. The last
        three are empty where the file lacks them; an older table's confidence becomes doubt: one
        less it.

    Raises
    ------
    ValueError
        It is no such table: which column is missing, or which line holds what should not be there.
    """
    cells = read_cells(path)
    older = "confidence" in cells and "doubt" not in cells
    try:
        table = checked(cells.rename(columns={"confidence": "doubt"}) if older else cells)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    table["doubt"] = 1 - table["doubt"] if older else table["doubt"]
    for name in TEXTS:
        table[name] = pd.Series([restored_cell(text, name) for text in table[name]], dtype=object)
    return table


def read_cells(path: str | Path | io.StringIO) -> pd.DataFrame:
    """Read the cells of a CSV file as they are, texts under the names in its first line."""
    try:
        given = isinstance(path, io.StringIO)
        text = path.getvalue() if given else Path(path).read_text("utf-8-sig")
        mark = max(",;\t", key=text.split("\n", 1)[0].count)
        rows = list(csv.reader(io.StringIO(text), delimiter=mark, strict=True))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text: save it as 'CSV UTF-8'") from error
    except csv.Error as error:
        raise ValueError(f"{path}: not a table of comma-separated values: {error}") from error
    numbers = [line for line, row in enumerate(rows, 1) if any(row)]  # Excel appends empty rows
    if not numbers:
        raise ValueError(f"{path}: it is empty")
    rows = [rows[line - 1] for line in numbers]
    width = len(rows[0])
    for line, row in zip(numbers, rows, strict=True):
        if len(row) != width:
            raise ValueError(f"{path}: line {line} has {len(row)} cells, not {width} as the first")
    return pd.DataFrame(rows[1:], columns=rows[0], dtype=object)


def checked(table: pd.DataFrame) -> pd.DataFrame:
    """Copy the columns of a table of files, each of its type; an error says what is wrong where."""
    missing = [name for name in NEEDED if name not in table]
    if missing:
        raise ValueError(f"columns are missing: {', '.join(missing)} (needed: {NEEDED})")
    kinds = {  # what a value becomes, None if it does not belong there
        "doubt": (_share, float, "a number from 0 to 1"),
        "unsure": (lambda value: YES_NO.get(str(value).strip().lower()), bool, "True or False"),
        "corrected": (lambda value: value if value in CORRECTED else None, object, CORRECTED),
    }
    text = (lambda value: value if isinstance(value, str) else None, object, "text")
    made = {}
    for name in COLUMNS:
        given = table.get(name, pd.Series("", table.index)).astype(object)
        parse, dtype, kind = kinds.get(name, text)
        given = given.where(given.notna(), "").tolist()
        values = [parse(value) for value in given]
        if None in values:
            row = values.index(None)
            raise ValueError(f"{name} in line {row + 2} is {given[row]!r}, not {kind}")
        made[name] = pd.Series(values, dtype=dtype)
    files = made["file"]
    if files.duplicated().any():
        raise ValueError(f"files with more than one row: {a_few(files[files.duplicated()])}")
    if "" in files.tolist():
        raise ValueError(f"line {files.tolist().index('') + 2} names no file")
    return pd.DataFrame(made)


def a_few(files: pd.Series) -> str:
    """Name a few files of many."""
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return ", ".join(repr(file) for file in files[:3]) + more


def numbered(name: str) -> Iterator[str]:
    """Give a name, then the same with 2, 3 and so on, for where it is taken."""
    yield name
    for number in itertools.count(2):
        yield f"{name} {number}"


def plain_text(text: str) -> str:
    """Write a text on one line that can be encoded as UTF-8."""
    return ODD.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def plain_cell(text: str, column: str) -> str:
    """Write a text so that it stays on one line and no spreadsheet takes it for a formula."""
    mark, text = MARKS.get(column, "'"), plain_text(text)
    return mark + text if re.match(f"({re.escape(mark)})*{FORMULA}", text) else text


def restored_cell(text: str, column: str) -> str:
    """Undo `plain_cell`."""
    mark = MARKS.get(column, "'")
    if re.match(f"({re.escape(mark)})+{FORMULA}", text):
        text = text[len(mark) :]
    return re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), text)


def _share(value: Any) -> float | None:
    if value == "":
        return np.nan
    try:
        share = float(str(value).replace(",", "."))
    except ValueError:
        return None
    return min(max(share, 0.0), 1.0) if -1e-6 <= share <= 1 + 1e-6 else None  # but for rounding
