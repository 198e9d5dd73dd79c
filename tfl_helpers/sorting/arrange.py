"""A folder per group, of copies of the images or of links to them."""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tfl_helpers.datasets import progress_bar, write_whole
from tfl_helpers.sorting.table import numbered

NO_NAME = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')  # on some system or other


def fill_folders(folder: Path, target: Path, table: pd.DataFrame, how: str, progress: bool) -> None:
    """Fill a folder per group; what an earlier run put there and is no longer right goes."""
    table = table[table["group"] != ""]
    folders = _folder_names(sorted(set(table["group"])))
    wanted = {
        target / ("unsure" if row.unsure else folders[row.group]) / row.file: folder / row.file
        for row in table.itertuples()
    }
    for inner, _, files in os.walk(target, topdown=False):
        for path in (Path(inner, file) for file in files):
            if path not in wanted:
                path.unlink()
        if not os.listdir(inner):
            os.rmdir(inner)
    bar = progress_bar(progress, wanted.items(), desc="sorted", unit="file", delay=1)
    for place, source in bar:
        source = source.resolve()
        if source.exists() and not _is_there(place, source, how):  # it may be gone by now
            with write_whole(place) as part:
                part.symlink_to(source) if how == "link" else shutil.copy2(source, part)


def _is_there(place: Path, source: Path, how: str) -> bool:
    if how == "link" or place.is_symlink() or not place.exists():
        return how == "link" and place.is_symlink() and os.readlink(place) == str(source)
    a, b = place.stat(), source.stat()
    return (a.st_size, int(a.st_mtime)) == (b.st_size, int(b.st_mtime))


def _folder_names(groups: Sequence[str]) -> dict[str, str]:
    """Make a name for a folder from the name of a group, which may hold anything."""
    folders, taken = {}, {"unsure"}
    for group in groups:
        plain = NO_NAME.sub("_", group)[:60].strip(" .") or "_"
        folders[group] = next(name for name in numbered(plain) if name.lower() not in taken)
        taken.add(folders[group].lower())
    return folders
