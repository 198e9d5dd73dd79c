"""A folder per group, of copies of the images or of links to them."""

import os
import re
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tfl_helpers.datasets import progress_bar

NO_NAME = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')  # on some system or other


def fill_folders(folder: Path, target: Path, table: pd.DataFrame, how: str, progress: bool) -> None:
    """Fill a folder per group; what an earlier run put there and is no longer right goes."""
    folders = _folder_names(sorted(set(table["group"]) - {""}))
    wanted = {
        target / ("unsure" if row.unsure else folders[row.group]) / row.file: folder / row.file
        for row in table[table["group"] != ""].itertuples()
    }
    for inner, _, files in os.walk(target, topdown=False):
        for path in (Path(inner, file) for file in files):
            if path not in wanted:
                path.unlink()
        if not os.listdir(inner):
            os.rmdir(inner)
    for place, source in progress_bar(
        progress, wanted.items(), desc="sorted", unit="file", delay=1
    ):
        source = source.resolve()
        if source.exists() and not _is_there(place, source, how):  # it may be gone by now
            part = target / f"{uuid.uuid4().hex}.part"  # the name may leave no room for a suffix
            place.parent.mkdir(parents=True, exist_ok=True)
            part.symlink_to(source) if how == "link" else shutil.copy2(source, part)
            os.replace(part, place)


def _is_there(place: Path, source: Path, how: str) -> bool:
    if how == "link" or place.is_symlink() or not place.exists():
        return how == "link" and place.is_symlink() and os.readlink(place) == str(source)
    a, b = place.stat(), source.stat()
    return (a.st_size, int(a.st_mtime)) == (b.st_size, int(b.st_mtime))


def _folder_names(groups: Sequence[str]) -> dict[str, str]:
    """Make a name for a folder from the name of a group, which may hold anything."""
    result: dict[str, str] = {}
    for group in groups:
        plain = NO_NAME.sub("_", group)[:60].strip(" .") or "_"
        name, number = plain, 1
        while name.lower() in {"unsure", *(given.lower() for given in result.values())}:
            number += 1
            name = f"{plain} {number}"
        result[group] = name
    return result
