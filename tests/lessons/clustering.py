"""Typical answers to the exercises of notebook 03, and what its text may say unmeasured."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.stats import entropy
from sklearn.cluster import KMeans
from sklearn.metrics import mutual_info_score, normalized_mutual_info_score

from tfl_helpers.datasets import SealedAnswers
from tfl_helpers.evaluation import Pairing, score
from tfl_helpers.features import normaliser

NOT_MEASURED = []

# 03-b: one class, one group.


def counted(names, new_groups, new_classes):
    return np.mean(pd.Series(names).reindex(new_groups).to_numpy() == new_classes)


def hungarian(groups, classes, new_groups, new_classes, maximize=True):
    table = pd.crosstab(groups, classes)
    rows, columns = linear_sum_assignment(table, maximize=maximize)
    names = pd.Series(table.columns[columns], table.index[rows])
    return counted(names, new_groups, new_classes)


def by_costs(groups, classes, new_groups, new_classes):
    kinds, numbers = np.unique(classes), np.unique(groups)
    costs = [[-np.sum((groups == g) & (classes == c)) for c in kinds] for g in numbers]
    rows, columns = linear_sum_assignment(costs)
    names = {numbers[r]: kinds[c] for r, c in zip(rows, columns, strict=True)}
    return sum(names.get(g, -1) == c for g, c in zip(new_groups, new_classes, strict=True)) / len(
        new_groups
    )


def purity(groups, classes, new_groups, new_classes):
    return counted(pd.crosstab(groups, classes).idxmax(axis=1), new_groups, new_classes)


def with_majority(groups, classes, new_groups, new_classes):
    return np.mean(Pairing(classes, groups).predict(new_groups) == new_classes)


def on_new(groups, classes, new_groups, new_classes):
    return hungarian(new_groups, new_classes, new_groups, new_classes)


def least(groups, classes, new_groups, new_classes):
    return hungarian(groups, classes, new_groups, new_classes, maximize=False)


def only_matched(groups, classes, new_groups, new_classes):
    inside = new_groups != 7
    return hungarian(groups, classes, new_groups[inside], new_classes[inside])


def largest_first(groups, classes, new_groups, new_classes):
    table, names = pd.crosstab(groups, classes), {}
    while table.size:
        row, column = np.unravel_index(table.to_numpy().argmax(), table.shape)
        names[table.index[row]] = table.columns[column]
        table = table.drop(index=table.index[row], columns=table.columns[column])
    return counted(names, new_groups, new_classes)


def classes_choose(groups, classes, new_groups, new_classes):
    chosen = pd.crosstab(groups, classes).idxmax(axis=0)
    return counted({g: c for c, g in chosen.items()}, new_groups, new_classes)


def each_image(groups, classes, new_groups, new_classes):
    return pd.Series(new_groups).map(dict(zip(groups, classes, strict=True))) == new_classes


# 03-c: two classes along one strong axis, among many weak ones.

rng = np.random.default_rng(0)


def cloud(n):
    answers = np.arange(n) % 2
    z = rng.normal(size=(n, 60)) * 0.2
    z[:, 0] += 3
    z[:, 1] += 2 * answers - 1
    return z, SimpleNamespace(answers=SealedAnswers(answers), class_names=["one", "two"])


(raw_train, train), (raw_test, test) = cloud(300), cloud(100)


def accuracy(kind):
    scale = normaliser(kind).fit(raw_train)
    found = KMeans(2, n_init=10, random_state=0).fit(scale.transform(raw_train))
    groups = found.predict(scale.transform(raw_test))
    return score(train.answers, found.labels_, test.answers, groups)["accuracy"]


UNIT, WHITE = accuracy("l2"), accuracy("pca-whiten")


# 03-d: normalised mutual information from a table of counts.


def entropies(table):
    return entropy(table.sum(1)), entropy(table.sum(0)), entropy(table.ravel())


def nmi(table):
    groups, classes, both = entropies(table)
    return (groups + classes - both) / ((groups + classes) / 2)


def nmi_in_bits(table):
    p = table / table.sum()
    expected = p.sum(1, keepdims=True) * p.sum(0, keepdims=True)
    shared = (p * np.log2(np.where(p > 0, p, 1) / expected)).sum()
    return shared / np.mean([entropy(p.sum(1), base=2), entropy(p.sum(0), base=2)])


def nmi_by_library(table):
    groups, classes = np.nonzero(table)
    counts = table[groups, classes]
    return normalized_mutual_info_score(np.repeat(groups, counts), np.repeat(classes, counts))


def not_normalised(table):
    groups, classes = np.nonzero(table)
    counts = table[groups, classes]
    return mutual_info_score(np.repeat(groups, counts), np.repeat(classes, counts))


def with_zeros(table):
    p = table / table.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        both = -(p * np.log(p)).sum()
    groups, classes, _ = entropies(table)
    return 2 * (groups + classes - both) / (groups + classes)


def half(table):
    groups, classes, both = entropies(table)
    return (groups + classes - both) / (groups + classes)


def by_larger(table):
    groups, classes, both = entropies(table)
    return (groups + classes - both) / max(groups, classes)


def by_root(table):
    groups, classes, both = entropies(table)
    return (groups + classes - both) / np.sqrt(groups * classes)


def joint(table):
    groups, classes, both = entropies(table)
    return 2 * both / (groups + classes)


def row_by_row(table):
    groups, classes, _ = entropies(table)
    return 2 * (groups + classes - np.mean([entropy(row) for row in table])) / (groups + classes)


# 03-e: the effective number of groups.


def shares(groups):
    return np.unique(groups, return_counts=True)[1] / len(groups)


def one_is_none(groups):
    return np.exp(entropy(shares(groups))) if len(set(groups)) > 1 else 0


EXERCISES = {
    "03-a": {"answers": {"half", "classes", "four times"}},
    "03-b": {
        "right": [hungarian, by_costs],
        "wrong": [
            (purity, "a group of its own"),
            (with_majority, "a group of its own"),
            (on_new, "what is then predicted"),
            (only_matched, "and counts"),
            (largest_first, "can block a better sum"),
            (classes_choose, "may want one group"),
            (least, "what it is not"),
            (each_image, "one number is asked for"),
        ],
    },
    "03-c": {
        "right": [(WHITE, "b"), (np.round(WHITE, 2), "b")],
        "wrong": [
            ((UNIT, "b"), "with length one"),
            ((WHITE, "a"), "is made one again"),
            ((WHITE, "c"), "but not whitened"),
            ((WHITE - 0.2, "b"), "another accuracy"),
            ((100 * WHITE, "b"), "a share"),
            (("b", WHITE), "is a number"),
            ((WHITE, "why not"), "one of the letters"),
            (WHITE, "an accuracy and a letter"),
        ],
        "context": (train, test, raw_train, raw_test, 0),
    },
    "03-d": {
        "right": [nmi, nmi_in_bits, nmi_by_library],
        "wrong": [
            (not_normalised, "grows with the number of groups"),
            (with_zeros, "0 times log 0"),
            (half, "a sum is no mean"),
            (by_larger, "other means"),
            (by_root, "other means"),
            (joint, "do NOT share"),
            (row_by_row, "over which images"),
        ],
    },
    "03-e": {
        "right": [
            lambda groups: np.exp(entropy(shares(groups))),
            lambda groups: 2 ** entropy(shares(groups), base=2),
            lambda groups: np.prod(shares(groups) ** -shares(groups)),
        ],
        "wrong": [
            (lambda groups: len(set(groups)), "counts groups"),
            (lambda groups: entropy(shares(groups)), "entropy itself"),
            (lambda groups: np.exp(entropy(shares(groups), base=2)), "two logarithms"),
            (lambda groups: 2 ** entropy(shares(groups)), "two logarithms"),
            (lambda groups: 1 / np.sum(shares(groups) ** 2), "no entropy is in it"),
            (lambda groups: np.exp(-entropy(shares(groups))), "look at the sign"),
            (lambda groups: np.exp(entropy(groups)), "groups are called by"),
            (one_is_none, "all in one group should give 1"),
        ],
    },
}
