"""Networks of KerasHub by preset: DINOv2 and DINOv3, SigLIP, CLIP, MobileNetV5.

They need the extra `hub`. A preset is one of KerasHub's names, kaggle://..., hf://..., or a folder.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras

from tfl_helpers import datasets
from tfl_helpers.backbones.contract import assemble, look_up
from tfl_helpers.backbones.weights import WeightsMissingError, how_to_get

SIDE = 224  # that networks see by default which take any


def _dino(model: keras.Model) -> keras.Model:
    """Class token after the last norm: what the k-NN evaluation of DINOv2 (eval/knn.py) compares.

    The mean of patches adds to it where a classifier is trained (eval/linear.py), which is not our
    case. The blocks become layers of their own, so that training can start at any of them.
    """
    image, options = keras.Input(model.inputs[0].shape[1:], name="images"), {}
    x = model.embeddings(image)
    if hasattr(model, "rope_embedding"):
        options["position_embeddings"] = model.rope_embedding(image)
        options["num_prefix_tokens"] = 1 + model.num_register_tokens
    for block in model.encoder.layers:
        x = block(x, **options)
    return keras.Model(image, model.layernorm(x)[:, 0])


def _clip(model: keras.Model) -> keras.Model:
    """Class token before the projection: what CLIP's authors take for linear probes (2021, 3.2)."""
    return keras.Model(model.inputs[0], model.outputs[0][:, 0])


def _whole(model: keras.Model) -> keras.Model:
    """Take all: SigLIP ends in its own attention pooling, MobileNetV5 in maps to be averaged."""
    return keras.Model(model.inputs[0], model.outputs[0])


class _Kind(NamedTuple):
    """What of a network is taken; the name of its image tower; the side that it sees by default."""

    pooled: Callable[[keras.Model], keras.Model]
    tower: str | None = None
    side: int | None = SIDE  # None: that it was trained on
    square: bool = True  # whether it takes no others


KINDS = {
    "DINOV2Backbone": _Kind(_dino),
    "DINOV3Backbone": _Kind(_dino, square=False),
    "SigLIPBackbone": _Kind(_whole, "vision_encoder", None),
    "CLIPBackbone": _Kind(_clip, "vision_encoder", None),
    "MobileNetV5Backbone": _Kind(_whole, square=False),
}
STARTS = ("dinov2_", "dinov3_", "siglip", "medsiglip_", "clip_vit_", "mobilenetv5_")  # of names


def is_preset(name: str) -> bool:
    """Tell whether a name is that of a preset, by its form; a folder is one by what it holds."""
    return "://" in name or name.startswith(STARTS) or (Path(name) / "config.json").is_file()


def load_preset(
    name: str,
    *,
    size: tuple[int, int] | None = None,
    layer: str | None = None,
    pooling: str | None = "avg",
    weights: str | None = "imagenet",
) -> keras.Model:
    """Load a preset as `families.load` does; its positions are interpolated to the size."""
    model, scale, offset = _open(name)
    kind = KINDS[type(model).__name__]
    tower = getattr(model, kind.tower or "", model)
    patch = getattr(tower, "patch_size", 1)
    size = size or ((kind.side // patch * patch,) * 2 if kind.side else tower.image_shape[:2])
    square = kind.square and size[0] != size[1]
    if square or any(side < patch or side % patch for side in size):
        what = "squares" if kind.square else "images"
        raise ValueError(f"{name} takes {what} with sides that {patch} divides, not {size}")
    shape = {} if kind.tower else {"image_shape": (*size, 3)}
    model, *_ = _open(name, load_weights=weights is not None, **shape)
    tower = _in_size(model.vision_encoder, size) if kind.tower else model
    title, weights_file = _slug(name), Path(name) / "model.weights.h5"
    if weights_file.is_file():  # of one's own: another may be called the same
        title += "_" + datasets.file_hash(weights_file, "")[:8]
    return assemble(
        title,
        kind.pooled(tower),
        preprocess=keras.layers.Rescaling(scale, offset, name="preprocess"),
        size=size,
        layer=layer,
        pooling=pooling,
    )


def copy_preset(name: str, folder: Path) -> Path:
    """Write a preset into `folder`, a later KERAS_HOME; return its own folder there."""
    target, hub = folder / "presets" / _slug(name), _hub(name)
    with datasets.write_whole(target) as part:
        for kind in (hub.models.Backbone, hub.layers.ImageConverter):
            kind.from_preset(_source(name)).save_to_preset(str(part))
    return target


def _open(name: str, **options: Any) -> tuple[keras.Model, Any, Any]:
    """Build a preset's network, without weights unless told; how raw values are scaled, shifted."""
    hub, source = _hub(name), _source(name)
    try:
        options = {"load_weights": False} | options
        model = hub.models.Backbone.from_preset(source, **options)
        scaling = hub.layers.ImageConverter.from_preset(source)
    except Exception as error:  # downloads and folders fail in many ways
        why = str(error).strip().split("\n")[0]
        if source == name and not Path(name).exists():
            how = how_to_get(f"the preset {name}", "presets", name)
            raise WeightsMissingError(f"{how} (download: {why})") from error
        raise ValueError(f"{source} is no preset that can be loaded: {why}") from error
    look_up(type(model).__name__, list(KINDS), "kind of preset")
    return model, 1.0 if scaling.scale is None else scaling.scale, scaling.offset or 0.0


def _hub(name: str) -> Any:
    """Import KerasHub; a name of its own that it does not list is an error."""
    if importlib.util.find_spec("keras_hub") is None:
        raise WeightsMissingError(
            f'{name} is a network of KerasHub, which is missing: pip install "keras-hub>=0.32"'
        )
    import keras_hub  # slow, so only here

    if name.startswith(STARTS) and not Path(name).exists():
        known = [preset for kind in KINDS for preset in getattr(keras_hub.models, kind).presets]
        look_up(name, known, "preset")
    return keras_hub


def _source(name: str) -> str:
    """Where a preset is: its folder, that in the bundle, or the network, unless it is forbidden."""
    for place in (Path(name).expanduser(), datasets.keras_home() / "presets" / _slug(name)):
        if (place / "config.json").is_file():
            return str(place)
    if datasets.offline():
        how = how_to_get(f"the preset {name}", "presets", name)
        raise WeightsMissingError(f"{how}; or unset TFL_OFFLINE to download it")
    return name


def _slug(name: str) -> str:
    return Path(name).name if Path(name).exists() else name.replace("://", "_").replace("/", "_")


def _in_size(tower: keras.Model, size: tuple[int, int]) -> keras.Model:
    """Copy the image tower of CLIP or SigLIP for another size, as DINOv2 does it by itself."""
    if tuple(size) == tuple(tower.image_shape[:2]):
        return tower
    other = type(tower).from_config({**tower.get_config(), "image_shape": (*size, 3)})
    for old, new in zip(tower.weights, other.weights, strict=True):
        if old.shape == new.shape:
            new.assign(old)
        elif old.path.endswith("embeddings"):  # the numbers of positions are right already
            side, target = (shape // tower.patch_size for shape in (tower.image_shape[0], size[0]))
            first = old.shape[0] - side**2  # the class token has a position, too
            grid = keras.ops.reshape(old[first:], (1, side, side, -1))
            grid = keras.ops.image.resize(grid, (target, target), interpolation="bicubic")
            new.assign(
                keras.ops.concatenate([old[:first], keras.ops.reshape(grid, (target**2, -1))])
            )
    return other
