"""Memory while a folder of 100,000 photos streams by: `python benchmarks/folder_memory.py`.

Writes small JPEG files into a temporary folder, loads it with `datasets.load("folder:...")`, and
follows the process's memory while `datasets.batches` reads every one of them. The growth is
counted from just before `load`. Writes results/folder_memory.json.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from tfl_helpers import datasets

import numpy as np
import psutil
import tensorflow as tf
from PIL import Image

RESULTS = Path(__file__).resolve().parents[1] / "tfl_helpers" / "results" / "folder_memory.json"


def measure(n_files: int) -> dict[str, float]:
    """Write, load and read a folder of so many photos."""
    process, rng = psutil.Process(), np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as root:
        drawn = [
            Image.fromarray(rng.integers(0, 256, (6, 8, 3), "uint8")).resize((128, 96))
            for _ in range(50)
        ]
        for part in range(0, n_files, 1000):
            folder = Path(root, f"{part // 1000:03d}")
            folder.mkdir()
            for i in range(min(1000, n_files - part)):
                drawn[i % len(drawn)].save(folder / f"photo {i:03d}.jpg", quality=60)
        for _ in datasets.batches(np.zeros((64, 8, 8, 3), "uint8"), size=(64, 64)):
            tf.zeros(1)  # TensorFlow takes its own memory before we count
        before = peak = process.memory_info().rss
        start, read = time.perf_counter(), 0
        for images in datasets.load(f"folder:{root}"):
            for batch in datasets.batches(images, size=(64, 64)):
                read += len(batch)
                peak = max(peak, process.memory_info().rss)
        seconds = time.perf_counter() - start
    if read != n_files:
        raise RuntimeError(f"{read} of {n_files} photos were read")
    grown = round((peak - before) / 1e6)
    return {"files": n_files, "grown_mb": grown, "seconds": round(seconds, 1)}


def main() -> None:
    """Measure a small and a large folder; print and record."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--files", type=int, nargs="*", default=[1_000, 100_000])
    rows = []
    for n_files in parser.parse_args().files:
        rows.append(measure(n_files))
        print(rows[-1], flush=True)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
