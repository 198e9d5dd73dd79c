"""Folders at an address, such as s3://bucket/photos: listed at once, each file fetched to be read.

fsspec knows the places (S3, Google, Azure, Hugging Face, SFTP and others). Who may read them is
known from the environment, as their own libraries look it up, and nowhere said, kept or passed on.
"""

import functools
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from tfl_helpers.datasets.decode import ImageReadError, read_image
from tfl_helpers.datasets.images import PASSED_OVER, walk


def folder_at(place: str | Path) -> "Path | RemoteFolder":
    """Find a folder by its path on this machine or by its address anywhere."""
    if "://" not in str(place):
        return Path(place).expanduser()
    return RemoteFolder(str(place))


class RemoteFolder:
    """A folder at an address, as far as it can be used like the path of one.

    Raises
    ------
    ValueError
        The library for such addresses is not installed, or a password stands in this one.
    """

    def __init__(self, address: str) -> None:
        if urlsplit(address).password:
            raise ValueError(
                "a password in an address would stand in the results: the library of the place "
                "looks it up in the environment"
            )
        self.address = address.rstrip("/")
        self.name = self.address.rpartition("/")[2]
        self._opened  # noqa: B018  so that what is missing is told now

    def __str__(self) -> str:
        return self.address

    def __getstate__(self) -> dict[str, Any]:
        """Take no list of files along to another process, and nothing that knows a password."""
        return {"address": self.address, "name": self.name}

    def __truediv__(self, file: str) -> "RemoteFile":
        return RemoteFile(self, file)

    def resolve(self) -> "RemoteFolder":
        """Return itself: there is one way to say an address."""
        return self

    def is_dir(self) -> bool:
        """Say that it is there: that it is not shows when it is listed."""
        return True

    @functools.cached_property
    def _opened(self) -> tuple[Any, str]:
        try:
            import fsspec

            return fsspec.core.url_to_fs(self.address)
        except (ImportError, ValueError) as error:
            raise ValueError(
                f"{self.address} cannot be opened: {error}. For folders at an address: pip install "
                '"tfl-helpers[cluster]", and the library of the place, such as s3fs, gcsfs, adlfs'
            ) from error

    @functools.cached_property
    def files(self) -> dict[str, tuple[int, int]]:
        """Every file's path in the folder, its size, and a number that changes with its content."""
        system, root = self._opened
        try:
            system.invalidate_cache()  # else a second run in one process sees no new files
            found = system.find(root, detail=True)
        except Exception as error:  # each library has its own
            raise OSError(f"{self.address} cannot be listed: {error}") from error
        return {
            path.removeprefix(root).lstrip("/"): (about["size"] or 0, _mark(about))
            for path, about in found.items()
            if not path.endswith("/") and path != root
        }

    def walk(self, all_files: bool = False) -> tuple[list[str], list[str]]:
        """List files, and what is passed over, as `datasets.walk` does."""
        found, passed = [], set()
        for file in sorted(self.files):
            path = PurePosixPath(file)
            hidden = [part for part in path.parts if not all_files and PASSED_OVER(part)]
            if hidden:
                end = path.parts.index(hidden[0]) + 1
                passed.add("/".join(path.parts[:end]))
            else:
                found.append(file)
        return found, sorted(passed)

    def check(self, arrange: str | None) -> None:
        """Refuse what cannot be done with files that are not on this machine."""
        if arrange == "link":
            raise ValueError(f"no link leads to {self}: only copies can be made of its files")

    def fetch(self, file: str, target: Path) -> None:
        """Copy a file to this machine, or raise an `ImageReadError`."""
        system, root = self._opened
        try:
            with system.open(f"{root}/{file}", "rb") as there, open(target, "wb") as here:
                shutil.copyfileobj(there, here, 2**20)
        except Exception as error:  # each library has its own
            raise ImageReadError(f"cannot fetch {self}/{file}: {error}") from error


class RemoteFile:
    """A file in such a folder, as far as it can be used like its path."""

    def __init__(self, folder: RemoteFolder, file: str) -> None:
        self.folder, self.file = folder, file

    def stat(self) -> SimpleNamespace:
        """Size, and what changes with the content, as they were listed."""
        if self.file not in self.folder.files:
            raise FileNotFoundError(f"{self.folder} does not hold {self.file}")
        size, mark = self.folder.files[self.file]
        return SimpleNamespace(st_size=size, st_mtime_ns=mark)

    def exists(self) -> bool:
        """Say whether it was listed."""
        return self.file in self.folder.files


@contextmanager
def at_hand(path: Path | RemoteFile) -> Iterator[Path]:
    """Yield a path to read a file by: its own, or that of a copy which is removed afterwards."""
    if isinstance(path, Path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / f"image{PurePosixPath(path.file).suffix[:20]}"
        path.folder.fetch(path.file, copy)
        yield copy


def walk_anywhere(
    folder: Path | RemoteFolder, all_files: bool = False
) -> tuple[list[str], list[str]]:
    """List the files of a folder as `walk` does, wherever it lies."""
    return folder.walk(all_files) if isinstance(folder, RemoteFolder) else walk(folder, all_files)


def read_anywhere(path: Path | RemoteFile, *how: Any, **more: Any) -> np.ndarray:
    """Read an image as `read_image` does, wherever it lies."""
    with at_hand(path) as here:
        return read_image(here, *how, **more)


def _mark(about: dict[str, Any]) -> int:
    """Turn all that a place tells of a file into a number that SQLite can hold."""
    text = repr(sorted(about.items()))
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:7])
