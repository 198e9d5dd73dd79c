"""Images that are there twice: the same bytes, or nearly the same to the eye."""

from collections.abc import Hashable, Sequence

import numpy as np

# Two images with alike hashes are near-duplicates only if their thumbnails (16 x 16, RGB) also
# correlate this much and differ on average by at most so many of 255 levels. Chosen by looking at
# the pairs found in CIFAR-10, INRIA Person, MNIST and the digits, at letters, charts and skies.
MIN_CORRELATION, MAX_DIFFERENCE = 0.995, 20
CLOSE, CHANCE = 0.65, 4  # shares of a usual distance, standard deviations of bits: see quality.json
MOST_COMPARED = 1000  # images with alike hashes that one image is compared to


def find_duplicates(digests: Sequence[Hashable]) -> dict[int, int]:
    """Map the position of each repeated digest to that of its first one; None is passed over."""
    first: dict[Hashable, int] = {}
    firsts = [first.setdefault(digest, i) for i, digest in enumerate(digests)]
    return {i: j for i, j in enumerate(firsts) if i != j and digests[i] is not None}


def find_near_duplicates(
    hashes: np.ndarray,
    thumbnails: np.ndarray,
    distance: int,
    near: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[int, int]:
    """Map the position of each near-duplicate to that of the first image like it that stays.

    `hashes` is bool (n, 64), `thumbnails` uint8 (n, 3, pixels); `distance` the number of bits in
    which the hashes of two near-duplicates may differ. `near` are the nearest by features, with
    distances, from `quality.near_ones`: by these, copies that were cropped a little are found, too.
    """
    # With bits written as -1 and 1 the product of two hashes is 64 - 2 * (bits that differ), so
    # that one matrix product compares a block to all before it; n x n never is in memory.
    signs = hashes.astype("float32") * 2 - 1
    by_features = _near_by_features(signs, *near) if near is not None else {}
    stays, found = np.ones(len(signs), bool), {}
    for start in range(0, len(signs), 128):
        alike = signs[start : start + 128] @ signs[: start + 128].T >= 64 - 2 * distance
        several = alike.sum(1) > 1  # every image is like itself
        for k, i in enumerate(range(start, start + len(alike))):
            if not several[k] and i not in by_features:
                continue
            before = np.flatnonzero(alike[k, :i] & stays[:i])[:MOST_COMPARED]
            same = before[_same_thumbnail(thumbnails[i], thumbnails[before])]
            same = [*same, *(j for j in by_features.get(i, ()) if stays[j])]
            if same:
                stays[i] = False
                found[int(i)] = int(same[0])
    return found


def _near_by_features(
    signs: np.ndarray, near: np.ndarray, distances: np.ndarray
) -> dict[int, list[int]]:
    """List for each image those before it that are like it by features, and by hash.

    By features: much nearer than the fifth is to the two of them, and to most images; kinds whose
    images are all much alike have none. By hash: so near that it is no chance, as most images of
    the folder differ in many more bits.
    """
    some = signs[np.random.default_rng(0).permutation(len(signs))[:1000]]
    bits = (64 - some @ some.T)[np.triu_indices(len(some), 1)] / 2
    most = bits.mean() - CHANCE * bits.std()
    fifth = distances[:, min(4, near.shape[1] - 1)]
    usual = np.minimum(np.minimum(fifth[:, None], fifth[near]), np.median(fifth))
    close = distances <= CLOSE * usual
    found: dict[int, list[int]] = {}
    for i, place in zip(*np.nonzero(close), strict=True):
        j = near[i, place]
        if (64 - signs[i] @ signs[j]) / 2 <= most:
            found.setdefault(int(max(i, j)), []).append(int(min(i, j)))
    return found


def _same_thumbnail(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether a thumbnail (3, pixels) shows the same as each of some others (n, 3, pixels)."""
    one, others = one.astype("float32"), others.astype("float32")
    close = np.abs(others - one).mean((1, 2)) <= MAX_DIFFERENCE
    one, others = (x - x.mean(-1, keepdims=True) for x in (one, others))
    sizes = np.sqrt((one**2).sum() * (others**2).sum((1, 2)))
    return close & ((others * one).sum((1, 2)) >= MIN_CORRELATION * sizes)
