"""How fast features are extracted, against the network's bare forward pass, in one run.

    TFL_DATA_DIR=... KERAS_HOME=... python benchmarks/extraction.py

MobileNetV2 at 96, 128 and 160 on 10,000 photos of CIFAR-10. Bare: the compiled network on batches
that lie ready in memory, resized and scaled. Extract: `features.extract` as users call it, from
uint8 photos to features in an empty cache, resizing, hashing and writing included. Both take
turns, three times each, and the best time of each counts, since whatever else the machine does
can only add to it. Writes results/extraction.json.

With TF_ENABLE_ONEDNN_OPTS=0 before it, the rows are those without oneDNN; the others stay. So what
`tfl_helpers.process` gains by it on a processor is seen by running it both ways.
"""

import argparse
import json
import os
import tempfile
import threading
import time
from pathlib import Path

from tfl_helpers import backbones, datasets, features

import keras
import numpy as np
import psutil
import tensorflow as tf

RESULTS = Path(__file__).resolve().parents[1] / "tfl_helpers" / "results" / "extraction.json"
BATCH = 64  # as in features.extract
READY = 1024  # images that lie ready; the bare pass goes over them again and again


def bare_pass(backbone: keras.Model, photos: np.ndarray, n_images: int) -> float:
    """Seconds of the compiled network and pooling on batches that lie ready."""
    ready = backbones.prepare(backbone, photos[:READY])
    batches = [tf.constant(ready[i : i + BATCH]) for i in range(0, READY, BATCH)]
    network, pool = backbones.network(backbone), backbone.get_layer("pool")
    forward = tf.function(lambda batch: pool(network(batch, training=False)))
    forward(batches[0])  # compile
    start = time.perf_counter()
    for number in range(n_images // BATCH):
        forward(batches[number % len(batches)]).numpy()
    return (time.perf_counter() - start) * n_images / (n_images // BATCH * BATCH)


def extract_pass(backbone: keras.Model, photos: np.ndarray) -> tuple[float, float]:
    """Seconds of `features.extract` with an empty cache, and the process's peak memory in MB."""
    peak, done, process = [0], threading.Event(), psutil.Process()

    def watch() -> None:
        while not done.wait(0.05):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with tempfile.TemporaryDirectory() as cache:
        start = time.perf_counter()
        z = features.extract(backbone, photos, cache=cache, progress=False)
        seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    if z.shape != (len(photos), backbone.output_shape[1]) or not np.isfinite(z).all():
        raise RuntimeError(f"extract gave {z.shape}")
    return seconds, peak[0] / 1e6


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    photos = datasets.load("cifar10", limit=options.images)[0].images
    onednn = os.environ["TF_ENABLE_ONEDNN_OPTS"] != "0"
    rows = [row for row in json.loads(RESULTS.read_text()) if row["onednn"] != onednn]
    for size in (96, 128, 160):
        backbone = backbones.load("MobileNetV2", size=size)
        bare, extract, peaks = [], [], []
        for _ in range(options.turns):
            bare.append(bare_pass(backbone, photos, len(photos)))
            seconds, peak = extract_pass(backbone, photos)
            extract.append(seconds)
            peaks.append(peak)
        print(f"bare {np.round(bare, 1)} s, extract {np.round(extract, 1)} s", flush=True)
        row = {
            "backbone": "MobileNetV2",
            "size": size,
            "onednn": onednn,
            "images": len(photos),
            "bare_images_per_s": round(len(photos) / min(bare), 1),
            "extract_images_per_s": round(len(photos) / min(extract), 1),
            "peak_mb": round(max(peaks)),
        }
        print(row, round(row["extract_images_per_s"] / row["bare_images_per_s"], 3), flush=True)
        rows.append(row)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
