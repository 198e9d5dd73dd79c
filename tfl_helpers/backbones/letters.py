"""The small network that learned its filters from printed letters alone.

`tools/train_letters.py` trains it on rendered A-Z and a-z; it has never seen a digit. How well it
does stands in `letters.md`.
"""

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
from keras import layers

WEIGHTS = Path(__file__).with_name("letters.npz")
SIZE = 24  # side of the images that it was trained on
BLOCKS = ((32, 5, 1), (64, 3, 2), (128, 3, 2), (128, 3, 2))  # width, side, convolutions


def network(size: tuple[int, int] = (SIZE, SIZE)) -> keras.Model:
    """Build the network, untrained: grey images (n, h, w, 1), -1..1, to features (n, 256).

    They are the last maps of blocks 3 and 4, averaged over places and scaled to length one.
    """
    x = image = keras.Input((*size, 1), name="image")
    pools = []
    for block, (width, side, convolutions) in enumerate(BLOCKS, 1):
        for number in range(1, convolutions + 1):
            name = f"block{block}_conv{number}"
            x = layers.Conv2D(width, side, padding="same", use_bias=False, name=name)(x)
            x = layers.BatchNormalization(momentum=0.95, name=f"{name}_norm")(x)
            x = layers.ReLU(name=f"{name}_relu")(x)
        if block >= 3:
            mean = layers.GlobalAveragePooling2D(name=f"pool{block}")(x)
            pools.append(layers.UnitNormalization(name=f"pool{block}_unit")(mean))
        if block < len(BLOCKS):
            x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    x = layers.Concatenate(name="pools")(pools)
    # No new filters: a change of axes that evens out how much each of them varies among letters.
    features = layers.Dense(x.shape[-1], kernel_initializer="zeros", name="features")(x)
    return keras.Model(image, features, name="letters")


def save(model: keras.Model, path: str | Path = WEIGHTS) -> None:
    """Write the weights of a `network` as float16 arrays, named by their layers."""
    arrays = {name: weight.numpy().astype("float16") for name, weight in _weights(model)}
    np.savez_compressed(path, **arrays)


def load(size: tuple[int, int] = (SIZE, SIZE), path: str | Path = WEIGHTS) -> keras.Model:
    """Build the `network` with trained weights: those that are shipped, or what `save` wrote."""
    model = network(size)
    with np.load(path, allow_pickle=False) as stored:
        for name, weight in _weights(model):
            weight.assign(stored[name].astype("float32"))
    return model


def _weights(model: keras.Model) -> Iterator[tuple[str, keras.Variable]]:
    """Name each weight without what else is in its path where a call of a model was interrupted."""
    return ((f"{layer.name}/{w.name}", w) for layer in model.layers for w in layer.weights)
