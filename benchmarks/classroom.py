"""Measure a class on one machine: six and twelve kernels at once, one cache, no network.

    python benchmarks/classroom.py [NN ...] [--kernels 6 12]

Each notebook is executed alone with an empty cache; then by so many kernels at once, which share
one that is empty, and again, which is then a cache made beforehand. Each in a folder of its own, as
JupyterLab would start it. `seconds` is until the last is done, `alone` that of one kernel, `fair`
their ratio divided by kernels per core: 1 where nobody loses time to anybody, less where shared
features spare work. `mb`: the largest kernel. A notebook that fails, or that says another key
result than the one alone (so a cache would be broken), ends this. Writes results/classroom.json.
"""

import argparse
import json
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from starting import ROOT, finish, start

import nbformat
import psutil

FILE = ROOT / "tfl_helpers" / "results" / "classroom.json"


def key_result(notebook: Path) -> str:
    """Text of the cell that says what came out."""
    cells = nbformat.read(notebook, as_version=4).cells
    found = [cell for cell in cells if "key-result" in cell.metadata.get("tags", [])]
    return "".join(o.get("text", "") for cell in found for o in cell.outputs)


def largest(processes: list[subprocess.Popen], stop: threading.Event, peaks: dict) -> None:
    """Watch what each kernel takes, in megabytes, until told to stop."""
    while not stop.wait(0.5):
        for process in processes:
            try:
                kernels = psutil.Process(process.pid).children(recursive=True)
                for kernel in kernels:
                    used = kernel.memory_info().rss / 1e6
                    peaks[kernel.pid] = max(peaks.get(kernel.pid, 0), used)
            except psutil.NoSuchProcess:
                continue  # it ended in between


def execute(name: str, kernels: int, folder: Path, cache: Path) -> tuple[float, float, set[str]]:
    """Run as many kernels at once: seconds, megabytes of the largest, what they say came out."""
    began, peaks, stop = time.perf_counter(), {}, threading.Event()
    places = [folder / f"seat{seat}" for seat in range(kernels)]
    started = [start(name, place, TFL_CACHE_DIR=str(cache)) for place in places]
    watch = threading.Thread(target=largest, args=(started, stop, peaks))
    watch.start()
    try:
        for process in started:
            finish(process)
    finally:
        stop.set()
        watch.join()
    said = {key_result(place / f"{name}.ipynb") for place in places}
    return time.perf_counter() - began, max(peaks.values()), said


def main() -> None:
    """Measure, print and record, notebook by notebook."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("numbers", nargs="*", help="notebooks, such as 00 03; by default all")
    parser.add_argument("--kernels", nargs="*", type=int, default=[6, 12])
    options = parser.parse_args()
    stored = json.loads(FILE.read_text()) if FILE.exists() else []
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        if options.numbers and path.stem[:2] not in options.numbers:
            continue
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            alone, mb, wanted = execute(path.stem, 1, folder / "alone", folder / "own")
            rows = [{"kernels": 1, "cache": "empty", "seconds": alone, "mb": mb}]
            for n in options.kernels:
                for kind in ("empty", "made beforehand"):
                    at = folder / f"{n} {kind}"
                    seconds, mb, said = execute(path.stem, n, at, folder / f"shared {n}")
                    if said != wanted:
                        raise SystemExit(f"{path.stem}: {n} kernels say {said}, alone {wanted}")
                    rows.append({"kernels": n, "cache": kind, "seconds": seconds, "mb": mb})
        for row in rows:
            row["fair"] = round(row["seconds"] / alone / max(row["kernels"] / os.cpu_count(), 1), 2)
            row |= {"seconds": round(row["seconds"]), "mb": round(row["mb"])}
            row |= {"notebook": path.stem, "cores": os.cpu_count()}
            print(row, flush=True)
        done = {(row["notebook"], row["kernels"]) for row in rows}
        stored = [row for row in stored if (row["notebook"], row["kernels"]) not in done] + rows
        stored.sort(key=lambda row: (row["notebook"], row["kernels"], row["cache"]))
        FILE.write_text(json.dumps(stored, indent=1) + "\n")


if __name__ == "__main__":
    main()
