"""How many groups: four rules and their median beside the rule before, and what each costs.

    TFL_DATA_DIR=... KERAS_HOME=... python benchmarks/groups.py [rules clicks cloud before]
    ... python benchmarks/groups.py --folder FOLDER [FOLDER ...]

21 sets of 2 to 30 kinds. Whole: digits, 5,000 test images of MNIST and of CIFAR-10, 2,000 test
crops of pedestrians. Drawn, each kind with as many images: 3 and 5 digits of MNIST (900 of a kind),
3 and 5 classes of CIFAR-10 (1,000 of a kind, two draws each), 10, 20 (three draws each) and all 30
kinds of photos64 (100 of a kind). Skewed: CIFAR-10 with 1000, 500, 200, 60 and 20 of a kind (three
draws), digits with 178 down to 20. Features: letters for characters, MobileNetV2 at the size that
suits the set, 160 for photos64. `--folder`: any folder with a subfolder per kind, printed alone.

`before` is the rule of version 0.6 as `sort` asked it (3,000 images and 20 groups at most). Numbers
of a set are means over the seeds, of a rule over all runs: `factor` is exp(mean |ln(number /
kinds)|); `within` 20 % of the kinds, and `holds`, the kinds in the range told, are counted as of 21
sets. `cpu_seconds`: the longest and the mean, on one thread. `cloud`: how often a set, one kind
alone, or a cloud without groups was taken for one group.

`clicks`: 3 to name a group, 1 to move an image that is not of its group's frequent kind. Groups are
those where walks end (k-means there, seed 0), at sixteen numbers; between these the clicks are
interpolated. `extra` is what a number costs above the best one. Writes results/groups.json; what is
there already is not measured again: delete the file for that.
"""

import argparse
import itertools
import json
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from tfl_helpers import backbones, clustering, datasets, evaluation, features, selection
from tfl_helpers.datasets.sources import bundled

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from sklearn.preprocessing import normalize

FILE = Path(__file__).resolve().parents[1] / "tfl_helpers" / "results" / "groups.json"
SKEWED = (1000, 500, 200, 60, 20)
SETS = {  # name: source, images of each kind or of all (None: all there are), draw
    "digits": ("digits", None, 0),
    "mnist": ("mnist", 5000, 0),
    "cifar10": ("cifar10", 5000, 0),
    "pedestrians": ("pedestrians", 2000, 0),
    "mnist, 3 digits": ("mnist", (900,) * 3, 0),
    "mnist, 5 digits": ("mnist", (900,) * 5, 0),
    **{f"cifar10, 3 classes, draw {i}": ("cifar10", (1000,) * 3, i) for i in range(2)},
    **{f"cifar10, 5 classes, draw {i}": ("cifar10", (1000,) * 5, i) for i in range(2)},
    **{f"cifar10, skewed, draw {i}": ("cifar10", SKEWED, i) for i in range(3)},
    "digits, skewed": ("digits", (178, 140, 110, 90, 70, 56, 44, 34, 26, 20), 0),
    **{f"photos, 10 kinds, draw {i}": ("photos64", (100,) * 10, i) for i in range(3)},
    **{f"photos, 20 kinds, draw {i}": ("photos64", (100,) * 20, i) for i in range(3)},
    "photos, 30 kinds": ("photos64", None, 0),
}
NUMBERS = (2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50, 64, 75)
RULES = ("before", "median", "eigengap", "silhouette", "walk", "information")


def source(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Features and kinds of a set, test images if it has its own, or of a folder."""
    known = name in datasets.CATALOGUE
    folder = name if known else f"folder:{bundled(name) or name}"
    splits = datasets.load(folder, progress=False)
    splits = splits[1:] if known and name != "digits" else splits
    about = datasets.describe(name).backbone if known else {"name": "MobileNetV2", "size": 160}
    backbone = backbones.load(**about)
    z = [features.extract(backbone, split, progress=False) for split in splits]
    return np.concatenate(z), np.concatenate([evaluation.unseal(s.answers) for s in splits])


def drawn(z: np.ndarray, kinds: np.ndarray, sizes: tuple | int | None, seed: int) -> tuple:
    """Draw some of each of some kinds, or some of all."""
    rng, rows = np.random.default_rng(seed), np.arange(len(z))
    if isinstance(sizes, int):
        rows = rng.permutation(rows)[:sizes]
    elif sizes is not None:
        chosen = zip(rng.permutation(kinds.max() + 1)[: len(sizes)], sizes, strict=True)
        rows = [rng.permutation(np.flatnonzero(kinds == kind))[:size] for kind, size in chosen]
        rows = np.concatenate(rows)
    return z[np.sort(rows)], np.unique(kinds[np.sort(rows)], return_inverse=True)[1]


def before(z: np.ndarray, kinds: np.ndarray, seed: int) -> dict[str, int]:
    """Guess as version 0.6 did: mean rank over three curves, each number in a space of its own."""
    rng, z = np.random.RandomState(seed), normalize(z)
    z = z[np.sort(rng.permutation(len(z))[:3000])]
    most = min(20, len(z) // 5)
    parts = [np.sort(rng.choice(len(z), len(z) * 2 // 3, replace=False)) for _ in range(6)]
    graphs = [clustering.neighbour_graph(z[part]) for part in (slice(None), *parts)]
    spectra = [clustering.spectrum(graph, most + 1, random_state=rng) for graph in graphs]
    shown, rows = rng.permutation(len(z))[:2000], []
    for k in range(2, most + 1):
        places = [clustering.spectral_embedding(spectrum, k) for spectrum in spectra]
        groups, *found = [
            clustering.balanced_kmeans(p, k, "none", random_state=rng) for p in places
        ]
        runs = np.full((6, len(z)), clustering.NOT_GROUPED)
        for run, part, of_part in zip(runs, parts, found, strict=True):
            run[part] = of_part
        steady = np.mean([clustering.stability(runs[i : i + 2]) for i in (0, 2, 4)])
        gap = spectra[0].values[k - 1] - spectra[0].values[k]
        rows.append((k, gap, steady, silhouette_score(places[0][shown], groups[shown])))
    rank = pd.DataFrame(rows).set_index(0).rank().mean(axis=1)
    beside = np.pad(rank, 1, constant_values=-np.inf)
    peak = (rank > beside[:-2]) & (rank > beside[2:]) & (rank >= rank.max() - 0.15 * len(rank))
    plausible = [*rank.index[peak], rank.idxmax()]
    best = max([k for k in plausible if k > 2] or plausible, key=lambda k: rank[k])
    return {
        "before": int(best),
        "before_low": int(min(plausible)),
        "before_high": int(max(plausible)),
    }


def clicks(z: np.ndarray, kinds: np.ndarray) -> dict[str, int]:
    """Clicks that each number of groups takes: names, and images that are moved."""
    rows = normalize(clustering.leading_components(z, random_state=0))
    spectrum = clustering.spectrum(clustering.neighbour_graph(rows), NUMBERS[-1], random_state=0)
    result = {}
    for k in NUMBERS:
        part = clustering.Spectrum(spectrum.values[: 3 * k], spectrum.vectors[:, : 3 * k])
        places = clustering.spectral_embedding(part, n_steps=clustering.walk_length(part, k))
        groups = KMeans(k, n_init=3, random_state=0).fit_predict(places)
        moved = len(z) - pd.crosstab(groups, kinds).max(axis=1).sum()
        result[str(k)] = int(3 * k + moved)
    return result


def measure(z: np.ndarray, kinds: np.ndarray, seed: int) -> dict:
    """Ask each rule; note the range and the time."""
    start = time.process_time()
    found = selection.estimate_n_clusters(z, random_state=seed)
    row = {"cpu_seconds": round(time.process_time() - start, 2), "median": found.suggestion}
    return row | found.preferred | {"low": found.low, "high": found.high}


def clouds() -> Iterator[tuple[str, np.ndarray]]:
    """Clouds without groups: round, flat, bent by a ReLU; few rows and many."""
    rng = np.random.default_rng(0)
    for n in (60, 300, 2000):
        for d in (3, 10, 64, 256):
            yield "cloud", rng.normal(size=(n, d))
        yield "cloud", rng.normal(size=(n, 256)) / np.arange(1, 257) ** 0.7
        yield "cloud", np.maximum(rng.normal(size=(n, 64)) @ rng.normal(size=(64, 256)), 0)
        yield "cloud", rng.uniform(size=(n, 32))


def summary(runs: pd.DataFrame, costs: dict[str, dict[str, int]]) -> list[dict]:
    """One row per rule, and for the number of small groups that is shown."""
    asked = {rule: runs[rule] for rule in RULES if rule in runs} | {"kinds": runs.kinds}
    asked["root of median and root of images"] = np.sqrt(runs["median"] * np.sqrt(runs.images))
    rows = []
    for rule, numbers in asked.items():
        numbers = numbers.dropna()
        known = runs.loc[numbers.index]
        off, share = np.log(numbers / known.kinds).abs(), len(SETS) / len(known)
        row = {"rule": rule, "factor": round(float(np.exp(off.mean())), 3)}
        row["within"] = round(float(((numbers / known.kinds - 1).abs() < 0.201).sum() * share), 1)
        if ends := {"before": ["before_low", "before_high"], "median": ["low", "high"]}.get(rule):
            low, high = (known[end] for end in ends)
            holds = (low <= known.kinds) & (known.kinds <= high)
            row["holds"] = round(float(holds.sum() * share), 1)
        if set(known.set) <= set(costs):
            tried = {name: [*costs[name].values()] for name in set(known.set)}
            extra = [
                np.interp(np.log(k), np.log(NUMBERS), tried[name]) - min(tried[name])
                for name, k in zip(known.set, numbers, strict=True)
            ]
            row["extra"] = round(float(np.mean(extra)))
        rows.append(row | {"runs": len(known)})
    return rows


def seen_as_one(sources: dict[str, tuple]) -> list[dict]:
    """How often one kind alone, or a cloud, was taken for one group."""
    alone = [
        (f"one kind of {of}", z[kinds == kind])
        for of, (z, kinds) in sources.items()
        for kind in range(min(3, kinds.max() + 1))
    ]
    found = [
        (what, selection.estimate_n_clusters(z, random_state=0).suggestion == 1)
        for what, z in [*clouds(), *alone]
    ]
    table = pd.DataFrame(found, columns=["of", "one"]).groupby("of", sort=False).one
    return table.agg(one="sum", runs="size").reset_index().to_dict("records")


def save(stored: dict) -> None:
    """Write what is known, with the tables that follow from the runs."""
    runs = pd.DataFrame(stored["runs"])
    table = runs.drop(columns="seed").groupby("set", sort=False).mean().round(1)
    table["median_sd"] = runs.groupby("set", sort=False)["median"].std().round(2)
    stored["rules"] = summary(runs, stored.get("clicks", {}))
    stored["sets"] = json.loads(table.reset_index().to_json(orient="records"))
    spent = runs.cpu_seconds.dropna()
    stored["cpu_seconds"] = {"most": spent.max(), "mean": round(float(spent.mean()), 2)}
    FILE.write_text(json.dumps(stored, indent=1) + "\n")


def main() -> None:
    """Measure what is asked for; print and record it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", default=["rules", "clicks", "cloud", "before"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folder", nargs="*", default=[], help="folders, a subfolder per kind")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for folder in options.folder:
        z, kinds = source(folder)
        print(folder, kinds.max() + 1, "kinds; clicks:", clicks(z, kinds))
        print(pd.DataFrame(measure(z, kinds, seed) for seed in range(options.seeds)))
    if options.folder:
        return
    stored = json.loads(FILE.read_text()) if FILE.exists() else {}
    sources = {name: source(name) for name in dict.fromkeys(about[0] for about in SETS.values())}
    measures = {"rules": measure, "before": before}
    parts = [part for part in options.parts if part != "cloud"]
    for part, (name, (of, sizes, draw)) in itertools.product(parts, SETS.items()):
        z, kinds = drawn(*sources[of], sizes, draw)
        if part == "clicks" and name not in stored.get("clicks", {}):
            stored.setdefault("clicks", {})[name] = clicks(z, kinds)
            print(name, stored["clicks"][name], flush=True)
        for seed in range(options.seeds if part != "clicks" else 0):
            runs = {(run["set"], run["seed"]): run for run in stored.get("runs", [])}
            run = {"set": name, "seed": seed, "kinds": int(kinds.max() + 1), "images": len(z)}
            run = runs.get((name, seed), run)
            if {"rules": "median"}.get(part, part) in run:
                continue
            run = run | measures[part](z, kinds, seed)
            stored["runs"] = [*(runs | {(name, seed): run}).values()]
            print(run, flush=True)
        save(stored)
    if "cloud" in options.parts:
        stored["cloud"] = seen_as_one(sources)
        save(stored)
    print(pd.DataFrame(stored["rules"]).to_string(index=False))


if __name__ == "__main__":
    main()
