"""Every set of images that has a name: its classes, where it is from, and what suits it."""

from dataclasses import dataclass, field
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
        Arguments of `backbones.load` that suit it.
    changes : {"characters", "clothes", "photos"}
        What may change about its images, see `augment.augmenter`.
    """

    name: str
    class_names: tuple[str, ...] = ()
    backbone: dict[str, Any] = field(default_factory=lambda: {"name": "MobileNetV2", "size": 160})
    changes: str = "photos"


_DIGITS, _PEOPLE = tuple("0123456789"), ("background", "pedestrian")
_CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
_FASHION = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot"
_LETTERS = {"name": "letters"}
CATALOGUE = {
    known.name: known
    for known in (
        DataSet("digits", _DIGITS, _LETTERS, "characters"),
        DataSet("drawn_streets", _PEOPLE, {"name": "letters", "size": (48, 24)}),
        DataSet("mnist", _DIGITS, _LETTERS, "characters"),
        DataSet("fashion_mnist", tuple(_FASHION.split(",")), _LETTERS, "clothes"),
        DataSet("cifar10", tuple(_CIFAR10.split()), {"name": "MobileNetV2", "size": 128}),
        DataSet("pedestrians", _PEOPLE, {"name": "MobileNetV2", "size": (160, 96)}),
    )
}


def describe(name: str) -> DataSet:
    """Look a set up by name; what is not in the catalogue is taken for photos."""
    return CATALOGUE.get(name, DataSet(name))
