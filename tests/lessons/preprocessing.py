"""Typical answers to the exercises of notebook 01, and what its text may say unmeasured."""

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

NOT_MEASURED = []


def by_shuffle(n, n_test, seed):
    order = np.arange(n)
    np.random.RandomState(seed).shuffle(order)
    return order[:-n_test], order[-n_test:]


def by_library(n, n_test, seed):
    return tuple(train_test_split(np.arange(n), test_size=n_test, random_state=seed))


def draw(n, n_test, seed, replace=False, keep=False):
    test = np.random.default_rng(seed).choice(n, n_test, replace=replace)
    return np.arange(n) if keep else np.setdiff1d(np.arange(n), test), test


def ruled(train, test, one, other):
    return tuple((x - m.mean(0)) / m.std(0) for x, m in ((train, one), (test, other)))


def by_scaler(train, test):
    scaler = StandardScaler().fit(train)
    return scaler.transform(train), scaler.transform(test)


def together(train, test):
    both = np.concatenate([train, test])
    return ruled(train, test, both, both)


def first_copies(images):
    return [next(j for j in range(len(images)) if (images[j] == x).all()) for x in images]


def by_unique(images):
    flat = images.reshape(len(images), -1)
    _, first, which = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    return first[which.ravel()]


def previous(images):
    flat = [image.tobytes() for image in images]
    return [max([j for j in range(i) if flat[j] == flat[i]], default=i) for i in range(len(flat))]


def last(images):
    places = {image.tobytes(): i for i, image in enumerate(images)}
    return [places[image.tobytes()] for image in images]


def by_sum(images):
    seen = {}
    return [seen.setdefault(int(image.sum()), i) for i, image in enumerate(images)]


EXERCISES = {
    "01-a": {
        "right": [by_shuffle, by_library, draw],
        "wrong": [
            (lambda n, k, seed: (np.arange(k, n), np.arange(k)), "all from one end"),
            (lambda n, k, seed: (np.arange(n - k), np.arange(n - k, n)), "all from one end"),
            (lambda n, k, seed: draw(n, k, None), "in two ways"),
            (lambda n, k, seed: draw(n, k, 7), "every seed gives the same"),
            (lambda n, k, seed: draw(n, k, seed, replace=True), "comes twice"),
            (lambda n, k, seed: draw(n, k, seed, keep=True), "still in train"),
            (lambda n, k, seed: draw(n, k, seed)[::-1], "changed places"),
            (lambda n, k, seed: draw(n, k, seed)[1], "two arrays"),
            (lambda n, k, seed: tuple(x + 1 for x in draw(n, k, seed)), "from 0 to n - 1"),
        ],
    },
    "01-b": {
        "right": [by_scaler, lambda train, test: ruled(train, test, train, train)],
        "wrong": [
            (together, "as it was"),
            (lambda a, b: ruled(a, b, a, b), "a ruler of its own"),
            (lambda a, b: ruled(a, b, b, b), "the test part alone"),
            (lambda a, b: ruled(a, b, b, a), "changed places"),
            (lambda a, b: ((a - a.mean()) / a.std(), (b - a.mean()) / a.std()), "drowns"),
            (lambda a, b: (a - a.mean(0), b - a.mean(0)), "differ in spread"),
            (lambda a, b: (ruled(a, b, a, a)[0], b), "the same ruler"),
            (lambda a, b: ruled(a, b, a, a)[0], "two arrays"),
        ],
    },
    "01-c": {
        "right": [(0.0, "b"), (np.float64(0), "B")],
        "wrong": [
            ((45.1, "b"), "lost by shrinking"),
            ((24.3, "b"), "mixing neighbours"),
            ((0.0, "a"), "not there before"),
            ((0.0, "c"), "rounded at"),
            ((-45.1, "b"), "not below zero"),
            ((0.0, "blocks"), "one letter"),
            (("b", 0.0), "is a number"),
            ((0.0, "b", 4), "the letter"),
        ],
    },
    "01-d": {"answers": {"same", "worse", "chance"}},
    "01-e": {
        "right": [first_copies, by_unique],
        "wrong": [
            (lambda images: list(range(6)), "called new"),
            (previous, "the second copy"),
            (last, "its last copy"),
            (by_sum, "other places"),
            (lambda images: [False] * 4 + [True] * 2, "only whether"),
            (lambda images: [-1, -1, -1, 3, 1, 1], "their own place"),
            (lambda images: [0, 1, 2, 3, 1, 5], "copies of image 1"),
            (lambda images: [1, 1], "shape (6,)"),
        ],
    },
}
