"""What this machine can do, and bundles for machines without a network.

python -m tfl_helpers check
python -m tfl_helpers prefetch --out DIR mnist cifar10 --backbone MobileNetV2
"""

import argparse
import importlib.metadata
import os
import platform
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tfl_helpers import datasets

PHOTO_PROFILES = ("cifar10", "mnist", "fashion_mnist", "pedestrians")


def machine() -> pd.DataFrame:
    """Say what works on this machine.

    Returns
    -------
    pandas.DataFrame
        A row per thing: `what`, `works` (bool), `detail`.

    Notes
    -----
    Taught in notebook 00.
    """
    import psutil
    import tensorflow as tf

    from tfl_helpers import features

    memory = psutil.virtual_memory().available / 1e9
    gpus = tf.config.list_physical_devices("GPU")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("tensorflow", "keras")]
    networked, reason = _network()
    rows = [
        ("Python", True, ", ".join([platform.python_version(), *versions])),
        ("cores", True, f"{os.cpu_count()}"),
        ("memory", memory > 1.5, f"{memory:.1f} GB free; a notebook needs up to 1.5 GB"),
        ("GPU", bool(gpus), f"{len(gpus)} found" if gpus else "none found; none is needed"),
        ("network", networked, reason),
        ("feature cache", True, f"{features.cache_info()['megabytes']} MB kept"),
        ("embedded backbone", True, "letters: ships with this package"),
        _weights(),
    ]
    for row in datasets.available().itertuples():
        rows.append((f"data: {row.data}", row.found, row.where))
    return pd.DataFrame(rows, columns=["what", "works", "detail"])


def _network() -> tuple[bool, str]:
    """Try the host that Keras downloads data and weights from."""
    if datasets.offline():
        return False, "switched off by TFL_OFFLINE=1; the default series needs none"
    try:
        socket.create_connection(("storage.googleapis.com", 443), timeout=3).close()
    except OSError as error:
        return False, f"cannot be reached ({error}); the default series needs none"
    return True, "photo sets and ImageNet weights can be downloaded"


def _weights() -> tuple[str, bool, str]:
    """Count the ImageNet weights in the Keras cache."""
    folder = datasets.keras_home() / "models"
    found = sorted(path.name for path in folder.glob("*no*top*.h5")) if folder.is_dir() else []
    detail = f"{len(found)} files in the Keras cache" if found else "none in the Keras cache yet"
    return "ImageNet weights", bool(found), detail


def prefetch(out: Path, names: Sequence[str], backbones: Sequence[str]) -> None:
    """Write data and weights into a bundle.

    Parameters
    ----------
    out : Path
        The bundle's folder: data go to `out`/data, weights to `out`/keras.
    names : sequence of str
        Sets of images, as `datasets.load` calls them.
    backbones : sequence of str
        Names of ImageNet backbones, for the sizes that the profiles use; NAME:SIZE for one size.

    Raises
    ------
    DatasetMissingError, WeightsMissingError
        Something is neither here nor can it be downloaded; what came before it stays written.
    """
    for name in names:
        print(f"{name}: {datasets.copy_to_bundle(name, out / 'data')}")
    if backbones:
        from tfl_helpers import backbones as networks

        for given in backbones:
            name, _, size = given.partition(":")
            sizes = [networks.PHOTO_SIZE]
            sizes += [networks.suggested(data).get("size") for data in PHOTO_PROFILES]
            for one in [int(size)] if size else dict.fromkeys(filter(None, sizes)):
                for file in networks.copy_to_bundle(name, out / "keras", size=one):
                    print(f"{name} at {one}: {file}")
    print("\nTo use this bundle, without a network, set these before you start Jupyter:")
    print(f"  TFL_DATA_DIR={(out / 'data').resolve()}")
    print(f"  KERAS_HOME={(out / 'keras').resolve()}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line; return the exit status."""
    parser = argparse.ArgumentParser("python -m tfl_helpers", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="say what works on this machine")
    fetch = commands.add_parser("prefetch", help="write a bundle for machines without a network")
    fetch.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PHOTO_PROFILES))
    fetch.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the bundle"
    )
    fetch.add_argument(
        "--backbone",
        action="append",
        default=[],
        metavar="NAME[:SIZE]",
        help="ImageNet weights to put in, such as MobileNetV2 or VGG16:224; may be repeated",
    )
    options = parser.parse_args(arguments)
    if options.command == "check":
        print(machine().to_string(index=False, justify="left"))
        return 0
    if not options.names and not options.backbone:
        parser.error("nothing to fetch: give names of data sets, or --backbone")
    try:
        prefetch(options.out, options.names, options.backbone)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
