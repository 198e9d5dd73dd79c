"""Train the embedded backbone on rendered printed letters (A-Z, a-z): never on a digit.

One command, two cores: `python tools/train_letters.py`. A letter becomes a cloud of points (the
whole glyph, or its thinned middle line), is turned or mirrored into one of several orientations,
warped, drawn with a random pen, and averaged down to a few pixels, often only 8 x 8.
"""

import argparse
import functools
import multiprocessing
import os
import string
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import cluster, ndimage

ROOT = Path(__file__).resolve().parent.parent
LETTERS = string.ascii_uppercase + string.ascii_lowercase
FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-BoldOblique", "DejaVuSans-Oblique")
FONTS += ("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSerif")
FONTS += ("DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic", "STIXGeneral")
FONTS += ("STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta", "cmb10", "cmmi10", "cmr10")
FONTS += ("cmti10", "cmtt10")
HELD_OUT_FONT = "cmss10"
SIGNS = np.array([(1, 1), (-1, -1), (-1, 1), (1, -1)])  # upright, upside down, two mirrors
ORIENTATIONS = SIGNS[:2, :, None] * np.eye(2)  # mirrored shapes came out worse on digits
SIZE = 24  # side of the images the network works on
LINE_SHARE, SMALL_SHARE = 0.6, 0.7  # thinned letters; images of 8 x 8 pixels
LIMIT = 0.97  # kinds whose mean images correlate more than this share a class
SCALE, RATE = 16.0, 2e-3  # sharpness of the softmax over cosines; learning rate
GRID = 64  # side of the drawing area in which a letter gets its ink


def thin(mask: np.ndarray) -> np.ndarray:
    """Reduce a (h, w) bool mask to its middle line by Zhang and Suen's thinning."""
    mask = np.pad(mask, 1)
    ring = [(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)]
    changed = True
    while changed:
        changed = False
        for first, second in (((0, 2, 4), (2, 4, 6)), ((0, 2, 6), (0, 4, 6))):
            around = np.array([np.roll(mask, (-y, -x), (0, 1)) for y, x in ring])
            count = around.sum(0)
            rises = (~around & np.roll(around, -1, 0)).sum(0)
            drop = mask & (count >= 2) & (count <= 6) & (rises == 1)
            drop &= ~around[list(first)].all(0) & ~around[list(second)].all(0)
            mask = mask & ~drop
            changed |= bool(drop.any())
    return mask[1:-1, 1:-1]


@functools.cache
def glyphs(font: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Render every letter of a font; per letter two (n, 2) clouds of (x, y): glyph and line."""
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{font}.ttf"
    pen, clouds = ImageFont.truetype(str(path), 72), []
    for letter in LETTERS:
        image = Image.new("L", (200, 200))
        ImageDraw.Draw(image).text((60, 60), letter, fill=255, font=pen)
        mask = np.array(image.crop(image.getbbox())) > 127
        pair = [
            np.argwhere(m)[:, ::-1] - (np.array(m.shape[::-1]) - 1) / 2 for m in (mask, thin(mask))
        ]
        clouds.append(tuple((p / (max(mask.shape) / 2)).astype("float32") for p in pair))
    return clouds


def bilinear(old: int, new: int) -> np.ndarray:
    """Return the (new, old) matrix by which keras.layers.Resizing enlarges or reduces one axis."""
    at = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(old))).astype("float32")


def averaging(old: int, new: int) -> np.ndarray:
    """Return the (new, old) matrix that averages areas along one axis."""
    edges, cells = np.arange(new)[:, None] * old / new, np.arange(old)
    overlap = np.minimum(edges + old / new, cells + 1) - np.maximum(edges, cells)
    return (np.clip(overlap, 0, None) * new / old).astype("float32")


def draw(cloud: np.ndarray, line: bool, pixels: int, rng: np.random.Generator) -> np.ndarray:
    """Warp a cloud of points, ink it and reduce it to (pixels, pixels) float32 in 0..1."""
    angle, shear = rng.normal(0, 0.17), rng.normal(0, 0.25)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = cloud @ (turn @ np.array([[1, shear], [0, 1]])).T.astype("float32")
    for _ in range(3):  # smooth waves bend the strokes as a hand would
        wave, phase = rng.normal(0, 1.6, 2), rng.uniform(0, 2 * np.pi)
        points = points + np.sin(points @ wave + phase)[:, None] * rng.normal(0, 0.1, 2)
    points = points * (1 + points[:, ::-1] * rng.normal(0, 0.12, 2))  # one side larger
    small = pixels > 10 and rng.random() < 0.8
    box = GRID * (rng.uniform(0.65, 0.95) if small else 1)
    radius = (rng.uniform(2, 6.5) if line else rng.uniform(0, 2.5)) * box / GRID
    low, high = points.min(0), points.max(0)
    extent = np.maximum(high - low, 1e-3)
    tall = box - 2 * radius - 1
    wide = min(
        tall * extent[0] / extent[1] * np.exp(rng.normal(0, 0.2)), tall * rng.uniform(0.55, 1)
    )
    place = (points - (low + high) / 2) / extent * (wide, tall) + (GRID - 1) / 2
    if small:
        place += rng.uniform(-1, 1, 2) * (GRID - box) / 3
    place = np.clip(np.rint(place), 0, GRID - 1).astype(int)
    paper = np.ones((GRID, GRID), bool)
    paper[place[:, 1], place[:, 0]] = False
    ink = np.clip(radius + 1 - ndimage.distance_transform_edt(paper), 0, 1).astype("float32")
    reduce = averaging(GRID, pixels)
    image = reduce @ ink @ reduce.T
    if rng.random() < 0.3:
        image = ndimage.gaussian_filter(image, rng.uniform(0.2, 0.5) * pixels / 8)
    image = image * rng.uniform(0.85, 1.25) + rng.normal(0, rng.uniform(0, 0.05), image.shape)
    return np.rint(np.clip(image, 0, 1) * 16).astype("float32") / 16


def render(seed: int, count: int, fonts: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Draw random letters of the given fonts.

    Returns
    -------
    images : ndarray of uint8, shape (count, SIZE, SIZE)
        White ink on black, already enlarged as the network would enlarge them.
    kinds : ndarray of int64, shape (count,)
        Letter's index * number of orientations + orientation's index.
    """
    rng = np.random.default_rng(seed)
    kinds = rng.integers(len(LETTERS) * len(ORIENTATIONS), size=count)
    images = np.empty((count, SIZE, SIZE), "uint8")
    for image, kind in zip(images, kinds, strict=True):
        letter, orientation = divmod(kind, len(ORIENTATIONS))
        line = rng.random() < LINE_SHARE
        cloud = glyphs(fonts[rng.integers(len(fonts))])[letter][int(line)]
        pixels = 8 if rng.random() < SMALL_SHARE else int(rng.integers(9, 29))
        enlarge = bilinear(pixels, SIZE)
        drawn = draw(cloud @ ORIENTATIONS[orientation].astype("float32"), line, pixels, rng)
        image[:] = np.rint(enlarge @ drawn @ enlarge.T * 255)
    return images, kinds


def render_many(pool, seed: tuple[int, ...], count: int, fonts: tuple[str, ...]) -> tuple:
    """Let a pool of processes `render`; the result depends on the seed only."""
    seeds = np.random.SeedSequence(seed).generate_state(max(1, count // 500))
    parts = pool.starmap(render, [(int(s), 500, fonts) for s in seeds])
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def look_alikes(images: np.ndarray, kinds: np.ndarray, limit: float) -> np.ndarray:
    """Give kinds that look the same on average (c and C, b and mirrored d) one class.

    Returns an int array, class of every kind: mean images that correlate above `limit` share one.
    """
    count = len(LETTERS) * len(ORIENTATIONS)
    means = np.array([images[kinds == kind].reshape(-1, SIZE**2).mean(0) for kind in range(count)])
    tree = cluster.hierarchy.linkage(means, "complete", metric="correlation")
    return cluster.hierarchy.fcluster(tree, 1 - limit, "distance") - 1


def scaled(images: np.ndarray) -> np.ndarray:
    """Turn (n, h, w) images, 0..255, into what the network takes: float32 (n, h, w, 1), -1..1."""
    return images[..., None].astype("float32") / 127.5 - 1


def with_head(backbone, classes: int, steps: int):
    """Add the classifier that exists in training only: a softmax over scaled cosines."""
    import keras

    x = backbone.get_layer("pool4_unit").output
    unit = keras.constraints.UnitNorm(axis=0)
    x = keras.layers.Dense(classes, use_bias=False, kernel_constraint=unit, name="head")(x)
    model = keras.Model(backbone.input, keras.layers.Rescaling(SCALE)(x))
    model.compile(
        keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(RATE, steps), 1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    return model


def even_out(backbone, images: np.ndarray) -> None:
    """Set the `features` layer: letters' mean to zero, spread of every axis nearer to equal.

    Dividing by the fourth root of the variance is half of whitening: full whitening would
    raise noise, none leaves k-means to the two or three axes that vary most.
    """
    import keras

    pools = keras.Model(backbone.input, backbone.get_layer("pools").output)
    vectors = pools.predict(scaled(images), batch_size=500, verbose=0)
    variance, axes = np.linalg.eigh(np.cov(vectors.T))
    kernel = axes * (np.maximum(variance, 0) + 0.1 * variance.mean()) ** -0.25
    backbone.get_layer("features").set_weights([kernel, -vectors.mean(0) @ kernel])


def train(
    out: Path,
    seed: int = 0,
    rounds: int = 32,
    images: int = 12000,
    batch: int = 128,
    checks: int = 40000,
    resume: bool = False,
) -> dict:
    """Train and write the weights to `out`; `resume` goes on from a killed run's last round.

    `checks` letters decide which kinds look alike, a tenth of that many is held out.
    Returns every round's loss and the last round's accuracies on the letters held out.
    """
    fonts = tuple(FONTS)
    for font in (*fonts, HELD_OUT_FONT):
        glyphs(font)
    with multiprocessing.Pool(2) as pool:  # before TensorFlow starts its threads
        classes = look_alikes(*render_many(pool, (seed, 1), checks, fonts), LIMIT)
        held_out = [
            render_many(pool, (seed, 2, i), checks // 10, f)
            for i, f in enumerate((fonts, (HELD_OUT_FONT,)))
        ]
        losses = []
        import keras

        from tfl_helpers.backbones import letters

        keras.utils.set_random_seed(seed)
        backbone = letters.network((SIZE, SIZE))
        model = with_head(backbone, int(classes.max()) + 1, rounds * (images // batch))
        checkpoint, start = out.with_suffix(".keras"), time.time()
        if resume and checkpoint.is_file():
            model = keras.models.load_model(checkpoint)
        first = int(model.optimizer.iterations) // (images // batch) + 1
        print(f"{len(classes)} kinds in {classes.max() + 1} classes, round {first}", flush=True)
        for number in range(first, rounds + 1):
            x, kinds = render_many(pool, (seed, 3, number), images, fonts)
            x, kinds = x[: images // batch * batch], kinds[: images // batch * batch]
            fit = model.fit(scaled(x), classes[kinds], batch, verbose=0)
            losses.append(fit.history["loss"][0])
            model.save(checkpoint)  # a kill loses one round at most
            scores = [model.evaluate(scaled(x), classes[k], 500, verbose=0)[1] for x, k in held_out]
            print(
                f"round {number}/{rounds}  loss {losses[-1]:.3f}  accuracy "
                f"{scores[0]:.3f}, on {HELD_OUT_FONT} {scores[1]:.3f}  {time.time() - start:.0f} s",
                flush=True,
            )
        trained = {layer.name: layer for layer in model.layers}
        for layer in backbone.layers:
            if layer.name in trained:
                layer.set_weights(trained[layer.name].get_weights())
        even_out(backbone, render_many(pool, (seed, 4), checks // 5, fonts)[0])
    letters.save(backbone, out)
    checkpoint.unlink(missing_ok=True)
    return {"losses": losses, "held_out": scores[0], "held_out_font": scores[1]}


def main() -> None:
    """Read the options and train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=ROOT / "tfl_helpers" / "backbones" / "letters.npz"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=32)
    parser.add_argument("--images", type=int, default=12000, help="new images per round")
    parser.add_argument("--resume", action="store_true", help="go on from a killed run")
    options = parser.parse_args()
    train(options.out, options.seed, options.rounds, options.images, resume=options.resume)


if __name__ == "__main__":
    main()
