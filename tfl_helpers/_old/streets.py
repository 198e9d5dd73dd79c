"""Street scenes with boxes around people, and crops of both classes cut from them alike.

Scenes come from the Penn-Fudan archive or are drawn. The crops of people and of background are of
the same sizes, from the same photos, on one path, so that nothing but what they show tells them
apart.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

CROP = (128, 64)  # height and width of a crop, as in INRIA
FILLED = 0.75  # of a crop's height is the person's: 96 of 128 pixels, as in INRIA
SCENE = (320, 480)  # height and width of a drawn scene
LEAST_SEEN = 50  # percent of a drawn person that nothing covers, at least
FACTS = ("top", "left", "bottom", "right", "visible", "dark")


@dataclass(frozen=True, eq=False)
class Scene:
    """A street photo or drawing, and what is known about the people in it.

    Parameters
    ----------
    name : str
        Such as "FudanPed00001".
    image : np.ndarray
        uint8 (h, w, 3).
    people : np.ndarray
        int (n, 6), columns `FACTS`: the box in pixels (bottom and right are the first row and
        column outside it), percent of the person that nothing covers, 1 if it is night; the last
        two are -1 where nobody knows. These are answers: whoever hands a scene on seals them.

    Notes
    -----
    Taught in notebook 06.
    """

    name: str
    image: np.ndarray
    people: np.ndarray = field(default_factory=lambda: np.zeros((0, len(FACTS)), int))


def cut(
    scenes: Sequence[Scene], *, seed: int = 0, size: tuple[int, int] = CROP
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
        Of one split, so that no photo is in two.
    seed : int
        Places the background windows and shuffles the crops.
    size : (int, int)
        Height and width of the crops.

    Returns
    -------
    images : np.ndarray
        uint8 (n, height, width, 3), in random order.
    classes : np.ndarray
        int (n,): 0 background, 1 pedestrian; half of each.
    windows : np.ndarray
        int (n, 5): position of the scene, then top, left, bottom, right of the window in it.

    Raises
    ------
    ValueError
        Not one person can be cut out.

    Notes
    -----
    The margin is INRIA's (Dalal and Triggs 2005). Taught in notebook 06.
    """
    rng, found = np.random.default_rng(seed), []
    for number, scene in enumerate(scenes):
        for box in scene.people[:, :4]:
            window = _around(box, scene.image.shape[:2], size)
            others = rng.permutation(np.delete(np.arange(len(scenes)), number))
            for place in (number, *others):
                spot = _free(scenes[place], window, rng)
                if spot is not None:
                    found += [(1, number, *window), (0, int(place), *spot)]
                    break
    if not found:
        raise ValueError(
            f"{len(scenes)} scenes with {sum(len(s.people) for s in scenes)} people: no person "
            "could be cut out together with a background of the same size"
        )
    table = rng.permutation(np.array(found))
    images = np.stack([_crop(scenes[row[1]].image, row[2:], size) for row in table])
    return images, table[:, 0], table[:, 1:]


def _around(box: np.ndarray, photo: tuple[int, int], size: tuple[int, int]) -> tuple[int, ...]:
    """Window around a box: margin, the crop's proportions, inside the photo."""
    ratio = size[1] / size[0]
    tall = min((box[2] - box[0]) / FILLED, photo[0], photo[1] / ratio)
    tall, wide = max(round(tall), 2), max(round(tall * ratio), 1)
    top, left = (
        int(np.clip(round((low + high - side) / 2), 0, end - side))
        for low, high, side, end in zip(box[:2], box[2:4], (tall, wide), photo, strict=True)
    )
    return top, left, top + tall, left + wide


def _free(scene: Scene, window: Sequence[int], rng: np.random.Generator) -> tuple[int, ...] | None:
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


def _crop(image: np.ndarray, window: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    top, left, bottom, right = window
    part = Image.fromarray(np.ascontiguousarray(image[top:bottom, left:right]))
    return np.asarray(part.resize(size[::-1], Image.Resampling.BILINEAR))


def split(scenes: Sequence, *, test_size: float = 0.3, seed: int = 0) -> list[list]:
    """Split scenes into train and test; all crops of a photo are then in one of them.

    Parameters
    ----------
    scenes : sequence of Scene
        Two or more; their numbers do as well.
    test_size : float
        Share of test scenes.
    seed : int
        Draws them.

    Returns
    -------
    list of two lists
        Train and test.

    Raises
    ------
    ValueError
        Fewer than two scenes, or `test_size` is no share.

    Notes
    -----
    Taught in notebook 06.
    """
    if len(scenes) < 2 or not 0 < test_size < 1:
        raise ValueError(
            f"{len(scenes)} scenes, test_size={test_size}: two scenes and a share between 0 and 1 "
            "are needed"
        )
    n_test = min(max(round(test_size * len(scenes)), 1), len(scenes) - 1)
    order = np.random.default_rng(seed).permutation(len(scenes))
    return [[scenes[i] for i in np.sort(part)] for part in (order[n_test:], order[:n_test])]


def random_windows(
    scenes: Sequence[Scene], n: int, *, seed: int = 0, size: tuple[int, int] = CROP
) -> np.ndarray:
    """Cut windows of all sizes at random places, whatever they show.

    Parameters
    ----------
    scenes : sequence of Scene
        Where from; each gives about as many. Their `people` are not looked at.
    n : int
        How many.
    seed : int
        Draws places and sizes, from half of `size` to the whole photo, evenly on a log scale.
    size : (int, int)
        Height and width of the result.

    Returns
    -------
    np.ndarray
        uint8 (n, height, width, 3).

    Notes
    -----
    Taught in notebook 06.
    """
    rng, found = np.random.default_rng(seed), []
    for number in range(n):
        image = scenes[number % len(scenes)].image
        ratio, (height, width) = size[1] / size[0], image.shape[:2]
        most = min(height, width / ratio)
        tall = round(np.exp(rng.uniform(np.log(min(size[0] / 2, most)), np.log(most))))
        wide = max(int(tall * ratio), 1)
        top, left = rng.integers(height - tall + 1), rng.integers(width - wide + 1)
        found.append(_crop(image, (top, left, top + tall, left + wide), size))
    return np.stack(found)


def parts(images: np.ndarray, n: int, *, seed: int = 0) -> np.ndarray:
    """Cut parts out of crops, half to two thirds as large, and enlarge them to the crops' size.

    A part of a person is no person: as background they teach a detector where somebody begins and
    ends, without a label.

    Parameters
    ----------
    images : np.ndarray
        uint8 (m, h, w, 3): crops that are taken for people.
    n : int
        How many parts, of crops drawn at random.
    seed : int
        Draws crops, sizes and places.

    Returns
    -------
    np.ndarray
        uint8 (n, h, w, 3).

    Notes
    -----
    Taught in notebook 06.
    """
    rng, (height, width) = np.random.default_rng(seed), images.shape[1:3]
    found = []
    for number in rng.integers(len(images), size=n):
        share = rng.uniform(0.45, 0.7)
        tall, wide = round(share * height), round(share * width)
        top, left = rng.integers(height - tall + 1), rng.integers(width - wide + 1)
        window = (top, left, top + tall, left + wide)
        found.append(_crop(images[number], window, (height, width)))
    return np.stack(found)


def montage(
    images: np.ndarray, classes: np.ndarray, *, rows: int = 3, columns: int = 9, seed: int = 0
) -> Scene:
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

    Returns
    -------
    Scene
        With the boxes of its people, by INRIA's margin. All crops have seams alike.

    Raises
    ------
    ValueError
        Too few crops of a class, or too little room.

    Notes
    -----
    Taught in notebook 06.
    """
    rng, (tall, wide) = np.random.default_rng(seed), images.shape[1:3]
    pools = [rng.permutation(np.flatnonzero(classes == c)) for c in (0, 1)]
    if len(pools[0]) < rows * columns + 4 or len(pools[1]) < 4:
        raise ValueError(f"{len(pools[0])} background crops and {len(pools[1])} people: too few")
    ground = images[pools[0][: rows * columns]].reshape(rows, columns, tall, wide, 3)
    picture = Image.fromarray(
        ground.transpose(0, 2, 1, 3, 4).reshape(rows * tall, columns * wide, 3)
    )
    taken, people = np.zeros((rows * tall, columns * wide), bool), []
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
            y, x, half = top + h / 2, left + w / 2, FILLED * h / 2
            people.append((y - half, x - 0.41 * half, y + half, x + 0.41 * half, 100, -1))
    return Scene(f"montage-{seed}", np.asarray(picture), np.round(people).astype(int))


# --- Penn-Fudan --------------------------------------------------------------------------------

_COUNT = re.compile(r"^Objects with ground truth\s*:\s*(\d+)", re.MULTILINE)
_BOX = re.compile(
    r"^Bounding box for object \d+ .*:\s*\((-?\d+),\s*(-?\d+)\)\s*-\s*\((-?\d+),\s*(-?\d+)\)",
    re.MULTILINE,
)
_LARGEST = 50_000_000  # bytes of one file in the archive


def read_penn_fudan(content: bytes) -> list[Scene]:
    """Read the Penn-Fudan archive: photos, and the boxes in its text files.

    Parameters
    ----------
    content : bytes
        Of PennFudanPed.zip, its hash checked. It is read in memory: nothing is unpacked, so no
        name in it can lead to another folder.

    Returns
    -------
    list of Scene
        By name. Nothing is known of cover and light.

    Raises
    ------
    ValueError
        It is no such archive; the message names the part that is wrong.

    Notes
    -----
    Wang, Shi, Song and Shen (2007), Object detection combining recognition and segmentation. Boxes
    there count from 1 and include their last pixel. Taught in notebook 06.
    """
    scenes = []
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found = (
                re.fullmatch(r"PennFudanPed/Annotation/(\w+)\.txt", n) for n in archive.namelist()
            )
            for name in sorted(match[1] for match in found if match):
                text = _member(archive, f"PennFudanPed/Annotation/{name}.txt").decode("latin-1")
                photo = _member(archive, f"PennFudanPed/PNGImages/{name}.png")
                with Image.open(io.BytesIO(photo)) as image:
                    pixels = np.asarray(image.convert("RGB"))
                scenes.append(Scene(name, pixels, _people(name, text, pixels.shape)))
    except (
        *(zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, SyntaxError),
        Image.DecompressionBombError,
    ) as error:
        raise ValueError(f"PennFudanPed.zip cannot be read: {error}") from error
    if not scenes:
        raise ValueError("PennFudanPed.zip holds no PennFudanPed/Annotation/*.txt")
    return scenes


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        about = archive.getinfo(name)
    except KeyError:
        raise ValueError(f"PennFudanPed.zip lacks {name}") from None
    if about.file_size > _LARGEST:
        raise ValueError(f"PennFudanPed.zip: {name} would unpack to {about.file_size:,} bytes")
    return archive.read(about)


def _people(name: str, text: str, shape: tuple[int, ...]) -> np.ndarray:
    """Boxes of one annotation file, clipped to the photo."""
    where = f"PennFudanPed.zip: Annotation/{name}.txt"
    count, found = _COUNT.search(text), _BOX.findall(text)
    if count is None or int(count[1]) != len(found) or not found:
        told = "no number of" if count is None else count[1]
        raise ValueError(f"{where} announces {told} objects and has {len(found)} bounding boxes")
    left, top, right, bottom = np.array(found, int).T
    boxes = np.stack([top - 1, left - 1, bottom, right], 1).clip(0, [*shape[:2], *shape[:2]])
    if (boxes[:, :2] >= boxes[:, 2:]).any():
        raise ValueError(
            f"{where} has a bounding box without an inside in its photo of {shape[1]} x {shape[0]} "
            f"pixels: {found}"
        )
    return np.pad(boxes, ((0, 0), (0, 2)), constant_values=-1)


# --- drawn scenes ------------------------------------------------------------------------------

_FINE = 2  # scenes are drawn twice as large, and reduced for smooth edges
_SKIN = ((255, 224, 196), (234, 192, 150), (198, 142, 100), (141, 92, 58), (88, 56, 38))
_HAIR = (
    (30, 22, 18),
    (70, 45, 28),
    (150, 105, 60),
    (205, 175, 110),
    (120, 120, 120),
    (160, 70, 40),
)


def draw_scene(number: int, *, seed: int = 0) -> Scene:
    """Draw a street scene with people of many sizes, clothes and poses: a drawing, no photo.

    Houses, pavement and road; trees, lamps, signs, bins, benches and cars, which stand upright like
    people do; up to five people, near and far, walking or standing, some partly behind a car, a
    lamp or a bin; about one scene in five is at night.

    Parameters
    ----------
    number : int
        Which scene.
    seed : int
        Of a whole series of scenes.

    Returns
    -------
    Scene
        An image of 320 x 480 pixels, named "drawn-0012" by its number. At least half of each person
        is visible.

    Notes
    -----
    Taught in notebook 06.
    """
    rng = np.random.default_rng([seed, number])
    height, width = SCENE[0] * _FINE, SCENE[1] * _FINE
    pen = _Pen((width, height))
    horizon = height * rng.uniform(0.34, 0.46)
    _backdrop(pen, rng, horizon)
    boxes, whole = [], []
    for _, draw, x, foot, scale in _things(rng, horizon):
        before, state = pen.copy(), rng.bit_generator.state
        if draw is _person:
            alone = _Pen((width, height))  # the same person alone: for the whole of it
            alone.person = 1
            draw(alone, rng, x, foot, scale)
            rng.bit_generator.state = state
            boxes.append(alone.map.getbbox())
            whole.append(alone.map.histogram()[1])
            pen.person = len(boxes)
        draw(pen, rng, x, foot, scale)
        pen.person = 0
        visible = np.array(pen.map.histogram()[1 : len(boxes) + 1]) / np.array(whole)
        if (visible < LEAST_SEEN / 100).any():  # it would hide somebody: it is left out
            pen.restore(before)
            if draw is _person:
                boxes, whole = boxes[:-1], whole[:-1]
    night = rng.random() < 0.2
    people = np.zeros((len(boxes), len(FACTS)), int)
    left, top, right, bottom = np.array(boxes).T
    people[:, :2] = np.stack([top, left], 1) // _FINE
    people[:, 2:4] = -(-np.stack([bottom, right], 1) // _FINE)
    people[:, 4] = np.round(100 * np.array(pen.map.histogram()[1 : len(boxes) + 1]) / whole)
    people[:, 5] = night
    return Scene(f"drawn-{number:04d}", _develop(pen.picture, rng, night), people)


class _Pen:
    """Draws on the picture and, at once, on a map that says which person a pixel shows."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.picture, self.map = Image.new("RGB", size), Image.new("L", size)
        self._draw, self._mark = ImageDraw.Draw(self.picture), ImageDraw.Draw(self.map)
        self.person = 0

    def copy(self) -> tuple[Image.Image, Image.Image]:
        """Keep what is drawn so far."""
        return self.picture.copy(), self.map.copy()

    def restore(self, kept: tuple[Image.Image, Image.Image]) -> None:
        """Go back to what was kept."""
        self.picture.paste(kept[0])
        self.map.paste(kept[1])

    def box(self, left, top, right, bottom, colour, round_=0.0) -> None:
        xy = (min(left, right), min(top, bottom), max(left, right), max(top, bottom))
        radius = round_ * min(xy[2] - xy[0], xy[3] - xy[1])
        self._draw.rounded_rectangle(xy, radius, fill=_ink(colour))
        self._mark.rounded_rectangle(xy, radius, fill=self.person)

    def oval(self, x, y, wide, tall, colour) -> None:
        xy = (x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2)
        self._draw.ellipse(xy, fill=_ink(colour))
        self._mark.ellipse(xy, fill=self.person)

    def shape(self, points, colour) -> None:
        points = [tuple(map(float, point)) for point in points]
        self._draw.polygon(points, fill=_ink(colour))
        self._mark.polygon(points, fill=self.person)

    def limb(self, points, width, colour) -> None:
        """Draw a bent line with round ends and joints."""
        points, width = [tuple(map(float, p)) for p in points], max(round(width), 1)
        self._draw.line(points, fill=_ink(colour), width=width)
        self._mark.line(points, fill=self.person, width=width)
        for x, y in points:
            self.oval(x, y, width, width, colour)


def _ink(colour) -> tuple[int, int, int]:
    red, green, blue = np.clip(np.round(colour), 0, 255).astype(int)
    return int(red), int(green), int(blue)


def _things(rng: np.random.Generator, horizon: float) -> list[tuple]:
    """Choose what stands on the ground, the farthest first: depth, function, x, foot, scale."""
    height, width = SCENE[0] * _FINE, SCENE[1] * _FINE
    full = height * rng.uniform(0.55, 0.68)  # a grown person at the lower edge

    def place(nearest: float) -> tuple[float, float, float]:
        depth = rng.uniform(0.22, nearest)
        return depth, horizon + depth * (height - horizon) * 0.98, full * depth

    things = []
    for _ in range(rng.integers(1, 6)):
        depth, foot, scale = place(0.97)
        tall = scale * rng.uniform(0.72, 1.05)  # children and grown-ups
        x = rng.uniform(0.3 * tall, width - 0.3 * tall)
        things.append((depth, _person, x, foot, tall))
        if rng.random() < 0.2:  # something to stand behind
            cover = (_car, _lamp, _bin)[rng.integers(3)]
            aside = rng.uniform(-0.1, 0.1) * tall
            aside += rng.uniform(-0.6, 0.6) * scale * (cover is _car)
            things.append((depth + 0.01, cover, x + aside, foot + 0.01 * height, scale))
    kinds = (_tree, _tree, _lamp, _lamp, _sign, _sign, _bin, _car, _bench, _hydrant)
    for _ in range(rng.integers(4, 9)):
        depth, foot, scale = place(1.0)
        things.append((depth, kinds[rng.integers(len(kinds))], rng.uniform(0, width), foot, scale))
    return sorted(things, key=lambda thing: thing[0])


def _develop(picture: Image.Image, rng: np.random.Generator, night: bool) -> np.ndarray:
    """Reduce, light, and add the noise of a camera."""
    light = rng.uniform(0.35, 0.5) if night else rng.uniform(0.85, 1.1)
    tint = np.array([0.85, 0.95, 1.2] if night else rng.uniform(0.93, 1.07, 3))
    pixels = np.asarray(picture.reduce(_FINE), "float32") * (light * tint).astype("float32")
    pixels += rng.uniform(2, 5) * rng.standard_normal(pixels.shape, "float32")
    return pixels.clip(0, 255).astype("uint8")


def _any_colour(rng: np.random.Generator, low: int = 20, high: int = 235) -> np.ndarray:
    """Any colour, half of the time a greyish one."""
    colour = rng.uniform(low, high, 3)
    return colour if rng.random() < 0.5 else colour * 0.3 + colour.mean() * 0.7


def _pale(rng: np.random.Generator, low: int, high: int) -> np.ndarray:
    return rng.uniform(low, high) + rng.uniform(-15, 15, 3)


def _backdrop(pen: _Pen, rng: np.random.Generator, horizon: float) -> None:
    """Sky, a row of houses, pavement and road."""
    width, height = pen.picture.size
    pen.box(0, 0, width, height, rng.uniform(195, 230) + np.array([-18, 0, 18]))
    x = -rng.uniform(0, 0.2) * width
    while x < width:
        wide, top = width * rng.uniform(0.14, 0.34), horizon * rng.uniform(-0.1, 0.6)
        base = horizon + 0.1 * (height - horizon)
        wall = _pale(rng, 165, 215)
        pen.box(x, top, x + wide, base, wall)
        across, step = rng.integers(2, 6), horizon * rng.uniform(0.2, 0.32)
        glass, frame = wall * rng.uniform(0.78, 0.92), rng.uniform(0.35, 0.7)
        for row in np.arange(top + 0.3 * step, base - step, step):
            for column in range(across):
                left = x + wide * (column + (1 - frame) / 2) / across
                pen.box(left, row, left + wide * frame / across, row + 0.62 * step, glass)
        if rng.random() < 0.8:  # a door: upright, with proportions like a person's
            left, tall = x + wide * rng.uniform(0.05, 0.8), horizon * rng.uniform(0.22, 0.34)
            pen.box(left, base - tall, left + 0.42 * tall, base, wall * rng.uniform(0.7, 0.9))
        x += wide * rng.choice([1, 1, 1.12])
    pave = _pale(rng, 175, 210)
    pen.box(0, horizon + 0.1 * (height - horizon), width, height, pave)
    road = horizon + (height - horizon) * rng.uniform(0.35, 0.6)
    for number in range(1, 9):  # joints of the paving
        x = width * (number / 8 + rng.uniform(-0.03, 0.03))
        pen.limb(
            [(x, horizon + 0.1 * (height - horizon)), (x * 1.3 - 0.15 * width, road)],
            2,
            pave * 0.85,
        )
    if rng.random() < 0.8:
        asphalt = np.full(3, rng.uniform(150, 180))
        pen.box(0, road, width, height, asphalt)
        pen.box(0, road, width, road + 0.012 * height, pave * 1.1)
        if rng.random() < 0.4:  # a crossing
            for x in np.arange(rng.uniform(0, 0.1), 1, 0.09) * width:
                pen.shape(
                    [
                        (x, road + 0.05 * height),
                        (x + 0.045 * width, road + 0.05 * height),
                        (x + 0.055 * width, height),
                        (x + 0.005 * width, height),
                    ],
                    np.full(3, 215),
                )


def _person(pen: _Pen, rng: np.random.Generator, x: float, foot: float, tall: float) -> None:
    """Somebody: head, trunk, limbs; from the front, the back or the side; walking or standing."""
    skin = np.array(_SKIN[rng.integers(len(_SKIN))]) * rng.uniform(0.9, 1.05)
    hair = np.array(_HAIR[rng.integers(len(_HAIR))])
    above, below = _any_colour(rng, 10, 150), _any_colour(rng, 10, 130)
    shoes, build = _any_colour(rng, 10, 120), rng.uniform(0.85, 1.25)
    side = rng.random() < 0.45
    stride = rng.uniform(0.05, 0.17) * rng.choice([-1, 1]) if rng.random() < 0.65 else 0.02
    head, hip, neck = 0.13 * tall, foot - 0.47 * tall, foot - 0.83 * tall
    half = (0.065 if side else 0.105) * tall * build
    hips = 0.85 * half
    leg, arm = 0.075 * tall * build, 0.052 * tall * build
    for sign in (-1, 1):  # legs
        start = x + sign * (0.2 if side else 0.5) * hips
        ankle = (start + sign * stride * tall * (1 if side else 0.35), foot - 0.03 * tall)
        bent = (
            (start + ankle[0]) / 2 + (0.03 * tall if side and sign * stride > 0 else 0),
            (hip + foot) / 2,
        )
        pen.limb([(start, hip), bent, ankle], leg, below)
        toe = 0.045 * tall * (np.sign(stride) if side else sign * 0.4)
        pen.limb([ankle, (ankle[0] + toe, foot - 0.018 * tall)], 0.04 * tall, shoes)
    swing = -stride * tall * (1.1 if side else 0.3)
    elbows = [
        (x + sign * (0.3 if side else 1) * half + sign * swing, neck + 0.21 * tall)
        for sign in (-1, 1)
    ]
    hands = [
        (ex + sign * (swing * 0.6 + (0 if side else 0.02 * tall)), neck + 0.37 * tall)
        for (ex, _), sign in zip(elbows, (-1, 1), strict=True)
    ]
    if rng.random() < 0.15:  # one arm is raised: a wave, or a telephone
        hands[0] = (elbows[0][0] + 0.02 * tall, neck - 0.03 * tall)
    starts = [(x + sign * (0.2 if side else 0.92) * half, neck + 0.04 * tall) for sign in (-1, 1)]
    sleeves = above * rng.uniform(0.8, 1.0)

    def arms(which: Sequence[int]) -> None:
        for i in which:
            pen.limb([starts[i], elbows[i], hands[i]], arm, sleeves)
            pen.oval(*hands[i], 0.9 * arm, 0.9 * arm, skin)

    arms([0] if side else [])
    kind = rng.choice(["short", "short", "coat", "skirt"])
    hem = hip + {"short": 0.03, "coat": 0.2, "skirt": 0.16}[kind] * tall
    flare = {"short": 1.0, "coat": 1.1, "skirt": 1.5}[kind]
    if kind == "skirt":
        pen.shape(
            [
                (x - hips, hip - 0.05 * tall),
                (x + hips, hip - 0.05 * tall),
                (x + flare * hips, hem),
                (x - flare * hips, hem),
            ],
            below * 0.9,
        )
        hem, flare = hip, 1.0
    pen.shape(
        [
            (x - half, neck + 0.03 * tall),
            (x - 0.35 * half, neck),
            (x + 0.35 * half, neck),
            (x + half, neck + 0.03 * tall),
            (x + flare * hips, hem),
            (x - flare * hips, hem),
        ],
        above,
    )
    if rng.random() < 0.35:  # a stripe, a zip or a belt
        pen.box(
            x - 0.12 * half,
            neck + 0.02 * tall,
            x + 0.12 * half,
            hem - 0.01 * tall,
            _any_colour(rng),
        )
    arms([1] if side else [0, 1])
    pen.limb([(x, neck + 0.01 * tall), (x, neck - 0.03 * tall)], 0.055 * tall, skin)
    centre, face = foot - tall + head / 2, rng.choice([-1, 0, 1])
    pen.oval(x, centre, 0.78 * head, head, skin)
    if rng.random() < 0.25:  # seen from behind, or a hat
        pen.oval(x, centre - 0.03 * head, 0.82 * head, 0.9 * head, hair)
    else:
        pen.oval(x - 0.12 * face * head, centre - 0.26 * head, 0.8 * head, 0.5 * head, hair)
    bag = rng.random()
    if bag < 0.2:
        hand = hands[rng.integers(2)]
        pen.box(
            hand[0] - 0.05 * tall,
            hand[1],
            hand[0] + 0.05 * tall,
            hand[1] + 0.13 * tall,
            _any_colour(rng),
            0.2,
        )
    elif bag < 0.35 and side:
        back = -np.sign(stride) or 1
        pen.box(
            x + back * 0.4 * half,
            neck + 0.05 * tall,
            x + back * 2.1 * half,
            hip - 0.08 * tall,
            _any_colour(rng),
            0.3,
        )


def _tree(pen: _Pen, rng: np.random.Generator, x: float, foot: float, scale: float) -> None:
    bark = np.array([90, 65, 45]) * rng.uniform(0.6, 1.2)
    tall, thick = scale * rng.uniform(1.3, 2.2), scale * rng.uniform(0.08, 0.17)
    pen.shape(
        [
            (x - thick, foot),
            (x + thick, foot),
            (x + 0.6 * thick, foot - 0.7 * tall),
            (x - 0.6 * thick, foot - 0.7 * tall),
        ],
        bark,
    )
    leaf = np.array([70, 110, 50]) * rng.uniform(0.6, 1.3) + rng.uniform(-15, 25, 3)
    for _ in range(rng.integers(8, 18)):
        dx, dy = rng.normal(0, 0.2, 2) * scale
        side = scale * rng.uniform(0.25, 0.5)
        pen.oval(x + dx, foot - 0.85 * tall + dy, side, 0.8 * side, leaf * rng.uniform(0.75, 1.2))


def _lamp(pen: _Pen, rng: np.random.Generator, x: float, foot: float, scale: float) -> None:
    colour, thick = _any_colour(rng, 20, 140), scale * rng.uniform(0.035, 0.08)
    tall, reach = scale * rng.uniform(1.6, 2.6), scale * rng.uniform(-0.4, 0.4)
    pen.box(x - thick / 2, foot - tall, x + thick / 2, foot, colour)
    pen.box(x - thick, foot - 0.2 * scale, x + thick, foot, colour * 0.8)
    pen.limb([(x, foot - tall), (x + reach, foot - tall - 0.06 * scale)], thick, colour)
    pen.oval(x + reach, foot - tall, 0.16 * scale, 0.1 * scale, (250, 240, 200))


def _sign(pen: _Pen, rng: np.random.Generator, x: float, foot: float, scale: float) -> None:
    tall, side = scale * rng.uniform(0.85, 1.4), scale * rng.uniform(0.2, 0.36)
    pen.box(x - 0.02 * scale, foot - tall, x + 0.02 * scale, foot, np.full(3, rng.uniform(90, 170)))
    y, colour = foot - tall, _any_colour(rng)
    kind = rng.integers(3)
    if kind == 0:  # round: a head on a stick, to a simple eye
        pen.oval(x, y, side, side, colour)
        pen.oval(x, y, 0.7 * side, 0.7 * side, np.full(3, 235))
    elif kind == 1:
        pen.shape(
            [(x - side / 2, y + side / 2), (x + side / 2, y + side / 2), (x, y - side / 2)], colour
        )
    else:
        pen.box(x - side / 2, y - side * 0.3, x + side / 2, y + side * 0.9, colour)


def _bin(pen: _Pen, rng: np.random.Generator, x: float, foot: float, scale: float) -> None:
    wide, tall, colour = (
        scale * rng.uniform(0.24, 0.36),
        scale * rng.uniform(0.4, 0.58),
        _any_colour(rng, 20, 150),
    )
    pen.shape(
        [
            (x - 0.4 * wide, foot),
            (x + 0.4 * wide, foot),
            (x + wide / 2, foot - tall),
            (x - wide / 2, foot - tall),
        ],
        colour,
    )
    pen.box(
        x - 0.56 * wide, foot - tall - 0.06 * scale, x + 0.56 * wide, foot - tall, colour * 0.7, 0.3
    )


def _hydrant(pen: _Pen, rng: np.random.Generator, x: float, foot: float, scale: float) -> None:
    colour, tall = np.array([190, 50, 40]) * rng.uniform(0.6, 1.2), scale * rng.uniform(0.35, 0.75)
    pen.box(x - 0.09 * tall, foot - 0.8 * tall, x + 0.09 * tall, foot, colour)
    pen.oval(x, foot - 0.82 * tall, 0.26 * tall, 0.3 * tall, colour * 0.9)
    pen.box(x - 0.18 * tall, foot - 0.62 * tall, x + 0.18 * tall, foot - 0.5 * tall, colour * 0.8)


def _bench(pen: _Pen, rng: np.random.Generator, x: float, foot: float, scale: float) -> None:
    colour, wide = _any_colour(rng, 50, 150), scale * rng.uniform(0.7, 1.1)
    for y in (0.28, 0.4, 0.5):
        pen.box(x - wide / 2, foot - (y + 0.06) * scale, x + wide / 2, foot - y * scale, colour)
    for dx in (-0.42, 0.42):
        pen.box(
            x + dx * wide - 0.03 * scale,
            foot - 0.5 * scale,
            x + dx * wide + 0.03 * scale,
            foot,
            colour * 0.6,
        )


def _car(pen: _Pen, rng: np.random.Generator, x: float, foot: float, scale: float) -> None:
    long, tall, colour = (
        scale * rng.uniform(2.0, 2.6),
        scale * rng.uniform(0.6, 0.75),
        _any_colour(rng),
    )
    base = foot - 0.1 * scale
    pen.shape(
        [
            (x - 0.32 * long, base - 0.55 * tall),
            (x - 0.2 * long, base - tall),
            (x + 0.16 * long, base - tall),
            (x + 0.32 * long, base - 0.55 * tall),
        ],
        colour * 0.9,
    )
    for left, right in ((-0.25, -0.03), (0.0, 0.24)):
        pen.shape(
            [
                (x + left * long, base - 0.55 * tall),
                (x + (left + 0.06) * long, base - 0.93 * tall),
                (x + (right - 0.08) * long, base - 0.93 * tall),
                (x + right * long, base - 0.55 * tall),
            ],
            np.array([70, 85, 100]) * rng.uniform(0.6, 1.5),
        )
    pen.box(x - long / 2, base - 0.56 * tall, x + long / 2, base, colour, 0.35)
    for dx in (-0.3, 0.3):
        pen.oval(x + dx * long, base, 0.36 * scale, 0.36 * scale, np.full(3, 25))
        pen.oval(x + dx * long, base, 0.18 * scale, 0.18 * scale, np.full(3, 140))
