"""What a Dask cluster costs and gives, and how `sort` grows with the number of images.

    TFL_DATA_DIR=... KERAS_HOME=... python benchmarks/cluster.py speed --images 8000
    TFL_DATA_DIR=... KERAS_HOME=... python benchmarks/cluster.py blocks
    TFL_DATA_DIR=... KERAS_HOME=... python benchmarks/cluster.py sizes 10000 100000 1000000
    TFL_DATA_DIR=... KERAS_HOME=... python benchmarks/cluster.py samples 2000 5000 10000 20000 50000

Each writes its part of results/cluster.json. Images are photos of CIFAR-10 at their 32 x 32 pixels,
each crop and flip of them a file of its own.

speed: images per second that `sort` reads and computes (MobileNetV2, at the size that it takes), in
this process on all cores, then by one and by two workers that are held to one core each. Of the
first blocks, in which networks are compiled, the time does not count.
blocks: how many blocks a second go through the scheduler where there is nothing to do, and where
as much comes back as of 256 files that were read.
sizes: `sort --cluster local:2` to the end, time, peak memory of each process, sizes on disk. At 64
pixels, as MobileNetV2 sees nothing in many of these photos at 32, as `sort` would say.
samples: the 50,000 photos (MobileNetV2 at 128), their ten groups found in so many of them, 5 seeds.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

from tfl_helpers import backbones, cluster, clustering, datasets, evaluation, features, sorting
from tfl_helpers.sorting import grouping, reading

import numpy as np
import psutil
from PIL import Image
from sklearn.preprocessing import normalize

RESULTS = Path(__file__).resolve().parents[1] / "tfl_helpers" / "results" / "cluster.json"
FOLDER = 1000  # files in each


def write_photos(folder: Path, n: int) -> None:
    """Write n different photos of 32 x 32, of which the folder may have some already."""
    photos = datasets.load("cifar10", limit=min(n, 50_000))[0].images

    def write(start: int) -> None:
        place = folder / f"{start // FOLDER:05d}"
        if place.exists() and len(os.listdir(place)) == min(FOLDER, n - start):
            return
        place.mkdir(parents=True, exist_ok=True)
        for i in range(start, min(start + FOLDER, n)):
            pixels, change = np.asarray(photos[i % len(photos)]), i // len(photos)
            if change:  # one of 49 crops at 26 to 31 pixels, and mirrored half of the time
                rng = np.random.default_rng(i)
                side = 31 - change // 2 % 6
                top, left = rng.integers(0, 33 - side, 2)
                pixels = pixels[top : top + side, left : left + side]
                pixels = pixels[:, ::-1] if change % 2 else pixels
            image = Image.fromarray(np.ascontiguousarray(pixels)).resize((32, 32))
            image.save(place / f"{i:08d}.jpg", quality=92)

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, range(0, n, FOLDER)))


class Timed(sorting.Store):
    """A store that knows when blocks came in."""

    def save(self, files: Any) -> None:
        """Save a block."""
        super().save(files)
        if not hasattr(self, "times"):
            self.times = []
        self.times.append((time.perf_counter(), len(files)))


def read(folder: Path, client: Any, first: int) -> tuple[float, list[float]]:
    """Images per second after the first blocks; seconds between blocks."""
    names = datasets.list_files(folder)
    network = reading.load_network("MobileNetV2", None)
    views, _ = reading.views_of(network, None)
    with tempfile.TemporaryDirectory() as out, Timed.opened(Path(out)) as store:
        reading.read_new(store, folder, names, views, False, client)
        moments, counts = zip(*store.times, strict=True)
    rate = sum(counts[first:]) / (moments[-1] - moments[first - 1])
    return round(rate, 1), [round(after - before, 3) for before, after in pairwise(moments)]


def hold(worker_core: dict[str, int], dask_worker: Any) -> None:
    """Hold a worker, and all threads that it starts from now on, to one core."""
    psutil.Process().cpu_affinity([worker_core[dask_worker.address]])


def speed(options: argparse.Namespace) -> dict[str, Any]:
    """Compare workers of one core with this process on all."""
    folder = options.folder / "speed"
    write_photos(folder, options.images)
    found = {"images": options.images, "cores": psutil.cpu_count()}
    found["in_process"], _ = read(folder, None, 2)
    for workers in (1, 2):
        with cluster.connected(f"local:{workers}") as client:
            cores = {address: i for i, address in enumerate(client.nthreads())}
            client.run(hold, cores)
            found[f"workers_{workers}"], _ = read(folder, client, 2 * cluster.AHEAD * workers)
    found["of_in_process"] = round(found["workers_2"] / found["in_process"], 3)
    return found


def payload(block: list, much: bool) -> Any:
    """Return as much as is learned of a block of files, or nothing."""
    if not much:
        return True
    rng = np.random.default_rng(0)
    z, small = rng.random((len(block), 1280)).astype("float16"), rng.bytes(2500)
    row = {"codes": [], "notes": [], "digest": bytes(32), "thumbnail": small[:768]}
    return [reading.FileRead("a", (1, 1), row, {}, small, {"v": part}) for part in z]


def blocks(options: argparse.Namespace) -> dict[str, Any]:
    """Send blocks through the scheduler that ask for no work."""
    found = {}
    some = [[(f"{i:05d}/{j:08d}.jpg", (1, 1), ["view"]) for j in range(256)] for i in range(1)]
    with cluster.connected("local:2") as client, cluster.spread(client, payload) as spread:
        list(spread(some * 4, much=True))  # all is loaded
        for name, much, n in (("empty", False, options.blocks), ("full", True, options.blocks)):
            start = time.perf_counter()
            done = sum(1 for _ in spread(some * n, much=much))
            found[f"{name}_blocks_per_s"] = round(done / (time.perf_counter() - start), 1)
    found["blocks"] = options.blocks
    found["overhead_ms_per_block"] = round(1000 / found["full_blocks_per_s"], 2)
    found["hours_of_scheduling_for_100_million"] = round(
        1e8 / reading.BLOCK / found["empty_blocks_per_s"] / 3600, 2
    )
    return found


def peaks(process: subprocess.Popen) -> dict[str, float]:
    """Wait for a run to end; the peak memory in GB of the client and of its largest worker."""
    client, highest = psutil.Process(process.pid), {"client": 0.0, "worker": 0.0}
    while process.poll() is None:
        try:
            running = [("client", client)] + [("worker", p) for p in client.children(True)]
            for role, one in running:
                highest[role] = max(highest[role], one.memory_info().rss / 1e9)
        except psutil.NoSuchProcess:
            continue  # it ended in between
        time.sleep(0.2)
    return {role: round(value, 2) for role, value in highest.items()}


def megabytes(path: Path) -> float:
    """Size of a file, or of all in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return round(sum(file.stat().st_size for file in files) / 1e6, 1)


def sizes(options: argparse.Namespace) -> dict[str, Any]:
    """Sort more and more images; what is recorded of other numbers of them stays."""
    known = recorded().get("sizes", {}).get("rows", [])
    rows = [
        row
        for row in known
        if row["backbone"] == options.backbone and row["images"] not in options.images
    ]
    for n in options.images:
        folder = options.folder / f"{n}"
        write_photos(folder, n)
        out = options.folder / f"{n}-out"  # stays until the run is through: a stopped one goes on
        job = [sys.executable, "-m", "tfl_helpers", "sort", folder, "--out", out, "--quiet"]
        job += ["--backbone", options.backbone, "--groups", "100", "--cluster", "local:2"]
        start, resumed = time.perf_counter(), out.exists()
        process = subprocess.Popen([*map(str, job)])
        row = {"images": n, "backbone": options.backbone, "peak_gb": peaks(process)}
        row["exit"], row["seconds"] = process.returncode, round(time.perf_counter() - start, 1)
        row["resumed"] = resumed
        row["megabytes"] = {path.name: megabytes(path) for path in sorted(out.iterdir())}
        if process.returncode == 0:
            row["reading_s"] = json.loads((out / "summary.json").read_text())["seconds"]["reading"]
            shutil.rmtree(out)
        print(row, flush=True)
        rows.append(row)
        rows.sort(key=lambda row: row["images"])
    found = {"rows": rows}
    if len(rows) > 1:
        n, seconds = (np.log([row[key] for row in rows]) for key in ("images", "seconds"))
        memory = np.log([row["peak_gb"]["client"] for row in rows])
        found["exponent_of_time"] = round(float(np.polyfit(n, seconds, 1)[0]), 3)
        found["exponent_of_client_memory"] = round(float(np.polyfit(n, memory, 1)[0]), 3)
    return found


def samples(options: argparse.Namespace) -> dict[str, Any]:
    """Find groups in samples as `sort` does, and place the other images in them."""
    train, _ = datasets.load("cifar10")
    z = features.extract(backbones.load("MobileNetV2", size=128), train.images)
    z = normalize(z.astype("float16").astype("float32"))  # as the store keeps them
    rows = []
    for sample in options.images:
        row = {"sample": sample, "accuracy": [], "seconds": []}
        for seed in range(options.seeds):
            start = time.perf_counter()
            clusterer = clustering.NeighbourClustering(10, random_state=seed)
            _, p, _ = grouping.cluster(clusterer, z, seed, sample)
            row["seconds"].append(time.perf_counter() - start)
            found = evaluation.hungarian_accuracy(train.answers, p.argmax(axis=1))
            row["accuracy"].append(found)
        for key in ("accuracy", "seconds"):
            row[key] = [
                round(float(value), 4) for value in (np.mean(row[key]), np.std(row[key], ddof=1))
            ]
        print(row, flush=True)
        rows.append(row)
    return {"images": len(z), "seeds": options.seeds, "rows": rows}


def recorded() -> dict[str, Any]:
    """Give what was measured before."""
    return json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}


def main() -> None:
    """Measure one part, print and record it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "tfl_photos")
    parts = parser.add_subparsers(dest="part", required=True)
    parts.add_parser("speed").add_argument("--images", type=int, default=8000)
    parts.add_parser("blocks").add_argument("--blocks", type=int, default=2000)
    several = parts.add_parser("sizes")
    several.add_argument("images", type=int, nargs="+")
    several.add_argument("--backbone", default="MobileNetV2:64")
    drawn = parts.add_parser("samples")
    drawn.add_argument("images", type=int, nargs="+")
    drawn.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    found = globals()[options.part](options)
    print(json.dumps(found, indent=1), flush=True)
    RESULTS.write_text(json.dumps(recorded() | {options.part: found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
