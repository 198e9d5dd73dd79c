"""A folder per group, of copies of the images or of links to them; and what else is handed out.

A run takes away and replaces only what an earlier run put there and nobody has changed since.
"""

import os
import shutil
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pandas as pd
from pathvalidate import sanitize_filename

from tfl_helpers.datasets import file_hash, progress_bar, write_whole
from tfl_helpers.datasets.remote import at_hand
from tfl_helpers.sorting.store import Store
from tfl_helpers.sorting.table import numbered


def fill_folders(
    folder: Path, out: Path, table: pd.DataFrame, how: str, store: Store, progress: bool
) -> list[str]:
    """Fill a folder per group; return what a user put or changed there, which is left alone."""
    table = table[table["group"] != ""]
    folders = safe_names(sorted(set(table["group"])), taken=["unsure"])
    wanted = {
        f"{'unsure' if row.unsure else folders[row.group]}/{row.file}": folder / row.file
        for row in table.itertuples()
    }
    marks = file_marks(wanted, table["file"], how, store)
    return put_files(out / "sorted", wanted, marks, store.arranged(), store.arrange, progress)


def file_marks(
    wanted: Mapping[str, Path], files: Iterable[str], how: str, store: Store
) -> dict[str, str]:
    """Say of each place what will be there: where a link leads, or the digest of a copy."""
    if how == "link":
        return {place: f"-> {path.resolve()}" for place, path in wanted.items()}
    digests = store.digests()
    return {place: f"sha256 {digests[file]}" for place, file in zip(wanted, files, strict=True)}


def put_files(
    target: Path,
    wanted: Mapping[str, Path | bytes],
    marks: Mapping[str, str],
    recorded: Mapping[str, str],
    remember: Callable[[dict[str, str]], None],
    progress: bool,
) -> list[str]:
    """Put files, or what they hold, at places in a folder, where earlier ones were `recorded`.

    Each has a mark, see `file_marks`. What a user put or changed there is left alone and returned.
    """
    known = {**marks, **recorded}  # what is there already, and as it would be made, may be ours
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
    remember({place: marks[place] for place in marks if place not in alone})
    for place in progress_bar(progress, todo, desc=target.name, unit="file", delay=1):
        source, link = wanted[place], marks[place].startswith("->")
        if isinstance(source, bytes):
            with write_whole(target / place) as part:
                part.write_bytes(source)
        elif source.exists():  # it may be gone by now
            with write_whole(target / place) as part:
                if link:
                    part.symlink_to(source.resolve())
                    continue
                with at_hand(source) as path:
                    shutil.copy2(path, part)
    return alone


def _is_as_made(path: Path, mark: str) -> bool:
    """Tell whether a run made the file at a path, by where its link leads or by its digest."""
    kind, _, content = mark.partition(" ")
    if path.is_symlink() or kind == "->":
        return path.is_symlink() and os.readlink(path) == content
    return path.is_file() and file_hash(path, content) == content


def safe_names(
    names: Iterable[str], *, taken: Iterable[str] = (), suffixes: bool = False
) -> dict[str, str]:
    """Make a name of a folder from each text, that every system takes; or of a file (`suffixes`).

    Where names are told apart by case or Unicode form alone, which some systems don't, the second
    gets a number.

    Examples
    --------
    >>> safe_names(["a/b", "A:b", "con", "Ende..."])
    {'a/b': 'a_b', 'A:b': 'A_b 2', 'con': 'con_', 'Ende...': 'Ende'}
    """
    made, taken = {}, {_folded(name) for name in taken}
    for name in names:
        text = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())
        stem, suffix = os.path.splitext(text) if suffixes else (text, "")
        suffix = sanitize_filename(suffix[:20], "_", platform="universal").rstrip(" .")
        end = stem.encode()[-180:].decode(errors="ignore")  # a path's end tells most
        plain = (end if suffixes else stem[:60]).strip(" .") or "_"
        plain = sanitize_filename(plain, "_", platform="universal")
        made[name] = next(n + suffix for n in numbered(plain) if _folded(n + suffix) not in taken)
        taken.add(_folded(made[name]))
    return made


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()
