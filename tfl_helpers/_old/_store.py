"""What a sorted folder's earlier runs learned of each file, kept beside the results."""

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from tfl_helpers._old import report

STORE = "work.sqlite"
THUMBNAIL = 64  # pixels


class Store:
    """What is known of each file, in one SQLite file: every block is there as a whole or not."""

    def __init__(self, path: Path) -> None:
        self._base = sqlite3.connect(path, timeout=0, isolation_level=None)
        # Locked until it is closed: two runs at once would undo each other's results.
        self._base.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._base.execute("BEGIN EXCLUSIVE")
        for table in (
            "files (name BLOB PRIMARY KEY, size INTEGER, changed INTEGER, about TEXT,"
            " digest BLOB, hash BLOB, small BLOB, picture BLOB)",
            "features (name BLOB, backbone TEXT, z BLOB, PRIMARY KEY (name, backbone))",
            "sorted (name BLOB PRIMARY KEY, grouped TEXT, corrected TEXT DEFAULT '')",
            "facts (key TEXT PRIMARY KEY, value TEXT)",
        ):
            self._base.execute(f"CREATE TABLE IF NOT EXISTS {table}")
        self._base.execute("COMMIT")

    @classmethod
    @contextmanager
    def opened(cls, out: Path) -> Iterator["Store"]:
        """Make the folder and open its store; what a killed run left unfinished is cleared away."""
        out.mkdir(parents=True, exist_ok=True)
        store = None
        try:
            store = cls(out / STORE)
            for part in out.glob("*.part*"):
                part.unlink()
            yield store
        except sqlite3.Error as error:
            why = str(error)
            if "locked" in why:
                why = "another run is using it: wait for its end, or choose another folder"
            elif isinstance(error, sqlite3.DatabaseError) and "not a database" in why:
                why = f"{STORE} is damaged: delete it, and all is computed anew"
            raise OSError(f"{out}: {why}") from error
        finally:
            if store is not None:
                store._base.close()

    @contextmanager
    def _whole(self) -> Iterator[sqlite3.Connection]:
        """All of what is written inside, or nothing of it."""
        self._base.execute("BEGIN")
        try:
            yield self._base
        except BaseException:
            self._base.execute("ROLLBACK")
            raise
        self._base.execute("COMMIT")

    def stats(self) -> dict[bytes, tuple[int, int]]:
        """Size and time of change of each file when it was last read."""
        return {
            name: (a, b)
            for name, a, b in self._base.execute("SELECT name, size, changed FROM files")
        }

    def have_features(self, backbone: str) -> set[bytes]:
        """Files whose features are known."""
        query = "SELECT name FROM features WHERE backbone = ?"
        return {name for (name,) in self._base.execute(query, (backbone,))}

    def save(self, backbone: str, block: Sequence[tuple]) -> None:
        """Save (name, stat, row, picture, features) of some files; what was known goes."""
        with self._whole() as base:
            for name, (size, changed), row, picture, z in block:
                if self._stat(name) != (size, changed):
                    base.execute("DELETE FROM features WHERE name = ?", (name,))
                about = {
                    k: row[k]
                    for k in ("codes", "notes", "bytes", "mode", "width", "height")
                    if k in row
                }
                mark = row.get("hash")
                packed = None if mark is None else np.packbits(mark).tobytes()
                small = row["thumbnail"].tobytes() if "thumbnail" in row else None
                values = (name, size, changed, json.dumps(about), row.get("digest"), packed, small)
                base.execute(
                    "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (*values, picture),
                )
                if z is not None:
                    half = z.astype("float16").tobytes()
                    base.execute(
                        "INSERT OR REPLACE INTO features VALUES (?, ?, ?)", (name, backbone, half)
                    )

    def _stat(self, name: bytes) -> tuple[int, int] | None:
        query = "SELECT size, changed FROM files WHERE name = ?"
        return self._base.execute(query, (name,)).fetchone()

    def rows(self) -> dict[bytes, dict]:
        """Give what `cleaning.look` said of each file."""
        rows = {}
        query = "SELECT name, about, digest, hash, small FROM files"
        for name, about, digest, packed, small in self._base.execute(query):
            rows[name] = row = json.loads(about)
            if digest is not None:
                row["digest"] = digest
                row["hash"] = np.unpackbits(np.frombuffer(packed, "uint8")).astype(bool)
                row["thumbnail"] = np.frombuffer(small, "uint8").reshape(3, 256)
        return rows

    def features(self, backbone: str, names: Sequence[str]) -> np.ndarray:
        """Features of some images: float32 (n, d)."""
        result = None
        for i, name in enumerate(names):
            query = "SELECT z FROM features WHERE backbone = ? AND name = ?"
            (z,) = self._base.execute(query, (backbone, key(name))).fetchone()
            if result is None:
                result = np.empty((len(names), len(z) // 2), "float32")
            result[i] = np.frombuffer(z, "float16")
        return result

    def pictures(self, names: Sequence[str]) -> np.ndarray:
        """Small pictures of some images: uint8 (n, side, side, 3)."""
        side = THUMBNAIL if len(names) <= report.MANY else THUMBNAIL // 2
        result = np.empty((len(names), side, side, 3), "uint8")
        for i, name in enumerate(names):
            query = "SELECT picture FROM files WHERE name = ?"
            (picture,) = self._base.execute(query, (key(name),)).fetchone()
            result[i] = np.asarray(Image.open(BytesIO(picture)).resize((side, side)))
        return result

    def fact(self, name: str) -> Any:
        """Give what an earlier run kept under a name, or None."""
        found = self._base.execute("SELECT value FROM facts WHERE key = ?", (name,)).fetchone()
        return None if found is None else json.loads(found[0])

    def keep(self, placed: Mapping[str, str], **facts: Any) -> None:
        """Remember the group of each image, and facts, for the next run."""
        with self._whole() as base:
            for name, group in placed.items():
                base.execute(
                    "INSERT INTO sorted (name, grouped) VALUES (?, ?)"
                    " ON CONFLICT (name) DO UPDATE SET grouped = excluded.grouped",
                    (key(name), group),
                )
            for fact, value in facts.items():
                found = (fact, json.dumps(value))
                base.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", found)

    def correct(self, table: pd.DataFrame) -> None:
        """Take over the groups of a corrected table; what a person said of an image stays."""
        with self._whole() as base:
            for file, group, corrected in zip(
                table["file"], table["group"], table["corrected"], strict=True
            ):
                if group:
                    mark = corrected if corrected in ("moved", "confirmed") else ""
                    base.execute(
                        "INSERT OR REPLACE INTO sorted VALUES (?, ?, ?)", (key(file), group, mark)
                    )
        # New names alone leave the groups as they are: they are found again and keep their names.
        groups = {group for group in table["group"] if group}
        if self.corrections() or len(groups) != self.fact("groups"):
            self.keep({}, corrected=True)

    def earlier(self) -> dict[str, str]:
        """Group of each image in the earlier run, or as corrected since."""
        found = self._base.execute("SELECT name, grouped FROM sorted")
        return {os.fsdecode(name): group for name, group in found}

    def corrections(self) -> dict[str, str]:
        """Give what a person said: file to "moved" or "confirmed"."""
        found = self._base.execute("SELECT name, corrected FROM sorted WHERE corrected != ''")
        return {os.fsdecode(name): mark for name, mark in found}


def key(name: str) -> bytes:
    """Name of a file as the store has it: it need not be text."""
    return os.fsencode(name)
