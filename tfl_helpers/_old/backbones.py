"""Frozen pretrained networks, by name: raw images in, features out.

Every backbone is a plain Keras model of four parts: ``resize``, the network's own preprocessing,
``network`` and ``pool``. It takes raw images, 0..255 and of any size, so nobody scales twice.
"""

import difflib
import hashlib
import random
import shutil
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np
import pandas as pd

from tfl_helpers import datasets
from tfl_helpers._old import letters

PHOTO_SIZE = 224  # what most ImageNet networks were trained on; the others:
OWN_SIZES = {"InceptionV3": 299, "InceptionResNetV2": 299, "Xception": 299, "NASNetLarge": 331}
OWN_SIZES |= {f"EfficientNetB{1 + i}": s for i, s in enumerate((240, 260, 300, 380, 456, 528, 600))}
OWN_SIZES |= {f"EfficientNetV2B{1 + i}": s for i, s in enumerate((240, 260, 300))}
OWN_SIZES |= {"EfficientNetV2S": 384, "EfficientNetV2M": 480, "EfficientNetV2L": 480}
PIXELS = 16  # side of "pixels": more dimensions make k-means slower, not better
_POOLS = {
    "avg": keras.layers.GlobalAveragePooling2D,
    "max": keras.layers.GlobalMaxPooling2D,
    "flatten": keras.layers.Flatten,
}


class WeightsMissingError(FileNotFoundError):
    """Pretrained weights are nowhere to be found; the message says how to get them."""


def names() -> list[str]:
    """List the backbones that `load` knows by name.

    Returns
    -------
    list of str
        "letters" (embedded), "pixels" (no network at all) and all of `keras.applications`.

    Notes
    -----
    Taught in notebook 02.
    """
    made = [name for name in dir(keras.applications) if name[0].isupper()]
    return ["letters", "pixels", *made]


def suggested(data: str) -> dict[str, Any]:
    """Arguments of `load` that suit a set of images.

    Parameters
    ----------
    data : str
        A name that `datasets.load` takes.

    Returns
    -------
    dict
        The embedded backbone for drawn characters and clothes; MobileNetV2 for photos.

    Notes
    -----
    Taught in notebook 02.
    """
    if data in ("digits", "mnist", "fashion_mnist"):
        return {"name": "letters"}
    if data == "drawn_streets":  # twice as tall as wide, like its crops
        return {"name": "letters", "size": (48, 24)}
    sizes = {"cifar10": 128, "pedestrians": (160, 96)}
    return {"name": "MobileNetV2", "size": sizes.get(data, 160)}


def load(
    name: str = "letters",
    *,
    size: int | tuple[int, int] | None = None,
    layer: str | None = None,
    pooling: str | None = "avg",
    weights: str | None = "imagenet",
    seed: int = 0,
) -> keras.Model:
    """Load a backbone, frozen.

    Parameters
    ----------
    name : str
        One of `names`.
    size : int or (int, int), optional
        Height and width that the network sees. By default what it was trained on (224 for most
        ImageNet networks), 16 for pixels.
    layer : str, optional
        Stop at this inner layer (see `layers`); by default at the last.
    pooling : {"avg", "max", "flatten", None}
        From maps (h, w, c) to features: mean or maximum over places, all values, or the maps. The
        end of the embedded backbone pools by itself; there it matters only with `layer`.
    weights : {"imagenet", None}
        None: random weights, to compare with. The embedded backbone has its own and ignores this.
    seed : int
        Draws random weights.

    Returns
    -------
    keras.Model
        Images (b, h, w, 3), or (b, h, w, 1) for the embedded one, float 0..255, any size, to
        float32 features (b, d). Nothing in it is trainable; batch normalisation is in inference
        mode.

    Raises
    ------
    ValueError
        No such backbone, layer or pooling; near matches are named.
    WeightsMissingError
        The weights are not in the Keras cache and cannot be downloaded.

    Notes
    -----
    Taught in notebook 02.
    """
    _known(name, names(), "backbone")
    if pooling is not None:
        _known(pooling, list(_POOLS), "pooling")
    if name == "pixels":
        shape = (*_pair(size or PIXELS), 3)
        image = keras.Input(shape)
        network = keras.Model(image, keras.layers.Identity(name="pixels")(image))
        return _assemble(
            name,
            network,
            [keras.layers.Rescaling(1 / 255, name="preprocess")],
            "flatten",
            size or PIXELS,
        )
    if name == "letters":
        whole = letters.load()
        scaled = whole.get_layer("rescale")
        end = whole.output if layer is None else _output(whole, layer)
        part = keras.Model(scaled.output, end)
        image = keras.Input((*_pair(size or letters.SIZE), 1))
        network = keras.models.clone_model(part, input_tensors=image)  # of its own, for any size
        network.set_weights(part.get_weights())
        before = [keras.layers.Rescaling(scaled.scale, scaled.offset, name="preprocess")]
        pooling = pooling if layer else None  # its own end pools two layers, see letters.network
        return _assemble(name, network, before, pooling, size or letters.SIZE, layer)
    size = _pair(size or OWN_SIZES.get(name, PHOTO_SIZE))
    network = _application(name, size, weights, seed)
    if layer is not None:
        network = keras.Model(network.inputs, _output(network, layer))
    return _assemble(name, network, _preprocessing(name), pooling, size, layer)


def cut(
    model: keras.Model, layer: str, *, pooling: str | None = "avg", name: str | None = None
) -> keras.Model:
    """Make a frozen backbone of any Keras model that takes raw images.

    Parameters
    ----------
    model : keras.Model
        Images (b, h, w, c), 0..255.
    layer : str
        Its layer to stop at.
    pooling : {"avg", "max", "flatten", None}
        As in `load`.
    name : str, optional
        Name of the backbone; by default that of `model`.

    Returns
    -------
    keras.Model
        As `load` returns it; it shares its weights with `model`.

    Notes
    -----
    Taught in notebook 02.
    """
    network = keras.Model(model.inputs, _output(model, layer))
    size = None if None in model.input_shape[1:3] else model.input_shape[1:3]
    return _assemble(name or model.name, network, [], pooling, size, layer)


def several(backbone: keras.Model, layers: Sequence[str]) -> keras.Model:
    """Put the features of several inner layers side by side.

    Parameters
    ----------
    backbone : keras.Model
        From `load`.
    layers : sequence of str
        Inner layers (see `layers`); each is averaged over all places.

    Returns
    -------
    keras.Model
        As `load` returns it; it shares its weights with `backbone`.

    Raises
    ------
    ValueError
        No layer is named, or there is no such layer; near matches are named.

    Notes
    -----
    Taught in notebook 03.
    """
    if not len(layers):
        raise ValueError("name one layer or more: backbones.layers lists them")
    network = backbone.get_layer("network")
    maps = [_output(network, layer) for layer in layers]
    means = [keras.layers.GlobalAveragePooling2D()(x) if len(x.shape) == 4 else x for x in maps]
    joined = means[0] if len(means) == 1 else keras.layers.Concatenate(name="several")(means)
    network = keras.Model(network.inputs, joined, name="network")
    at = [layer.name for layer in backbone.layers].index("network")
    x = network(backbone.layers[at - 1].output, training=False)
    model = keras.Model(backbone.input, x, name="_".join([backbone.name, *layers]))
    model.trainable = False
    return model


def layers(backbone: keras.Model) -> pd.DataFrame:
    """List the inner layers that `load` can be asked to stop at.

    Parameters
    ----------
    backbone : keras.Model
        From `load`.

    Returns
    -------
    pandas.DataFrame
        `layer`, `type`, `output` (height x width x channels), `parameters`.

    Notes
    -----
    Taught in notebook 02.
    """
    rows = [
        (
            inner.name,
            type(inner).__name__,
            " x ".join(str(n) for n in inner.output.shape[1:]),
            inner.count_params(),
        )
        for inner in backbone.get_layer("network").layers[1:]
    ]
    return pd.DataFrame(rows, columns=["layer", "type", "output", "parameters"])


def prepare(backbone: keras.Model, images: np.ndarray) -> np.ndarray:
    """Resize and scale images as a backbone does, and stop before its network.

    Parameters
    ----------
    backbone : keras.Model
        From `load`.
    images : array (n, h, w, 1 or 3)
        Raw, 0..255.

    Returns
    -------
    np.ndarray
        float32, ready for ``backbone.get_layer("network")``.

    Notes
    -----
    Taught in notebook 02.
    """
    place = [inner.name for inner in backbone.layers].index("network")
    first = keras.Model(backbone.inputs, backbone.layers[place - 1].output)
    ready = datasets.batches(images, channels=backbone.input_shape[-1])
    return np.concatenate([first(batch).numpy() for batch in ready])


def unfreeze(backbone: keras.Model, from_layer: str) -> keras.Model:
    """Make the end of a backbone trainable; batch normalisation stays frozen.

    Parameters
    ----------
    backbone : keras.Model
        From `load`; it is changed and returned.
    from_layer : str
        The first inner layer (see `layers`) whose weights may change.

    Returns
    -------
    keras.Model
        The same backbone.

    Raises
    ------
    ValueError
        There is no such layer.

    Notes
    -----
    Taught in notebook 02.
    """
    network = backbone.get_layer("network")
    inner = [inner.name for inner in network.layers]
    start = inner.index(_known(from_layer, inner, "layer"))
    backbone.trainable = True
    for place, part in enumerate(network.layers):
        still = isinstance(part, keras.layers.BatchNormalization)
        part.trainable = place >= start and not still
    for part in backbone.layers:
        if part.name != "network":
            part.trainable = False
    return backbone


def from_hub(
    handle: str | Path,
    *,
    size: int | tuple[int, int] | None,
    channels: int = 3,
    scale: float = 1 / 255,
) -> keras.Model:
    """Load a network of TF-Hub, or any SavedModel folder, as a frozen backbone.

    `hub.KerasLayer` belongs to Keras 2 and fails in Keras 3; `hub.load` works, and as nothing here
    is trained, nothing is lost.

    Parameters
    ----------
    handle : str or Path
        Address on TF-Hub, or a folder.
    size : int, (int, int) or None
        Height and width that the network expects; None: any.
    channels : int
        1 or 3.
    scale : float
        What raw values are multiplied with. Networks on TF-Hub expect 0..1.

    Returns
    -------
    keras.Model
        As `load` returns it.

    Raises
    ------
    WeightsMissingError
        Nothing can be loaded from there.
    ValueError
        It takes no images of this size.

    Notes
    -----
    Taught in notebook 02.
    """
    handle = str(handle)
    if "://" in handle and datasets.offline():
        raise WeightsMissingError(
            f"{handle} is on the network and TFL_OFFLINE=1 forbids it: unset it, or give a folder"
        )
    import tensorflow_hub as hub  # needs setuptools < 82; slow, so only here

    try:
        loaded = hub.load(handle)
    except (OSError, ValueError) as error:
        raise WeightsMissingError(
            f"no SavedModel at {handle}: {error}. Give a TF-Hub address (and a network), or a "
            "folder that holds saved_model.pb"
        ) from error
    image = keras.Input((*(_pair(size) if size else (None, None)), channels))
    try:
        output = _SavedModel(loaded, _digest(handle), name="saved_model")(image)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{handle} takes no images {image.shape[1:]}: give the size=(height, width) and "
            "channels that it expects"
        ) from error
    network = keras.Model(image, output)
    pooling = "avg" if len(network.output_shape) == 4 else None
    before = [] if scale == 1 else [keras.layers.Rescaling(scale, name="preprocess")]
    return _assemble(Path(handle).name or "hub", network, before, pooling, size)


def define_model(input_shape: Sequence[int], num_classes: int, *, seed: int = 0) -> keras.Model:
    """Build the article's network, repaired.

    A convolution ``base`` (32 filters, 3 x 3, he_normal, relu) and 2 x 2 max pooling; two
    transposed convolutions ``up1`` and ``up2`` (32, 3 x 3, relu) bring the pooled path back to
    size; both paths are added; a softmax layer ``output`` follows on their mean over all places.

    Parameters
    ----------
    input_shape : (int, int, int)
        Height and width, 8 or more each, odd ones too; 1 or 3 channels.
    num_classes : int
        2 or more.
    seed : int
        Draws the initial weights.

    Returns
    -------
    keras.Model
        Raw images (b, h, w, c), 0..255, to probabilities (b, num_classes). Not compiled.

    Raises
    ------
    ValueError
        The shape or the number of classes makes no sense.

    Notes
    -----
    As printed it fails: a layer is called on a shape, a tensor is appended to, and unlike shapes
    are added. Taught in notebook 02.
    """
    shape = tuple(input_shape)
    if len(shape) != 3 or None in shape or min(shape[:2]) < 8 or shape[2] not in (1, 3):
        raise ValueError(
            f"input_shape must be (height, width, channels), at least (8, 8) and 1 or 3 channels, "
            f"not {shape}"
        )
    if num_classes < 2:
        raise ValueError(f"num_classes must be at least 2, not {num_classes}")
    look = {"activation": "relu", "padding": "same"}
    image = keras.Input(shape, name="image")
    x = keras.layers.Rescaling(1 / 255, name="rescale")(image)
    he = keras.initializers.HeNormal(seed)
    base = keras.layers.Conv2D(32, 3, kernel_initializer=he, name="base", **look)(x)
    x = keras.layers.MaxPooling2D(2, padding="same", name="pool")(base)
    for number, strides in enumerate((2, 1), 1):
        start = keras.initializers.GlorotUniform(seed + number)
        x = keras.layers.Conv2DTranspose(
            32, 3, strides, kernel_initializer=start, name=f"up{number}", **look
        )(x)
    if any(n % 2 for n in shape[:2]):  # an odd side came back one pixel too long
        x = keras.layers.Cropping2D([(0, n % 2) for n in shape[:2]], name="crop")(x)
    x = keras.layers.Add(name="add")([base, x])
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    end = keras.initializers.GlorotUniform(seed + 3)
    output = keras.layers.Dense(
        num_classes, activation="softmax", kernel_initializer=end, name="output"
    )(x)
    return keras.Model(image, output, name="article")


def weights_file(
    fname: str, origin: str, cache_subdir: str = "models", file_hash: str | None = None, **_: Any
) -> str:
    """Find a weights file in the Keras cache or download it; stands in for Keras's `get_file`.

    Keras's own overlooks a cache it may not write to, and can leave half a file behind.

    Parameters
    ----------
    fname, origin, cache_subdir, file_hash
        As Keras gives them: name, address, folder in the cache, hash if it knows one.

    Returns
    -------
    str
        The file's path.

    Raises
    ------
    WeightsMissingError
        It is not there and cannot be downloaded.
    """
    path = datasets.keras_home() / cache_subdir / fname
    if path.exists():
        return str(path)
    how = (
        f"the weights file {fname} is not in {cache_subdir}/ of the Keras cache (KERAS_HOME). On a "
        "machine with a network run `python -m tfl_helpers prefetch --out DIR --backbone NAME`, "
        "bring DIR here and set KERAS_HOME=DIR/keras; or pass weights=None for random weights"
    )
    if datasets.offline():
        raise WeightsMissingError(how + "; or unset TFL_OFFLINE to download them")
    try:
        datasets.download(origin, path, file_hash)
    except OSError as error:
        raise WeightsMissingError(f"{how} (download: {error})") from error
    return str(path)


def copy_to_bundle(
    name: str, folder: str | Path, *, size: int | Sequence[int] = PHOTO_SIZE
) -> list[Path]:
    """Copy the weights of an ImageNet backbone, wherever they are found, into a bundle.

    Parameters
    ----------
    name : str
        A name of `keras.applications`.
    folder : str or Path
        Later the value of KERAS_HOME.
    size : int or (int, int)
        Height and width; some networks have other weights for other sizes.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ValueError
        No such backbone, or one that needs no weights.
    WeightsMissingError
        They are not in the Keras cache and cannot be downloaded.

    Notes
    -----
    Taught in notebook 00.
    """
    _known(name, [known for known in names() if known[0].isupper()], "ImageNet backbone")
    written = []

    def copy(*args: Any, **options: Any) -> str:
        source = Path(weights_file(*args, **options))
        target = Path(folder) / "models" / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(".part")
        shutil.copyfile(source, part)
        part.replace(target)  # never half a file under the right name
        written.append(target)
        return str(target)

    _application(name, _pair(size), "imagenet", 0, copy)
    return written


@keras.saving.register_keras_serializable("tfl_helpers")
class _SavedModel(keras.layers.Layer):
    """A loaded SavedModel, frozen; `digest` tells one content from another."""

    def __init__(self, loaded: Any, digest: str, **options: Any) -> None:
        super().__init__(trainable=False, **options)
        self.loaded, self.digest = loaded, digest

    def call(self, images: Any) -> Any:
        if callable(self.loaded):
            return self.loaded(images)
        serve = self.loaded.signatures["serving_default"]
        (name,) = serve.structured_input_signature[1]
        return next(iter(serve(**{name: images}).values()))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "digest": self.digest}


def _assemble(
    name: str,
    network: keras.Model,
    before: list[keras.layers.Layer],
    pooling: str | None,
    size: Any,
    layer: str | None = None,
) -> keras.Model:
    """Chain resize, preprocessing, network and pooling into one frozen model."""
    image = keras.Input((None, None, network.input_shape[-1]), name="image")
    parts = ["_".join(name.split())]
    x = image
    if size is not None:
        height, width = _pair(size)
        x = keras.layers.Resizing(height, width, name="resize")(x)
        parts.append(f"{height}x{width}")
    for part in before:
        x = part(x)
    network.name = "network"
    x = network(x, training=False)
    if pooling is not None:
        if len(x.shape) != 4:
            raise ValueError(f"{layer} gives no maps (its shape is {x.shape}): use pooling=None")
        x = _POOLS[pooling](name="pool")(x)
    parts += [part for part in (layer, pooling) if part]
    model = keras.Model(image, x, name="_".join(parts))
    model.trainable = False
    return model


def _application(
    name: str,
    size: tuple[int, int],
    weights: str | None,
    seed: int,
    find: Callable[..., str] | None = None,
) -> keras.Model:
    """Build a network of `keras.applications` without its top; `find` finds its weights."""
    make = getattr(keras.applications, name)
    state = random.getstate()  # Keras draws the seeds of its initialisers from here
    random.seed(seed)
    try:
        get_file = mock.patch("keras.src.utils.file_utils.get_file", find or weights_file)
        with get_file, warnings.catch_warnings():
            # A size that is not square takes the weights trained at 224: as good as any.
            warnings.filterwarnings("ignore", "`input_shape` is undefined or non-square")
            return make(include_top=False, weights=weights, input_shape=(*size, 3))
    finally:
        random.setstate(state)


def _preprocessing(name: str) -> list[keras.layers.Layer]:
    """Turn an application's `preprocess_input` into plain layers.

    Each is affine in the three channels, so feeding it black, red, green and blue reads it off.
    """
    module = sys.modules[getattr(keras.applications, name).__module__]
    colours = np.vstack([np.zeros(3), 255 * np.eye(3)]).astype("float32")
    black, *rest = module.preprocess_input(colours.reshape(4, 1, 1, 3).copy()).reshape(4, 3)
    matrix = (np.array(rest) - black) / 255  # (channel in, channel out)
    scale = np.diag(matrix)
    if not np.allclose(matrix, np.diag(scale), atol=1e-7):  # the channels change places
        mix = keras.layers.Conv2D(3, 1, trainable=False, name="preprocess")
        mix.build((None, None, None, 3))
        mix.set_weights([matrix[None, None], black])
        return [mix]
    if np.allclose(scale, 1, atol=1e-6) and np.allclose(black, 0):
        return []
    return [keras.layers.Rescaling(scale.tolist(), black.tolist(), name="preprocess")]


def _output(model: keras.Model, layer: str) -> Any:
    return model.get_layer(_known(layer, [inner.name for inner in model.layers], "layer")).output


def _known(name: str, known: list[str], what: str) -> str:
    """Return the name if it is known, else raise naming near matches."""
    if name in known:
        return name
    lower = {option.lower(): option for option in known}
    near = [lower[n] for n in difflib.get_close_matches(str(name).lower(), lower, n=5, cutoff=0.5)]
    hint = "did you mean " + ", ".join(near) if near else "there are " + ", ".join(known)
    raise ValueError(f"no {what} is called {name!r}; {hint}")


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    pair = (size, size) if np.isscalar(size) else tuple(size)
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(f"size is one number or (height, width), not {size}")
    return int(pair[0]), int(pair[1])


def _digest(handle: str) -> str:
    """Content of a SavedModel folder, or the address, as a short text."""
    content = hashlib.sha256(handle.encode())
    if Path(handle).is_dir():
        content = hashlib.sha256()
        for path in sorted(Path(handle).rglob("*")):
            if path.is_file():
                content.update(path.read_bytes())
    return content.hexdigest()
