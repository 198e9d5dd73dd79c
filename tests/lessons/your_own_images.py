"""Typical answers to the exercises of notebook 08, and what its text may say unmeasured."""

from collections import Counter
from statistics import mode

import numpy as np
import pandas as pd

NOT_MEASURED = []

# 08-a: a name for each group.


def said(groups, examples):
    found = {}
    for file, name in examples.items():
        found.setdefault(groups[file], []).append(name)
    return found


def each(choose):
    return lambda groups, examples: {g: choose(n) for g, n in said(groups, examples).items()}


def by_pandas(groups, examples):
    table = pd.DataFrame({"name": pd.Series(examples), "group": pd.Series(groups)}).dropna()
    return table.groupby("group").name.agg(lambda names: names.mode()[0]).to_dict()


def overall(groups, examples):
    return dict.fromkeys(said(groups, examples), mode(examples.values()))


# 08-b: each example judged by the others of its group.


def judged(groups, names, others, alone=0, whole=False):
    right = []
    for i, name in enumerate(names):
        asked = [names[j] for j in range(len(names)) if others(i, j, groups)]
        if not asked:
            right.append(alone)
        else:
            right.append(set(asked) == {name} if whole else mode(asked) == name)
    return right


def in_group(i, j, groups):
    return groups[i] == groups[j] and i != j


def by_counter(groups, names):
    votes = {g: Counter(n for h, n in zip(groups, names, strict=True) if h == g) for g in groups}
    right = 0
    for group, name in zip(groups, names, strict=True):
        rest = votes[group] - Counter([name])
        right += bool(rest) and rest.most_common(1)[0][0] == name
    return right / len(names)


def skipping(groups, names):
    right = [r for r in judged(groups, names, in_group, alone=None) if r is not None]
    return np.mean(right) if right else float("nan")


# 08-c: what a second run reads.


def to_read(known, now):
    changed = {file for file in now if file in known and now[file] != known[file]}
    return sorted(changed | (set(now) - set(known)))


def where(test):
    return lambda known, now: sorted(f for f in now if f not in known or test(known[f], now[f]))


# 08-f: which image is asked about next.


def asks(measure, again=False):
    def chosen(reach, asked):
        value = measure(reach, reach[asked] if len(asked) else np.zeros((1, len(reach))))
        value[[] if again else asked] = -np.inf
        return value.argmax()

    return chosen


def gains(of):
    return lambda reach, known: np.maximum(reach - of(known, axis=0), 0).sum(axis=1)


def one_by_one(reach, asked):
    def total(images):
        return sum(max((reach[i][j] for i in images), default=0) for j in range(len(reach)))

    return max(set(range(len(reach))) - set(asked), key=lambda i: total([*asked, i]))


EXERCISES = {
    "08-a": {
        "right": [by_pandas, each(mode), each(lambda names: max(names, key=names.count))],
        "wrong": [
            (each(lambda names: names[-1]), "the last example of a group wins"),
            (lambda g, e: {g[file]: name for file, name in e.items()}, "the last example"),
            (each(lambda names: names[0]), "the first example of a group wins"),
            (each(min), "the alphabet decides"),
            (each(lambda names: max(set(names))), "the alphabet decides"),
            (overall, "one name is frequent in the whole folder"),
            (lambda g, e: dict.fromkeys(g.values(), "") | by_pandas(g, e), "group 4"),
            (each(Counter), "a name is text"),
            (lambda g, e: list(by_pandas(g, e).values()), "give a dict"),
            (lambda g, e: {n: k for k, n in by_pandas(g, e).items()}, "from names to groups"),
            (lambda g, e: {file: by_pandas(g, e)[g[file]] for file in e}, "from files to names"),
            (lambda g, e: {k: n for k, n in by_pandas(g, e).items() if k < 3}, "gets no name"),
        ],
    },
    "08-b": {
        "right": [by_counter, lambda groups, names: np.mean(judged(groups, names, in_group))],
        "wrong": [
            (lambda g, n: np.mean(judged(g, n, lambda i, j, g: g[i] == g[j])), "who has spoken"),
            (lambda g, n: np.mean(judged(g, n, in_group, alone=1)), "who has spoken"),
            (skipping, "left out of the count"),
            (lambda g, n: np.mean(judged(g, n, lambda i, j, g: i != j)), "other groups"),
            (lambda g, n: np.mean(judged(g, n, in_group, whole=True)), "all others to agree"),
            (lambda g, n: sum(judged(g, n, in_group)) / len(set(g)), "which share"),
            (lambda g, n: judged(g, n, in_group), "one share for all"),
            (lambda g, n: sum(judged(g, n, in_group)), "which share"),
        ],
    },
    "08-c": {
        "right": [to_read, lambda known, now: [f for f in sorted(now) if known.get(f) != now[f]]],
        "wrong": [
            (lambda known, now: sorted(set(now) - set(known)), "c.png has the size"),
            (lambda known, now: sorted(now), "b.png is as it was"),
            (lambda known, now: sorted(f for f in known if now.get(f) != known[f]), "gone.png"),
            (where(lambda a, b: a[0] != b[0]), "c.png has the size"),
            (where(lambda a, b: a[1] != b[1]), "d.png has its old time"),
            (where(lambda a, b: b[0] != a[0] or b[1] > a[1]), "e.png is older"),
            (lambda known, now: [f for f in now if known.get(f) != now[f]], "their order"),
            (lambda known, now: sorted(set(now.items()) - set(known.items())), "names alone"),
            (lambda known, now: {f: now[f] for f in to_read(known, now)}, "a list of names"),
            (lambda known, now: to_read(known, now)[1:], "a.png was not known"),
        ],
    },
    "08-d": {"answers": {"higher", "same", "lower"}},
    "08-e": {
        "right": [(0.31, "b"), (np.float64(0.526), "B"), (0.29, "b")],
        "wrong": [
            ((0.19, "b"), "more than ten examples"),
            ((40, "b"), "not 40"),
            ((-0.31, "b"), "less the lower end"),
            ((0.9, "b"), "no width"),
            ((0.31, "a"), "the ones that you had"),
            ((0.31, "c"), "drawn like the forty"),
            ((0.31, "chance"), "one letter"),
            (("0.31", "b"), "a number, not '0.31'"),
            ((0.31, "b", 0), "two things"),
        ],
    },
    "08-f": {
        "right": [asks(gains(np.max)), one_by_one],
        "wrong": [
            (asks(lambda reach, known: reach.sum(axis=1)), "reaches already"),
            (asks(lambda reach, known: (reach - known.max(0)).sum(axis=1)), "reaches already"),
            (asks(gains(np.mean)), "their mean"),
            (asks(lambda reach, known: -known.max(axis=0)), "it is alone"),
            (asks(gains(np.sum)), "are added up"),
            (asks(lambda reach, known: reach.sum(axis=1), again=True), "has its name"),
            (lambda reach, asked: asks(gains(np.max))(reach, asked[1:]), "has its name"),
            (lambda reach, asked: gains(np.max)(reach, reach[asked or [0]]), "one image"),
            (lambda reach, asked: asks(gains(np.max))(reach, asked) if asked else 1, "no"),
            (lambda reach, asked: asks(gains(np.max))(reach, asked) if asked[1:] else 1, "alone"),
            (lambda reach, asked: 13, "count for each image"),
        ],
    },
}
