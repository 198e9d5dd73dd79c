"""Typical answers to the exercises of notebook 09, and what its text may say unmeasured."""

from itertools import pairwise

import numpy as np

NOT_MEASURED = []

# 09-a: blocks of so many images.


def step_by_step(n, size):
    blocks, start = [], 0
    while start < n:
        blocks.append([start, min(start + size, n)])
        start += size
    return blocks


def by_array(n, size):
    edges = np.unique(np.append(np.arange(0, n, size), n))
    return list(pairwise(edges))


def of(make):
    return lambda n, size: [make(start, n, size) for start in range(0, n, size)]


def whole(n, size):
    return [(i * size, (i + 1) * size) for i in range(n // size)]


def one_more(n, size):
    return [(i * size, min((i + 1) * size, n)) for i in range(n // size + 1)]


# 09-b: blocks that come in any order, and some twice.


def filled(done):
    n = max(start + len(rows) for start, rows in done)
    out = np.empty((n, done[0][1].shape[1]))
    for start, rows in done:
        out[start : start + len(rows)] = rows
    return out


def first_kept(done):
    seen = {}
    for start, rows in sorted(done, key=lambda pair: pair[0]):
        seen.setdefault(start, rows)
    return np.vstack(list(seen.values()))


def by_start(done):
    return np.concatenate([rows for _, rows in sorted(done, key=lambda pair: pair[0])])


def as_text(done):
    blocks = {str(start): rows for start, rows in done}
    return np.concatenate([blocks[start] for start in sorted(blocks)])


def those_once(done):
    starts = [start for start, _ in done]
    return by_start([pair for pair in done if starts.count(pair[0]) == 1])


EXERCISES = {
    "09-a": {
        "right": [step_by_step, by_array, of(lambda a, n, size: (a, min(a + size, n)))],
        "wrong": [
            (whole, "the last two"),
            (of(lambda a, n, size: (a, a + size)), "no image behind the last"),
            (of(lambda a, n, size: (a, min(a + size, n) - 1)), "in no block"),
            (of(lambda a, n, size: (a, min(a + size + 1, n))), "in two blocks"),
            (of(lambda a, n, size: (a, min(size, n - a))), "(start, how many)"),
            (of(lambda a, n, size: (a,)), "each block is a pair"),
            (lambda n, size: [(0, n)], "at most `size` images"),
            (lambda n, size: [(i, i + 1) for i in range(n)], "at most `size` images"),
            (lambda n, size: step_by_step(n, size)[::-1], "not in order"),
            (one_more, "an empty one"),
        ],
    },
    "09-b": {
        "right": [filled, first_kept],
        "wrong": [
            (lambda done: np.concatenate([rows for _, rows in done]), "order in which"),
            (lambda done: np.concatenate(list(dict(done).values())), "order in which"),
            (by_start, "in it twice"),
            (as_text, "sorted as text"),
            (those_once, "rows are missing"),
            (lambda done: np.unique(by_start(done), axis=0), "a white wall"),
            (lambda done: [row for _, rows in done for row in rows], "give one array"),
            (lambda done: filled(done).ravel(), "not as rows"),
        ],
    },
    "09-c": {"answers": {"longer", "shorter", "same"}},
    "09-d": {
        "right": [(1, "b"), (np.float64(1.0), "B"), (0.9999999, "b")],
        "wrong": [
            ((10, "a"), "for how long"),
            ((0.1, "c"), "who is paid"),
            ((100, "b"), "divide the money"),
            ((1, "a"), "look at the hours"),
            ((1, "c"), "the number of workers"),
            ((1, "chance"), "one letter"),
            (("1", "b"), "a number, not '1'"),
            (1, "two things"),
        ],
    },
}
