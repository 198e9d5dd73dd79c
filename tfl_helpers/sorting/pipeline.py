"""From a folder of images that nobody labelled to groups, in the order of the recipe."""

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import tfl_helpers
from tfl_helpers.datasets import cleaning, file_hash, progress_bar
from tfl_helpers.datasets.decode import at_most
from tfl_helpers.datasets.remote import RemoteFolder, folder_at, read_anywhere, walk_anywhere
from tfl_helpers.sorting.corrections import (
    LEAST_FITTED,
    MOST_FITTED,
    names_from_examples,
    read_answers,
    read_corrections,
    read_examples,
    write_answers,
)
from tfl_helpers.sorting.drawing import draw_page, write_model
from tfl_helpers.sorting.export import checked_exports, hand_out
from tfl_helpers.sorting.grouping import CLUSTERERS, Groups, Settings, find_groups
from tfl_helpers.sorting.levels import with_levels
from tfl_helpers.sorting.reading import load_network, read_new, views_of
from tfl_helpers.sorting.store import STORE, Store
from tfl_helpers.sorting.summary import summarise
from tfl_helpers.sorting.table import read_table

RESULTS = ("groups.csv", "gallery.html", "model.keras", "summary.json")
CHOICES = {
    "arrange": ("copy", "link", None),
    "balance": ("auto", "relaxed", "none", "linked", "uniform"),
    "near_duplicates": ("keep", "drop"),
}
ANSWERS = "answers.csv"  # there if a person said something


def sort_folder(
    folder: str | Path,
    out: str | Path,
    *,
    groups: int | str | None = None,
    backbone: str = "MobileNetV2",
    size: int | None = None,
    looks: Any = None,
    clusterer: str = "neighbours",
    balance: str = "auto",
    examples: str | Path | None = None,
    corrections: str | Path | None = None,
    arrange: str | None = None,
    export: str | Sequence[str] | None = None,
    near_duplicates: str = "keep",
    all_files: bool = False,
    max_megapixels: float | None = None,
    sample: int = MOST_FITTED,
    seed: int = 0,
    client: Any = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Sort a folder of unlabelled images into groups.

    `out` gets groups.csv, gallery.html, model.keras (RGB images to probabilities; opens without
    this package), summary.json, work.sqlite (what was learned of each file; safe to delete), and
    answers.csv once images were corrected: what was said holds for their bytes, not their names.

    Parameters
    ----------
    folder : str or Path
        Images of any kind, flat or nested, among whatever else; or the address of such a folder
        that fsspec can read, such as "s3://bucket/photos". It is never written to.
    out : str or Path
        A new folder, or that of an earlier run, which is brought up to date.
    groups : int, "auto" or "kinds", optional
        Their number. By default as in an earlier run, else "auto": the kinds that stand out are
        counted, and shown as more and smaller groups; with "kinds" as so many. Once corrected, the
        groups are those of the corrections.
    backbone, clusterer : str
        "MobileNetV2" for photos, "letters" for characters, a file of Keras, several joined by "+"
        (see `backbones.load`); one of `CLUSTERERS`.
    balance : {"auto", "relaxed", "none", "linked", "uniform"}
        Whether groups are drawn to equal size, see `clustering.NeighbourClustering`; "auto" asks
        the images (`selection.balance_evidence`).
    size : int, optional
        Height and width that the backbone sees; by default what suits it.
    looks : float, "mirror", or a sequence of them, optional
        Several looks at each image, averaged, as in `features.extract`.
    examples : str or Path, optional
        A CSV file with columns file and name: what some images show. They name the groups and tell
        how far these can be trusted, but do not change them.
    corrections : str or Path, optional
        The CSV file exported by gallery.html. What it says holds from now on; like images follow.
    arrange : {"copy", "link"}, optional
        Also fill `out`/sorted with a folder per group, and one of the unsure.
    export : str or sequence of str, optional
        Also write `out`/export for other tools: some of `EXPORTS`, "csv,coco" as well. Labels are
        the groups' names; imagefolder has copies, or links where `arrange` is "link".
    near_duplicates : {"keep", "drop"}
        Whether images that look the same as another are grouped like all, or go where that one
        goes, as copies of the same bytes do.
    all_files : bool
        Also take what is hidden, and what systems put among photos, such as their thumbnails.
    max_megapixels : float, optional
        Larger images are not read, for the memory's sake, unless they are JPEGs; by default 179.
    sample : int
        Groups of more images are found in so many, drawn at random; the others are placed.
    client : distributed.Client, optional
        Its workers, who need to see the folder by the same path, read it. Groups are the same.
    seed, progress : int, bool
        Of whatever is drawn at random; whether to show progress bars.

    Returns
    -------
    dict
        As in summary.json; its `groups` (name to number of images) are in the order of the model's
        outputs, `suggestion` says how many kinds stand out, `estimate` is from examples.

    Raises
    ------
    ValueError, OSError
        The arguments do not fit, no image can be used (groups.csv says why), or `out` holds
        something else, cannot be written, or is being written by another run.
    """
    folder, out = _places(folder, out)
    names, passed = walk_anywhere(folder, all_files)
    asked = arrange, near_duplicates, balance, (), checked_exports(export), sample
    settings = Settings(backbone, groups, clusterer, seed, *asked)
    _check(folder, out, names, settings, corrections)
    known = None if examples is None else read_examples(examples, names)
    start, network = time.perf_counter(), load_network(backbone, size)  # with TensorFlow
    views, by_name = views_of(network, looks)
    settings = replace(settings, backbone=network.name, views=by_name)
    with Store.opened(out) as store, at_most(max_megapixels):
        todo = partial(read_new, store, folder, names, views, progress, client, max_megapixels)
        rows = _read(store, out, todo, corrections)
        state = _state(settings, known, names, rows)
        if corrections is None and _is_up_to_date(out, store, settings, state):
            summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
            return hand_out(summary, folder, out, store, settings, progress)
        read = time.perf_counter()
        with progress_bar(progress, total=4, unit="step") as steps:
            _next(steps, "looking for copies")
            looked = _look_for_copies(folder, names, rows, store, settings)
            used = looked["file"][looked["keep"]].tolist()
            _next(steps, "finding groups")
            found = find_groups(store, used, settings, (looked["duplicate_of"] != "").sum())
            table, found = _results(looked, used, found, store, known)
            table = with_levels(table, found, seed)
            _next(steps, "drawing the page")
            draw_page(folder, out, table, looked, found, store, seed, progress)
            _next(steps, "training the model")
            write_model(out, network, found, seed, looks)
        seconds = {"reading": read - start, "the rest": time.perf_counter() - read}
        summary = summarise(folder, settings, looked, table, found, seconds)
        summary |= {"passed_over": passed, "one_name": corrections and store.fact("one_name")}
        summary["counts"]["corrected, not here"] = _write_answers(out, store, table["file"])
        summary = hand_out(summary, folder, out, store, settings, progress)
        if not used:
            raise ValueError(f"none of the {len(names):,} files is usable: see {out / RESULTS[0]}")
        _remember(store, table, found, state)
    return summary


def _places(folder: Any, out: Any) -> tuple[Path | RemoteFolder, Path]:
    """Find the folder, on this machine or at an address, and that of the results."""
    if folder in ("", None) or out in ("", None):
        raise ValueError("the folder's path is empty, or that of the results: '.' is this folder")
    return folder_at(folder), Path(out).expanduser()


def _check(folder: Path, out: Path, names: list[str], settings: Settings, corrections: Any) -> None:
    """Refuse what cannot work before anything is written."""
    inside, outside, k = folder.resolve(), out.resolve(), settings.groups
    if isinstance(inside, RemoteFolder):
        inside.check(settings.arrange)
    elif outside.is_relative_to(inside):
        raise ValueError(f"{out} lies in the folder to be sorted: choose a place outside")
    elif inside.is_relative_to(outside):
        raise ValueError(f"{folder} lies in {out}: choose a new folder for the results")
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"{out} is a file: choose a new folder for the results")
    if out.is_dir() and any(out.iterdir()) and not _is_result(out):
        raise FileExistsError(f"{out} holds files that no earlier run made: choose a new folder")
    for name, asked in (("sorted", settings.arrange), ("export", settings.export)):
        if asked and (out / name).is_symlink():
            raise FileExistsError(f"{out / name} is a link: its files are not this run's to change")
    if not names:
        raise ValueError(f"{folder} holds no file: check the path")
    if k not in (None, "auto", "kinds") and (type(k) is not int or k < 1):
        raise ValueError(f"groups is a whole number from 1, 'auto' or 'kinds', not {k!r}")
    if type(settings.sample) is not int or settings.sample < LEAST_FITTED:
        raise ValueError(f"sample is a whole number from {LEAST_FITTED}, not {settings.sample!r}")
    for name, known in CHOICES.items():
        if (value := getattr(settings, name)) not in known:
            raise ValueError(f"{name} is {' or '.join(map(repr, known))}, not {value!r}")
    if (name := settings.clusterer) not in CLUSTERERS:
        raise ValueError(f"no clusterer is called {name!r}; there are {', '.join(CLUSTERERS)}")
    if corrections is not None and not (out / "groups.csv").is_file():
        raise ValueError(f"{out} holds no earlier result that {corrections} could correct")


def _is_result(out: Path) -> bool:
    """Tell a folder of results by any one of its files."""
    if (out / STORE).is_file():
        return True
    for name in ("groups.csv", ANSWERS, "summary.json"):
        if (out / name).is_file():
            with open(out / name, "rb") as file:
                if re.match(rb'(\xef\xbb\xbf)?(file[,;\t]group|\{\s*"folder")', file.read(99)):
                    return True
    return False


def _read(
    store: Store, out: Path, read: Callable[[], list[dict]], corrections: str | Path | None
) -> list[dict]:
    """Read what is new in the folder, and what a person said since."""
    before, empty = out / "groups.csv", store.placed().empty
    earlier = read_table(before) if before.is_file() else None

    def correct() -> None:
        if (this := file_hash(Path(corrections), "")) == store.fact("applied"):
            return  # no news: what has followed since is not said to be wrong
        digests = store.digests()
        now = {digests[file]: file for file in earlier["file"] if file in digests}
        renamed = {file: now[digest] for file, digest in digests.items() if digest in now}
        found = pd.DataFrame({"digest": pd.Series(digests, dtype=object)})
        found["group"] = found["digest"].map(store.placed()["group"])
        table = read_corrections(corrections, earlier, renamed, found)
        store.correct(table, table.attrs["opened"])
        store.keep(applied=this, one_name=table.attrs["one_name"])

    if corrections is not None and not empty:
        correct()  # before a file can change that was looked at
    rows = read()
    if empty:  # a first run, or the store was deleted
        store.restore(earlier, read_answers(out / ANSWERS))
        if corrections is not None:
            correct()
    return rows


def _write_answers(out: Path, store: Store, files: pd.Series) -> int:
    """Write what people said; return of how many images that are no longer there."""
    placed, digests = store.placed(), store.digests()
    if (said := placed[placed["said"] != ""]).size:
        write_answers(placed, out / ANSWERS)
    return int((~said.index.isin([digests.get(file) for file in files])).sum())


def _state(settings: Settings, known: Any, names: list[str], rows: list[dict]) -> str:
    """Hash what a result hangs on; where it is the same again, nothing is to be done."""
    hangs_on = (tfl_helpers.__version__, settings.backbone, settings.clusterer, settings.seed)
    hangs_on += settings.near_duplicates, settings.balance, settings.views, settings.sample
    files = [(name, *row["stat"]) for name, row in zip(names, rows, strict=True)]
    content = json.dumps([hangs_on, known, files], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _is_up_to_date(out: Path, store: Store, settings: Settings, state: str) -> bool:
    asked_anew = settings.groups not in (None, store.fact("groups"))
    whole = all((out / name).is_file() for name in RESULTS)
    return whole and not asked_anew and state == store.fact("state")


def _look_for_copies(
    folder: Path, names: list[str], rows: list[dict], store: Store, settings: Settings
) -> pd.DataFrame:
    """Report on all files; near-duplicates that are to be kept count as images of their own."""
    whole = store.fact("range")
    looked = cleaning.report(
        names,
        rows,
        read=lambda i: read_anywhere(folder / names[i], value_range=whole),
        embed=lambda some: store.features(settings.views, [names[i] for i in some]),
        small=store.small(names),
    )
    if settings.near_duplicates == "keep":  # the little that differs may be all that matters
        reasons = looked["problem"].str.split(", ").map(set(cleaning.LEAVE_OUT).intersection)
        looked["keep"] |= reasons == {"near-duplicate"}
    return looked


def _next(steps: Any, what: str) -> None:
    steps.set_description(what)
    steps.update()


def _results(
    looked: pd.DataFrame,
    used: list[str],
    found: Groups,
    store: Store,
    known: Mapping[str, str] | None,
) -> tuple[pd.DataFrame, Groups]:
    """Make the table of files, with `place`: the row of `found` that each goes by, -1 for none.

    A duplicate goes where its original went, an image that a person moved where they said.
    Groups are named by what is `known` from examples.
    """
    original = looked.set_index("file")["duplicate_of"].where(~looked["keep"].to_numpy(), "")
    goes_by = looked["file"]
    for _ in range(2):  # a copy of a near-duplicate goes by what that one goes by
        goes_by = goes_by.map(original).where(lambda name: name != "", goes_by)
    place = pd.Index(used, dtype=object).get_indexer(goes_by)  # -1 takes what is appended below
    group = np.append(np.array(found.names, object)[found.labels], "")[place]
    doubt = np.append(found.doubt.round(4), np.nan)[place]
    unsure = np.append(found.unsure, False)[place]
    placed = store.placed(looked["file"])
    corrected = placed["said"].fillna("").to_numpy()
    said = (corrected != "") & (place >= 0)
    group[said], doubt[said], unsure[said] = placed["group"].to_numpy()[said], 0, False
    twice = {cleaning.PROBLEMS["duplicate"], cleaning.PROBLEMS["near-duplicate"], ""}
    details = looked["detail"].str.split("; ")
    columns = {
        "file": looked["file"],
        "group": group,
        "doubt": doubt,
        "unsure": unsure,
        "duplicate_of": looked["duplicate_of"].where(
            looked["keep"] | (goes_by == looked["file"]), goes_by
        ),
        "problem": ["; ".join(w for w in t if w not in twice) for t in details],
        "corrected": corrected,
        "place": place,
    }
    table = pd.DataFrame(columns, dtype=object)  # names of files need not be valid text
    table = table.astype({"doubt": float, "unsure": bool, "place": int})
    if known is None:
        return table, found
    given, estimate = names_from_examples(table, known, found.names)
    table["group"] = [given.get(name, name) for name in table["group"]]
    names = [given.get(name, name) for name in found.names]
    return table, replace(found, names=names, estimate=estimate)


def _remember(store: Store, table: pd.DataFrame, found: Groups, state: str) -> None:
    """Keep what the next run builds on; a number that few images gave does not bind it."""
    number = None if found.guessed == 0 else len(found.names)
    facts = {"groups": number, "guessed": found.guessed, "suggestion": found.suggestion}
    store.keep(table[table["group"] != ""] if found.is_new else None, state=state, **facts)
