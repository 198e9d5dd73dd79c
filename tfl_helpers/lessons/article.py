"""The network of the article that this series began with, repaired, and how it and others learn."""

from collections.abc import Sequence

import keras
import numpy as np

from tfl_helpers import backbones
from tfl_helpers.augment import training_batches
from tfl_helpers.datasets import FolderImages, ImageSet, as_images
from tfl_helpers.selflabel.labels import checked

Images = ImageSet | FolderImages | np.ndarray


def define_model(input_shape: Sequence[int], num_classes: int, *, seed: int = 0) -> keras.Model:
    """Build the article's network; as printed there it fails.

    A convolution ``base`` (32 filters, 3 x 3, he_normal, relu) and 2 x 2 max pooling; two
    transposed convolutions ``up1`` and ``up2`` (32, 3 x 3, relu) bring the pooled path back to
    size; both paths are added; a softmax layer ``output`` follows on their mean over all places.

    Parameters
    ----------
    input_shape : (int, int, int)
        Height and width, 8 or more each, odd ones too; 1 or 3 channels.
    num_classes, seed : int
        2 or more classes; the seed draws the initial weights.

    Returns
    -------
    keras.Model
        Raw images (b, h, w, c), 0..255, to probabilities (b, num_classes). Not compiled.

    Examples
    --------
    >>> define_model((28, 28, 1), 10).count_params()
    19146
    """
    shape, layers = tuple(input_shape), keras.layers
    if len(shape) != 3 or None in shape or min(shape[:2]) < 8 or shape[2] not in (1, 3):
        raise ValueError(f"input_shape must be (8 or more, 8 or more, 1 or 3), not {shape}")
    if num_classes < 2:
        raise ValueError(f"num_classes must be at least 2, not {num_classes}")
    relu = {"activation": "relu", "padding": "same"}
    he = keras.initializers.HeNormal(seed)
    glorot = [keras.initializers.GlorotUniform(seed + number) for number in range(1, 4)]
    image = keras.Input(shape, name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    base = layers.Conv2D(32, 3, kernel_initializer=he, name="base", **relu)(x)
    x = layers.MaxPooling2D(2, padding="same", name="pool")(base)
    x = layers.Conv2DTranspose(32, 3, 2, kernel_initializer=glorot[0], name="up1", **relu)(x)
    x = layers.Conv2DTranspose(32, 3, 1, kernel_initializer=glorot[1], name="up2", **relu)(x)
    if any(n % 2 for n in shape[:2]):  # an odd side came back one pixel too long
        x = layers.Cropping2D([(0, n % 2) for n in shape[:2]], name="crop")(x)
    x = layers.Add(name="add")([base, x])
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    end = layers.Dense(num_classes, "softmax", kernel_initializer=glorot[2], name="output")
    return keras.Model(image, end(x), name="article")


def trainable_copy(
    backbone: keras.Model, num_classes: int, *, pretrained: bool, seed: int = 0
) -> keras.Model:
    """Copy a backbone's convolutions, all free to learn, with a new softmax layer on their means.

    It takes raw images (b, h, w, c), 0..255, gives probabilities (b, num_classes), and is not
    compiled. Not `pretrained`, it has new weights, drawn by `seed`, as are those of the softmax
    layer: one architecture, which is the fair way to ask what the backbone's weights are worth.
    """
    keras.utils.set_random_seed(seed)
    network = backbones.network(backbone)
    last = [layer for layer in network.layers if len(layer.output.shape) == 4][-1]
    maps = keras.Model(network.inputs, last.output)
    copy = keras.models.clone_model(maps)
    if pretrained:
        copy.set_weights(maps.get_weights())
    copy.trainable = True
    for layer in copy.layers:
        layer.trainable = True
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9  # else its means are still those of the start after a few steps
    x = keras.layers.GlobalAveragePooling2D(name="mean")(copy(backbones.prepared(backbone)))
    output = keras.layers.Dense(num_classes, "softmax", name="output")(x)
    return keras.Model(backbone.inputs, output, name="pretrained" if pretrained else "fresh")


def train(
    model: keras.Model,
    images: Images,
    labels: np.ndarray,
    *,
    steps: int = 512,
    learning_rate: float = 2e-3,
    seed: int = 0,
) -> keras.Model:
    """Train any network on given labels, from changed copies, with cross-entropy.

    Parameters
    ----------
    model : keras.Model
        Raw images (b, h, w, c), 0..255, to probabilities (b, k); it is changed and returned.
    images, labels, learning_rate, seed
        As in `selflabel.self_label`; all images that are given are used.
    steps : int
        Batches of 64 images in all; `selflabel.self_label` uses rounds x steps.
    """
    kind, images = getattr(images, "name", "photos"), as_images(images)
    labels, _ = checked(labels, len(images))
    targets = np.eye(model.output_shape[-1], dtype="float32")[labels]
    model.compile(keras.optimizers.AdamW(learning_rate), "categorical_crossentropy")
    return _fit(model, images, targets, change=kind, seed=(seed,), steps=steps)


def autoencoder(
    images: Images, input_shape: Sequence[int], *, steps: int = 512, seed: int = 0
) -> keras.Model:
    """Train the article's network to draw its input again, with mean squared error.

    The pooled path of `define_model` (convolution, pooling, two transposed convolutions) ends in a
    convolution that draws the image; the direct path is left out, as it would only copy.

    It takes raw images (b, h, w, c), 0..255, and gives images 0..1; the arguments are those of
    `define_model` and `train`. ``backbones.from_layer(model, "up2")`` makes a backbone of it.
    """
    article = define_model(input_shape, 2, seed=seed)
    kernel = keras.initializers.GlorotUniform(seed + 4)
    options = {"padding": "same", "activation": "sigmoid", "kernel_initializer": kernel}
    draw = keras.layers.Conv2D(input_shape[2], 3, name="reconstruction", **options)
    pooled_path = article.get_layer("add").input[1]
    model = keras.Model(article.inputs, draw(pooled_path), name="autoencoder")
    model.compile(keras.optimizers.AdamW(2e-3), "mse")
    return _fit(model, as_images(images), None, change="", seed=(seed,), steps=steps)


def _fit(
    model: keras.Model, images: FolderImages | np.ndarray, targets: np.ndarray | None, **options
) -> keras.Model:
    """Train on batches of all images; the options are those of `training_batches`."""
    rows = np.arange(len(images))
    stream = training_batches(model, images, targets, rows, batch_size=64, **options)
    model.fit(stream, epochs=1, shuffle=False, verbose=0)
    return model
