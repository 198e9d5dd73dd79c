"""Size and speed of the page that `sorting.write_gallery` writes: `python benchmarks/gallery.py`.

Writes pages of 1,000, 5,000, 20,000, 100,000 and 1,000,000 thumbnails of `cifar10` (a larger page
shows some of them again; above 20,000 they lie in a folder beside it), with 200 questions and, up
to 20,000, the links that names walk over, and opens each in Chromium five times, without a network:
seconds until the first row of thumbnails is decoded and drawn, and until all is there
(`whole_seconds`); then until each tab is drawn, and until all images moved that follow an answer.
The memory is that which writing adds to the process, to the thumbnails themselves. Writes
results/gallery.json.
"""

import argparse
import io
import json
import multiprocessing
import shutil
import statistics
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tfl_helpers import datasets, sorting
from tfl_helpers.sorting.asking import choose_questions

import numpy as np
import pandas as pd
import psutil
from PIL import Image
from playwright.sync_api import Page, sync_playwright

RESULTS = Path(__file__).resolve().parents[1] / "tfl_helpers" / "results" / "gallery.json"
LOADS = 5
SIZES = [1_000, 5_000, 20_000, 100_000, 1_000_000]
DECODED = """e => e.matches("img") ? e.decode()
  : Object.assign(new Image(), { src: e.style.backgroundImage.slice(5, -2) }).decode()"""


def thumbnails(photos: np.ndarray, n: int) -> list[bytes]:
    """Make so many thumbnails, of photos over and over."""
    made = [sorting.thumbnail(photo) for photo in photos[:n]]
    return [made[i % len(made)] for i in range(n)]


def asked(group: np.ndarray, photos: np.ndarray) -> dict:
    """Questions about images of so many groups, and their large pictures."""
    n, rng = len(group), np.random.default_rng(1)
    rows = rng.normal(size=(20, 16))[group] + rng.normal(0, 0.5, (n, 16))
    found, large = choose_questions(rows, [""] * n), []
    for i in found.order:
        picture = Image.fromarray(photos[i % len(photos)]).resize((256, 256))
        picture.save(written := io.BytesIO(), "WEBP", quality=75)
        large.append(written.getvalue())
    about = found.for_page(np.arange(n), np.arange(n), np.array([], int))
    return {"questions": about, "large": large}


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
    how = asked(group, photos) | {"progress": False}
    places = rng.normal(size=(20, 2))[group] * 5 + rng.normal(size=(n, 2))
    process, done = psutil.Process(), threading.Event()
    before = peak = _private(process)

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, _private(process))

    (watcher := threading.Thread(target=watch)).start()
    start = time.perf_counter()
    page = sorting.write_gallery(folder / "gallery.html", table, pictures, places, **how)
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    beside = page.with_name("gallery_files")
    return {
        "images": n,
        "page_mb": round(page.stat().st_size / 1e6, 1),
        "beside_mb": round(sum(f.stat().st_size for f in beside.glob("*")) / 1e6, 1),
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
    first = page.locator("#groups [role=option] > *").first
    first.evaluate(DECODED, timeout=120_000)
    first.evaluate("() => new Promise(requestAnimationFrame)")
    return time.perf_counter() - start


def drawn(page: Page, act: str) -> float:
    """Seconds until what is done in the page is drawn."""
    frame = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    timed = (
        "async () => {{ const t = performance.now(); {}; await {}; return performance.now() - t; }}"
    )
    return page.evaluate(timed.format(act, frame)) / 1000


def main() -> None:
    """Measure pages of each size; print and record."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, nargs="*", default=SIZES)
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    if not browser:
        parser.error("needs Chromium")
    photos = datasets.load("cifar10", limit=5000, progress=False)[0].images
    rows = json.loads(RESULTS.read_text())
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
            if n > 20_000:
                start = time.perf_counter()
                page.reload(wait_until="commit")
                page.wait_for_selector("[data-whole]", state="attached", timeout=120_000)
                row["whole_seconds"] = round(time.perf_counter() - start, 2)
            tabs = [
                drawn(page, f"showTab('{tab}')") for tab in ("unsure", "map", "problems", "groups")
            ]
            row["tab_seconds_worst"] = round(max(tabs), 2)
            row["answer_seconds"] = round(drawn(page, "answer('a name')"), 2)
            chromium.close()
        print(row, flush=True)
        rows = [other for other in rows if other["images"] != n] + [row]
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
