"""Every set of images that has a name: its classes, where it is from, and what suits it.

A new set is one more entry in catalogue.toml. It is then found in a bundle; with downloads also in
the Keras cache and on the network.
"""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class DataSet:
    """One description per set of images.

    Parameters
    ----------
    name : str
        As `load` takes it.
    class_names : tuple of str
        Name of each class number; empty where unknown.
    backbone : dict
        Arguments of `backbones.load` that suit it; a size is one number or (height, width).
    changes : {"characters", "clothes", "photos"}
        What may change about its images, see `augment.augmenter`.
    layout : {"built-in", "npz", "idx", "cifar", "penn-fudan", ""}
        How its downloads are read; "built-in" needs none, "" is found in a bundle only.
    downloads : tuple of dict
        Of each file its path in the Keras cache (`file`), `url` and `digest` (MD5 or SHA-256).
    """

    name: str
    class_names: tuple[str, ...] = ()
    backbone: dict[str, Any] = field(default_factory=lambda: {"name": "MobileNetV2", "size": 160})
    changes: str = "photos"
    layout: str = ""
    downloads: tuple[dict[str, str], ...] = ()


def _frozen(value: Any) -> Any:
    """Turn lists into tuples, which nobody changes by accident."""
    if isinstance(value, dict):
        return {key: _frozen(inner) for key, inner in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


_ENTRIES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
CATALOGUE = {name: DataSet(name, **_frozen(entry)) for name, entry in _ENTRIES.items()}


def describe(name: str) -> DataSet:
    """Look a set up by name; what is not in the catalogue is taken for photos.

    Examples
    --------
    >>> describe("mnist").changes, describe("folder:holiday").changes
    ('characters', 'photos')
    """
    return CATALOGUE.get(name, DataSet(name))
