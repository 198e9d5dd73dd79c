"""What may change about an image while it still shows the same, and batches of changed images."""

import functools
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfl_helpers import backbones, datasets
from tfl_helpers.datasets import FolderImages

KINDS = ("characters", "clothes", "photos")


def augmenter(
    kind: str, seed: int = 0, *, damage: bool = True, channels: int = 3
) -> keras.Sequential:
    """Make layers that change images at random and leave what they show.

    Parameters
    ----------
    kind : str
        "characters", "clothes", "photos", or a name of `datasets.load`. Characters are turned,
        sheared, scaled and moved, never flipped, and win or lose a short stroke (`PenStrokes`).
        Clothes and photos are flipped, cropped, moved and lit differently, photos recoloured too.
    seed : int
        Draws the changes; the layers keep generators of their own.
    damage : bool
        Also add noise and blot out parts: not for a frozen network, which cannot ignore that.
    channels : int
        Of the images: grey ones, 1, have no colours to change.

    Returns
    -------
    keras.Sequential
        Images (b, h, w, c), 0..255, to the same shape. Call it with ``training=True``.

    Examples
    --------
    >>> augmenter("digits", damage=False)(np.zeros((2, 8, 8, 1)), training=True).shape
    TensorShape([2, 8, 8, 1])
    """
    kind = kind if kind in KINDS else datasets.describe(kind).changes
    layers = keras.layers
    if kind == "characters":
        edge = {"fill_mode": "constant", "fill_value": 0.0}
        steps = [
            layers.RandomRotation(0.085, **edge, seed=seed),
            layers.RandomShear(0.25, 0.085, **edge, seed=seed + 1),
            layers.RandomZoom(0.25, 0.25, **edge, seed=seed + 2),
            layers.RandomTranslation(0.135, 0.135, **edge, seed=seed + 3),
            PenStrokes(seed=seed + 8),
        ]
    else:
        steps = [
            layers.RandomFlip("horizontal", seed=seed),
            layers.RandomZoom((-0.25, 0.05), (-0.25, 0.05), seed=seed + 1),
            layers.RandomTranslation(0.1, 0.1, seed=seed + 2),
            layers.RandomBrightness(0.2, seed=seed + 3),
            layers.RandomContrast(0.3, seed=seed + 4),
        ]
    if kind == "photos" and channels == 3:
        steps.append(layers.RandomSaturation((0.2, 0.7), seed=seed + 5))  # 0.5: colours as they are
    if damage:
        noise = layers.GaussianNoise(0.085, seed=seed + 6)  # it wants 0..1
        steps += [layers.Rescaling(1 / 255), noise, layers.Rescaling(255.0)]
    if damage and hasattr(layers, "RandomErasing"):  # since Keras 3.9
        steps.append(layers.RandomErasing(0.5, (0.02, 0.17), fill_value=0.0, seed=seed + 7))
    return keras.Sequential(steps, name="augment")


@keras.saving.register_keras_serializable("tfl_helpers")
class PenStrokes(keras.layers.Layer):
    """Draw a short stroke across a character, or wipe one out, as another writer would.

    A bar through a 7 or a gap in an 8 says nothing about the character, but a frozen network takes
    it for another shape. Images (b, h, w, c), 0..255, are light ink on dark ground; a share `added`
    of them get a stroke, a share `wiped` lose one.
    """

    def __init__(self, added: float = 0.5, wiped: float = 0.3, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.added, self.wiped, self.seed = added, wiped, seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Change some of the images; none without ``training=True``."""
        images = tf.cast(images, "float32")
        if not training:
            return images
        drawn = tf.maximum(images, 255 * self._strokes(images, self.added))
        return drawn * (1 - self._strokes(drawn, self.wiped))

    def _strokes(self, images: tf.Tensor, share: float) -> tf.Tensor:
        """Draw a straight stroke for a share of the images: (b, h, w, 1), 0 to 1."""
        n, height, width = tf.unstack(tf.shape(images)[:3])
        uniform = functools.partial(keras.random.uniform, (n, 1, 1), seed=self.generator)
        unit = tf.cast(height, "float32") / 24  # lengths: in pixels of an image 24 pixels high
        # Its middle lies near a pixel with ink, drawn at random.
        ink = tf.reshape(tf.reduce_mean(images, -1), (n, height * width))
        ranks = keras.random.uniform((n, height * width), seed=self.generator)
        middle = tf.argmax(tf.where(ink > 100, ranks, 0.0), axis=1, output_type="int32")
        middle = tf.cast(tf.stack([middle // width, middle % width]), "float32")
        middle += keras.random.normal((2, n), stddev=1.5, seed=self.generator) * unit
        y, x = tf.meshgrid(
            tf.range(height, dtype="float32"), tf.range(width, dtype="float32"), indexing="ij"
        )
        y, x = y - middle[0, :, None, None], x - middle[1, :, None, None]
        angle = uniform(0.0, np.pi)
        beyond = tf.abs(y * tf.sin(angle) + x * tf.cos(angle)) - uniform(1.5, 4.5) * unit
        beside = y * tf.cos(angle) - x * tf.sin(angle)
        distance = tf.sqrt(tf.maximum(beyond, 0.0) ** 2 + beside**2)
        stroke = tf.clip_by_value(uniform(0.7, 1.7) * unit + 0.5 - distance, 0.0, 1.0)
        return (stroke * tf.cast(uniform(0.0, 1.0) < share, "float32"))[..., None]

    def get_config(self) -> dict[str, Any]:
        """Return what builds the layer anew."""
        own = {"added": self.added, "wiped": self.wiped, "seed": self.seed}
        return {**super().get_config(), **own}


def training_batches(
    model: keras.Model,
    images: FolderImages | np.ndarray,
    targets: np.ndarray | None,
    chosen: np.ndarray,
    *,
    change: str | keras.Model,
    seed: tuple[int, ...],
    steps: int,
    batch_size: int,
) -> tf.data.Dataset:
    """Make `steps` batches to train `model` on: images float32 (b, h, w, c), 0..255, and targets.

    The `chosen` rows of `images` come in an order drawn anew each time around, changed by layers or
    those of `augmenter`, with their rows of `targets` (n, k). Without targets the images are not
    changed, and are to be given again, 0..1.
    """
    rng, total = np.random.default_rng(seed), steps * batch_size
    order = np.concatenate([rng.permutation(chosen) for _ in range(-(-total // len(chosen)))])
    order, channels = order[:total], model.input_shape[-1]
    size = backbones.input_size(model)
    ready = datasets.batches(images[order], size=size, channels=channels, batch_size=batch_size)
    known = tf.data.experimental.assert_cardinality(steps)  # else Keras warns at the end
    if targets is None:
        return ready.map(lambda x: (x, x / 255)).apply(known)
    if isinstance(change, str):
        change = augmenter(change, int(rng.integers(2**30)), channels=channels)
    answers = np.asarray(targets[order], "float32")
    answers = tf.data.Dataset.from_tensor_slices(answers).batch(batch_size)
    pairs = tf.data.Dataset.zip((ready, answers))
    pairs = pairs.map(lambda x, y: (change(x, training=True), y)).apply(known).prefetch(2)
    options = tf.data.Options()  # one machine: nothing to share out between several
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return pairs.with_options(options)
