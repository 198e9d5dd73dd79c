"""Draw the street scenes that the package ships: people of many sizes, clothes and poses.

    python tools/draw_streets.py

writes tfl_helpers/datasets/drawn_streets.zip anew, in about a minute: a WebP file without loss per
scene, as it was drawn, and scenes.json with the boxes around its people and the state of the random
generator, from which the package adds the light and the noise of a camera when it reads them.
"""

import io
import json
import zipfile
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from tfl_helpers.datasets import write_whole
from tfl_helpers.datasets.scenes import DRAWN, FACTS, Scene, photograph

N_DRAWN = 300  # scenes, a third of them for the test
SCENE = (320, 480)  # height and width of a drawn scene
LEAST_SEEN = 50  # percent of a drawn person that nothing covers, at least
FINE = 2  # scenes are drawn twice as large, and reduced for smooth edges
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
    """Draw a street scene as `datasets.load_scenes` returns it, its people unsealed.

    Parameters
    ----------
    number : int
        Which scene.
    seed : int
        Of a whole series of scenes.
    """
    drawing, people, random_state = draw(number, seed=seed)
    rng = np.random.default_rng()
    rng.bit_generator.state = random_state
    return Scene(f"drawn-{number:04d}", photograph(drawing, rng, night=people[0, 5] == 1), people)


def draw(number: int, *, seed: int = 0) -> tuple[Image.Image, np.ndarray, dict]:
    """Draw a street scene by day, without noise.

    Houses, pavement and road; trees, lamps, signs, bins, benches and cars, which stand upright like
    people do; up to five people, near and far, walking or standing, some partly behind a car, a
    lamp or a bin; about one scene in five is to be at night.

    Returns
    -------
    drawing : PIL.Image.Image
        480 x 320 pixels, RGB.
    people : np.ndarray
        int (n, 6), see `Scene`. At least half of each person is visible.
    random_state : dict
        Of NumPy's generator, after drawing.
    """
    rng = np.random.default_rng([seed, number])
    height, width = SCENE[0] * FINE, SCENE[1] * FINE
    pen = Pen((width, height))
    horizon = height * rng.uniform(0.34, 0.46)
    _backdrop(pen, rng, horizon)
    boxes, whole = [], []
    for _, draw_thing, x, foot, scale in _things(rng, horizon):
        before, state = pen.copy(), rng.bit_generator.state
        if draw_thing is draw_person:
            alone = Pen((width, height))  # the same person alone: for the whole of it
            alone.person = 1
            draw_person(alone, rng, x, foot, scale)
            rng.bit_generator.state = state
            boxes.append(alone.map.getbbox())
            whole.append(alone.map.histogram()[1])
            pen.person = len(boxes)
        draw_thing(pen, rng, x, foot, scale)
        pen.person = 0
        visible = np.array(pen.map.histogram()[1 : len(boxes) + 1]) / np.array(whole)
        if (visible < LEAST_SEEN / 100).any():  # it would hide somebody: it is left out
            pen.restore(before)
            if draw_thing is draw_person:
                boxes, whole = boxes[:-1], whole[:-1]
    people = np.zeros((len(boxes), len(FACTS)), int)
    left, top, right, bottom = np.array(boxes).T
    people[:, :2] = np.stack([top, left], 1) // FINE
    people[:, 2:4] = -(-np.stack([bottom, right], 1) // FINE)
    people[:, 4] = np.round(100 * np.array(pen.map.histogram()[1 : len(boxes) + 1]) / whole)
    people[:, 5] = rng.random() < 0.2  # night
    return pen.picture.reduce(FINE), people, rng.bit_generator.state


class Pen:
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
        """Draw an upright box, its corners rounded by a share of its smaller side."""
        xy = (min(left, right), min(top, bottom), max(left, right), max(top, bottom))
        radius = round_ * min(xy[2] - xy[0], xy[3] - xy[1])
        self._draw.rounded_rectangle(xy, radius, fill=_ink(colour))
        self._mark.rounded_rectangle(xy, radius, fill=self.person)

    def oval(self, x, y, wide, tall, colour) -> None:
        """Draw an oval around its middle."""
        xy = (x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2)
        self._draw.ellipse(xy, fill=_ink(colour))
        self._mark.ellipse(xy, fill=self.person)

    def shape(self, points, colour) -> None:
        """Draw a polygon."""
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
    height, width = SCENE[0] * FINE, SCENE[1] * FINE
    full = height * rng.uniform(0.55, 0.68)  # a grown person at the lower edge

    def place(nearest: float) -> tuple[float, float, float]:
        depth = rng.uniform(0.22, nearest)
        return depth, horizon + depth * (height - horizon) * 0.98, full * depth

    things = []
    for _ in range(rng.integers(1, 6)):
        depth, foot, scale = place(0.97)
        tall = scale * rng.uniform(0.72, 1.05)  # children and grown-ups
        x = rng.uniform(0.3 * tall, width - 0.3 * tall)
        things.append((depth, draw_person, x, foot, tall))
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


def _any_colour(rng: np.random.Generator, low: int = 20, high: int = 235) -> np.ndarray:
    """Any colour, half of the time a greyish one."""
    colour = rng.uniform(low, high, 3)
    return colour if rng.random() < 0.5 else colour * 0.3 + colour.mean() * 0.7


def _pale(rng: np.random.Generator, low: int, high: int) -> np.ndarray:
    return rng.uniform(low, high) + rng.uniform(-15, 15, 3)


def _backdrop(pen: Pen, rng: np.random.Generator, horizon: float) -> None:
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


def draw_person(pen: Pen, rng: np.random.Generator, x: float, foot: float, tall: float) -> None:
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


def _tree(pen: Pen, rng: np.random.Generator, x: float, foot: float, scale: float) -> None:
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


def _lamp(pen: Pen, rng: np.random.Generator, x: float, foot: float, scale: float) -> None:
    colour, thick = _any_colour(rng, 20, 140), scale * rng.uniform(0.035, 0.08)
    tall, reach = scale * rng.uniform(1.6, 2.6), scale * rng.uniform(-0.4, 0.4)
    pen.box(x - thick / 2, foot - tall, x + thick / 2, foot, colour)
    pen.box(x - thick, foot - 0.2 * scale, x + thick, foot, colour * 0.8)
    pen.limb([(x, foot - tall), (x + reach, foot - tall - 0.06 * scale)], thick, colour)
    pen.oval(x + reach, foot - tall, 0.16 * scale, 0.1 * scale, (250, 240, 200))


def _sign(pen: Pen, rng: np.random.Generator, x: float, foot: float, scale: float) -> None:
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


def _bin(pen: Pen, rng: np.random.Generator, x: float, foot: float, scale: float) -> None:
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


def _hydrant(pen: Pen, rng: np.random.Generator, x: float, foot: float, scale: float) -> None:
    colour, tall = np.array([190, 50, 40]) * rng.uniform(0.6, 1.2), scale * rng.uniform(0.35, 0.75)
    pen.box(x - 0.09 * tall, foot - 0.8 * tall, x + 0.09 * tall, foot, colour)
    pen.oval(x, foot - 0.82 * tall, 0.26 * tall, 0.3 * tall, colour * 0.9)
    pen.box(x - 0.18 * tall, foot - 0.62 * tall, x + 0.18 * tall, foot - 0.5 * tall, colour * 0.8)


def _bench(pen: Pen, rng: np.random.Generator, x: float, foot: float, scale: float) -> None:
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


def _car(pen: Pen, rng: np.random.Generator, x: float, foot: float, scale: float) -> None:
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


def main() -> None:
    """Write the archive that the package ships."""
    about = {}
    with write_whole(DRAWN) as part, zipfile.ZipFile(part, "w") as archive:
        for number in range(N_DRAWN):
            name, file = f"drawn-{number:04d}", io.BytesIO()
            drawing, people, random_state = draw(number)
            drawing.save(file, "WEBP", lossless=True, exact=True)
            archive.writestr(zipfile.ZipInfo(f"{name}.webp"), file.getvalue())
            about[name] = {"people": people.tolist(), "random_state": random_state}
        archive.writestr(zipfile.ZipInfo("scenes.json"), json.dumps(about), zipfile.ZIP_DEFLATED, 9)
    print(f"{DRAWN}: {N_DRAWN} scenes, {DRAWN.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
