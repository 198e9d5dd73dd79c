"""What a sorted folder looks like to its owner: a table (CSV) and a page to look at and correct.

A file name is only data here. In the table a name that is no plain text is written so that it can
be read back exactly; in the page nothing from a name is ever taken for markup, script or address.
"""

import base64
import contextlib
import csv
import hashlib
import html
import io
import json
import os
import re
import uuid
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from PIL import Image

from tfl_helpers.datasets import bar

COLUMNS = ("file", "group", "confidence", "unsure", "duplicate_of", "problem", "corrected")
CORRECTED = ("", "moved", "confirmed", "renamed")
PATHS = ("file", "duplicate_of")
# Above the first number of images the thumbnails in the page are half as large; more than the
# second number get none, so that a page stays near 50 MB (100,000 photos of 32 x 32).
MANY, MOST = 20_000, 100_000
BLOCK = 500  # thumbnails that the page unpacks at once
# What would break a line or is no text, and a backslash that would be taken for one of these.
ODD = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]|\\(?=u[0-9a-f]{4})")
FORMULA = r"[=+\-@]"  # a spreadsheet takes a cell that starts so for a formula
YES_NO = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}


def write_table(table: pd.DataFrame, path: str | Path) -> Path:
    r"""Write a table of sorted files as CSV, at once or not at all.

    Parameters
    ----------
    table : pd.DataFrame
        A row per file, with the columns of `COLUMNS`; `corrected` may be absent.
    path : str or Path
        The file to write. It is replaced once the new one is complete.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    ValueError
        A column is missing, or a file has two rows.
    OSError
        It cannot be written: the old file, if any, is as it was.

    Notes
    -----
    UTF-8, commas, quotes where needed (RFC 4180), and always one line per row: a control character,
    or what is not text in a name (`os.fsdecode`), is written as a backslash, u and four hex digits,
    such as ``\u000a`` for a new line. A path that a spreadsheet would take for a formula gets
    ``./`` in front, which is the same file; another such text gets an apostrophe. `read_table`
    gives back exactly what was written. Taught in notebook 07.
    """
    path, table = Path(path), _checked(table)
    for name in COLUMNS:
        if name not in ("confidence", "unsure"):
            table[name] = _object([_guard(_plain(text), name) for text in table[name]])
    with _replacing(path) as file:
        table.to_csv(file, index=False, encoding="utf-8", lineterminator="\n", mode="wb")
    return path


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table of sorted files: one that `write_table` wrote, or the page exported.

    Parameters
    ----------
    path : str or Path
        The CSV file. What a spreadsheet does to one is understood: a byte order mark, semicolons
        or tabs for commas, a comma in decimals, TRUE for True.

    Returns
    -------
    pd.DataFrame
        The columns of `COLUMNS` (others are left out): str, and confidence (float, NaN where there
        is none), unsure (bool). `corrected` is empty where the file has no such column.

    Raises
    ------
    ValueError
        It is no such table: which column is missing, or which line holds what should not be there.
    OSError
        It cannot be read.

    Notes
    -----
    Taught in notebook 07.
    """
    path = Path(path)
    try:
        text = path.read_text("utf-8-sig")
        mark = max(",;\t", key=text.split("\n", 1)[0].count)
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=mark, strict=True) if row]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: save it as 'CSV UTF-8'") from error
    except csv.Error as error:
        raise ValueError(f"{path} is not a table of comma-separated values: {error}") from error
    if not rows:
        raise ValueError(f"{path} is empty")
    odd = [line for line, row in enumerate(rows, 1) if len(row) != len(rows[0])]
    if odd:
        raise ValueError(
            f"{path}: line {odd[0]} has {len(rows[odd[0] - 1])} cells, not {len(rows[0])} as the "
            "first has"
        )
    read = pd.DataFrame(rows[1:], columns=rows[0], dtype=object)
    try:
        table = _checked(read)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    for name in COLUMNS:
        if name not in ("confidence", "unsure"):
            table[name] = _object([_restored(text, name) for text in table[name]])
    return table


def read_corrections(path: str | Path, before: pd.DataFrame | None = None) -> pd.DataFrame:
    """Read what was corrected in the page (or by hand in the table) and check that it can be used.

    Parameters
    ----------
    path : str or Path
        The CSV file that the page exported, or `groups.csv` edited in a spreadsheet.
    before : pd.DataFrame or None
        The table that the page was made of (`read_table` of `groups.csv`). With it the files are
        compared, and a group that was edited by hand is recognised as a correction.

    Returns
    -------
    pd.DataFrame
        As from `read_table`. `corrected` says what the user decided about each row:

        - "moved": the image belongs to this group, into which the user put it;
        - "confirmed": the image belongs to this group, as the user said while looking at it;
        - "renamed": its group was given this name, or joined to one of this name;
        - "": nothing.

    Raises
    ------
    ValueError
        A column is missing, a file has two rows, is unknown to `before`, or was left without a
        group: which ones.
    OSError
        It cannot be read.

    Notes
    -----
    "moved" and "confirmed" are labels that a person gave to one image. "renamed" is about a group:
    nobody looked at each of its images. Taught in notebook 07.
    """
    path = Path(path)
    table = read_table(path)
    if before is None:
        return table
    old = _checked(before).set_index("file")["group"]
    unknown = table["file"][~table["file"].isin(old.index)]
    if len(unknown):
        raise ValueError(
            f"{path} holds files that are not in the table it should correct: {_some(unknown)}. "
            "Give the corrections of this folder"
        )
    was = table["file"].map(old)
    lost = table["file"][(was != "") & (table["group"] == "")]
    if len(lost):
        raise ValueError(f"{path}: files without a group: {_some(lost)}. Name one for each")
    by_hand = (table["corrected"] == "") & (table["group"] != was)
    # A group of which every image got the same new name was renamed, not moved one by one
    together = table.groupby(was)["group"].transform("nunique") == 1
    table.loc[by_hand, "corrected"] = np.where(together[by_hand], "renamed", "moved")
    return table


def gallery(
    out: str | Path,
    table: pd.DataFrame,
    thumbnails: np.ndarray,
    places: np.ndarray | None = None,
    *,
    typical: np.ndarray | None = None,
    title: str = "Sorted images",
    note: str = "",
    progress: bool = True,
) -> Path:
    """Write a page that shows the groups and lets a person correct them, in one file.

    Parameters
    ----------
    out : str or Path
        The HTML file to write. It is replaced once the new one is complete.
    table : pd.DataFrame
        A row per file, with the columns of `COLUMNS`. Without a group ("") are files that have a
        problem, or are left out as duplicates.
    thumbnails : array of uint8 (m, h, w, 3)
        A small image, RGB, of each row that has a group, in the table's order. It is read in
        blocks, so that it may be a `np.memmap`.
    places : array of float (m, 2) or None
        Where each of them is on the map, x to the right and y up; None shows no map. What is not
        finite is left off the map.
    typical : array of float (m,) or None
        The larger, the earlier an image stands in its group; by default its confidence.
    title, note : str
        The heading, and a sentence below it.
    progress : bool
        Show a progress bar where it takes longer than a second.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    ValueError
        Table, thumbnails and places do not belong together.
    OSError
        The page cannot be written: the old one, if any, is as it was.

    Notes
    -----
    The page needs no network and may load nothing (content security policy). Within a group the
    most typical images come first. Up to 20,000 images it shows 64 x 64 pixels, above that
    32 x 32, of at most 100,000 images: the most typical and the unsure of each group. What is
    corrected in it, the page exports as `groups_corrected.csv`, for `read_corrections`.
    Taught in notebook 07.
    """
    out, table = Path(out), _checked(table)
    shown = (table["group"] != "").to_numpy()
    thumbnails = np.asanyarray(thumbnails)
    if not shown.any() and not thumbnails.size:
        thumbnails = np.zeros((0, 1, 1, 3), "uint8")
    if thumbnails.dtype != np.uint8 or thumbnails.ndim != 4 or thumbnails.shape[3] != 3:
        raise ValueError(
            f"thumbnails are uint8 (m, h, w, 3), not {thumbnails.dtype} {thumbnails.shape}"
        )
    if len(thumbnails) != shown.sum():
        raise ValueError(
            f"{shown.sum()} rows of the table have a group, but there are {len(thumbnails)} "
            "thumbnails: one for each is needed, in the same order"
        )
    if places is not None and np.shape(places) != (len(thumbnails), 2):
        raise ValueError(f"places are ({len(thumbnails)}, 2), not {np.shape(places)}")
    if typical is None:
        typical = table["confidence"][shown].fillna(-1)
    if len(typical) != len(thumbnails):
        raise ValueError(f"typical has {len(typical)} values for {len(thumbnails)} images")
    order = np.argsort(-np.asarray(typical), kind="stable")

    files, problems, duplicates = (
        [_guard(_plain(text), name) for text in table[name]]
        for name in ("file", "problem", "duplicate_of")
    )
    names = sorted(set(table["group"][shown]), key=_natural)
    code = {"": -1} | {name: number for number, name in enumerate(names)}
    data = {
        "files": files,
        "names": [_plain(name) for name in names],
        "group": [code[name] for name in table["group"]],
        "confidence": [None if np.isnan(c) else c for c in table["confidence"].tolist()],
        "unsure": np.flatnonzero(table["unsure"]).tolist(),
        "problems": {i: text for i, text in enumerate(problems) if text},
        "duplicates": {i: text for i, text in enumerate(duplicates) if text},
        "corrected": {i: text for i, text in enumerate(table["corrected"]) if text},
        "places": None if places is None else _positions(places).ravel().tolist(),
        "order": np.flatnonzero(shown)[order].tolist(),
        "block": BLOCK,
    }
    data["key"] = hashlib.sha256(json.dumps(data).encode()).hexdigest()[:16]
    with_picture = _pictured(table[shown], order)
    data["pictures"] = int(with_picture.sum())

    template = resources.files("tfl_helpers").joinpath("sorting/gallery.html").read_text("utf-8")
    fill = {
        "title": html.escape(_plain(title)),
        "note": html.escape(_plain(note)),
        "style_hash": _csp_hash(template, "style"),
        "script_hash": _csp_hash(template, "script"),
        # What closes a script, or starts a comment in one, cannot be in here
        "data": re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", json.dumps(data)),
    }
    head, tail = (
        re.sub(r"\{\{(\w+)\}\}", lambda found: fill[found[1]], part).encode()
        for part in template.split("{{pictures}}")
    )
    with _replacing(out) as file:
        file.write(head)
        _write_pictures(file, thumbnails, with_picture, progress)
        file.write(tail)
    return out


def _write_pictures(
    file: IO[bytes], thumbnails: np.ndarray, wanted: np.ndarray, progress: bool
) -> None:
    """Write thumbnails in base64, one a line, an empty line for one that is not wanted."""
    side, quality = (64, 75) if len(thumbnails) <= MANY else (32, 60)
    with bar(progress, total=len(thumbnails), desc="gallery", unit="image", delay=1) as shown:
        for start in range(0, len(thumbnails), BLOCK):
            lines = []
            for pixels, take in zip(
                thumbnails[start : start + BLOCK], wanted[start : start + BLOCK], strict=True
            ):
                encoded = io.BytesIO()
                if take:
                    image = Image.fromarray(np.asarray(pixels))
                    image.thumbnail((side, side))
                    image.save(encoded, "WEBP", quality=quality, method=2)
                lines.append(base64.b64encode(encoded.getvalue()))
            file.write(b'<script type="text/plain" class="pictures">')
            file.write(b"\n".join(lines))
            file.write(b"</script>\n")
            shown.update(len(lines))


def _pictured(table: pd.DataFrame, order: np.ndarray, most: int | None = None) -> np.ndarray:
    """Which images get a thumbnail (bool): from each group as many as there is room for."""
    most = MOST if most is None else most
    rank = table.iloc[order].groupby(["group", "unsure"]).cumcount().to_numpy()
    chosen = np.zeros(len(table), bool)
    chosen[order[np.argsort(rank, kind="stable")][:most]] = True
    return chosen


def _positions(places: np.ndarray) -> np.ndarray:
    """Places as whole numbers 0..4095 with y down, (-1, -1) where one is not finite."""
    places = np.asarray(places, float) * (1, -1)
    finite = np.isfinite(places).all(1)
    found = np.full(places.shape, -1)
    if finite.any():
        low = places[finite].min(0)
        size = np.ptp(places[finite], axis=0)
        scale = 4095 / (size.max() or 1)
        centre = (4095 - size * scale) / 2  # the shorter side stays in the middle
        found[finite] = ((places[finite] - low) * scale + centre).round()
    return found


def _checked(table: pd.DataFrame) -> pd.DataFrame:
    """Copy the columns that belong to a table of files, each of its type."""
    missing = [name for name in COLUMNS[:-1] if name not in table]
    if missing:
        raise ValueError(f"columns are missing: {', '.join(missing)} (needed: {COLUMNS[:-1]})")
    made = {}
    for name in COLUMNS:
        given = table[name].astype(object) if name in table else _object([""] * len(table))
        values = given.where(given.notna(), "").tolist()
        if name == "confidence":
            made[name] = pd.Series([_share(*each) for each in enumerate(values, 2)], dtype=float)
        elif name == "unsure":
            made[name] = pd.Series([_truth(*each) for each in enumerate(values, 2)], dtype=bool)
        else:
            made[name] = _object(values)
            wrong = [line for line, value in enumerate(values, 2) if not isinstance(value, str)]
            if wrong:
                raise ValueError(f"{name} in line {wrong[0]} is not text")
    checked = pd.DataFrame(made)
    twice = checked["file"][checked["file"].duplicated()]
    if len(twice):
        raise ValueError(f"files with more than one row: {_some(twice)}")
    empty = np.flatnonzero(checked["file"] == "")
    if len(empty):
        raise ValueError(f"line {empty[0] + 2} names no file")
    wrong = np.flatnonzero(~checked["corrected"].isin(CORRECTED))
    if len(wrong):
        raise ValueError(
            f"corrected in line {wrong[0] + 2} is {checked['corrected'][wrong[0]]!r}, not one of "
            f"{CORRECTED}"
        )
    return checked


def _share(line: int, value: Any) -> float:
    if value == "":
        return np.nan
    try:
        share = float(str(value).replace(",", "."))
    except ValueError:
        share = np.inf
    if not -1e-6 <= share <= 1 + 1e-6:  # what rounding leaves is cut off
        raise ValueError(f"confidence in line {line} is {value!r}, not a number from 0 to 1")
    return min(max(share, 0.0), 1.0)


def _truth(line: int, value: Any) -> bool:
    found = YES_NO.get(str(value).strip().lower())
    if found is None:
        raise ValueError(f"unsure in line {line} is {value!r}, not True or False")
    return found


def _object(values: list) -> pd.Series:
    """Make a column of texts that need not be valid Unicode."""
    return pd.Series(values, dtype=object)


def _natural(name: str) -> list:
    """Sort "group 10" after "group 9"."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [
        *((part, int(digits)) for part, digits in zip(parts[::2], [*parts[1::2], -1], strict=True)),
        name,
    ]


def _some(files: pd.Series) -> str:
    """Name a few files of many."""
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return ", ".join(repr(file) for file in files[:3]) + more


def _plain(text: str) -> str:
    """Text on one line that can be written as UTF-8."""
    return ODD.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _guard(text: str, column: str) -> str:
    """Keep a spreadsheet from taking a text for a formula."""
    mark = "./" if column in PATHS else "'"
    return mark + text if re.match(f"({re.escape(mark)})*{FORMULA}", text) else text


def _restored(text: str, column: str) -> str:
    """Undo `_guard` and `_plain`."""
    mark = "./" if column in PATHS else "'"
    if re.match(f"({re.escape(mark)})+{FORMULA}", text):
        text = text[len(mark) :]
    return re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), text)


def _csp_hash(template: str, tag: str) -> str:
    """Hash by which the page's policy knows its own style or script."""
    text = re.search(f"<{tag}>(.*?)</{tag}>", template, re.DOTALL)[1]
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file that takes the place of `path` only once it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
