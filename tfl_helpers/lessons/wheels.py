"""The pinned packages as files, for a class that has no network."""

import os
import subprocess
import sys
from pathlib import Path

EXTRAS = "tfl-helpers[notebooks,cluster]"
# Platform: the tags of its wheels, and what is needed there alone: pip asks the markers of the
# machine that it runs on.
LINUX = "manylinux_2_28", "manylinux_2_27", "manylinux2014"
PLATFORMS = {
    "linux": ([f"{v}_x86_64" for v in LINUX], []),
    "linux-arm": ([f"{v}_aarch64" for v in LINUX], []),
    "windows": (["win_amd64"], ["colorama", "pywinpty", "tzdata"]),
    "macos": (
        [f"macosx_{v}_{m}" for v in ("12_0", "11_0") for m in ("arm64", "universal2")],
        ["appnope"],
    ),
}


def download_wheels(out: str | Path, platform: str = "here", python: str | None = None) -> Path:
    """Download the pinned packages of the notebooks, and this one, as wheels into `out`/wheels.

    The platform is "here", or one of `PLATFORMS` with a version of Python, such as "3.12" (by
    default that of this machine). The folder that is returned is for ``make run WHEELS=``, or
    ``pip install --no-index --find-links``. A ValueError says that the current folder is not that
    of the project, or that there is no such platform; an OSError that pip failed.
    """
    project = Path("pyproject.toml")
    if not project.exists() or 'name = "tfl-helpers"' not in project.read_text("utf-8"):
        raise ValueError("wheels are built from the project: run this in its folder")
    if platform != "here" and platform not in PLATFORMS:
        raise ValueError(f"no platform {platform!r}; there are: here, {', '.join(PLATFORMS)}")
    folder = Path(out) / "wheels"
    folder.mkdir(parents=True, exist_ok=True)
    tags, more = PLATFORMS.get(platform, ([], []))
    other = [f"--platform={tag}" for tag in tags]
    if other:
        python = python or ".".join(map(str, sys.version_info[:2]))
        other += ["--only-binary=:all:", f"--python-version={python}"]
    _pip("wheel", "--no-deps", "--wheel-dir", str(folder), ".")
    wanted = [EXTRAS, "setuptools", "wheel", *more]  # two that build the project at its place
    _pip("download", "--dest", str(folder), "-c", "constraints.txt", *other, *wanted, links=folder)
    return folder


def _pip(command: str, *arguments: str, links: Path | None = None) -> None:
    found = " ".join(filter(None, [os.environ.get("PIP_FIND_LINKS"), links and str(links)]))
    environment = os.environ | {"PIP_FIND_LINKS": found, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run([sys.executable, "-m", "pip", command, *arguments], env=environment)
    if done.returncode:
        raise OSError(f"pip {command} failed with status {done.returncode}: see above")
