"""Files that are whole or not there: writing, downloading, and where Keras keeps its own."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pooch
from tqdm.auto import tqdm


@contextmanager
def write_whole(path: str | Path) -> Iterator[Path]:
    """Write a file beside its place, and put it there in one step once it is whole.

    After an error, or where the program was stopped, what was at `path` is as it was before.

    Parameters
    ----------
    path : str or Path
        Where the file, or a folder, shall be. Its parent is made.

    Yields
    ------
    Path
        In the same folder and of the same suffix: what the caller writes.

    Examples
    --------
    >>> with write_whole(tmp / "notes.txt") as part:
    ...     _ = part.write_text("whole")
    >>> [path.name for path in tmp.iterdir()]
    ['notes.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{uuid.uuid4().hex}.part{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    finally:
        if part.is_dir():
            shutil.rmtree(part)
        part.unlink(missing_ok=True)


def download(url: str, target: Path, digest: str | None, *, progress: bool = True) -> None:
    """Download a file, check it, and only then put it in its place.

    Several downloads of one file at once do no harm: the last one replaces the others'.

    Parameters
    ----------
    url : str
        Where it comes from.
    target : Path
        Where it shall be; its folder is made.
    digest : str or None
        SHA-256 (64 hex digits) or MD5 (32) of the content; None where its publisher gives none.
    progress : bool
        Show a progress bar.

    Raises
    ------
    OSError
        The download failed, or its content has another hash. Nothing is left at `target`.
    """
    bar = progress_bar(progress, total=1, unit="B", unit_scale=True, desc=target.name)
    with write_whole(target) as part:
        pooch.HTTPDownloader(progressbar=bar, timeout=30)(url, part, None)
        if digest and (found := file_hash(part, digest)) != digest:
            raise OSError(
                f"{url}: what arrived has hash {found}, not {digest}. It was changed on the way, "
                "and is thrown away: try again"
            )


def file_hash(path: Path, like: str) -> str:
    """Hash a file by the algorithm of another hash: MD5 (32 hex digits) or else SHA-256."""
    return pooch.file_hash(path, alg="md5" if len(like) == 32 else "sha256")


def progress_bar(progress: bool, *args: Any, **options: Any) -> tqdm:
    """Make a progress bar, or none; TQDM_DISABLE=1 is honoured either way."""
    return tqdm(*args, **options, **({} if progress else {"disable": True}))


def offline() -> bool:
    """Tell whether TFL_OFFLINE=1 forbids any use of the network."""
    return os.environ.get("TFL_OFFLINE", "0") not in ("", "0")


def keras_home() -> Path:
    """Return the folder where Keras keeps data and weights: KERAS_HOME, or .keras at home."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
