"""The small network that learned its filters from printed letters alone.

`tools/train_letters.py` trains it on rendered A-Z and a-z; it has never seen a digit. Used as a
frozen feature extractor it maps grey images of any size to vectors in which k-means finds the
ten handwritten digits. What it was trained on and how well it does stands in `data/letters.md`.
"""

from pathlib import Path

import keras
import numpy as np
from keras import layers

WEIGHTS = Path(__file__).parents[1] / "backbones" / "letters.npz"
SIZE = 24
WIDTHS = (32, 64, 128, 128)


def network(size: int = SIZE) -> keras.Model:
    """Build the network without trained weights.

    Parameters
    ----------
    size : int
        Side in pixels to which every image is resized inside the network.

    Returns
    -------
    keras.Model
        Input float32 of shape (n, height, width, 1): grey images of any size, 0..255.
        Output float32 of shape (n, 256): the last feature maps of blocks 3 and 4, averaged over
        their positions, scaled to length one, side by side and turned to the axes of `features`.
    """
    image = keras.Input((None, None, 1), name="image")
    x = layers.Resizing(size, size, interpolation="bilinear", name="resize")(image)
    x = layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(x)
    for block, width in enumerate(WIDTHS, 1):
        for conv in (1,) if block == 1 else (1, 2):
            name, side = f"block{block}_conv{conv}", 5 if block == 1 else 3
            x = layers.Conv2D(width, side, padding="same", use_bias=False, name=name)(x)
            x = layers.BatchNormalization(momentum=0.95, name=f"{name}_norm")(x)
            x = layers.ReLU(name=f"{name}_relu")(x)
        if block < len(WIDTHS):
            x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    pools = []
    for block in (3, 4):
        last = keras.Model(image, x).get_layer(f"block{block}_conv2_relu").output
        mean = layers.GlobalAveragePooling2D(name=f"pool{block}")(last)
        pools.append(layers.UnitNormalization(name=f"pool{block}_unit")(mean))
    x = layers.Concatenate(name="pools")(pools)
    # No new filters: a change of axes that evens out how much each of them varies among letters.
    features = layers.Dense(x.shape[-1], kernel_initializer="zeros", name="features")(x)
    return keras.Model(image, features, name="letters")


def save(model: keras.Model, path: str | Path = WEIGHTS) -> None:
    """Write a network's weights as plain float16 arrays.

    Parameters
    ----------
    model : keras.Model
        A network built by `network`.
    path : str or Path
        The .npz file to write; its arrays are named by the weights' paths in the model.
    """
    np.savez_compressed(path, **{w.path: w.numpy().astype("float16") for w in model.weights})


def load(trainable: bool = False, path: str | Path = WEIGHTS) -> keras.Model:
    """Build the network and fill in its trained weights.

    Parameters
    ----------
    trainable : bool
        Whether further training may change the weights.
    path : str or Path
        The .npz file that `save` wrote; the shipped weights by default.

    Returns
    -------
    keras.Model
        As `network` returns it, with float32 weights.
    """
    model = network()
    with np.load(path, allow_pickle=False) as stored:
        for weight in model.weights:
            weight.assign(stored[weight.path].astype("float32"))
    model.trainable = trainable
    return model
