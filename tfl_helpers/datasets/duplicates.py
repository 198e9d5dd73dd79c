"""Images that are there twice: the same bytes, or nearly the same to the eye."""

from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np

# Two images with alike hashes are near-duplicates only if their thumbnails (16 x 16, RGB) also
# correlate this much and differ on average by at most so many of 255 levels. Chosen by looking at
# the pairs found in CIFAR-10, INRIA Person, MNIST and the digits, at letters, charts and skies.
MIN_CORRELATION, MAX_DIFFERENCE = 0.995, 20
CLOSE, CHANCE = 0.65, 4  # shares of a usual distance, standard deviations of bits: see quality.json
MOST_COMPARED = 1000  # images with alike hashes that one image is compared to
MOST_PARTS = 16  # of a hash: with more, of fewer bits each, most hashes would be equal in one


def find_duplicates(digests: Sequence[Hashable]) -> dict[int, int]:
    """Map the position of each repeated digest to that of its first one; None is passed over."""
    first: dict[Hashable, int] = {}
    firsts = [first.setdefault(digest, i) for i, digest in enumerate(digests)]
    return {i: j for i, j in enumerate(firsts) if i != j and digests[i] is not None}


def find_near_duplicates(
    hashes: np.ndarray,
    small: Callable[[Sequence[int]], np.ndarray],
    distance: int,
    near: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[int, int]:
    """Map the position of each near-duplicate to that of the first image like it that stays.

    `hashes` is uint64 (n,), `distance` the number of bits in which those of two near-duplicates may
    differ. `small` gives the thumbnails, uint8 (m, 3, pixels), of the images at m positions. `near`
    are the nearest by features, with distances, from `quality.near_ones`: by these, copies that
    were cropped a little are found, too.
    """
    by_features = _near_by_features(hashes, *near) if near is not None else {}
    stays, found = np.ones(len(hashes), bool), {}
    for i, same in enumerate(_alike_before(hashes, distance, stays)):
        if len(same):
            same = same[_same_thumbnail(small([i])[0], small(same))]
        same = [*same, *(j for j in by_features.get(i, ()) if stays[j])]
        if same:
            stays[i] = False
            found[i] = int(same[0])
    return found


def _alike_before(hashes: np.ndarray, distance: int, stays: np.ndarray) -> Iterator[np.ndarray]:
    """Give for each hash the first before it that differ in few bits, of the images that stay yet.

    Two that differ in at most `distance` bits are equal in one of `distance` + 1 parts: only with
    those one is compared, one in seventy of all where 6 bits may differ (Manku et al. 2007,
    Detecting near-duplicates for web crawling).
    """
    bits = 64 // (distance + 1) if distance < MOST_PARTS else 0
    ranges = []
    for part in range(64 // bits if bits else 1):
        value = hashes >> np.uint64(part * bits) & np.uint64(2**bits - 1)
        order = np.argsort(value, kind="stable").astype("int32")
        place = np.empty_like(order)
        place[order] = np.arange(len(order), dtype="int32")
        ranges.append((order, np.searchsorted(value[order], value).astype("int32"), place))
    for i, one in enumerate(hashes):
        some = np.concatenate([order[first[i] : place[i]] for order, first, place in ranges])
        some = some[stays[some]]
        some = np.sort(some[np.bitwise_count(hashes[some] ^ one) <= distance], kind="stable")
        yield some[np.diff(some, prepend=-1) > 0][:MOST_COMPARED] if len(some) else some


def _near_by_features(
    hashes: np.ndarray, near: np.ndarray, distances: np.ndarray
) -> dict[int, list[int]]:
    """List for each image those before it that are like it by features, and by hash.

    By features: much nearer than the fifth is to the two of them, and to most images; kinds whose
    images are all much alike have none. By hash: so near that it is no chance, as most images of
    the folder differ in many more bits.
    """
    some = hashes[np.random.default_rng(0).permutation(len(hashes))[:1000]]
    bits = np.bitwise_count(some[:, None] ^ some)[np.triu_indices(len(some), 1)]
    most = bits.mean() - CHANCE * bits.std()
    fifth = distances[:, min(4, near.shape[1] - 1)]
    usual = np.minimum(np.minimum(fifth[:, None], fifth[near]), np.median(fifth))
    close = distances <= CLOSE * usual
    found: dict[int, list[int]] = {}
    for i, place in zip(*np.nonzero(close), strict=True):
        j = near[i, place]
        if np.bitwise_count(hashes[i] ^ hashes[j]) <= most:
            found.setdefault(int(max(i, j)), []).append(int(min(i, j)))
    return found


def _same_thumbnail(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether a thumbnail (3, pixels) shows the same as each of some others (n, 3, pixels)."""
    one, others = one.astype("float32"), others.astype("float32")
    close = np.abs(others - one).mean((1, 2)) <= MAX_DIFFERENCE
    one, others = (x - x.mean(-1, keepdims=True) for x in (one, others))
    sizes = np.sqrt((one**2).sum() * (others**2).sum((1, 2)))
    return close & ((others * one).sum((1, 2)) >= MIN_CORRELATION * sizes)
