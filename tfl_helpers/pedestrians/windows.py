"""Images made of others without a label: windows at random places, parts of crops, montages."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from tfl_helpers.datasets import scenes


def random_windows(
    streets: Sequence[scenes.Scene], n: int, *, seed: int = 0, size: tuple[int, int] = scenes.CROP
) -> np.ndarray:
    """Cut windows of all sizes at random places, whatever they show.

    Parameters
    ----------
    streets : sequence of Scene
        Where from; each gives about as many. Their `people` are not looked at.
    n, seed : int
        How many; what draws places and sizes, from half of `size` to the whole photo.
    size : (int, int)
        Height and width of the result: uint8 (n, height, width, 3).
    """
    rng, found, ratio = np.random.default_rng(seed), [], size[1] / size[0]
    for number in range(n):
        image = streets[number % len(streets)].image
        most = min(image.shape[0], image.shape[1] / ratio)
        tall = round(np.exp(rng.uniform(np.log(min(size[0] / 2, most)), np.log(most))))
        found.append(_crop_anywhere(image, (tall, max(int(tall * ratio), 1)), size, rng))
    return np.stack(found)


def parts_of_people(images: np.ndarray, n: int, *, seed: int = 0) -> np.ndarray:
    """Cut parts out of crops, half to two thirds as large, and enlarge them to the crops' size.

    As background they teach a detector where a person begins and ends, without a label.

    Parameters
    ----------
    images : np.ndarray
        uint8 (m, h, w, 3): crops that are taken for people.
    n, seed : int
        How many parts, uint8 (n, h, w, 3); what draws crops, sizes and places.
    """
    rng, size, found = np.random.default_rng(seed), images.shape[1:3], []
    for number in rng.integers(len(images), size=n):
        share = rng.uniform(0.45, 0.7)
        window = [round(share * side) for side in size]
        found.append(_crop_anywhere(images[number], window, size, rng))
    return np.stack(found)


def montage(
    images: np.ndarray, classes: np.ndarray, *, rows: int = 3, columns: int = 9, seed: int = 0
) -> scenes.Scene:
    """Put real crops of both classes together into one large picture: no street, but real pixels.

    Parameters
    ----------
    images : np.ndarray
        uint8 (n, h, w, 3), crops of one size.
    classes : np.ndarray
        int (n,): 1 for a pedestrian. Whoever opens answers for this does so on purpose.
    rows, columns : int
        Size of the ground, in crops; it is laid with background. Three crops of each class are
        then put on it, and one of each enlarged to one and a half, where they hide no other.
    seed : int
        Draws crops and places.
    """
    rng, (tall, wide) = np.random.default_rng(seed), images.shape[1:3]
    pools = [rng.permutation(np.flatnonzero(classes == c)) for c in (0, 1)]
    if len(pools[0]) < rows * columns + 4 or len(pools[1]) < 4:
        raise ValueError(f"{len(pools[0])} background crops and {len(pools[1])} people: too few")
    ground = images[pools[0][: rows * columns]].reshape(rows, columns, tall, wide, 3)
    ground = ground.swapaxes(1, 2).reshape(rows * tall, columns * wide, 3)
    picture, taken, people = Image.fromarray(ground), np.zeros(ground.shape[:2], bool), []
    chosen = [(c, pools[c][-1 - i], 1.5 if i == 3 else 1.0) for c in (1, 0) for i in (3, 2, 1, 0)]
    for kind, number, scale in chosen:
        h, w = round(tall * scale), round(wide * scale)
        for _ in range(1000):
            top, left = rng.integers(taken.shape[0] - h + 1), rng.integers(taken.shape[1] - w + 1)
            if not taken[top : top + h, left : left + w].any():
                break
        else:
            raise ValueError(f"a picture of {rows} x {columns} crops has no room for eight more")
        taken[top : top + h, left : left + w] = True
        picture.paste(
            Image.fromarray(images[number]).resize((w, h), Image.Resampling.BILINEAR), (left, top)
        )
        if kind == 1:
            y, x, half = top + h / 2, left + w / 2, scenes.FILLED * h / 2
            people.append((y - half, x - 0.41 * half, y + half, x + 0.41 * half, 100, -1))
    return scenes.Scene(f"montage-{seed}", np.asarray(picture), np.round(people).astype(int))


def _crop_anywhere(
    image: np.ndarray, window: Sequence[int], size: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Cut a window (height, width) at a random place, and resize it."""
    top, left = (
        rng.integers(end - side + 1) for end, side in zip(image.shape[:2], window, strict=True)
    )
    return scenes.crop_window(image, (top, left, top + window[0], left + window[1]), size)
