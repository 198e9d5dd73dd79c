"""What a backbone is, and what can be asked of any.

A backbone is a plain Keras model that takes raw images, 0..255 and of any size, and gives features.
Its layers are ``resize`` (absent where any size will do), ``preprocess`` (absent where the network
takes raw values), ``network`` (a frozen model) and ``pool`` (absent where the network pools).
"""

import difflib
import re
from collections.abc import Sequence
from numbers import Integral

import keras
import numpy as np
import pandas as pd
import psutil
import tensorflow as tf
from sklearn.utils import check_scalar

from tfl_helpers import datasets

POOLS = {
    "avg": keras.layers.GlobalAveragePooling2D,
    "max": keras.layers.GlobalMaxPooling2D,
    "flatten": keras.layers.Flatten,
}
MOST_MEMORY = 2e9  # bytes that a batch may take


def assemble(
    name: str,
    network: keras.Model,
    *,
    preprocess: keras.layers.Layer | None = None,
    pooling: str | None = "avg",
    size: tuple[int, int] | None = None,
    layer: str | None = None,
) -> keras.Model:
    """Chain resize, preprocess, network and pool, as in `load`, into one frozen backbone."""
    if pooling is not None:
        look_up(pooling, list(POOLS), "pooling")
    if layer is not None:
        network = keras.Model(network.inputs, layer_output(network, layer))
    elif len(network.output_shape) == 2:
        pooling = None  # it pools by itself
    network.name = "network"
    x = image = keras.Input((None, None, network.input_shape[-1]), name="image")
    if size is not None:
        x = keras.layers.Resizing(*size, name="resize")(x)
    if preprocess is not None:
        x = preprocess(x)
    x = network(x, training=False)
    if pooling is not None:
        if len(x.shape) != 4:
            raise ValueError(
                f"{layer or name} gives no maps (its shape is {x.shape}): use pooling=None, or "
                "layer= with one that does"
            )
        x = POOLS[pooling](name="pool")(x)
    about = [f"{size[0]}x{size[1]}" if size else None, layer, pooling]
    about = [*re.split(r"[^\w.-]+", name), *filter(None, about)]  # what TensorFlow takes as a name
    model = keras.Model(image, x, name="_".join(about))
    model.trainable = False
    return model


def check(backbone: object) -> None:
    """Raise a TypeError unless this is a Keras model."""
    if not isinstance(backbone, keras.Model):
        raise TypeError(
            f"a backbone is a Keras model, not {backbone!r}: take backbones.load(name), or "
            "backbones.from_layer(model, layer)"
        )


def network(backbone: keras.Model) -> keras.Model:
    """Return the network inside a backbone: prepared images to maps or features."""
    if len(inner := parts(backbone)) > 1:
        raise ValueError(
            f"{backbone.name} is {len(inner)} networks side by side: take one, such as "
            "backbones.parts(backbone)[0]"
        )
    return backbone.get_layer("network")


def parts(backbone: keras.Model) -> list[keras.Model]:
    """List the backbones that a joined one was made of; of any other, itself."""
    if "joined" not in [layer.name for layer in backbone.layers]:
        return [backbone]
    return [layer for layer in backbone.layers if isinstance(layer, keras.Model)]


def at_size(network: keras.Model, size: tuple[int | None, int | None]) -> keras.Model:
    """Copy a network with all its weights for images of another size, (None, None): of any."""
    try:
        image = keras.Input((*size, network.inputs[0].shape[-1]))
        image = keras.tree.pack_sequence_as(network.input, [image])
        other = keras.models.clone_model(network, input_tensors=image)
        other.set_weights(network.get_weights())
    except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
        own = network.inputs[0].shape[1:3]
        raise ValueError(f"this network takes images of {own} alone, not of {size}") from error
    other.name, other.trainable = network.name, False
    return other


def input_size(model: keras.Model) -> tuple[int, int] | None:
    """Height and width that a backbone, or another model of images, sees; None: any.

    Of a joined backbone the largest that one of its parts sees.
    """
    if len(inner := parts(model)) > 1:
        sizes = [size for part in inner if (size := input_size(part))]
        return tuple(np.max(sizes, axis=0).tolist()) if sizes else None
    for layer in model.layers[:2]:
        if isinstance(layer, keras.layers.Resizing):
            return layer.height, layer.width
    height, width = model.input_shape[1:3]
    return None if None in (height, width) else (height, width)


def fitting_batch(backbone: keras.Model, batch_size: int) -> int:
    """Most images, up to `batch_size`, that go through a backbone in about 2 GB of memory.

    A ValueError says how much one image needs where that is more than there is.
    """
    check_scalar(batch_size, "batch_size", Integral, min_val=1)
    maps = [0]
    parts = [part for layer in backbone.layers for part in getattr(layer, "layers", [layer])]
    for layer in parts if input_size(backbone) else ():
        tensors = [*keras.tree.flatten(layer.input), *keras.tree.flatten(layer.output)]
        shapes = [[side or 0 for side in tensor.shape[1:]] for tensor in tensors]
        maps.append(sum(np.prod(shape, dtype=float) for shape in shapes))
    needed = 3 * 4 * max(maps)  # bytes: float32, and what a convolution needs besides
    if needed > (free := psutil.virtual_memory().available):
        raise ValueError(
            f"{backbone.name} needs about {needed / 1e9:.0f} GB for one image, and "
            f"{free / 1e9:.0f} GB are free: choose a smaller size"
        )
    return max(min(batch_size, int(MOST_MEMORY / max(needed, 1))), 1)


def from_layer(model: keras.Model, layer: str, *, pooling: str | None = "avg") -> keras.Model:
    """Make a frozen backbone, as `load` returns it, of any Keras model that takes raw images.

    The model takes images (b, h, w, c), 0..255, and shares its weights with the backbone, which
    stops at the `layer` of that name and is pooled as in `load`.
    """
    check(model)
    shape = model.input_shape[1:3]
    size = None if None in shape else shape
    return assemble(model.name, model, pooling=pooling, size=size, layer=layer)


def inner_layers(backbone: keras.Model) -> pd.DataFrame:
    """List the inner layers that `load` can be asked to stop at.

    Columns: `layer`, `type`, `output` (height x width x channels), `parameters`.
    """
    check(backbone)
    inner = network(backbone).layers[1:]
    table = {
        "layer": [layer.name for layer in inner],
        "type": [type(layer).__name__ for layer in inner],
        "output": [" x ".join(map(str, layer.output.shape[1:])) for layer in inner],
        "parameters": [layer.count_params() for layer in inner],
    }
    return pd.DataFrame(table)


def prepare(backbone: keras.Model, images: np.ndarray) -> np.ndarray:
    """Resize and scale raw images (n, h, w, 1 or 3), 0..255, as the network takes them."""
    first = keras.Model(backbone.inputs, prepared(backbone))
    ready = datasets.batches(images, channels=backbone.input_shape[-1])
    return np.concatenate([first(batch).numpy() for batch in ready])


def prepared(backbone: keras.Model) -> keras.KerasTensor:
    """Return the symbolic input of a backbone's network: its images, resized and scaled."""
    return backbone.layers[backbone.layers.index(network(backbone)) - 1].output


def unfreeze(backbone: keras.Model, from_layer: str) -> keras.Model:
    """Make the end of a backbone trainable, from an inner layer (see `inner_layers`) on.

    Batch normalisation stays frozen. The backbone is changed and returned.
    """
    layers = network(backbone).layers
    names = [layer.name for layer in layers]
    start = names.index(look_up(from_layer, names, "layer"))
    backbone.trainable = True
    for layer in backbone.layers:
        layer.trainable = layer is network(backbone)
    for place, layer in enumerate(layers):
        layer.trainable = place >= start
        for inner in _with_inner(layer):
            inner.trainable &= not isinstance(inner, keras.layers.BatchNormalization)
    return backbone


def _with_inner(layer: keras.Layer) -> list[keras.Layer]:
    """List a layer and those that it is built of."""
    found = [layer]
    for one in found:  # it grows
        for value in vars(one).values():
            several = value if isinstance(value, list | tuple) else [value]
            inner = [x for x in several if isinstance(x, keras.Layer)]
            found += [x for x in inner if all(x is not known for known in found)]
    return found


def layer_output(model: keras.Model, layer: str) -> keras.KerasTensor:
    """Return the symbolic output of a layer; an unknown name is an error that names near ones."""
    return model.get_layer(look_up(layer, [one.name for one in model.layers], "layer")).output


def look_up(name: str, known: Sequence[str], what: str) -> str:
    """Return `name` if it is known, else raise a ValueError that names near matches."""
    if name in known:
        return name
    lower = {option.lower(): option for option in known}
    near = [lower[n] for n in difflib.get_close_matches(str(name).lower(), lower, n=5, cutoff=0.5)]
    hint = "did you mean " + ", ".join(near) if near else "there are " + ", ".join(known)
    raise ValueError(f"no {what} is called {name!r}; {hint}")


def pair(size: int | Sequence[int]) -> tuple[int, int]:
    """Turn a size, or height and width, into (height, width)."""
    both = (size, size) if np.isscalar(size) else tuple(size)
    if len(both) != 2 or not all(isinstance(side, Integral) and side >= 1 for side in both):
        raise ValueError(f"size is one number or (height, width), whole and from 1, not {size!r}")
    return int(both[0]), int(both[1])
