"""Typical answers to the exercises of notebook 02, and what its text may say unmeasured."""

import numpy as np
from scipy.signal import convolve2d, correlate2d
from sklearn.neighbors import NearestNeighbors

NOT_MEASURED = []

# 02-b: a convolution.


def by_windows(image, kernel):
    return np.einsum(
        "yxij,ij->yx", np.lib.stride_tricks.sliding_window_view(image, kernel.shape), kernel
    )


def by_shifts(image, kernel):
    k = len(kernel)
    height, width = np.array(image.shape) - k + 1
    parts = [
        kernel[i, j] * image[i : i + height, j : j + width] for i in range(k) for j in range(k)
    ]
    return np.sum(parts, axis=0)


def short(image, kernel):
    return by_windows(image, kernel)[:-1, :-1]


def at_one_place(image, kernel):
    return np.full(np.array(image.shape) - len(kernel) + 1, np.sum(image[:3, :3] * kernel))


# 02-d: neighbours in the same group.


def near(z, k, start):
    return NearestNeighbors(n_neighbors=k).fit(z).kneighbors(z, return_distance=False)[:, start:]


def agreement(found, groups):
    return np.mean(groups[found] == groups[:, None])


def by_distances(z, groups, k=10):
    distances = ((z[:, None] - z) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    return agreement(np.argsort(distances, axis=1)[:, :k], groups)


def of_others(z, groups, k=10):
    search = NearestNeighbors(n_neighbors=k).fit(z)
    return agreement(search.kneighbors(return_distance=False), groups)


def majority(z, groups, k=10):
    found = near(z, k + 1, 1)
    return np.mean((groups[found] == groups[:, None]).mean(axis=1) > 0.5)


EXERCISES = {
    "02-a": {"answers": {"none", "some", "all"}},
    "02-b": {
        "right": [
            by_windows,
            by_shifts,
            lambda image, kernel: correlate2d(image, kernel, "valid"),
            lambda image, kernel: convolve2d(image, kernel[::-1, ::-1], "valid"),
        ],
        "wrong": [
            (lambda image, kernel: correlate2d(image, kernel, "same"), "as large as the image"),
            (lambda image, kernel: convolve2d(image, kernel, "valid"), "turn the kernel round"),
            (lambda image, kernel: by_windows(image, kernel.T), "on its side"),
            (lambda image, kernel: by_windows(image, kernel).T, "changed places"),
            (short, "more places than you use"),
            (lambda image, kernel: by_windows(image, kernel) / kernel.size, "a mean of products"),
            (lambda image, kernel: by_windows(image, kernel * 0 + 1), "add up the pixels"),
            (at_one_place, "one place only"),
            (lambda image, kernel: np.maximum(by_windows(image, kernel), 0), "one place only"),
            (lambda image, kernel: by_windows(image, kernel)[::2, ::2], "should have shape (5, 3)"),
        ],
    },
    "02-c": {
        "right": [
            lambda side, before, after: side**2 * before * after + after,
            lambda side, before, after: sum(side * side * before + 1 for _ in range(after)),
        ],
        "wrong": [
            (lambda side, before, after: side**2 * before * after, "numbers are missing"),
            (lambda side, before, after: (side**2 + 1) * after, "for grey images"),
            (lambda side, before, after: side**2 * before * after + 1, "one bias in all"),
            (lambda side, before, after: (side**2 + 1) * before * after, "adds one number"),
            (lambda side, before, after: (side * before + 1) * after, "a height and a width"),
            (lambda side, before, after: side**2 * before + 1, "a single filter"),
            (lambda side, before, after: (28 - side + 1) ** 2 * after, "draw one filter"),
            (lambda side, before, after: (side, side, before, after), "should have shape ()"),
        ],
    },
    "02-d": {
        "right": [by_distances, of_others, lambda z, g, k=10: agreement(near(z, k + 1, 1), g)],
        "wrong": [
            (lambda z, g, k=10: agreement(near(z, k, 0), g), "whose is sure"),
            (lambda z, g, k=10: agreement(near(z, k + 1, 0)[:, :-1], g), "whose is sure"),
            (lambda z, g, k=10: agreement(near(z, k + 1, 0), g), "still flatters"),
            (lambda z, g, k=10: agreement(near(z, k, 1), g), "you let three vote"),
            (lambda z, g, k=10: agreement(near(z, k, 0), g) - 1 / k, "take off"),
            (majority, "a majority for each image"),
            (lambda z, g, k=10: agreement(near(z, 5, 1), g), "not for one"),
            (lambda z, g, k=10: (g[near(z, k + 1, 1)] == g[:, None]).mean(1), "one number for all"),
            (lambda z, g, k=10: 1.0, "six points on a line"),
        ],
    },
    "02-e": {
        "right": [(0.76, "b"), (np.float64(0.77), "B")],
        "wrong": [
            ((0.371, "b"), "the row as it was"),
            ((0.97, "b"), "a deeper layer"),
            ((76, "b"), "0.5, not 50"),
            ((0.76, "a"), "are more numbers enough"),
            ((0.76, "c"), "which weights have changed"),
            ((0.76, "place"), "one letter"),
            (("0.76", "b"), "a number, not '0.76'"),
            ((0.76, "b", 1), "two things"),
        ],
    },
}
