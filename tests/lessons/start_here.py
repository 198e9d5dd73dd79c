"""Typical answers to the exercises of notebook 00, and what its text may say unmeasured."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.neighbors import NearestNeighbors

NOT_MEASURED = ["to half the number of classes"]


def by_loop(z, centre):
    return min(range(len(z)), key=lambda i: sum((z[i] - centre) ** 2))


def by_search(z, centre):
    return NearestNeighbors(n_neighbors=1).fit(z).kneighbors(centre[None])[1][0, 0]


def distances(z, centre):
    return np.linalg.norm(z - centre, axis=1)


def in_any_order(true, said):
    return sum((Counter(true.tolist()) & Counter(said.tolist())).values()) / len(true)


def share_right(name_groups, name_true, groups, true, divide=np.mean):
    names = {g: Counter(name_true[name_groups == g]).most_common(1)[0][0] for g in set(groups)}
    return divide([names[g] == t for g, t in zip(groups, true, strict=True)])


def by_table(train_groups, train_true, test_groups, test_true):
    table = np.zeros((train_groups.max() + 1, train_true.max() + 1))
    np.add.at(table, (train_groups, train_true), 1)
    return (table.argmax(1)[test_groups] == test_true).sum() / len(test_true)


def pooled(a, b, c, d):
    return share_right(np.r_[a, c], np.r_[b, d], c, d)


def group_by_group(a, b, c, d):
    return np.mean([share_right(a, b, c[c == g], d[c == g]) for g in set(c)])


EXERCISES = {
    "00-a": {
        "right": [by_loop, by_search, lambda z, c: ((z - c) ** 2).sum(1).argmin()],
        "wrong": [
            (lambda z, c: distances(z, c).argmax(), "farthest away"),
            (distances, "one number per image"),
            (lambda z, c: distances(z, c).min(), "how far away it is"),
            (lambda z, c: z[distances(z, c).argmin()], "features of an image"),
            (lambda z, c: (z - c).sum(1).argmin(), "cancel each other"),
            (lambda z, c: (z @ c).argmax(), "large features win"),
            (lambda z, c: np.abs(z - c).argmin(), "counts single features"),
            (lambda z, c: 0, "next to image 7"),
        ],
    },
    "00-b": {"answers": {"same", "between", "below"}},
    "00-c": {
        "right": [
            accuracy_score,
            lambda true, said: sum(t == s for t, s in zip(true, said, strict=True)) / len(true),
        ],
        "wrong": [
            (lambda true, said: true == said, "for each image"),
            (lambda true, said: (true == said).sum(), "how many are right"),
            (lambda true, said: (true != said).mean(), "wrong ones"),
            (lambda true, said: 100 * (true == said).mean(), "not to 100"),
            (balanced_accuracy_score, "each class counts the same"),
            (lambda true, said: np.isin(said, true).mean(), "image by image"),
            (in_any_order, "image by image"),
            (lambda true, said: 0.625, "the share is 1"),
            (lambda true, said: 0.9, "five of eight"),
            (lambda true, said: print(end=str(true)[:0]), "end it with `return`"),
        ],
    },
    "00-d": {
        "right": [share_right, by_table],
        "wrong": [
            (lambda a, b, c, d: share_right(c, d, c, d), "still too good"),
            (lambda a, b, c, d: share_right(a, b, a, b), "did not choose them"),
            (pooled, "still have a vote"),
            (lambda a, b, c, d: share_right(a, b, c, d, np.sum), "how many are right"),
            (lambda a, b, c, d: share_right(a, b, c, d, np.sum) / len(b), "divide by the number"),
            (group_by_group, "each group counts the same"),
            (lambda a, b, c, d: 0.0, "on a small example"),
        ],
    },
    "00-e": {
        "context": (SimpleNamespace(class_names=[str(n) for n in range(10)]),),
        "right": [(0.478, "b"), (np.float64(0.46), "B")],
        "wrong": [
            ((0.962, "b"), "did the jump-in cell run again"),
            ((47.8, "b"), "0.5, not 50"),
            ((0.19, "b"), "is `N_GROUPS` 5"),
            ((0.478, "a"), "sees the shapes"),
            ((0.478, "c"), "drawn by chance"),
            ((0.478, "fewer"), "one letter"),
            (("b", 0.478), "the share is a number"),
            (0.478, "two things"),
        ],
    },
}
