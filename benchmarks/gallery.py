"""Size and speed of the page that `sorting.write_gallery` writes: `python benchmarks/gallery.py`.

Writes pages of 1,000, 5,000 and 100,000 thumbnails of `cifar10` (a larger page shows some of them
again) and opens each in Chromium five times, without a network: seconds until the first row of
thumbnails is decoded and drawn. The memory is that which writing adds to the process, to the
thumbnails themselves. Writes results/gallery.json.
"""

import argparse
import json
import multiprocessing
import shutil
import statistics
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from playwright.sync_api import Page, sync_playwright

from tfl_helpers import datasets, sorting

RESULTS = Path(__file__).resolve().parents[1] / "tfl_helpers" / "results" / "gallery.json"
LOADS = 5


def thumbnails(photos: np.ndarray, n: int) -> list[bytes]:
    """Make so many thumbnails, of photos over and over."""
    made = [sorting.thumbnail(photo) for photo in photos[:n]]
    return [made[i % len(made)] for i in range(n)]


def write(folder: Path, n: int, photos: np.ndarray) -> dict:
    """Write a page of so many images, in a process of its own; seconds, size and peak memory."""
    rng = np.random.default_rng(0)
    pictures = thumbnails(photos, n)
    group, doubt = rng.integers(0, 20, n), rng.uniform(0, 1, n)
    table = pd.DataFrame(
        {
            "file": [f"photos/{i // 1000:03d}/image {i:06d}.jpg" for i in range(n)],
            "group": [f"group {g}" for g in group],
            "doubt": doubt,
            "unsure": doubt > 0.9,
            "duplicate_of": "",
            "problem": "",
        }
    )
    places = rng.normal(size=(20, 2))[group] * 5 + rng.normal(size=(n, 2))
    process, done = psutil.Process(), threading.Event()
    before = peak = _private(process)

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, _private(process))

    (watcher := threading.Thread(target=watch)).start()
    start = time.perf_counter()
    page = sorting.write_gallery(folder / "gallery.html", table, pictures, places, progress=False)
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    return {
        "images": n,
        "thumbnail_pixels": 64 if n <= 20_000 else 32,
        "page_mb": round(page.stat().st_size / 1e6, 1),
        "write_seconds": round(seconds, 1),
        "write_memory_mb": round((peak - before) / 1e6),
    }


def _private(process: psutil.Process) -> int:
    """Memory of the process without the pages of files that it maps."""
    memory = process.memory_info()
    return memory.rss - getattr(memory, "shared", 0)


def load(page: Page, address: str) -> float:
    """Seconds until the first thumbnail is decoded and drawn."""
    start = time.perf_counter()
    page.goto(address, wait_until="commit")
    first = page.locator("#groups img").first
    first.evaluate("i => i.decode()", timeout=120_000)
    first.evaluate("() => new Promise(requestAnimationFrame)")
    return time.perf_counter() - start


def main() -> None:
    """Measure pages of each size; print and record."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, nargs="*", default=[1_000, 5_000, 100_000])
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    if not browser:
        parser.error("needs Chromium")
    photos, rows = datasets.load("cifar10", limit=5000, progress=False)[0].images, []
    for n in parser.parse_args().images:
        with tempfile.TemporaryDirectory() as folder, sync_playwright() as player:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
                row = fresh.submit(write, Path(folder), n, photos).result()
            chromium = player.chromium.launch(executable_path=browser, args=["--no-sandbox"])
            page = chromium.new_page(viewport={"width": 1280, "height": 1000}, offline=True)
            address = Path(folder, "gallery.html").as_uri()
            times = [load(page, address) for _ in range(LOADS)]
            row["load_seconds"] = round(statistics.median(times), 2)
            row["load_seconds_worst"] = round(max(times), 2)
            chromium.close()
        rows.append(row)
        print(row, flush=True)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
