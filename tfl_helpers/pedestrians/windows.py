"""Images made of others without a label: windows at random places, parts of crops, montages."""

import itertools
from collections.abc import Sequence

import numpy as np
from PIL import Image

from tfl_helpers.datasets import scenes
from tfl_helpers.pedestrians.detector import person_boxes


def random_windows(streets: Sequence[scenes.Scene], n: int, *, seed: int = 0) -> np.ndarray:
    """Cut n windows at random places, whatever they show, and resize them: uint8 (n, 128, 64, 3).

    Each of the `streets` gives about as many, from half of a crop's size to the whole photo; their
    `people` are not looked at.
    """
    rng, found = np.random.default_rng(seed), []
    height, ratio = scenes.CROP[0], scenes.CROP[1] / scenes.CROP[0]
    for number in range(n):
        image = streets[number % len(streets)].image
        most = min(image.shape[0], image.shape[1] / ratio)
        tall = round(np.exp(rng.uniform(np.log(min(height / 2, most)), np.log(most))))
        window = (tall, max(int(tall * ratio), 1))
        found.append(_crop_anywhere(image, window, scenes.CROP, rng))
    return np.stack(found)


def parts_of_people(images: np.ndarray, n: int, *, seed: int = 0) -> np.ndarray:
    """Cut n parts out of crops of people and enlarge them to the crops' size: uint8 (n, h, w, 3).

    They are half to two thirds as large as the crops, uint8 (m, h, w, 3). As background they teach
    a detector where a person begins and ends.
    """
    rng, size, found = np.random.default_rng(seed), images.shape[1:3], []
    for number in rng.integers(len(images), size=n):
        share = rng.uniform(0.45, 0.7)
        window = [round(share * side) for side in size]
        found.append(_crop_anywhere(images[number], window, size, rng))
    return np.stack(found)


def montage(images: np.ndarray, classes: np.ndarray, *, seed: int = 0) -> scenes.Scene:
    """Put real crops of both classes together into one large picture: no street, but real pixels.

    The ground is laid with 3 x 9 crops of background. Three crops of each class are then put on it,
    and one of each enlarged to one and a half, where they hide no other.

    Parameters
    ----------
    images, classes : np.ndarray, uint8 (n, h, w, 3) and int (n,)
        Crops; 1 for a pedestrian (answers, opened on purpose). `seed` draws crops and places.
    """
    rng, (tall, wide) = np.random.default_rng(seed), images.shape[1:3]
    pools = [rng.permutation(np.flatnonzero(classes == c)) for c in (0, 1)]
    if len(pools[0]) < 31 or len(pools[1]) < 4:
        raise ValueError(f"{len(pools[0])} background crops and {len(pools[1])} people: too few")
    ground = images[pools[0][:27]].reshape(3, 9, tall, wide, 3).swapaxes(1, 2)
    picture = Image.fromarray(ground.reshape(3 * tall, 9 * wide, 3))
    taken, people = np.zeros((3 * tall, 9 * wide), bool), []
    for kind, i in itertools.product((1, 0), (4, 3, 2, 1)):
        h, w = (round(side * (1.5 if i == 4 else 1)) for side in (tall, wide))
        for _ in range(1000):
            top, left = rng.integers(3 * tall - h + 1), rng.integers(9 * wide - w + 1)
            if not taken[top : top + h, left : left + w].any():
                break
        else:
            raise ValueError(f"seed={seed} leaves no room for eight crops: take another")
        taken[top : top + h, left : left + w] = True
        crop = Image.fromarray(images[pools[kind][-i]])
        picture.paste(crop.resize((w, h), Image.Resampling.BILINEAR), (left, top))
        if kind == 1:
            people.append((top, left, top + h, left + w))
    facts = np.tile([100, -1], (len(people), 1))  # all is visible; night or not is not known
    boxes = np.round(person_boxes(people, scenes.FILLED)).astype(int)
    return scenes.Scene(f"montage-{seed}", np.asarray(picture), np.hstack([boxes, facts]))


def _crop_anywhere(
    image: np.ndarray, window: Sequence[int], size: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Cut a window (height, width) at a random place, and resize it."""
    top = rng.integers(image.shape[0] - window[0] + 1)
    left = rng.integers(image.shape[1] - window[1] + 1)
    return scenes.crop_window(image, (top, left, top + window[0], left + window[1]), size)
