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
    """Yield a place beside `path` to write a file or folder to, which is then moved in one step.

    After an error, or where the program was stopped, what was at `path` is as it was before.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{uuid.uuid4().hex}.part{path.suffix[:9]}")  # a name may be full
    try:
        yield part
        os.replace(part, path)
    finally:
        if part.is_dir():
            shutil.rmtree(part)
        part.unlink(missing_ok=True)


def download(url: str, target: Path, digest: str | None, *, progress: bool = True) -> None:
    """Download a file whole, and check its SHA-256 or MD5 digest if there is one, or OSError."""
    # Not True, whose bar has no name; and Pooch passes over a bar whose total is 0 or unknown.
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
