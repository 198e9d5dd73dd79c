"""Street scenes with boxes around people, and crops of both classes cut from them alike.

Scenes are the photos of Penn-Fudan, or drawings that ship with the package (tools/draw_streets.py
makes them). The crops of people and of background are of the same sizes, from the same photos, on
one path, so that nothing but what they show tells them apart.
"""

import io
import json
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

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
    """A street photo or drawing, and what is known about the people in it.

    Parameters
    ----------
    name : str
        Such as "FudanPed00001".
    image : np.ndarray
        uint8 (h, w, 3).
    people : np.ndarray or SealedAnswers
        int (n, 6), columns `FACTS`: the box in pixels (bottom and right are the first row and
        column outside it), percent of the person that nothing covers, 1 if it is night; the last
        two are -1 where nobody knows. These are answers: `load_scenes` seals them.
    """

    name: str
    image: np.ndarray
    people: np.ndarray | SealedAnswers = field(
        default_factory=lambda: np.zeros((0, len(FACTS)), int)
    )


def load_scenes(
    name: str, *, limit: int | None = None, progress: bool = True
) -> tuple[list[Scene], list[Scene]]:
    """Load whole street scenes, those that `load` cuts its crops from.

    Parameters
    ----------
    name : str
        "drawn_streets", or "pedestrians" where these come from the Penn-Fudan archive.
    limit : int, optional
        At most this many training scenes, and as many test scenes.
    progress : bool
        Show a progress bar while it is downloaded.

    Returns
    -------
    train, test : list of Scene
        Their `people` are under seal: `SealedAnswers`, which `evaluation.match_boxes` takes.

    Raises
    ------
    DatasetMissingError
        There are none: a bundle holds crops only, or nothing is here.
    ValueError
        This set has no scenes.

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
    splits = open_scenes(name, limit=limit, progress=progress)
    train, test = (
        [replace(scene, people=SealedAnswers(scene.people)) for scene in part] for part in splits
    )
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


# --- crops -------------------------------------------------------------------------------------


def cut_crops(
    scenes: Sequence[Scene], *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut crops of people, and as many of background, that nothing else tells apart.

    The window around a person is a third taller than the box and half as wide as tall; where it
    sticks out of the photo it is moved inside, since a padded border would give people away. For
    each of them one window of the very same size is placed where it touches no box: in the same
    photo at about the same height if there is room, else elsewhere in it, else in another photo. A
    person for whose size no photo has room is left out. All are cut and resized in one way.

    Parameters
    ----------
    scenes : sequence of Scene
        Of one split, so that no photo is in two; their people unsealed.
    seed : int
        Places the background windows and shuffles the crops.

    Returns
    -------
    images : np.ndarray
        uint8 (n, 128, 64, 3), in random order.
    classes : np.ndarray
        int (n,): 0 background, 1 pedestrian; half of each.
    windows : np.ndarray
        int (n, 5): position of the scene, then top, left, bottom, right of the window in it.

    Raises
    ------
    ValueError
        Not one person can be cut out.

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
                    found += [(1, number, *window), (0, int(place), *spot)]
                    break
    if not found:
        raise ValueError(
            f"{len(scenes)} scenes with {sum(len(s.people) for s in scenes)} people: no person "
            "could be cut out together with a background of the same size"
        )
    table = rng.permutation(np.array(found))
    images = np.stack([crop_window(scenes[row[1]].image, row[2:]) for row in table])
    return images, table[:, 0], table[:, 1:]


def _around(box: np.ndarray, photo: tuple[int, int]) -> tuple[int, ...]:
    """Window around a box: margin, the crop's proportions, inside the photo."""
    ratio = CROP[1] / CROP[0]
    tall = min((box[2] - box[0]) / FILLED, photo[0], photo[1] / ratio)
    tall, wide = max(round(tall), 2), max(round(tall * ratio), 1)
    top, left = (
        int(np.clip(round((low + high - side) / 2), 0, end - side))
        for low, high, side, end in zip(box[:2], box[2:4], (tall, wide), photo, strict=True)
    )
    return top, left, top + tall, left + wide


def _free_place(
    scene: Scene, window: Sequence[int], rng: np.random.Generator
) -> tuple[int, ...] | None:
    """Place a window of this size where it touches no box, at about the same height if it can."""
    tall, wide = window[2] - window[0], window[3] - window[1]
    tops, lefts = (
        np.unique(np.append(np.arange(0, end - side, 4), end - side)) if end >= side else []
        for end, side in zip(scene.image.shape[:2], (tall, wide), strict=True)
    )
    if not len(tops) or not len(lefts):
        return None
    free = np.ones((len(tops), len(lefts)), bool)
    for top, left, bottom, right in scene.people[:, :4]:
        high = (tops <= bottom) & (tops + tall >= top)
        free &= ~(high[:, None] & ((lefts <= right) & (lefts + wide >= left)))
    level = free & (np.abs(tops - window[0]) <= tall / 4)[:, None]
    spots = np.argwhere(level if level.any() else free)
    if not len(spots):
        return None
    row, column = spots[rng.integers(len(spots))]
    top, left = int(tops[row]), int(lefts[column])
    return top, left, top + tall, left + wide


def crop_window(
    image: np.ndarray, window: Sequence[int], size: tuple[int, int] = CROP
) -> np.ndarray:
    """Cut a window (top, left, bottom, right) out of an image, resized to `size` (h, w)."""
    top, left, bottom, right = window
    part = Image.fromarray(np.ascontiguousarray(image[top:bottom, left:right]))
    return np.asarray(part.resize(size[::-1], Image.Resampling.BILINEAR))


# --- drawn scenes ------------------------------------------------------------------------------


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


# --- Penn-Fudan --------------------------------------------------------------------------------

_COUNT = re.compile(r"^Objects with ground truth\s*:\s*(\d+)", re.MULTILINE)
_BOX = re.compile(
    r"^Bounding box for object \d+ .*:\s*\((-?\d+),\s*(-?\d+)\)\s*-\s*\((-?\d+),\s*(-?\d+)\)",
    re.MULTILINE,
)
_LARGEST = 50_000_000  # bytes of one file in the archive


def read_penn_fudan(file: Path | BinaryIO) -> list[Scene]:
    """Read the scenes of PennFudanPed.zip by name; nothing of it is unpacked to the disk.

    References
    ----------
    Wang, Shi, Song and Shen (2007), Object detection combining recognition and segmentation.
    """
    scenes = []
    try:
        with zipfile.ZipFile(file) as archive:
            sizes = {about.filename: about.file_size for about in archive.infolist()}
            if sizes and (largest := max(sizes.values())) > _LARGEST:
                raise ValueError(f"PennFudanPed.zip: a file would unpack to {largest:,} bytes")
            found = (re.fullmatch(r"PennFudanPed/Annotation/(\w+)\.txt", name) for name in sizes)
            for name in sorted(match[1] for match in found if match):
                text = archive.read(f"PennFudanPed/Annotation/{name}.txt").decode("latin-1")
                photo = io.BytesIO(archive.read(f"PennFudanPed/PNGImages/{name}.png"))
                with Image.open(photo) as image:
                    pixels = np.asarray(image.convert("RGB"))
                scenes.append(Scene(name, pixels, _people(name, text, pixels.shape)))
    except (
        *(zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, SyntaxError, KeyError),
        Image.DecompressionBombError,
    ) as error:
        raise ValueError(f"PennFudanPed.zip cannot be read: {error}") from error
    if not scenes:
        raise ValueError("PennFudanPed.zip holds no PennFudanPed/Annotation/*.txt")
    return scenes


def _people(name: str, text: str, shape: tuple[int, ...]) -> np.ndarray:
    """Boxes of one annotation file, which count from 1 and include their last pixel, clipped."""
    where = f"PennFudanPed.zip: Annotation/{name}.txt"
    count, found = _COUNT.search(text), _BOX.findall(text)
    if count is None or int(count[1]) != len(found) or not found:
        announced = "no number of" if count is None else count[1]
        raise ValueError(
            f"{where} announces {announced} objects and has {len(found)} bounding boxes"
        )
    left, top, right, bottom = np.array(found, int).T
    boxes = np.stack([top - 1, left - 1, bottom, right], 1).clip(0, [*shape[:2], *shape[:2]])
    if (boxes[:, :2] >= boxes[:, 2:]).any():
        raise ValueError(
            f"{where} has a bounding box without an inside in its photo of {shape[1]} x {shape[0]} "
            f"pixels: {found}"
        )
    return np.pad(boxes, ((0, 0), (0, 2)), constant_values=-1)
