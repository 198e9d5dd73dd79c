"""Typical answers to the exercises of notebook 05, and what its text may say unmeasured."""

import numpy as np

from tfl_helpers import clustering

NOT_MEASURED = []


def by_rank(labels, confidence, top):
    keep = np.zeros(len(labels), bool)
    for group in set(labels.tolist()):
        inside = np.flatnonzero(labels == group)
        order = inside[np.argsort(confidence[inside])[::-1]]
        keep[order[: round(top * len(inside))]] = True
    return keep


def by_own_bar(labels, confidence, top):
    bars = [np.quantile(confidence[labels == g], 1 - top) for g in range(labels.max() + 1)]
    return confidence >= np.array(bars)[labels]


def inverted(labels, confidence, top):
    return by_own_bar(labels, -confidence, top)


def other_side(labels, confidence, top):
    return by_own_bar(labels, confidence, 1 - top)


def as_many_each(labels, confidence, top):
    keep = np.zeros(len(labels), bool)
    for group in (0, 1):
        inside = np.flatnonzero(labels == group)
        keep[inside[np.argsort(-confidence[inside])[:3]]] = True
    return keep


def share(labels, near):
    return (labels[near] == labels[:, None]).mean()


def by_loop(before, after, near_reference, near_new):
    pairs = [(i, j) for i, row in enumerate(near_reference) for j in row]
    return sum(after[i] == after[j] for i, j in pairs) < sum(
        before[i] == before[j] for i, j in pairs
    )


def by_agreement(before, after, near_reference, near_new):
    now, then = (clustering.agreement(x, near_reference) for x in (after, before))
    return now < then - 1e-9


EXERCISES = {
    "05-a": {
        "right": [by_rank, by_own_bar],
        "wrong": [
            (lambda labels, sure, top: sure >= np.quantile(sure, 1 - top), "one bar for all"),
            (lambda labels, sure, top: sure >= 0.5, "a fixed number"),
            (inverted, "the least sure"),
            (other_side, "which side of the bar"),
            (as_many_each, "groups differ in size"),
            (lambda labels, sure, top: np.flatnonzero(by_rank(labels, sure, top)), "shape (14,)"),
            (lambda labels, sure, top: by_rank(labels, sure, top) * sure, "True or False"),
            (lambda labels, sure, top: by_rank(labels, sure, 0.5), "a quarter of each group"),
        ],
    },
    "05-b": {
        "right": [by_loop, by_agreement, lambda old, new, r, n: share(new, r) < share(old, r)],
        "wrong": [
            (lambda old, new, r, n: share(new, n) < share(old, r), "bent until neighbours agreed"),
            (lambda old, new, r, n: share(new, n) < share(old, n), "bent until neighbours agreed"),
            (lambda old, new, r, n: share(new, r) > share(old, r), "mended a label"),
            (lambda old, new, r, n: share(new, r) <= share(old, r), "changed no label"),
            (lambda old, new, r, n: (old != new).mean() > 0.02, "mended a label"),
            (lambda old, new, r, n: share(new, r) - share(old, r), "True or False"),
            (lambda old, new, r, n: share(new, r) < share(old, r) - 0.3, "a small fall"),
            (lambda old, new, r, n: new[r] != old[:, None], "one verdict for the round"),
            (lambda old, new, r, n: False, "nonsense gets through"),
        ],
    },
    "05-c": {
        "context": (24,),
        "right": [(0.55, "b"), (np.float64(0.31), "B")],
        "wrong": [
            ((55.0, "b"), "0.5, not 50"),
            ((-0.55, "b"), "subtract the fresh"),
            ((0.01, "b"), "many batches"),
            ((0.55, "a"), "no budget changes them"),
            ((0.55, "c"), "the same layers"),
            ((0.55, "because"), "one letter"),
            (("b", 0.55), "the gap is a number"),
            ((0.55, "b", "c"), "two things"),
        ],
    },
    "05-d": {"answers": {"above", "same", "below"}},
}
