"""Several inner layers of a backbone side by side, for benchmarks that compare them."""

from collections.abc import Sequence

from tfl_helpers import backbones

import keras


def side_by_side(backbone: keras.Model, layers: Sequence[str]) -> keras.Model:
    """Put the features of several inner layers side by side.

    Parameters
    ----------
    backbone : keras.Model
        From `backbones.load`.
    layers : sequence of str
        Inner layers (see `backbones.inner_layers`); each is averaged over all places.

    Returns
    -------
    keras.Model
        As `backbones.load` returns it; it shares its weights with `backbone`.

    Raises
    ------
    ValueError
        No layer is named, or there is no such layer; near matches are named.
    """
    if not len(layers):
        raise ValueError("name one layer or more: backbones.inner_layers lists them")
    network = backbones.network(backbone)
    maps = [backbones.layer_output(network, layer) for layer in layers]
    means = [keras.layers.GlobalAveragePooling2D()(x) if len(x.shape) == 4 else x for x in maps]
    joined = means[0] if len(means) == 1 else keras.layers.Concatenate(name="several")(means)
    network = keras.Model(network.inputs, joined, name="network")
    x = network(backbones.prepared(backbone), training=False)
    model = keras.Model(backbone.input, x, name="_".join([backbone.name, *layers]))
    model.trainable = False
    return model
