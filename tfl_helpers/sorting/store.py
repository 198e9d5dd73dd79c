"""What earlier runs learned of each file of a folder, in one SQLite file beside the results."""

import functools
import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tfl_helpers.sorting.table import CORRECTED

STORE = "work.sqlite"
AT_ONCE = 20_000  # images whose features stand in memory: a tenth of a GB
TABLES = (
    "files (name BLOB PRIMARY KEY, size INTEGER, changed INTEGER, about TEXT,"
    " digest BLOB, hash BLOB, small BLOB, picture BLOB)",
    "features (name BLOB, backbone TEXT, z BLOB, PRIMARY KEY (name, backbone))",
    "placed (digest BLOB PRIMARY KEY, name BLOB, grouped TEXT, corrected TEXT DEFAULT '')",
    "arranged (place BLOB PRIMARY KEY, mark TEXT)",
    "facts (key TEXT PRIMARY KEY, value TEXT)",
)
# Versions before 0.6 knew images by their names.
OLDER = (
    "INSERT OR IGNORE INTO placed SELECT digest, name, grouped, corrected FROM sorted"
    " JOIN files USING (name) WHERE digest IS NOT NULL ORDER BY corrected = ''",
    "DROP TABLE sorted",
)
SAID = CORRECTED[2:]  # marks of what a person said of one image
FREE = "free"  # mark of one of which nobody said anything, that follows the names of others
# What is kept of a file as text
ABOUT = ("codes", "notes", "link", "bytes", "mode", "width", "height", "values", "looks")


class ByNumber(Sequence):
    """What is known of files, by number, read when it is asked for: all would fill a memory."""

    def __init__(self, read: Callable[[str], Any], names: Sequence[str]) -> None:
        self._read, self._names = read, list(names)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, number: int) -> Any:
        return self._read(self._names[number])


@dataclass(eq=False)
class FileRead:
    """What was learned of one file; no pixels where it cannot be used."""

    name: str
    stat: tuple[int, int]  # size and time of change
    row: dict[str, Any]  # from `cleaning.inspect_file`
    pixels: dict[tuple, np.ndarray] = field(default_factory=dict)  # size: uint8 (*size, 3)
    picture: bytes | None = None  # from `gallery.thumbnail`
    z: dict[str, np.ndarray] = field(default_factory=dict)  # name of a view: features (d,)


class Rows:
    """Features of many images, float32 (n, d), of length one: read from the store when looked at.

    Of a million images they are 5 GB, and whoever looks at them looks at a sample or at part after
    part. `np.asarray` gives all.
    """

    def __init__(self, read: Callable[[Sequence[str]], np.ndarray], names: Sequence[str]) -> None:
        self._read, self._names = read, np.array(names, object)
        self.shape = len(names), self[:1].shape[1]

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, rows: Any) -> np.ndarray:
        from sklearn.preprocessing import normalize

        names = self._names[rows]
        z = self._read(names) if len(names) else np.zeros((0, self.shape[1]), "float32")
        return normalize(z, copy=False) if len(z) else z

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or "float32", copy=False)


class Store:
    """All that is known of each file. What one call writes is there as a whole or not at all."""

    def __init__(self, base: sqlite3.Connection) -> None:
        self._base = base
        self._last = base.execute("SELECT ifnull(max(rowid), 0) FROM files").fetchone()[0]

    @classmethod
    @contextmanager
    def opened(cls, out: Path) -> Iterator["Store"]:
        """Make the folder and open its store; what a killed run left unfinished is cleared away."""
        out.mkdir(parents=True, exist_ok=True)
        try:
            # Strings of PyArrow, which pandas takes where it is installed, hold valid text only.
            plain = pd.option_context("mode.string_storage", "python")
            with plain, closing(sqlite3.connect(out / STORE, timeout=0)) as base:
                # Locked until it is closed: two runs at once would undo each other's results.
                base.execute("PRAGMA locking_mode = EXCLUSIVE")
                with base:
                    base.execute("BEGIN EXCLUSIVE")
                    for table in TABLES:
                        base.execute(f"CREATE TABLE IF NOT EXISTS {table}")
                    base.execute("CREATE INDEX IF NOT EXISTS by_digest ON files (digest)")
                    if base.execute("SELECT 1 FROM sqlite_master WHERE name = 'sorted'").fetchone():
                        for change in OLDER:
                            base.execute(change)
                for part in out.glob("*.part*"):
                    part.unlink()
                yield cls(base)
        except sqlite3.Error as error:
            why = str(error)
            if "locked" in why:
                why = "another run is using it: wait for its end, or choose another folder"
            elif "not a database" in why:
                why = f"{STORE} is damaged: delete it, and all is computed anew"
            elif "unable to open" in why or "readonly" in why:
                why = "it cannot be written: choose another folder, or change its permissions"
            raise OSError(f"{out}: {why}") from error

    def known(self, view: str) -> dict[str, tuple[int, int]]:
        """Size and time of change of the files of which this view is computed, and all else known.

        What could not be used is looked at again: another version or option may read it.
        """
        query = (
            "SELECT name, size, changed FROM files WHERE picture IS NOT NULL"
            " AND name IN (SELECT name FROM features WHERE backbone = ?)"
            """ AND (about NOT LIKE '%"16-bit"%' OR about LIKE '%"values"%')"""
        )
        found = self._base.execute(query, (view,))
        return {os.fsdecode(name): tuple(stat) for name, *stat in found}

    def recall(self, files: Iterable[FileRead]) -> None:
        """Fill in features of the same bytes under another name, but of deep images.

        Of what this run read itself none are taken: in which order it did may be different again.
        """
        query = (
            "SELECT backbone, z FROM features JOIN files USING (name)"
            " WHERE digest = ? AND files.rowid <= ? ORDER BY files.rowid DESC"
        )
        for file in files:
            if "values" not in file.row:
                for view, z in self._base.execute(query, (file.row.get("digest"), self._last)):
                    file.z[view] = np.frombuffer(z, "float16")

    def save(self, files: Iterable[FileRead]) -> None:
        """Save what was learned of some files; what was known of them before goes."""
        changed = (
            "DELETE FROM features WHERE name = ?1 AND NOT EXISTS"
            " (SELECT 1 FROM files WHERE name = ?1 AND size = ?2 AND changed = ?3)"
        )
        with self._base as base:
            for file in files:
                name, row = os.fsencode(file.name), file.row
                base.execute(changed, (name, *file.stat))
                about = json.dumps({key: row[key] for key in ABOUT if key in row})
                blobs = [row.get("digest"), None, None, file.picture]
                if "hash" in row:
                    blobs[1:3] = row["hash"].to_bytes(8), row["thumbnail"].tobytes()
                values = (name, *file.stat, about, *blobs)
                base.execute(f"INSERT OR REPLACE INTO files VALUES ({'?, ' * 7}?)", values)
                for view, z in file.z.items():
                    values = (name, view, z.astype("float16").tobytes())
                    base.execute("INSERT OR REPLACE INTO features VALUES (?, ?, ?)", values)

    def _of(self, what: str, name: str) -> tuple:
        query = f"SELECT {what} FROM files WHERE name = ?"
        return self._base.execute(query, (os.fsencode(name),)).fetchone()

    def rows(self, names: Sequence[str]) -> ByNumber:
        """Give what `cleaning.inspect_file` said of some files but thumbnails, and its `stat`."""

        def row(name: str) -> dict[str, Any]:
            *stat, about, digest, bits = self._of("size, changed, about, digest, hash", name)
            known = {"stat": stat, **json.loads(about)}
            known |= {} if digest is None else {"digest": digest}
            return known | ({} if bits is None else {"hash": int.from_bytes(bits)})

        return ByNumber(row, names)

    def small(self, names: Sequence[str]) -> Callable[[Sequence[int]], np.ndarray]:
        """Make a function of positions in `names`: thumbnails to compare by, uint8 (n, 3, 256)."""

        @functools.lru_cache(AT_ONCE)
        def one(position: int) -> np.ndarray:
            (found,) = self._of("small", names[position])
            return np.frombuffer(found, "uint8").reshape(3, 256)

        return lambda some: np.array([one(position) for position in some])

    def values(self) -> dict[str, list[float]]:
        """Give the least and largest value of each image of more than 8 bits."""
        query = """SELECT name, about FROM files WHERE about LIKE '%"values"%'"""
        return {
            os.fsdecode(n): json.loads(about)["values"] for n, about in self._base.execute(query)
        }

    def features(self, parts: Sequence[Sequence[str]], names: Sequence[str]) -> np.ndarray:
        """Features of some images, one at least, by the views of each part: float32 (n, d)."""
        from tfl_helpers.features import combine

        return combine((self._features(view, names) for view in views) for views in parts)

    def unit_features(
        self, parts: Sequence[Sequence[str]], names: Sequence[str]
    ) -> np.ndarray | Rows:
        """Features as `features` gives them, scaled to length one; of very many as `Rows`."""
        rows = Rows(lambda some: self.features(parts, some), names)
        return rows if len(names) > AT_ONCE else rows[:]

    def _features(self, view: str, names: Sequence[str]) -> np.ndarray:
        query, result = "SELECT z FROM features WHERE backbone = ? AND name = ?", None
        for i, name in enumerate(names):
            (z,) = self._base.execute(query, (view, os.fsencode(name))).fetchone()
            if result is None:
                result = np.empty((len(names), len(z) // 2), "float32")
            result[i] = np.frombuffer(z, "float16")
        return result

    def pictures(self, names: Sequence[str]) -> ByNumber:
        """Thumbnails of some images, as `gallery.thumbnail` made them."""
        return ByNumber(lambda name: self._of("picture", name)[0], names)

    def fact(self, name: str) -> Any:
        """Give what an earlier run kept under a name, or None."""
        found = self._base.execute("SELECT value FROM facts WHERE key = ?", (name,)).fetchone()
        return None if found is None else json.loads(found[0])

    def keep(self, table: pd.DataFrame | None = None, **facts: Any) -> None:
        """Remember facts, and the groups that a table's images were found in, for the next run."""
        place = (
            "INSERT INTO placed (digest, name, grouped) VALUES (?, ?, ?) ON CONFLICT (digest)"
            " DO UPDATE SET name = excluded.name, grouped = excluded.grouped"
            f" WHERE corrected IN ('', '{FREE}')"
        )
        with self._base as base:
            if table is not None:
                digests = self.digests()
                rows = zip(table["file"], table["group"], strict=True)
                values = ((bytes.fromhex(digests[f]), os.fsencode(f), group) for f, group in rows)
                base.executemany(place, values)
            values = [(key, json.dumps(value)) for key, value in facts.items()]
            base.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", values)

    def correct(self, table: pd.DataFrame, opened: Collection[str] = ()) -> None:
        """Take over what a person said in a corrected table, of images and of whole groups.

        Of groups that were `opened`, the files are free to follow names from now on.

        It holds for the images, whatever their names will be. Where a person said nothing, an image
        stays in the group that it was found in: a guess never becomes a label.
        """
        old, digests = self.placed(), self.digests()
        news = table[(table["group"] != "") & table["file"].isin(digests.keys())]
        news = news.assign(digest=news["file"].map(digests))
        moved = news[news["corrected"] == "moved"].drop_duplicates(["digest", "group"])
        if (twice := moved[moved.duplicated("digest", keep=False)].sort_values("digest")).size:
            first, second = twice["file"][:2]
            raise ValueError(f"{first} and {second} are copies, but moved to different groups")
        # Of copies the one counts of which most was said
        news = news.sort_values("corrected", key=lambda marks: marks.map(CORRECTED.index))
        news = news.drop_duplicates("digest", keep="last").set_index("digest")
        names = news["group"].groupby(old["group"].reindex(news.index)).agg(lambda g: g.mode()[0])
        gone = ~old["group"].isin(news["group"])
        old.loc[gone, "group"] = old["group"].map(names).fillna(old["group"])
        said = old["said"].reindex(news.index).fillna("")
        offered = ~news["group"].isin(news["group"][news.index.isin(old.index)])
        said[offered & (news["corrected"] == "renamed")] = "confirmed"  # a new group, by its name
        news = news.assign(said=news["corrected"].where(news["corrected"].isin(SAID), said))
        news = news[(news["corrected"] != "") | ~news.index.isin(old.index)]
        both = news[["file", "group", "said"]].combine_first(old)
        free = both["free"].eq(True) | both.index.isin([digests.get(file) for file in opened])
        self._place(both.assign(free=free))
        # New names alone leave the groups as they are: they are found again and keep their names.
        groups = set(table["group"]) - {""}
        if (news["said"] != "").any() or len(groups) != self.fact("groups"):
            self.keep(corrected=True)
        self.keep(state=None)  # the result is not up to date

    def restore(self, table: pd.DataFrame | None, answers: pd.DataFrame) -> None:
        """Take over an earlier result and what people said, as far as there are such files."""
        if table is not None:
            self.keep(groups=int(table["group"][table["group"] != ""].nunique()))
            named = table["group"][table["corrected"] == "named"]
            self.correct(table, table["file"][table["group"].isin(named)].tolist())
        if len(answers):
            self._place(answers.set_index("digest").assign(free=False))
            self.keep(corrected=True)

    def placed(self, files: Iterable[str] | None = None) -> pd.DataFrame:
        """Give what is known of each image, by the SHA-256 digest of its bytes; or of some files.

        Columns: `file`, its name then; `group`, where a person said that it belongs, or else where
        it was found; `said`, "moved", "named", "confirmed" or ""; `free`, whether it follows the
        names of others. A file of which nothing is known has none of it.
        """
        rows = self._base.execute("SELECT digest, name, grouped, corrected FROM placed").fetchall()
        values = [
            (digest.hex(), os.fsdecode(name), group, mark if mark in SAID else "", mark == FREE)
            for digest, name, group, mark in rows
        ]
        columns = ["digest", "file", "group", "said", "free"]
        table = pd.DataFrame(values, columns=columns, dtype=object).set_index("digest")
        if files is None:
            return table
        digests = self.digests()
        return table.reindex(map(digests.get, files)).reset_index(drop=True)

    def _place(self, placed: pd.DataFrame) -> None:
        mark = placed["said"].where(~placed["free"] | (placed["said"] != ""), FREE)
        rows = zip(placed.index, placed["file"], placed["group"], mark, strict=True)
        values = [(bytes.fromhex(d), os.fsencode(file), *rest) for d, file, *rest in rows]
        with self._base as base:
            base.executemany("INSERT OR REPLACE INTO placed VALUES (?, ?, ?, ?)", values)

    def digests(self) -> dict[str, str]:
        """Give the SHA-256 digest, in hex digits, of each file that could be read."""
        found = self._base.execute("SELECT name, digest FROM files WHERE digest IS NOT NULL")
        return {os.fsdecode(name): digest.hex() for name, digest in found}

    def arranged(self, under: str = "") -> dict[str, str]:
        """Give what the last run put into the folders, or `under` another: place to its mark."""
        found = self._base.execute("SELECT place, mark FROM arranged")
        places = {os.fsdecode(place): mark for place, mark in found}
        return {
            place.removeprefix(under): mark
            for place, mark in places.items()
            if place.startswith(under or "../") == bool(under)
        }

    def arrange(self, marks: dict[str, str], under: str = "") -> None:
        """Remember what is put into the folders, in place of what was there before."""
        with self._base as base:
            gone = [(os.fsencode(under + place),) for place in self.arranged(under)]
            base.executemany("DELETE FROM arranged WHERE place = ?", gone)
            values = [(os.fsencode(under + place), mark) for place, mark in marks.items()]
            base.executemany("INSERT INTO arranged VALUES (?, ?)", values)
