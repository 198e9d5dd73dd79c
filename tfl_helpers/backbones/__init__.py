"""Frozen pretrained networks: raw images in, features out.

`contract` says what a backbone is and answers what can be asked of any; `families` loads them by
name; `letters` is the embedded network, `weights` finds those of ImageNet, `files` reads models of
Keras, `presets` those of KerasHub, `saved_model` those of TF-Hub; `joined` puts several together;
`running` compiles them and brings images in batch by batch.
"""

from tfl_helpers.backbones.contract import (
    check,
    fitting_batch,
    from_layer,
    inner_layers,
    input_size,
    layer_output,
    network,
    parts,
    prepare,
    prepared,
    unfreeze,
)
from tfl_helpers.backbones.families import load, names, suggested
from tfl_helpers.backbones.joined import MIRROR, Looks, View, join, seen, views
from tfl_helpers.backbones.presets import copy_preset, is_preset
from tfl_helpers.backbones.saved_model import from_hub
from tfl_helpers.backbones.weights import PHOTO_SIZE, WeightsMissingError, copy_to_bundle
