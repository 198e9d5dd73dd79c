"""Street scenes with boxes around people, and crops of both classes cut from them alike.

Scenes are the photos of Penn-Fudan, or drawings that ship with the package (tools/draw_streets.py
makes them). The crops of people and of background are of the same sizes, from the same photos, on
one path, so that nothing but what they show tells them apart.
"""

import io
import json
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from tfl_helpers.datasets.answers import SealedAnswers
from tfl_helpers.datasets.sources import DatasetMissingError, bundled, fetch

CROP = (128, 64)  # height and width of a crop, as in INRIA
FILLED = 0.75  # of a crop's height is the person's: 96 of 128 pixels, as in INRIA
FACTS = ("top", "left", "bottom", "right", "visible", "dark")
DRAWN = Path(__file__).with_name("drawn_streets.zip")


@dataclass(frozen=True, eq=False)
class Scene:
    """A street photo or drawing, and what is known about the people in it."""

    name: str  # such as "FudanPed00001"
    image: np.ndarray  # uint8 (h, w, 3)
    # int (n, 6), columns `FACTS`: the box in pixels (bottom and right are the first row and column
    # outside it), percent of the person that nothing covers, 1 if it is night; the last two are -1
    # where nobody knows. These are answers: `load_scenes` seals them.
    people: np.ndarray | SealedAnswers = field(default_factory=lambda: np.zeros((0, 6), int))


def load_scenes(name: str, *, limit: int | None = None) -> tuple[list[Scene], list[Scene]]:
    """Load the street scenes, train and test, that `load` cuts its crops from; people are sealed.

    Parameters
    ----------
    name : str
        "drawn_streets", or "pedestrians" for the photos of Penn-Fudan, which no bundle holds.
    limit : int, optional
        At most this many training scenes, and as many test scenes.

    Examples
    --------
    >>> train, test = load_scenes("drawn_streets", limit=1)
    >>> train[0].image.shape, test[0].people
    ((320, 480, 3), <sealed answers of ... images>)
    """
    if name == "pedestrians" and (place := bundled(name)) is not None:
        raise DatasetMissingError(
            f"{place.name} in TFL_DATA_DIR holds crops only, no whole photos. Those of Penn-Fudan "
            "are downloaded where no bundle has pedestrians"
        )
    train, test = open_scenes(name, limit=limit)
    for scenes in (train, test):
        scenes[:] = [replace(scene, people=SealedAnswers(scene.people)) for scene in scenes]
    return train, test


def open_scenes(name: str, *, limit: int | None = None, progress: bool = True) -> list[list[Scene]]:
    """Read train and test scenes as `load_scenes` does, whatever a bundle has, unsealed."""
    if name == "drawn_streets":
        return _read_drawn(limit)
    if name != "pedestrians":
        raise ValueError(f"{name!r} has no street scenes; drawn_streets and pedestrians have")
    (path,) = fetch(name, progress=progress)
    return [part[:limit] for part in _split(read_penn_fudan(path))]


def _split(scenes: Sequence) -> list[list]:
    """Draw a third of the scenes for the test: all crops of a photo are then in one part."""
    order, n_test = np.random.default_rng(0).permutation(len(scenes)), round(0.3 * len(scenes))
    return [[scenes[i] for i in np.sort(part)] for part in (order[n_test:], order[:n_test])]


def cut_crops(
    scenes: Sequence[Scene], *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut crops of people, and as many of background, that nothing else tells apart.

    For each person one window of the very same size is placed where it touches no box: in the same
    photo at about the same height if there is room, else elsewhere in it, else in another photo. A
    person for whose size no photo has room is left out.

    Returns
    -------
    images, classes, windows : np.ndarray
        uint8 (n, 128, 64, 3), in random order; int (n,), 0 background, 1 pedestrian; int (n, 5):
        position of the scene, then top, left, bottom, right of the window in it.

    References
    ----------
    Dalal and Triggs (2005), Histograms of oriented gradients for human detection: the margin.
    """
    rng, found = np.random.default_rng(seed), []
    for number, scene in enumerate(scenes):
        for box in scene.people[:, :4]:
            window = _around(box, scene.image.shape[:2])
            others = rng.permutation(np.delete(np.arange(len(scenes)), number))
            for place in (number, *others):
                spot = _free_place(scenes[place], window, rng)
                if spot is not None:
                    found += [(1, number, *window), (0, place, *spot)]
                    break
    if not found:
        raise ValueError(
            f"{len(scenes)} scenes with {sum(len(s.people) for s in scenes)} people: no person "
            "could be cut out together with a background of the same size"
        )
    table = rng.permutation(np.array(found))
    images = np.stack([crop_window(scenes[row[1]].image, row[2:]) for row in table])
    return images, table[:, 0], table[:, 1:]


def _around(box: np.ndarray, photo: tuple[int, int]) -> np.ndarray:
    """Window around a box with a margin; inside the photo, as a padded border gives people away."""
    ratio = CROP[1] / CROP[0]
    tall = min((box[2] - box[0]) / FILLED, photo[0], photo[1] / ratio)
    size = np.array([max(round(tall), 2), max(round(tall * ratio), 1)])
    corner = ((box[:2] + box[2:4] - size) / 2).round().astype(int).clip(0, photo - size)
    return np.concatenate([corner, corner + size])


def _free_place(
    scene: Scene, window: np.ndarray, rng: np.random.Generator
) -> tuple[int, ...] | None:
    """Place a window of this size where it touches no box, at about the same height if it can."""
    tall, wide = window[2:] - window[:2]
    height, width = scene.image.shape[:2]
    if height < tall or width < wide:
        return None
    tops = np.unique(np.append(np.arange(0, height - tall, 4), height - tall))
    lefts = np.unique(np.append(np.arange(0, width - wide, 4), width - wide))
    free = np.ones((len(tops), len(lefts)), bool)
    for top, left, bottom, right in scene.people[:, :4]:
        beside = (tops <= bottom) & (tops + tall >= top)
        free &= ~(beside[:, None] & (lefts <= right) & (lefts + wide >= left))
    level = free & (np.abs(tops - window[0]) <= tall / 4)[:, None]
    spots = np.argwhere(level if level.any() else free)
    if not len(spots):
        return None
    row, column = spots[rng.integers(len(spots))]
    top, left = tops[row], lefts[column]
    return top, left, top + tall, left + wide


def crop_window(
    image: np.ndarray, window: Sequence[int], size: tuple[int, int] = CROP
) -> np.ndarray:
    """Cut a window (top, left, bottom, right) out of an image, resized to `size` (h, w)."""
    top, left, bottom, right = window
    part = Image.fromarray(np.ascontiguousarray(image[top:bottom, left:right]))
    return np.asarray(part.resize(size[::-1], Image.Resampling.BILINEAR))


def _read_drawn(limit: int | None) -> list[list[Scene]]:
    """Read the drawn scenes that are asked for, and add to each the noise of a camera."""

    def read(name: str) -> Scene:
        with Image.open(io.BytesIO(archive.read(f"{name}.webp"))) as drawing:
            rng, people = np.random.default_rng(), np.array(about[name]["people"])
            rng.bit_generator.state = about[name]["random_state"]
            return Scene(name, photograph(drawing, rng, night=bool(people[0, 5])), people)

    with zipfile.ZipFile(DRAWN) as archive:
        about = json.loads(archive.read("scenes.json"))
        return [[read(name) for name in part[:limit]] for part in _split(list(about))]


def photograph(drawing: Image.Image, rng: np.random.Generator, *, night: bool) -> np.ndarray:
    """Light a drawing, and add the noise of a camera: uint8 (h, w, 3)."""
    light = rng.uniform(0.35, 0.5) if night else rng.uniform(0.85, 1.1)
    tint = np.array([0.85, 0.95, 1.2] if night else rng.uniform(0.93, 1.07, 3))
    pixels = np.asarray(drawing, "float32") * (light * tint).astype("float32")
    pixels += rng.uniform(2, 5) * rng.standard_normal(pixels.shape, "float32")
    return pixels.clip(0, 255).astype("uint8")


def read_penn_fudan(file: Path) -> list[Scene]:
    """Read the scenes of PennFudanPed.zip, sorted by name; its hash is checked by `fetch`.

    References
    ----------
    Wang, Shi, Song and Shen (2007), Object detection combining recognition and segmentation.
    """
    box = re.compile(
        r"^Bounding box .*:\s*\((-?\d+),\s*(-?\d+)\)\s*-\s*\((-?\d+),\s*(-?\d+)\)", re.M
    )
    scenes = []
    with zipfile.ZipFile(file) as archive:
        names = [re.fullmatch(r"PennFudanPed/Annotation/(\w+)\.txt", n) for n in archive.namelist()]
        for name in sorted(match[1] for match in names if match):
            text = archive.read(f"PennFudanPed/Annotation/{name}.txt").decode("latin-1")
            with Image.open(archive.open(f"PennFudanPed/PNGImages/{name}.png")) as image:
                pixels = np.asarray(image.convert("RGB"))
            # The boxes count from 1 and include their last pixel.
            left, top, right, bottom = np.array(box.findall(text), int).T
            height, width = pixels.shape[:2]
            boxes = np.stack([top - 1, left - 1, bottom, right], 1).clip(0, [height, width] * 2)
            scenes.append(Scene(name, pixels, np.pad(boxes, ((0, 0), (0, 2)), constant_values=-1)))
    return scenes
