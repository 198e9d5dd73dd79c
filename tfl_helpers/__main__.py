"""Sort a folder of images, say what this machine can do, make bundles for other machines.

python -m tfl_helpers sort FOLDER --out OUT
python -m tfl_helpers check
python -m tfl_helpers prefetch --out DIR mnist cifar10 --backbone MobileNetV2
"""

import argparse
import importlib.metadata
import os
import platform
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

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


def _add_sort(commands: Any) -> None:
    """Describe the command `sort` to somebody who has never seen this project."""
    sort = commands.add_parser(
        "sort",
        help="sort a folder of unlabelled images into groups",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Sort a folder of images that nobody labelled into groups that look alike.\n"
        "The folder is only read; all results go to OUT:\n\n"
        "  gallery.html  a page to look at the groups, rename them and move images\n"
        "  groups.csv    the group of each file, how sure it is, duplicates and problems\n"
        "  model.keras   a network that sorts new images into the same groups\n"
        "  summary.json  settings, versions, counts, scores",
        epilog="Run it again to add what is new in the folder: what was read is not read again.\n"
        "It may be stopped at any moment (Ctrl-C, power cut) and goes on where it was.\n\n"
        "Did you correct groups in gallery.html? Its button writes groups_corrected.csv. Then:\n"
        "  python -m tfl_helpers sort FOLDER --out OUT --corrections groups_corrected.csv\n\n"
        "Exit status: 0 done, 1 it could not be done (a line says why), 2 wrong arguments,\n"
        "130 stopped by Ctrl-C.",
    )
    sort.add_argument("folder", type=Path, metavar="FOLDER", help="your images, also in subfolders")
    sort.add_argument("--out", type=Path, required=True, metavar="OUT", help="folder for results")
    sort.add_argument(
        "--groups",
        type=_groups,
        metavar="K|auto",
        help="number of groups; auto (as at first) guesses it and says what else is plausible",
    )
    sort.add_argument(
        "--backbone",
        default="MobileNetV2",
        metavar="NAME",
        help="pretrained network: MobileNetV2 (as it is) for photos, fetched once; letters for "
        "handwriting and drawings, needs no network; or another of keras.applications",
    )
    sort.add_argument("--size", type=int, metavar="PIXELS", help="side that the network sees")
    sort.add_argument(
        "--examples",
        type=Path,
        metavar="CSV",
        help="columns file,name: what a few images show, to name groups and test them",
    )
    sort.add_argument("--corrections", type=Path, metavar="CSV", help="exported by gallery.html")
    sort.add_argument(
        "--arrange",
        choices=["copy", "link"],
        help="also fill OUT/sorted with a folder per group, of copies or links",
    )
    sort.add_argument("--seed", type=int, default=0, metavar="N", help="of all that is drawn (0)")
    sort.add_argument("--quiet", action="store_true", help="no progress bars")


def _groups(text: str) -> int | str:
    if text == "auto":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a number from 1, or auto, not {text!r}")
    return int(text)


def _sort(options: argparse.Namespace) -> int:
    """Sort a folder; one line says what went wrong, if anything does."""
    try:
        from tfl_helpers import sorting

        found = sorting.sort_folder(
            options.folder,
            options.out,
            groups=options.groups,
            backbone=options.backbone,
            size=options.size,
            examples=options.examples,
            corrections=options.corrections,
            arrange=options.arrange,
            seed=options.seed,
            progress=not options.quiet,
        )
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not garble the line
        _say("stopped; what was read is kept: the same command goes on from there", sys.stderr)
        return 130
    except (OSError, ValueError) as error:
        _say(f"error: {error}", sys.stderr)
        return 1
    _say(sorting.told(found, options.out), sys.stdout)
    return 0


def _say(text: str, where: TextIO) -> None:
    """Print a text that may hold file names which are no valid text."""
    print(text.encode("utf-8", "backslashreplace").decode("utf-8"), file=where, flush=True)


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
    _add_sort(commands)
    options = parser.parse_args(arguments)
    if options.command == "check":
        print(machine().to_string(index=False, justify="left"))
        return 0
    if options.command == "sort":
        return _sort(options)
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
