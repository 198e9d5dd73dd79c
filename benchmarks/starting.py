"""Measure whether it matters what starts a notebook, and what else the machine does.

python benchmarks/starting.py [--turns 3]

Two questions, each answered within one run, on notebooks 00 and 03 with an empty cache:
pairs: executed in turn with and without what `make` once set (one thread per library, log level),
while another process keeps a core busy; the ratio of the times.
room: six kernels at once, as in a class that shares a server, until the last is done; with one
thread each by make, which is the fair share, and without make's variables.
Writes results/starting.json.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "tfl_helpers" / "results" / "starting.json"
NOTEBOOKS = ("00_start_here", "03_clustering")
MAKE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
BUSY = "while True: sum(range(10_000))"


def start(name: str, folder: Path, **variables: str) -> subprocess.Popen:
    """Start a notebook as JupyterLab would, in a folder of its own with an empty cache."""
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "notebooks" / f"{name}.ipynb", folder)
    clean = {
        k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "TF_", "OPENBLAS_NUM"))
    }
    clean |= {"TFL_CACHE_DIR": str(folder / "cache"), "TFL_OFFLINE": "1", **variables}
    command = [sys.executable, "-m", "nbconvert", "--execute", "--to", "notebook", "--inplace"]
    return subprocess.Popen([*command, f"{name}.ipynb"], cwd=folder, env=clean, stderr=-3)


def finish(process: subprocess.Popen) -> None:
    """Wait for a notebook that has to go through."""
    if process.wait():
        raise SystemExit(f"a notebook failed: {process.args}")


def pairs(name: str, turns: int, folder: Path) -> dict:
    """Seconds with and without make's variables, in turn, on a busy machine."""
    seconds = {"with": [], "without": []}
    busy = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        for turn in range(turns):
            for kind, variables in (("with", MAKE), ("without", {})):
                began = time.perf_counter()
                finish(start(name, folder / f"{kind}{turn}", **variables))
                seconds[kind].append(round(time.perf_counter() - began, 1))
    finally:
        busy.kill()
    ratio = statistics.median(seconds["without"]) / statistics.median(seconds["with"])
    return {"notebook": name, "seconds": seconds, "ratio": round(ratio, 2)}


def room(name: str, folder: Path, kernels: int = 6) -> dict:
    """Seconds until the last of six at once is done, with one thread each by make, and without."""
    row = {"notebook": name, "kernels": kernels, "cores": os.cpu_count()}
    for kind, variables in (("with", MAKE), ("without", {})):
        began = time.perf_counter()
        started = [start(name, folder / f"{kind}{seat}", **variables) for seat in range(kernels)]
        for process in started:
            finish(process)
        row[kind] = round(time.perf_counter() - began, 1)
    return row | {"ratio": round(row["without"] / row["with"], 2)}


def main() -> None:
    """Measure both, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--only", choices=["pairs", "room"])
    options = parser.parse_args()
    found = json.loads(FILE.read_text()) if FILE.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        for name in NOTEBOOKS:
            place = Path(folder) / name
            if options.only != "room":
                found.setdefault("pairs", {})[name] = pairs(name, options.turns, place / "pairs")
            if options.only != "pairs":
                found.setdefault("room", {})[name] = room(name, place / "room")
            print(json.dumps(found, indent=1), flush=True)
    FILE.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
