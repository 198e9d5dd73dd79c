"""Several networks side by side, and several looks at an image: mirrored, larger, smaller."""

from collections.abc import Sequence
from numbers import Real
from typing import NamedTuple

import keras
import numpy as np

from tfl_helpers.backbones.contract import at_size, check, input_size, network, parts

MIRROR = "mirror"
GREY = (0.2989, 0.587, 0.114)  # shares of red, green and blue in brightness
Looks = str | float | Sequence[str | float] | None


class View(NamedTuple):
    """One of the images that a backbone sees of each: in its `input_size`, as it is or mirrored."""

    backbone: keras.Model
    mirrored: bool = False

    @property
    def name(self) -> str:
        """What tells it from others, such as "MobileNetV2_128x128_avg mirror"."""
        return self.backbone.name + f" {MIRROR}" * self.mirrored


def join(backbones: Sequence[keras.Model]) -> keras.Model:
    """Put the features of several backbones side by side, each part scaled to length one.

    Length one makes them comparable without any data. Where they are to be centred too, that is
    done per part on features that were extracted, as `features.normaliser` does.
    """
    if len(backbones) == 1:
        return backbones[0]
    if len({one.name for one in backbones}) < len(backbones):
        raise ValueError(f"the same network twice: {', '.join(one.name for one in backbones)}")
    channels = max(one.input_shape[-1] for one in backbones)
    image, units = keras.Input((None, None, channels), name="image"), []
    for number, one in enumerate(backbones, 1):
        z = one(in_channels(image, one.input_shape[-1], f"grey_{number}"), training=False)
        units.append(keras.layers.UnitNormalization(name=f"unit_{number}")(z))
    side_by_side = keras.layers.Concatenate(name="joined")(units)
    model = keras.Model(image, side_by_side, name="_and_".join(one.name for one in backbones))
    model.trainable = False
    return model


def views(backbone: keras.Model, looks: Looks = None) -> list[View]:
    """List what a backbone that is not joined sees of each image, by `looks` as in `extract`."""
    looks = [] if looks is None else [looks] if isinstance(looks, str | Real) else list(looks)
    factors = [look for look in looks if look != MIRROR] or [1.0]
    if not all(isinstance(f, Real) and 0.1 <= f <= 10 for f in factors):
        raise ValueError(f'looks are "{MIRROR}" and factors of the size (0.1 to 10), not {looks}')
    own, found = input_size(backbone), []
    if own is None and set(factors) != {1}:
        raise ValueError(f"{backbone.name} has no size to be changed: load it with size=")
    for factor in dict.fromkeys(factors):
        size = own and tuple(max(round(side * factor), 1) for side in own)
        one = backbone if size == own else resized(backbone, size)
        found += [View(one), View(one, True)][: 1 + (MIRROR in looks)]
    return found


def resized(backbone: keras.Model, size: tuple[int, int]) -> keras.Model:
    """Copy a backbone for images of another size."""
    x = image = keras.Input(backbone.input_shape[1:])
    for layer in backbone.layers[1:]:
        if isinstance(layer, keras.layers.Resizing):
            layer = keras.layers.Resizing(*size, name="resize")
        elif layer is network(backbone):
            layer = at_size(layer, size)
        x = layer(x)
    old, new = ("x".join(map(str, sides)) for sides in (input_size(backbone), size))
    if x.shape != backbone.output.shape:
        raise ValueError(f"{backbone.name} gives {x.shape[1:]} features at {new}: no such looks")
    model = keras.Model(image, x, name=backbone.name.replace(old, new))
    model.trainable = False
    return model


def seen(backbone: keras.Model, looks: Looks = None, *, antialias: bool = False) -> keras.Model:
    """Make one model of RGB images of any size that takes all `looks` at them, as in `extract`.

    With `antialias` images are shrunk as `datasets.read_image` does. Weights are there once.
    """
    check(backbone)
    if len(inner := parts(backbone)) > 1:
        return join([seen(one, looks, antialias=antialias) for one in inner])
    image, features = keras.Input((None, None, 3), name="image"), []
    grey = in_channels(image, backbone.input_shape[-1], "grey")
    found = views(backbone, looks)
    body = network(backbone)
    if len({input_size(view.backbone) for view in found}) > 1:
        body = at_size(body, (None, None))
    for number, (one, mirrored) in enumerate(found, 1):
        x = keras.ops.flip(grey, axis=2) if mirrored else grey
        for layer in one.layers[1:]:
            if isinstance(layer, keras.layers.Resizing):
                shrink = {"antialias": antialias, "name": f"resize_{number}"}
                layer = keras.layers.Resizing(layer.height, layer.width, **shrink)
            x = body(x, training=False) if layer is network(one) else layer(x)
        features.append(x)
    z = features[0] if len(features) == 1 else keras.layers.Average(name="looks")(features)
    model = keras.Model(image, z, name=backbone.name)
    model.trainable = False
    return model


def in_channels(image: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
    """Turn symbolic RGB images grey where one channel is wanted."""
    if image.shape[-1] == channels:
        return image
    grey = keras.layers.Conv2D(channels, 1, use_bias=False, trainable=False, name=name)
    grey.build((None, None, None, 3))
    grey.set_weights([np.reshape(GREY, (1, 1, 3, 1))])
    return grey(image)
