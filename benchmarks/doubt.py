"""Doubt as a finder of mistakes, and how often a vote is right.

    TFL_DATA_DIR=... KERAS_HOME=... python benchmarks/doubt.py [SET ...] [--seeds 5]

`NeighbourClustering` groups all images of each of ten sets (`image_sets.py`), with as many groups
as there are kinds, and again with more, √(kinds · √images), as `sort` shows them. An image is a
mistake if its group stands for another kind: matched one to one, or, with more groups, the kind
most frequent in it. The winner's share of the vote (how doubt was measured before), the ranking by
`clustering.Doubt`, the same from "labels alone", and its single scores are to find them: `auroc`
(1: all mistakes before all others, 0.5: chance), `in_tenth` (mistakes among the most doubtful
tenth), mean and sd of the seeds.
"new" is fitted on one half and ranks the other; it and "more" have one seed, of sets up to 3,000.
`flag` is how many images are called unsure, `held` how many of these are mistakes;
of the vote those with less than 2/3 of it, or far from all.

Of the vote there is also the expected calibration error, and its ten parts: what it `says`, and
how often it `is_right`. Answers only score. Writes results/doubt.json.
"""

import argparse
import json
import time
from pathlib import Path

from image_sets import BALANCED, draw
from tfl_helpers import clustering

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import normalize

FILE = Path(__file__).resolve().parents[1] / "tfl_helpers" / "results" / "doubt.json"
SETS = (*BALANCED, "photos64, 30", "cifar10, 5 skewed")
FEW, LARGE = 1, 3_000  # seeds and images for what is beside the point
SCORES = "by means", "by surprise", "by walks"


def kinds_of(groups: np.ndarray, y: np.ndarray, k: int) -> np.ndarray:
    """Which kind each of k groups stands for."""
    shared = np.zeros((k, y.max() + 1), int)
    np.add.at(shared, (groups, y), 1)
    return clustering.match(shared)


def found(name: str, wrong: np.ndarray, doubts: dict[str, np.ndarray]) -> list[dict]:
    """How well each of some rankings finds the mistakes."""
    tenth = max(len(wrong) // 10, 1)
    return [
        {
            "groups": name,
            "by": by,
            "auroc": roc_auc_score(wrong, doubt) if 0 < wrong.sum() < len(wrong) else np.nan,
            "in_tenth": wrong[np.argsort(-doubt, kind="stable")[:tenth]].sum(),
            "wrong": wrong.sum(),
            "images": len(wrong),
        }
        for by, doubt in doubts.items()
    ]


def measure(name: str, seed: int) -> tuple[list[dict], pd.DataFrame]:
    """Rankings of one set, and for the groups as many as kinds what each image's vote says."""
    z, y = draw(name, seed)
    k, rows = y.max() + 1, []
    numbers = {"kinds": k, "more": round(np.sqrt(k * np.sqrt(len(y))))}
    aside = seed < FEW and len(z) <= LARGE
    for label, n_groups in list(numbers.items())[: 1 + aside]:
        model = clustering.NeighbourClustering(n_groups, random_state=seed).fit(z)
        wrong = kinds_of(model.labels_, y, n_groups)[model.labels_] != y
        vote, distances = model.predict_proba(z).max(axis=1), model._near(z)[1]
        place = normalize(clustering.leading_components(z, random_state=seed))
        alone = clustering.Doubt(place, model.labels_, random_state=seed)
        doubts = {"the vote": 1 - vote, "ranking": model.doubt_, "labels alone": alone.known_}
        doubts |= dict(zip(SCORES, alone.scores_.T, strict=True))
        rows += found(label, wrong, doubts)
        flags = {
            "the vote": (vote < 2 / 3) | (distances.mean(axis=1) > model.far_),
            "ranking": model.doubt_ > 1 - model.flagged_,
        }
        for row in rows:
            if row["groups"] == label and (flag := flags.get(row["by"])) is not None:
                row |= {"flag": flag.sum(), "held": wrong[flag].sum()}
        if label == "kinds":
            votes = pd.DataFrame({"says": vote, "is_right": ~wrong})
    if aside:
        a, b = np.array_split(z, 2)
        model = clustering.NeighbourClustering(k, random_state=seed).fit(a)
        wrong = kinds_of(model.labels_, y[: len(a)], k)[model.predict(b)] != y[len(a) :]
        by_vote = 1 - model.predict_proba(b).max(axis=1)
        rows += found("new", wrong, {"the vote": by_vote, "ranking": model.doubt(b)})
    return [row | {"data": name, "seed": seed} for row in rows], votes


def reliability(name: str, votes: pd.DataFrame, n_seeds: int) -> dict:
    """Compute the expected calibration error (Naeini et al. 2015), and ten parts of 0..1."""
    part = np.minimum((votes["says"] * 10).astype(int), 9)
    means = votes.groupby(part).agg(says=("says", "mean"), is_right=("is_right", "mean"))
    means["images"] = votes.groupby(part).size()
    gap = (means["says"] - means["is_right"]).abs()
    return {
        "data": name,
        "error": round(float((gap * means["images"]).sum() / len(votes)), 4),
        "says": round(float(votes["says"].mean()), 4),
        "is_right": round(float(votes["is_right"].mean()), 4),
        "parts": means.round(4).to_dict("records"),
        "seeds": n_seeds,
    }


def summary(rows: list[dict]) -> list[dict]:
    """Mean and sd over the seeds."""
    table = pd.DataFrame(rows).drop(columns="seed")
    by = table.groupby(["data", "groups", "by"], sort=False)
    means, sd = by.mean(), by[["auroc", "in_tenth"]].std(ddof=1)
    means = means.join(sd.add_suffix("_sd")).assign(seeds=by.size()).round(4).reset_index()
    return [row.dropna().to_dict() for _, row in means.iterrows()]


def main() -> None:
    """Measure each set; print and record it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sets", nargs="*", default=SETS)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    for name in options.sets:
        start = time.perf_counter()
        runs = [measure(name, seed) for seed in range(options.seeds)]
        rows = summary([row for run, _ in runs for row in run])
        votes = reliability(name, pd.concat([votes for _, votes in runs]), options.seeds)
        old = json.loads(FILE.read_text()) if FILE.exists() else {"rankings": [], "votes": []}
        new = {
            "rankings": [row for row in old["rankings"] if row["data"] != name] + rows,
            "votes": [row for row in old["votes"] if row["data"] != name] + [votes],
        }
        FILE.write_text(json.dumps(new, indent=1) + "\n")
        print(f"{name}, {time.perf_counter() - start:.0f} s")
        print(pd.DataFrame(rows).drop(columns="data").round(3).to_string(index=False))
        print({key: value for key, value in votes.items() if key != "parts"}, flush=True)


if __name__ == "__main__":
    main()
