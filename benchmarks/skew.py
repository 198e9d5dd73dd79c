"""Kinds of unequal size: what each balance does, and whether the probe finds the right one.

    TFL_DATA_DIR=... KERAS_HOME=... python benchmarks/skew.py [SET ...] [--seeds 5] [--limit 1500]

Eight sets of kinds that are about equally large, and two that are not (`image_sets.py`): one in
which ten kinds go from all images to a tenth, and one of 1,000, 500, 200, 60 and 20. Which kind is
large is drawn anew with each seed. `selection.balance_evidence` sees features only; then
`NeighbourClustering` is fitted with each balance, and its groups of the same images are matched
with kinds one to one. Writes results/skew.json, a row per set and balance: scores, mean and sd of
the seeds, the probe, and how often it put this balance first. The rows "by the probe" and "best"
say what following it gives, and what nobody could have known.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

from image_sets import BALANCED, SKEWED, draw
from tfl_helpers import clustering, evaluation, selection

import pandas as pd

FILE = Path(__file__).resolve().parents[1] / "tfl_helpers" / "results" / "skew.json"


def measure(name: str, seed: int, limit: int) -> pd.DataFrame:
    """One row per balance, the one that the probe prefers first."""
    z, y = (part[:limit] for part in draw(name, seed))
    k, start = y.max() + 1, time.perf_counter()
    table = selection.balance_evidence(z, k, random_state=seed)
    table["evidence_seconds"] = time.perf_counter() - start
    for balance in table.index:
        model = clustering.NeighbourClustering(k, balance=balance, random_state=seed).fit(z)
        table.loc[balance, "accuracy"] = evaluation.hungarian_accuracy(y, model.labels_)
    return table.assign(images=len(z), place=range(len(table)))


def summary(name: str, runs: list[pd.DataFrame]) -> list[dict]:
    """Means over the seeds, and the two rows of choices."""
    found = {balance: [run.loc[balance] for run in runs] for balance in sorted(runs[0].index)}
    found["by the probe"] = [run.iloc[0] for run in runs]
    found["best"] = [run.loc[run.accuracy.idxmax()] for run in runs]
    rows = []
    for balance, of in found.items():
        table = pd.DataFrame(of)
        row = {"data": name, "skewed": name in SKEWED, "balance": balance}
        row |= {"accuracy_mean": table.accuracy.mean(), "accuracy_sd": table.accuracy.std()}
        if balance in runs[0].index:
            seen = ["probe", "effective_groups", "smallest_share"]
            row |= table[seen].mean().to_dict() | {"first": int((table.place == 0).sum())}
            row |= {f"{s}_of_seeds": table[s].round(4).tolist() for s in ("accuracy", "probe")}
        row |= {"images": int(table.images.mean()), "seeds": len(runs)}
        row["evidence_seconds"] = table.evidence_seconds.median()
        rows.append({s: round(v, 4) if isinstance(v, float) else v for s, v in row.items()})
    return rows


def main() -> None:
    """Measure each set; print and record it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sets", nargs="*", default=(*SKEWED, *BALANCED))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--limit", type=int, default=1_500, help="images of a set at most")
    options = parser.parse_args()
    warnings.simplefilter("ignore", evaluation.CollapseWarning)
    for name in options.sets:
        runs = [measure(name, seed, options.limit) for seed in range(options.seeds)]
        new = summary(name, runs)
        old = json.loads(FILE.read_text()) if FILE.exists() else []
        FILE.write_text(json.dumps([r for r in old if r["data"] != name] + new, indent=1) + "\n")
        shown = ["data", "balance", "accuracy_mean", "accuracy_sd", "probe", "first"]
        print(pd.DataFrame(new)[shown].round(3).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
