"""List the networks of `keras.applications`: size, scaling, and where their weights come from.

One command, some minutes, no network: `python tools/list_weights.py` writes
`tfl_helpers/backbones/applications.json`. Run it when a new Keras brings new networks. Keras does
not tell these things in public; here, and not in the package, its inner functions are replaced by
ones that note what they are asked for.
"""

import json
import os
import sys
import warnings
from pathlib import Path
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

PLACE = Path(__file__).parents[1] / "tfl_helpers" / "backbones" / "applications.json"
SIZES = (96, 128, 160, 192, 224)  # for which MobileNets have weights of their own


class Asked(Exception):
    """Carries what a network asked for, before anything is done about it."""


def ask(name: str, inner: str, **options) -> dict:
    """Build a network until it calls an inner function of Keras; return the call's arguments."""

    def asked(*args, **kwargs):
        raise Asked(dict(zip(("first", "second"), args, strict=False)) | kwargs)

    make = getattr(keras.applications, name)
    with mock.patch(f"keras.src.{inner}", asked), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            make(**options)
        except Asked as found:
            return found.args[0]
    return {}


def default_size(name: str) -> int:
    """Side of the images that a network was trained on."""
    asked = ask(name, "applications.imagenet_utils.obtain_input_shape", weights=None)
    return asked.get("default_size", 224)  # MobileNetV3 does not ask


def scaling(name: str) -> str | None:
    """Tell which convention of Keras the network's own `preprocess_input` follows."""
    module = sys.modules[getattr(keras.applications, name).__module__]
    image = np.random.default_rng(0).uniform(0, 255, (1, 4, 4, 3)).astype("float32")
    found = module.preprocess_input(image.copy())
    if np.array_equal(found, image):
        return None
    for mode in ("tf", "torch", "caffe"):
        expected = keras.applications.imagenet_utils.preprocess_input(image.copy(), mode=mode)
        if np.allclose(found, expected):
            return mode
    raise ValueError(f"{name}: an unknown scaling")


def weights(name: str, size: int) -> dict:
    """Name, address and hash of the weights without the top for a size."""
    options = {"include_top": False, "weights": "imagenet", "input_shape": (size, size, 3)}
    asked = ask(name, "utils.file_utils.get_file", **options)
    return {"file": asked["first"], "url": asked["second"], "hash": asked.get("file_hash")}


def main() -> None:
    """Ask every network and write the table."""
    table = {}
    for name in [name for name in dir(keras.applications) if name[0].isupper()]:
        size = default_size(name)
        found = {"default": weights(name, size)}
        if name in ("MobileNet", "MobileNetV2"):
            others = {str(other): weights(name, other) for other in SIZES}
            found |= {other: one for other, one in others.items() if one != found["default"]}
        table[name] = {"size": size, "scaling": scaling(name), "weights": found}
        print(name, table[name], flush=True)
    PLACE.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
