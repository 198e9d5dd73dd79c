"""The small network that learned its filters from printed letters alone.

`tools/train_letters.py` trains it on rendered A-Z and a-z; it has never seen a digit. Used as a
frozen feature extractor it maps grey images to vectors in which k-means finds the ten handwritten
digits. What it was trained on and how well it does stands in `letters.md`.
"""

from pathlib import Path

import keras
import numpy as np
from keras import layers

WEIGHTS = Path(__file__).with_name("letters.npz")
SIZE = 24  # side of the images that it was trained on
WIDTHS = (32, 64, 128, 128)


def network(size: tuple[int, int] = (SIZE, SIZE)) -> keras.Model:
    """Build the network without trained weights, for grey images (n, height, width, 1), -1..1.

    Its features (n, 256) are the last maps of blocks 3 and 4, averaged over places, scaled to
    length one, side by side and turned to the axes of `features`.
    """
    x = image = keras.Input((*size, 1), name="image")
    pools = []
    for block, width in enumerate(WIDTHS, 1):
        for conv in (1,) if block == 1 else (1, 2):
            name, side = f"block{block}_conv{conv}", 5 if block == 1 else 3
            x = layers.Conv2D(width, side, padding="same", use_bias=False, name=name)(x)
            x = layers.BatchNormalization(momentum=0.95, name=f"{name}_norm")(x)
            x = layers.ReLU(name=f"{name}_relu")(x)
        if block >= 3:
            mean = layers.GlobalAveragePooling2D(name=f"pool{block}")(x)
            pools.append(layers.UnitNormalization(name=f"pool{block}_unit")(mean))
        if block < len(WIDTHS):
            x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    x = layers.Concatenate(name="pools")(pools)
    # No new filters: a change of axes that evens out how much each of them varies among letters.
    features = layers.Dense(x.shape[-1], kernel_initializer="zeros", name="features")(x)
    return keras.Model(image, features, name="letters")


def save(model: keras.Model, path: str | Path = WEIGHTS) -> None:
    """Write the weights of a `network` as float16 arrays, named by their paths in the model."""
    np.savez_compressed(path, **{w.path: w.numpy().astype("float16") for w in model.weights})


def load(size: tuple[int, int] = (SIZE, SIZE), path: str | Path = WEIGHTS) -> keras.Model:
    """Build the `network` with trained weights: those that are shipped, or what `save` wrote."""
    model = network(size)
    with np.load(path, allow_pickle=False) as stored:
        for weight in model.weights:
            weight.assign(stored[weight.path].astype("float32"))
    return model
