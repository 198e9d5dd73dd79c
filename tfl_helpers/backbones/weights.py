"""Pretrained weights of `keras.applications`: found in the Keras cache, downloaded, or missing."""

import json
import shutil
from pathlib import Path

from tfl_helpers import datasets
from tfl_helpers.backbones.contract import look_up, pair

# Per network its size, the scaling of its images, and name, address and hash of its weights; for
# other sizes too where these have their own. Made by tools/list_weights.py.
APPLICATIONS = json.loads(Path(__file__).with_name("applications.json").read_text("utf-8"))
PHOTO_SIZE = 224  # that most of them were trained on


class WeightsMissingError(FileNotFoundError):
    """Pretrained weights are nowhere to be found; the message says how to get them."""


def how_to_get(what: str, place: str, name: str) -> str:
    """Say how to get what is not in a place of the Keras cache."""
    return (
        f"{what} is not in {place}/ of the Keras cache (KERAS_HOME). Where there is a network run "
        f"`python -m tfl_helpers prefetch --out DIR --backbone {name}`, bring DIR here and set "
        "KERAS_HOME=DIR/keras"
    )


def find_weights(name: str, size: tuple[int, int]) -> Path:
    """Find the ImageNet weights for a size in the Keras cache, or download them into it."""
    # Keras's own search overlooks a cache that it may not write to, and can leave half a file.
    known = APPLICATIONS[name]["weights"]
    about = known.get(str(size[0]) if size[0] == size[1] else "", known["default"])
    path = datasets.keras_home() / "models" / about["file"]
    if path.exists():
        return path
    how = how_to_get(path.name, "models", "NAME") + "; or, in Python, weights=None for random ones"
    if datasets.offline():
        raise WeightsMissingError(how + "; or unset TFL_OFFLINE to download them")
    try:
        datasets.download(about["url"], path, about["hash"])
    except OSError as error:
        raise WeightsMissingError(f"{how} (download: {error})") from error
    return path


def copy_to_bundle(name: str, folder: Path, *, size: int = PHOTO_SIZE) -> Path:
    """Copy the ImageNet weights of a network into `folder`, a later KERAS_HOME; return the file."""
    source = find_weights(look_up(name, list(APPLICATIONS), "ImageNet backbone"), pair(size))
    target = folder / "models" / source.name
    with datasets.write_whole(target) as part:
        shutil.copyfile(source, part)
    return target
