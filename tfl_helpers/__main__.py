"""Sort a folder of images, say what this machine can do, make bundles for other machines.

python -m tfl_helpers sort FOLDER --out OUT
python -m tfl_helpers predict NEW_FOLDER --model OUT/model.keras
python -m tfl_helpers like FILE --in OUT
python -m tfl_helpers check
python -m tfl_helpers prefetch --out DIR mnist cifar10 --backbone MobileNetV2
"""

import argparse
import io
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from tfl_helpers import datasets

PHOTO_PROFILES = ("cifar10", "mnist", "fashion_mnist", "pedestrians")
SORT = """Sort a folder of images that nobody labelled into groups that look alike.
The folder is only read; all results go to OUT:

  gallery.html  a page to look at the groups, rename them and move images
  groups.csv    the group of each file, how doubtful it is, duplicates and problems
  model.keras   a network that sorts new images into the same groups
  summary.json  settings, versions, counts, scores"""
AGAIN = """Run it again to add what is new in the folder: what was read is not read again.
It may be stopped at any moment (Ctrl-C, power cut) and goes on where it was.

Did you name images in gallery.html? “Save answers” writes groups_corrected.csv. Then:
  python -m tfl_helpers sort FOLDER --out OUT --corrections groups_corrected.csv

Exit status: 0 done, 1 it could not be done (a line says why), 2 wrong arguments,
130 stopped by Ctrl-C."""
GROUPS = (
    "auto (as at first) counts the kinds that stand out and shows more and smaller groups; kinds: "
    "as many as kinds; or a number"
)
BACKBONE = (
    "pretrained network. For photos: MobileNetV2 (9 MB, 0.1 billion multiplications per image; as "
    "it is): small and quick. MobileNetV2+EfficientNetB0 (26 MB, 0.5): best on a CPU. dinov2_small "
    "(88 MB, 6.1; pip install keras-hub): best, trained without any label. For handwriting and "
    "drawings: letters, which ships with this. Or any of keras.applications, a file of Keras, a "
    "preset of KerasHub, several joined by +"
)
LOOKS = (
    "several looks at each photo, averaged: mirror, and factors of the size, such as "
    "0.75,1,1.25,mirror; takes as many times as long"
)
CLUSTERER = "how groups are found: neighbours (as it is)"
BALANCE = (
    "groups are drawn to equal size (relaxed), come as they are (none), are joined upwards, where "
    "a large one stays whole (linked), or made equal (uniform); auto (as it is) asks the images"
)
EXAMPLES = "columns file,name: what a few images show, to name groups and test them"
WHEELS = {
    "metavar": "SYSTEM[:PYTHON]",
    "help": "also the pinned packages: here (as it is), linux, linux-arm, windows, macos, such as "
    "windows:3.12; may be repeated; run it in the project's folder",
}
NEAR = "images that look nearly like another: group them too (keep, as it is), or leave them out"
LARGEST = "size up to which images are read that are no JPEGs (179), for the memory's sake"
ARRANGE = "also fill OUT/sorted with a folder per group and one of the unsure, of copies or links"
EXPORT = (
    "also write OUT/export for other tools: imagefolder (a folder per label), csv, coco, "
    "labelstudio, parquet; several by commas"
)
SAMPLE = "images, drawn at random, in which groups are found where there are more (20000)"
CLUSTER = (
    "read and compute on workers of Dask: a process per core of this machine (local), N of them "
    "(local:N), or those of a scheduler, such as tcp://10.0.0.1:8786"
)

PREDICT = """Say in which group of a sorted folder new images belong. A row per file, as in sort:

  group, score    and the model's probability of it
  doubt, unsure   as of the sorted images; images far from all groups are unsure, too
  problem         why a file cannot be used, or that it is far from all groups

Names, doubt and what is far come from what lies beside the model: leave it in OUT."""
PREDICTIONS = "table to write (predictions.csv), outside of FOLDER"
OUT = "results of sort; the folder is not read again"


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line; return the exit status."""
    for stream in (sys.stdout, sys.stderr):  # names of files need not be valid text, and
        if isinstance(stream, io.TextIOWrapper):  # Windows writes to files in an old encoding
            stream.reconfigure(errors="backslashreplace")
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command == "prefetch" and not (options.names or options.backbone or options.wheels):
        parser.error("nothing to fetch: give names of data sets, --backbone, or --wheels")
    try:
        return globals()[f"_{options.command}"](options)
    except (OSError, ValueError) as error:
        _say(f"error: {error}", sys.stderr)
        return 1


def _check(options: argparse.Namespace) -> int:
    from tfl_helpers.lessons.machine import machine

    print(machine().to_string(index=False, justify="left"))
    return 0


def _sort(options: argparse.Namespace) -> int:
    try:
        from tfl_helpers import cluster, sorting

        others = ("command", "cluster")
        asked = {name: value for name, value in vars(options).items() if name not in others}
        with cluster.connected(options.cluster) as client:
            found = sorting.sort_folder(**asked, client=client)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not garble the line
        _say("stopped; what was read is kept: the same command goes on from there", sys.stderr)
        return 130
    _say(sorting.summary_text(found, options.out), sys.stdout)
    return 0


def _predict(options: argparse.Namespace) -> int:
    from tfl_helpers.sorting.predict import FAR, predict_folder

    asked = {name: value for name, value in vars(options).items() if name != "command"}
    table = predict_folder(**asked)
    if lacks := table.attrs["lacks"]:
        _say(f"beside the model there is {lacks}: what it tells alone has to do", sys.stderr)
    far, used = table["problem"].str.endswith(FAR).sum(), (table["group"] != "").sum()
    _say(
        f"{len(table):,} files: {used:,} in groups, {table['unsure'].sum():,} of them unsure, "
        f"{far:,} far from all groups; {len(table) - used:,} could not be used\nsee {options.out}",
        sys.stdout,
    )
    return 0


def _like(options: argparse.Namespace) -> int:
    from tfl_helpers.sorting.predict import most_like

    table = most_like(options.file, options.results, options.n)
    _say(table.to_string(index=False, justify="left", float_format="{:.3f}".format), sys.stdout)
    return 0


def _prefetch(options: argparse.Namespace) -> int:
    """Write data to `out`/data, weights for the profiles' sizes to `out`/keras, and wheels."""
    data, keras = options.out / "data", options.out / "keras"
    for platform in options.wheels:
        from tfl_helpers.lessons.wheels import download_wheels

        name, _, python = platform.partition(":")
        print(f"wheels for {platform}: {download_wheels(options.out, name, python or None)}")
    for name in options.names:
        print(f"{name}: {datasets.copy_to_bundle(name, data)}")
    for given in options.backbone:
        from tfl_helpers import backbones

        if backbones.is_preset(given):
            print(f"{given}: {backbones.copy_preset(given, keras)}")
            continue
        name, _, size = given.partition(":")
        usual = [datasets.describe(profile).backbone.get("size") for profile in PHOTO_PROFILES]
        sizes = [int(size)] if size else dict.fromkeys(filter(None, [backbones.PHOTO_SIZE, *usual]))
        for one in sizes:
            print(f"{name} at {one}: {backbones.copy_to_bundle(name, keras, size=one)}")
    if options.names or options.backbone:
        print("\nTo use this bundle, without a network, set these before you start Jupyter:")
        print(f"  TFL_DATA_DIR={data.resolve()}\n  KERAS_HOME={keras.resolve()}")
    if options.wheels:
        print(f"\nTo install without a network: make run WHEELS={options.out / 'wheels'}")
    return 0


def _say(text: str, where: TextIO) -> None:
    """Print a text that may hold file names which are no valid text."""
    print(text.encode("utf-8", "backslashreplace").decode("utf-8"), file=where, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tfl_helpers", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="say what this machine is ready for")
    fetch = commands.add_parser("prefetch", help="write a bundle for machines without a network")
    fetch.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PHOTO_PROFILES))
    fetch.add_argument("--out", type=Path, required=True, metavar="DIR", help="bundle's folder")
    weights = "network to put in, such as MobileNetV2, VGG16:224, dinov2_small; may be repeated"
    fetch.add_argument(
        "--backbone", action="append", default=[], metavar="NAME[:SIZE]", help=weights
    )
    fetch.add_argument("--wheels", nargs="?", const="here", action="append", default=[], **WHEELS)
    plain = argparse.RawDescriptionHelpFormatter
    sort = commands.add_parser(
        "sort",
        help="sort a folder of unlabelled images",
        description=SORT,
        epilog=AGAIN,
        formatter_class=plain,
    )
    sort.add_argument(
        "folder", type=_place, metavar="FOLDER", help="your images, also in subfolders; or s3://…"
    )
    sort.add_argument("--out", type=_path, required=True, metavar="OUT", help="folder for results")
    sort.add_argument("--groups", type=_groups, metavar="auto|kinds|N", help=GROUPS)
    sort.add_argument("--backbone", default="MobileNetV2", metavar="NAME", help=BACKBONE)
    sort.add_argument("--size", type=int, metavar="PIXELS", help="side that the network sees")
    sort.add_argument("--looks", type=_looks, metavar="LIST", help=LOOKS)
    sort.add_argument("--clusterer", default="neighbours", metavar="NAME", help=CLUSTERER)
    balances = ["auto", "relaxed", "none", "linked", "uniform"]
    sort.add_argument("--balance", choices=balances, default="auto", help=BALANCE)
    sort.add_argument("--examples", type=Path, metavar="CSV", help=EXAMPLES)
    sort.add_argument("--corrections", type=Path, metavar="CSV", help="exported by gallery.html")
    sort.add_argument("--arrange", choices=["copy", "link"], help=ARRANGE)
    sort.add_argument("--export", action="append", metavar="KIND", help=EXPORT)
    sort.add_argument("--near-duplicates", choices=["keep", "drop"], default="keep", help=NEAR)
    sort.add_argument("--all-files", action="store_true", help="also hidden files and thumbnails")
    sort.add_argument("--max-megapixels", type=float, metavar="N", help=LARGEST)
    sort.add_argument("--sample", type=int, default=20_000, metavar="N", help=SAMPLE)
    sort.add_argument("--seed", type=int, default=0, metavar="N", help="of all that is drawn (0)")
    sort.add_argument("--cluster", metavar="local|local:N|ADDRESS", help=CLUSTER)
    sort.add_argument("--quiet", dest="progress", action="store_false", help="no progress bars")
    about = "say in which group of a sorted folder new images belong"
    new = commands.add_parser("predict", help=about, description=PREDICT, formatter_class=plain)
    new.add_argument("folder", type=_path, metavar="FOLDER", help="new images; only read")
    new.add_argument("--model", type=_path, required=True, help="OUT/model.keras of sort")
    new.add_argument(
        "--out", type=_path, default="predictions.csv", metavar="CSV", help=PREDICTIONS
    )
    new.add_argument("--all-files", action="store_true", help="also hidden files and thumbnails")
    new.add_argument("--quiet", dest="progress", action="store_false", help="no progress bars")
    like = commands.add_parser("like", help="list the images of a sorted folder most like one")
    like.add_argument("file", type=_path, metavar="FILE", help="an image, of the folder or new")
    like.add_argument("--in", dest="results", type=_path, required=True, metavar="OUT", help=OUT)
    like.add_argument("-n", type=int, default=20, help="how many (20)")
    return parser


def _path(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty; . is this folder")
    return Path(text)


def _place(text: str) -> Path | str:
    return text if "://" in text else _path(text)


def _looks(text: str) -> list[str | float]:
    try:
        return [look if look == "mirror" else float(look) for look in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"mirror, and factors of the size, not {text!r}") from None


def _groups(text: str) -> int | str:
    if text in ("auto", "kinds"):
        return text
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a number from 1, auto or kinds, not {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
