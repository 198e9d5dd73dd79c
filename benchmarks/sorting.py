"""What it takes to sort a folder, and what a person's corrections do for the other images.

    TFL_DATA_DIR=... KERAS_HOME=... python benchmarks/sorting.py [few usual small large many follow]

few: 600 photos of 64 x 64, ten kinds of photos64. usual: 5,130 photos of 32 x 32 (CIFAR-10). small:
10,000 of them. large: the same 10,000, drawn out to JPEGs of 12 megapixels (5 GB on the disk while
it runs). many: 100,000 (CIFAR-10's 60,000, and 40,000 of them mirrored). Each runs as a user runs
it, `python -m tfl_helpers sort`, in a process of its own: `seconds` from start to end, `peak_mb` as
the system counts it, `again_seconds` for a second run with nothing new. `accuracy` is Hungarian, of
`level_1`, on the images sorted: there is no test set, as a user has none either.

follow: groups of 1,347 digits and 3,000 CIFAR-10 photos, found in two too few or in the right
number; in each class some of the wrong images, drawn at random, are put right. Share of right
images among the others, before and after, mean and sd of 5 seeds. Writes results/sorting.json.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tfl_helpers import backbones, clustering, datasets, evaluation, features, sorting

import numpy as np
import pandas as pd
from PIL import Image, ImageOps
from sklearn.preprocessing import normalize

FILE = Path(__file__).resolve().parents[1] / "tfl_helpers" / "results" / "sorting.json"


def write_photos(folder: Path, what: str) -> np.ndarray:
    """Write the folder; return the class of each file in the order of their names."""
    if what == "few":
        return write_few(folder)
    train, test = datasets.load("cifar10", progress=False)
    truth = np.concatenate([evaluation.unseal(part.answers) for part in (train, test)])
    images = np.concatenate([train.images, test.images])

    def write(number: int) -> None:
        photo = Image.fromarray(images[number % len(images)])
        photo = ImageOps.mirror(photo) if number >= len(images) else photo
        if what == "large":
            photo = photo.resize((4000, 3000), Image.Resampling.BILINEAR)
        photo.save(folder / f"{number:06d}.{'jpg' if what == 'large' else 'png'}", quality=80)

    n = {"many": 100_000, "usual": 5_130}.get(what, 10_000)
    with ThreadPoolExecutor() as pool:
        list(pool.map(write, range(n)))
    return truth[np.arange(n) % len(truth)]


def write_few(folder: Path) -> np.ndarray:
    """Write sixty photos of each of ten kinds, under names that do not tell which."""
    kinds = sorted((Path(os.environ["TFL_DATA_DIR"]) / "photos64").iterdir())[:10]
    photos = [(kind.name, photo) for kind in kinds for photo in sorted(kind.iterdir())[:60]]
    order = np.random.default_rng(0).permutation(len(photos))
    for number, (_, photo) in enumerate(photos[i] for i in order):
        (folder / f"{number:06d}{photo.suffix}").write_bytes(photo.read_bytes())
    return pd.factorize(np.array([photos[i][0] for i in order]))[0]


def run(folder: Path, out: Path) -> tuple[float, int]:
    """Sort as a user does: seconds, and megabytes at most."""
    start = time.perf_counter()
    job = [sys.executable, "-m", "tfl_helpers", "sort", str(folder), "--out", str(out)]
    subprocess.run([*job, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return round(time.perf_counter() - start, 1), round(peak)


def measure(what: str) -> dict:
    """Time and memory of one folder."""
    with tempfile.TemporaryDirectory() as place:
        folder, out = Path(place) / "photos", Path(place) / "out"
        folder.mkdir()
        truth = write_photos(folder, what)
        seconds, peak = run(folder, out)
        again, _ = run(folder, out)
        summary = json.loads((out / "summary.json").read_text())
        row = {"what": what, "files": summary["counts"]["files"], "seconds": seconds}
        row |= {"peak_mb": peak, "again_seconds": again, "steps": summary["seconds"]}
        row |= {"groups": len(summary["groups"]), "suggestion": summary["suggestion"]}
        row |= {name + "_mb": round((out / name).stat().st_size / 1e6, 1) for name in NAMES}
        table = sorting.read_table(out / "groups.csv")
        used = (table["group"] != "").to_numpy()
        codes = pd.factorize(table["level_1"][used])[0]
        row["accuracy"] = round(evaluation.hungarian_accuracy(truth[used], codes), 4)
    return row


NAMES = ("gallery.html", "work.sqlite", "model.keras")


def follow(data: str, n: int, k: int, per_class: int) -> dict:
    """Correct some images in each class: how right the others are, before and after."""
    train, _ = datasets.load(data, limit=n, progress=False)
    backbone = backbones.load(**datasets.describe(data).backbone)
    z, truth = normalize(features.extract(backbone, train)), evaluation.unseal(train.answers)
    n_classes, shares = len(train.class_names), []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        found = clustering.NeighbourClustering(k, random_state=seed).fit(z).predict(z)
        names = [np.bincount(truth[found == g], minlength=n_classes).argmax() for g in range(k)]
        said = np.array(names)[found]
        wrong = [np.flatnonzero((said != truth) & (truth == c)) for c in range(n_classes)]
        chosen = np.concatenate([rng.permutation(rows)[:per_class] for rows in wrong])
        corrected = np.isin(np.arange(len(z)), chosen)
        groups = np.where(corrected, truth, said)
        names, p = sorting.propagate_corrections(z, groups.tolist(), corrected, seed=seed)
        new = np.array(names)[p.argmax(1)]
        right = [(which == truth)[~corrected].mean() for which in (said, new)]
        shares.append([corrected.sum(), *right])
    n_corrected, *_ = mean = np.mean(shares, axis=0).round(4).tolist()
    sd = np.std(shares, axis=0, ddof=1).round(4).tolist()
    about = {"data": data, "images": len(z), "groups_found": k, "corrected": n_corrected}
    return about | {"before": mean[1], "before_sd": sd[1], "after": mean[2], "after_sd": sd[2]}


def main() -> None:
    """Measure what is asked for; replace it in the file, keep the rest."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "what", nargs="*", default=["few", "usual", "small", "follow", "large", "many"]
    )
    for what in parser.parse_args().what:
        if what == "follow":
            rows = [
                follow(data, n, k, per_class)
                for data, n in (("digits", 2000), ("cifar10", 3000))
                for k in (8, 10)
                for per_class in (2, 6, 15)
            ]
            print(pd.DataFrame(rows).to_string(index=False), flush=True)
        else:
            rows = measure(what)
            print(rows, flush=True)
        stored = json.loads(FILE.read_text()) if FILE.exists() else {}
        FILE.write_text(json.dumps(stored | {what: rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
