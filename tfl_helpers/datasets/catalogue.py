"""Every set of images that has a name: its classes, where it is from, and what suits it.

A new set is one more entry in catalogue.toml.
"""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class DataSet:
    """One description per set of images."""

    name: str  # as `load` takes it
    class_names: tuple[str, ...] = ()  # of each class number; empty where unknown
    # Arguments of `backbones.load` that suit it; a size is one number or (height, width).
    backbone: dict[str, Any] = field(default_factory=lambda: {"name": "MobileNetV2", "size": 160})
    changes: str = "photos"  # what may change, see `augment.augmenter`: or "characters", "clothes"
    layout: str = ""  # how downloads are read: "npz", "idx", "cifar", ...; "built-in" needs none
    # Of each its path in the Keras cache (`file`), `url` and `digest` (MD5 or SHA-256).
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
