"""Kinds of unequal size: what each balance does, and whether its evidence finds the right one.

    TFL_DATA_DIR=... python benchmarks/skew.py [DATA ...] [--limit 3000] [--seeds 5]

Train and test are thinned so that the kind of rank r keeps a share r^-a of the images: a = 0 keeps
all kinds equal, at a = 1 the largest is ten times the smallest. Which kind is large, and which
images stay, is drawn anew with each seed. `selection.balance_evidence` sees training features
only; then `NeighbourClustering` is fitted with each balance and scored on test. Writes
results/skew.json, a row per data, a and balance: scores, means of the evidence, and how often
the evidence put this balance first. The rows "first by evidence" and "best on test" say what
following the evidence gives, and what nobody could have known.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from tfl_helpers import backbones, clustering, datasets, evaluation, features, selection

FILE = Path(__file__).resolve().parents[1] / "tfl_helpers" / "results" / "skew.json"
EXPONENTS = (0.0, 0.5, 1.0)


def thinned(answers: np.ndarray, exponent: float, seed: int) -> np.ndarray:
    """Rows that stay; kinds are ranked by the same seed in train and test."""
    rng, n = np.random.default_rng(seed), np.bincount(answers).min()
    kept = []
    for rank, kind in enumerate(rng.permutation(answers.max() + 1), start=1):
        rows = rng.permutation(np.flatnonzero(answers == kind))
        kept.append(rows[: max(round(n * rank**-exponent), 1)])
    return np.sort(np.concatenate(kept))


def measure(train, test, raw: list[np.ndarray], exponent: float, seed: int) -> pd.DataFrame:
    """One row per balance: its evidence, found first, and its scores."""
    answers = [evaluation.unseal(images.answers) for images in (train, test)]
    rows = [thinned(y, exponent, seed) for y in answers]
    (a, b), (y, y_test) = ([x[i] for x, i in zip(xs, rows, strict=True)] for xs in (raw, answers))
    k, start = len(train.class_names), time.perf_counter()
    table = selection.balance_evidence(a, k, random_state=seed)
    table["evidence_seconds"] = time.perf_counter() - start
    table["place"] = range(len(table))
    for balance in table.index:
        model = clustering.NeighbourClustering(k, balance=balance, random_state=seed).fit(a)
        found = evaluation.score(y, model.labels_, y_test, model.predict(b), n_groups=k)
        table.loc[balance, ["accuracy", "nmi", "ari"]] = [
            found[s] for s in ("accuracy", "nmi", "ari")
        ]
    return table.assign(n_train=len(a), n_test=len(b))


def summary(runs: list[pd.DataFrame]) -> list[dict]:
    """Means over the seeds, and the two rows of choices."""
    chosen = {
        "first by evidence": [run.iloc[0] for run in runs],
        "best on test": [run.loc[run.accuracy.idxmax()] for run in runs],
    }
    balances = {name: [run.loc[name] for run in runs] for name in clustering.BALANCES}
    rows = []
    for name, found in (balances | chosen).items():
        table = pd.DataFrame(found)
        row = {"balance": name, "accuracy_sd": table.accuracy.std()}
        row |= {f"{s}_mean": table[s].mean() for s in ("accuracy", "nmi", "ari")}
        if name in balances:
            seen = ["effective_groups", "smallest_group", "agreement", "stability"]
            row |= table[seen].mean().to_dict() | {"first": int((table.place == 0).sum())}
        row |= {"n_train": int(table.n_train.mean()), "n_test": int(table.n_test.mean())}
        row |= {"evidence_seconds": table.evidence_seconds.median(), "seeds": len(runs)}
        rows.append({s: round(v, 4) if isinstance(v, float) else v for s, v in row.items()})
    return rows


def main() -> None:
    """Measure each data set and exponent; print and record it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="*", default=["digits", "mnist"])
    parser.add_argument("--limit", type=int, default=3_000, help="training images at most")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore", evaluation.CollapseWarning)
    for data in options.data:
        train, test = datasets.load(data, limit=options.limit)
        backbone = backbones.load(**backbones.suggested(data))
        raw = [features.extract(backbone, images) for images in (train, test)]
        for exponent in EXPONENTS:
            runs = [measure(train, test, raw, exponent, seed) for seed in range(options.seeds)]
            about = {"data": data, "backbone": backbone.name, "exponent": exponent}
            new = [about | row for row in summary(runs)]
            old = json.loads(FILE.read_text()) if FILE.exists() else []
            kept = [r for r in old if (r["data"], r["exponent"]) != (data, exponent)]
            FILE.write_text(json.dumps(kept + new, indent=1) + "\n")
            shown = ["data", "exponent", "balance", "accuracy_mean", "accuracy_sd", "nmi_mean"]
            shown += ["agreement", "stability", "first"]
            print(pd.DataFrame(new)[shown].to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
