"""Typical answers to the exercises of a notebook, and what its text may say unmeasured."""

from types import SimpleNamespace

import numpy as np

from tfl_helpers.clustering import NeighbourClustering
from tfl_helpers.datasets import SealedAnswers
from tfl_helpers.evaluation import score

NOT_MEASURED = []


# 06-b: choose a run and report it.


def agreement_sorted(runs):
    row = runs.sort_values("agreement").iloc[-1]
    return row.name, row["accuracy"]


def agreement_loop(runs):
    best = None
    for name, row in runs.iterrows():
        if best is None or row["agreement"] > runs.agreement[best]:
            best = name
    return best, float(runs.accuracy[best])


def by_answers(runs):
    row = runs.loc[runs.accuracy.idxmax()]
    return row.name, row.accuracy


def chosen_but_best_reported(runs):
    return runs.agreement.idxmax(), runs.accuracy.max()


def least_agreement(runs):
    row = runs.loc[runs.agreement.idxmin()]
    return row.name, row.accuracy


def both_scores(runs):
    name = (runs.agreement.rank() + 0.6 * runs.accuracy.rank()).idxmax()
    return name, runs.accuracy[name]


def mean_of_all(runs):
    return runs.agreement.idxmax(), runs.accuracy.mean()


def position(runs):
    row = int(np.argmax(runs.agreement))
    return row, runs.accuracy.iloc[row]


def its_agreement(runs):
    name = runs.agreement.idxmax()
    return name, runs.agreement[name]


# 06-c: two classes, each in two clumps of its own, of which one lies near the other class.

rng = np.random.default_rng(0)
corners = rng.normal(size=(4, 12))
corners[2] = corners[1] + 0.4 * rng.normal(size=12)


def clumps(n):
    rows = np.repeat(corners, n, axis=0) + 0.15 * rng.normal(size=(4 * n, 12))
    answers = SealedAnswers(np.repeat([0, 0, 1, 1], n))
    return rows, SimpleNamespace(answers=answers, class_names=["one", "two"])


(z_train, train), (z_test, test) = clumps(60), clumps(40)


def accuracy(n_groups):
    found = NeighbourClustering(n_groups, random_state=0).fit(z_train)
    groups = found.labels_, found.predict(z_test)
    return score(train.answers, groups[0], test.answers, groups[1], n_groups=n_groups)["accuracy"]


FEW, MANY = accuracy(2), accuracy(8)


# 06-d: expected calibration error.


def ece(sure, right):
    part = np.clip(np.digitize(sure, np.linspace(0, 1, 11)) - 1, 0, 9)
    sums = np.bincount(part, sure, 10) - np.bincount(part, right, 10)
    return np.abs(sums).sum() / len(sure)


def ece_loop(sure, right):
    error = 0.0
    for low in range(10):
        inside = (sure * 10 >= low) & ((sure * 10 < low + 1) | (low == 9))
        if inside.any():
            error += abs(sure[inside].mean() - right[inside].mean()) * inside.mean()
    return error


def no_parts(sure, right):
    return abs(sure.mean() - right.mean())


def unweighted(sure, right):
    part = np.minimum((sure * 10).astype(int), 9)
    return np.mean([abs(sure[part == p].mean() - right[part == p].mean()) for p in np.unique(part)])


def image_by_image(sure, right):
    return np.abs(sure - right).mean()


def last_part_open(sure, right):
    part = (sure * 10).astype(int)
    inside = [(part == p) for p in range(10) if (part == p).any()]
    return sum(i.mean() * abs(sure[i].mean() - right[i].mean()) for i in inside)


def signed(sure, right):
    part = np.minimum((sure * 10).astype(int), 9)
    gaps = [(part == p).mean() * (sure[part == p] - right[part == p]).mean() for p in set(part)]
    return sum(gaps)


def per_part(sure, right):
    part = np.minimum((sure * 10).astype(int), 9)
    return sum(abs(sure[part == p].sum() - right[part == p].sum()) for p in set(part))


# 06-e: the share that can be kept.


def kept_loop(sure, right, target):
    order, best = sorted(range(len(sure)), key=lambda i: -sure[i]), 0
    for n in range(1, len(order) + 1):
        if np.mean(right[order[:n]]) >= target:
            best = n
    return best / len(order)


def kept_by_threshold(sure, right, target):
    shares = [np.mean(sure >= s) for s in sure if np.mean(right[sure >= s]) >= target]
    return max(shares, default=0.0)


def stops_early(sure, right, target):
    order = np.argsort(-sure)
    good = np.cumsum(right[order]) / np.arange(1, len(sure) + 1) >= target
    return (len(sure) if good.all() else int(np.argmin(good))) / len(sure)


def counts(sure, right, target):
    return kept_loop(sure, right, target) * len(sure)


def no_order(sure, right, target):
    good = np.cumsum(right) / np.arange(1, len(sure) + 1) >= target
    return (np.flatnonzero(good)[-1] + 1) / len(sure) if good.any() else 0.0


def least_sure_first(sure, right, target):
    return no_order(sure, right[np.argsort(sure)], target)


def keeps_one(sure, right, target):
    return max(kept_loop(sure, right, target), 1 / len(sure))


def accuracy_of_all(sure, right, target):
    return right.mean()


EXERCISES = {
    "06-a": {"answers": {"groups", "classifier", "same"}},
    "06-b": {
        "right": [agreement_sorted, agreement_loop],
        "wrong": [
            (by_answers, "who may not choose"),
            (chosen_but_best_reported, "not the one that was chosen"),
            (least_agreement, "which way is better"),
            (both_scores, "still have a say"),
            (mean_of_all, "nobody will use"),
            (position, "is no run"),
            (its_agreement, "what it was chosen by"),
        ],
    },
    "06-c": {
        "right": [(MANY, "b"), (round(MANY, 2), "b")],
        "wrong": [
            ((FEW, "b"), "was the setting used"),
            ((MANY, "a"), "ARI"),
            ((MANY, "c"), "nothing leaked"),
            ((MANY - 0.2, "b"), "another accuracy"),
            ((100 * MANY, "b"), "a share"),
            ((MANY, "d"), "one of the letters"),
            (MANY, "an accuracy and a letter"),
        ],
        "context": (train, test, z_train, z_test, 0),
    },
    "06-d": {
        "right": [ece, ece_loop],
        "wrong": [
            (no_parts, "may not make up"),
            (signed, "may not make up"),
            (unweighted, "should it"),
            (image_by_image, "in vain"),
            (last_part_open, "must not be lost"),
            (per_part, "share of all images"),
        ],
    },
    "06-e": {
        "right": [kept_loop, kept_by_threshold],
        "wrong": [
            (accuracy_of_all, "how many can be kept"),
            (counts, "a share of all"),
            (no_order, "the order matters"),
            (least_sure_first, "the order matters"),
            (stops_early, "too early"),
            (keeps_one, "nothing can be kept"),
        ],
    },
}
