"""Heads: models from features to groups, and how one is put behind a backbone."""

import keras
import numpy as np
import tensorflow as tf
from sklearn.preprocessing import normalize

from tfl_helpers import backbones

REMEMBERED = 5_000  # images that vote; more are drawn at random
SHARPNESS = 20  # of the vote: cosines are multiplied by it, so that the nearest images count most


def attach(backbone: keras.Model, head: keras.Model) -> keras.Model:
    """Put a head behind a backbone, whose weights it shares: one network for raw images.

    Of plain Keras layers alone: saved with ``save("x.keras")`` it loads without this package.
    """
    image = keras.Input(backbone.input_shape[1:], name="image")
    return keras.Model(image, head(backbone(image, training=False)), name="self_labelled")


def classifier(
    backbone: keras.Model,
    z: np.ndarray,
    p: np.ndarray,
    *,
    looks: backbones.Looks = None,
    seed: int = 0,
) -> keras.Model:
    """Put a head behind a backbone that learns probabilities p (n, k) from its features z (n, d).

    Takes RGB images, 0..255, of any size, shrinks them as `datasets.read_image` does, and takes
    the `looks` at them that `features.extract` took. Images that were scaled before get no
    probabilities but NaN: a saved model cannot raise an error.
    """
    if len(z) != len(p):
        raise ValueError(f"features of {len(z):,} images, but probabilities of {len(p):,}")
    head = linear_head(z, p, seed=seed)
    body = backbones.seen(backbone, looks, antialias=True)
    image = keras.Input((None, None, 3), name="image")
    return keras.Model(image, head(body(image, training=False)) * _one_if_raw(image), name="sorted")


def _one_if_raw(image: keras.KerasTensor) -> keras.KerasTensor:
    """Give 1 for each image whose values are 0..255 (b, 1), NaN for others."""
    ops = keras.ops
    low, high = ops.min(image, axis=(1, 2, 3)), ops.max(image, axis=(1, 2, 3))
    black, bright = ops.equal(high, 0), ops.logical_and(high > 1, high <= 255)
    raw = ops.logical_and(low >= 0, ops.logical_or(black, bright))
    raw = ops.expand_dims(ops.cast(raw, "float32"), 1)
    return raw / raw


def linear_head(
    z: np.ndarray, p: np.ndarray, rows: np.ndarray | slice = slice(None), *, seed: int
) -> keras.Model:
    """Train a head with straight borders on rows of features (n, d) and probabilities (n, k)."""
    groups = keras.layers.Dense(p.shape[1], "softmax", kernel_initializer="zeros", name="groups")
    head = keras.Sequential([*_centred(z), groups], name="head")
    if p.shape[1] > 1:
        head.compile(keras.optimizers.Adam(1e-3), "categorical_crossentropy")
        pairs = tf.data.Dataset.from_tensor_slices((z[rows], p[rows]))
        ready = pairs.shuffle(len(pairs), seed).batch(128)
        epochs = int(np.clip(20_000 // len(pairs), 5, 50))  # few images are shown more often
        head.fit(ready, epochs=epochs, shuffle=False, verbose=0)
    return head


def vote_head(z: np.ndarray, p: np.ndarray, *, seed: int) -> keras.Model:
    """Let images vote, with features (n, d) and probabilities (n, k); nothing is trained.

    A linear head cannot copy groups whose border is bent; this one asks the images nearest by
    angle, seen from the mean, as training may move all features far to one side.
    """
    some = np.random.default_rng(seed).permutation(len(z))[:REMEMBERED]
    direction = [*_centred(z), keras.layers.UnitNormalization(name="direction")]
    remembered = keras.layers.Dense(len(some), "softmax", use_bias=False, name="remembered")
    groups = keras.layers.Dense(p.shape[1], use_bias=False, name="groups")
    head = keras.Sequential([*direction, remembered, groups], name="head")
    remembered.set_weights([SHARPNESS * keras.Sequential(direction)(z[some]).numpy().T])
    groups.set_weights([p[some]])
    return head


def _centred(z: np.ndarray) -> list[keras.layers.Layer]:
    """Make the first layers of a head: features scaled to length one, then centred."""
    unit = normalize(z)
    spread = np.full(z.shape[1], unit.var(axis=0).mean())  # one number: angles stay as they are
    return [
        keras.Input(z.shape[1:], name="features"),
        keras.layers.UnitNormalization(name="unit"),
        keras.layers.Normalization(mean=unit.mean(axis=0), variance=spread, name="centre"),
    ]
