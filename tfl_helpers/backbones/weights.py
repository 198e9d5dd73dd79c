"""Pretrained weights of `keras.applications`: found in the Keras cache, downloaded, or missing."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from tfl_helpers import datasets
from tfl_helpers.backbones.contract import look_up, pair

# Per network the size that it was trained on, the scaling of its images, and name, address and hash
# of its weights; for other sizes too where these have their own. By tools/list_weights.py.
APPLICATIONS = json.loads(Path(__file__).with_name("applications.json").read_text("utf-8"))
PHOTO_SIZE = 224  # that most of them were trained on


class WeightsMissingError(FileNotFoundError):
    """Pretrained weights are nowhere to be found; the message says how to get them."""


def find_weights(name: str, size: tuple[int, int]) -> Path:
    """Find the ImageNet weights of a network in the Keras cache, or download them into it.

    Sizes (height, width) without weights of their own take those of the default size. Keras's own
    search overlooks a cache that it may not write to, and can leave half a file behind.
    """
    known = APPLICATIONS[name]["weights"]
    about = known.get(str(size[0]) if size[0] == size[1] else "", known["default"])
    path = datasets.keras_home() / "models" / about["file"]
    if path.exists():
        return path
    how = (
        f"the weights file {path.name} is not in models/ of the Keras cache (KERAS_HOME). On a "
        "machine with a network run `python -m tfl_helpers prefetch --out DIR --backbone NAME`, "
        "bring DIR here and set KERAS_HOME=DIR/keras; or pass weights=None for random weights"
    )
    if datasets.offline():
        raise WeightsMissingError(how + "; or unset TFL_OFFLINE to download them")
    try:
        datasets.download(about["url"], path, about["hash"])
    except OSError as error:
        raise WeightsMissingError(f"{how} (download: {error})") from error
    return path


def copy_to_bundle(
    name: str, folder: str | Path, *, size: int | Sequence[int] = PHOTO_SIZE
) -> Path:
    """Copy the weights of an ImageNet network, wherever they are found, into a bundle.

    Parameters
    ----------
    name : str
        A name of `keras.applications`.
    folder : str or Path
        Later the value of KERAS_HOME.
    size : int or (int, int)
        Height and width; some networks have other weights for other sizes.

    Returns
    -------
    Path
        The file written.
    """
    source = find_weights(look_up(name, list(APPLICATIONS), "ImageNet backbone"), pair(size))
    target = Path(folder) / "models" / source.name
    with datasets.write_whole(target) as part:
        shutil.copyfile(source, part)
    return target
