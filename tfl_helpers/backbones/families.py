"""Backbones by name. To add a family: write how it is built, and enter its names in `FAMILIES`."""

import functools
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from tfl_helpers import datasets
from tfl_helpers.backbones import letters
from tfl_helpers.backbones.contract import assemble, look_up, pair
from tfl_helpers.backbones.files import SUFFIXES, load_file
from tfl_helpers.backbones.joined import join
from tfl_helpers.backbones.presets import is_preset, load_preset
from tfl_helpers.backbones.weights import APPLICATIONS, find_weights

_MEAN, _STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])  # of ImageNet


def load(
    name: str = "letters",
    *,
    size: int | tuple[int, int] | None = None,
    layer: str | None = None,
    pooling: str | None = "avg",
    weights: str | None = "imagenet",
    seed: int = 0,
) -> keras.Model:
    """Load a frozen backbone.

    Parameters
    ----------
    name : str
        One of `names`; a file of Keras (.keras, .h5) that takes raw images; a preset of KerasHub,
        such as "dinov2_small", hf://..., kaggle://... or a folder (`presets`, which says what of
        each is taken); or two or three of these side by side, such as
        "MobileNetV2:128+EfficientNetB0", the features of each scaled to length one (`join`).
    size : int or (int, int), optional
        Height and width that the network sees; by default what it was trained on. Of one network
        it may be told in the name, too: "MobileNetV2:128", "MobileNetV2:160x96".
    layer : str, optional
        Stop at this inner layer (see `inner_layers`); by default at the last.
    pooling : {"avg", "max", "flatten", None}
        From maps to features: mean or maximum over places, all values, or the maps themselves.
        A network that ends in features, as "letters" does, is pooled with `layer` only.
    weights : {"imagenet", None}
        None: random weights, drawn by `seed`. The embedded backbone always has its own.
    seed : int
        Of random weights.

    Returns
    -------
    keras.Model
        Images (b, h, w, 3), or (b, h, w, 1) for "letters", 0..255, of any size, to float32
        features (b, d). Nothing in it is trainable; batch normalisation is in inference mode.

    Raises
    ------
    ValueError, WeightsMissingError
        No such backbone, layer or pooling; a file that is no network of images; its weights are
        neither here nor to be downloaded.

    Examples
    --------
    >>> load("letters")(np.zeros((2, 8, 8, 1))).shape
    TensorShape([2, 256])
    """
    if "+" in (name := str(name)) and not Path(name).expanduser().exists():
        if layer is not None:
            raise ValueError(f"{name} has no layer {layer!r} of its own: join backbones.load(...)s")
        options = {"size": size, "pooling": pooling, "weights": weights, "seed": seed}
        return join([load(part.strip(), **options) for part in name.split("+")])
    if told := re.fullmatch(r"(.+):(\d+)(?:x(\d+))?", name):
        name, size = told[1], (int(told[2]), int(told[3] or told[2]))
    if is_preset(name):
        options = {"layer": layer, "pooling": pooling, "weights": weights}
        return load_preset(name, size=size and pair(size), **options)
    if Path(name).suffix in SUFFIXES or Path(name).is_file():
        return load_file(name, size=size and pair(size), layer=layer, pooling=pooling)
    family = FAMILIES[look_up(name, list(FAMILIES), "backbone")]
    size, preprocess = pair(size or family.size), SCALINGS[family.scaling]()
    network = family.build(name, size, weights, seed)
    return assemble(name, network, preprocess=preprocess, pooling=pooling, size=size, layer=layer)


def names() -> list[str]:
    """List the backbones that `load` knows: "letters", "pixels", all of `keras.applications`."""
    return list(FAMILIES)


def suggested(data: str) -> dict[str, Any]:
    """Return arguments of `load` that suit a set of images, by its name in `datasets.load`."""
    return dict(datasets.describe(data).backbone)


class Family(NamedTuple):
    """How a network is built, for which size, and what is done to raw images before."""

    build: Callable[..., keras.Model]  # of name, (height, width), weights, seed: see `load`
    size: int  # side of the images that it was trained on
    scaling: str | None  # one of `SCALINGS`


def _pixels(name: str, size: tuple[int, int], *_: Any) -> keras.Model:
    """Build a network that gives the pixels themselves."""
    image = keras.Input((*size, 3))
    return keras.Model(image, keras.layers.Flatten(name="pixels")(image))


def _application(name: str, size: tuple[int, int], weights: str | None, seed: int) -> keras.Model:
    """Build a network of `keras.applications` without its top."""
    if weights is not None:
        look_up(weights, ["imagenet"], "set of weights")
        weights = str(find_weights(name, size))
    state = random.getstate()  # Keras draws the seeds of its initialisers from here
    random.seed(seed)
    try:
        make = getattr(keras.applications, name)
        network = make(include_top=False, weights=weights, input_shape=(*size, 3))
    finally:
        random.setstate(state)
    if weights is not None and name.startswith("EfficientNetB"):
        # They were trained on images divided by the square root of their deviation once more,
        # which Keras adds only if it looks for the file itself.
        (normalise,) = (x for x in network.layers if isinstance(x, keras.layers.Normalization))
        mean, variance, count = normalise.get_weights()
        normalise.set_weights([mean, variance * _STD, count])
        normalise.finalize_state()
    return network


def _bgr() -> keras.layers.Layer:
    """Turn RGB into BGR around the mean, as Caffe did."""
    mix = keras.layers.Conv2D(3, 1, trainable=False, name="preprocess")
    mix.build((None, None, None, 3))
    mix.set_weights([np.eye(3)[None, None, ::-1], -np.array([103.939, 116.779, 123.68])])
    return mix


_rescaling = functools.partial(keras.layers.Rescaling, name="preprocess")
SCALINGS = {  # the names are those of `keras.applications.imagenet_utils.preprocess_input`
    None: lambda: None,
    "unit": functools.partial(_rescaling, 1 / 255),
    "tf": functools.partial(_rescaling, 1 / 127.5, -1.0),
    "torch": functools.partial(_rescaling, (1 / 255 / _STD).tolist(), (-_MEAN / _STD).tolist()),
    "caffe": _bgr,
}
FAMILIES = {
    "letters": Family(lambda name, size, *_: letters.load(size), letters.SIZE, "tf"),
    "pixels": Family(_pixels, 16, "unit"),  # larger makes k-means slower, not better
}
for _name, _about in APPLICATIONS.items():
    FAMILIES[_name] = Family(_application, _about["size"], _about["scaling"])
