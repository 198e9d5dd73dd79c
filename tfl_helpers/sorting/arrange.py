"""A folder per group, of copies of the images or of links to them.

A run takes away and replaces only what an earlier run put there and nobody has changed since.
"""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tfl_helpers.datasets import file_hash, progress_bar, write_whole
from tfl_helpers.sorting.store import Store
from tfl_helpers.sorting.table import numbered

NO_NAME = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')  # on some system or other


def fill_folders(
    folder: Path, out: Path, table: pd.DataFrame, how: str, store: Store, progress: bool
) -> list[str]:
    """Fill a folder per group; return what a user put or changed there, which is left alone."""
    target = out / "sorted"
    table = table[table["group"] != ""]
    folders, digests = _folder_names(sorted(set(table["group"]))), store.digests()
    wanted = {
        f"{'unsure' if row.unsure else folders[row.group]}/{row.file}": row.file
        for row in table.itertuples()
    }
    marks = {
        place: f"-> {(folder / file).resolve()}" if how == "link" else f"sha256 {digests[file]}"
        for place, file in wanted.items()
    }
    recorded = store.arranged()
    known = marks | recorded  # what is there already, and as it would be made, may be ours
    linked = {
        p for p in known if not (target / p).parent.resolve().is_relative_to(target.resolve())
    }
    ours = {p for p, mark in known.items() if p not in linked and _is_as_made(target / p, mark)}
    alone = [p for p in known if p not in ours and (p in linked or os.path.lexists(target / p))]
    for place in ours - marks.keys():
        (target / place).unlink()
        for inner in (target / place).parents:
            if inner == target or os.listdir(inner):
                break
            os.rmdir(inner)
    todo = [p for p in marks if p not in alone and (p not in ours or known[p] != marks[p])]
    store.arrange({place: marks[place] for place in marks if place not in alone})
    for place in progress_bar(progress, todo, desc="sorted", unit="file", delay=1):
        source = (folder / wanted[place]).resolve()
        if source.exists():  # it may be gone by now
            with write_whole(target / place) as part:
                part.symlink_to(source) if how == "link" else shutil.copy2(source, part)
    return alone


def _is_as_made(path: Path, mark: str) -> bool:
    """Tell whether a run made the file at a path, by where its link leads or by its digest."""
    kind, _, content = mark.partition(" ")
    if path.is_symlink() or kind == "->":
        return path.is_symlink() and os.readlink(path) == content
    return path.is_file() and file_hash(path, content) == content


def _folder_names(groups: Sequence[str]) -> dict[str, str]:
    """Make a name for a folder from the name of a group, which may hold anything."""
    folders, taken = {}, {"unsure"}
    for group in groups:
        plain = NO_NAME.sub("_", group)[:60].strip(" .") or "_"
        folders[group] = next(name for name in numbered(plain) if name.lower() not in taken)
        taken.add(folders[group].lower())
    return folders
