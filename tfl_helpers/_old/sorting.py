"""From a folder of photos that nobody labelled to an answer: `python -m tfl_helpers sort`.

The folder is only read. What is learned about each file is kept beside the results, so that a
stopped run goes on where it was and a later one looks at new files only::

    files -> cleaning -> features -> groups -> groups.csv, gallery.html, model.keras, summary.json
                                       ^                       |
                                       '--- your corrections --'
"""

import datetime
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import time
import uuid
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from PIL import Image

import tfl_helpers
from tfl_helpers._old import report
from tfl_helpers.datasets import cleaning
from tfl_helpers._old._store import STORE, THUMBNAIL, Store, key
from tfl_helpers.datasets import ImageReadError, bar, list_files, read_image

if TYPE_CHECKING:
    import keras

RESULTS = ("groups.csv", "gallery.html", "model.keras", "summary.json")
BLOCK = 256  # files read between two saves: a kill loses at most these
BATCH = 32  # images that go through the network at a time: twice as many need 300 MB more
MOST_FITTED = 20_000  # images that groups are found in; more follow by the vote of these
MOST_GUESSED, MOST_GROUPS = 3_000, 20  # images and groups that the number of groups is guessed with
MOST_PLACED = 10_000  # images that UMAP lays out; more are placed beside their neighbours
MOST_AXES = 64  # principal axes for the map and for `follow`
PART = 10_000  # rows at a time, where a copy of all would cost much memory
JOINING, MOST_TURNS = 8, 8  # see follow
TRUST = 30  # times that an image counts of which a person said where it belongs
SURE = 2 / 3  # share of votes below which an image is unsure, as in NeighbourClustering
NEARLY = 0.15  # of the numbers tried: a number so many ranks below the best is nearly as good
FEW = 20  # images: no number of groups can be guessed below


def sort_folder(
    folder: str | Path,
    out: str | Path,
    *,
    groups: int | str | None = None,
    backbone: str = "MobileNetV2",
    size: int | None = None,
    examples: str | Path | None = None,
    corrections: str | Path | None = None,
    arrange: str | None = None,
    seed: int = 0,
    progress: bool = True,
) -> dict[str, Any]:
    """Sort a folder of unlabelled images into groups.

    Parameters
    ----------
    folder : str or Path
        Images of any size and mode, flat or nested, among whatever else. It is never written to.
    out : str or Path
        Where the results go: a new folder, or that of an earlier run, which is then brought up to
        date. Not inside `folder`.
    groups : int or "auto", optional
        Number of groups. By default the number an earlier run had, else "auto": it is guessed,
        and the summary says what else is plausible. Once corrected, the groups are those of the
        corrections.
    backbone : str
        See `backbones.names`: "MobileNetV2" for photos, "letters" for drawn characters, which
        needs no download.
    size : int, optional
        Height and width that the backbone sees; by default what suits it.
    examples : str or Path, optional
        A CSV file with columns `file` and `name`: what some images show. They do not change the
        groups; they name them, and tell how far the groups can be trusted.
    corrections : str or Path, optional
        The CSV file exported by gallery.html. Its names and moves hold from now on: images that
        you moved stay, images like them follow.
    arrange : {"copy", "link"}, optional
        Also fill `out`/sorted with a folder per group, of copies or of symbolic links.
    seed : int
        Of whatever is drawn at random.
    progress : bool
        Show progress bars.

    Returns
    -------
    dict
        What `out`/summary.json holds: `settings`, `versions`, `counts`, `groups` (name to number of
        images, in the order of the model's outputs), `suggestion` (k, low, high), `scores`,
        `estimate` from examples, `seconds`.

    Raises
    ------
    NotADirectoryError, FileExistsError
        `folder` is none, or `out` holds something that no earlier run made.
    ValueError
        The arguments do not fit the folder; or no image in it can be used (groups.csv then says
        why of each file).
    OSError
        `out` cannot be written, or another run is writing it. What is there stays as it was.

    Notes
    -----
    `out` gets groups.csv (see `report.write_table`), gallery.html (`report.gallery`), model.keras
    (raw RGB images to probabilities; opens without this package), summary.json, and work.sqlite
    (what was learned of each file; safe to delete, then computed anew). Each is replaced as a
    whole. Taught in notebook 07.
    """
    folder, out = Path(folder).expanduser(), Path(out).expanduser()
    names = list_files(folder)
    _check(folder, out, names, groups, arrange)
    known = None if examples is None else _read_examples(Path(examples), names)
    fixed = None if corrections is None else _read_corrections(corrections, out)
    from tfl_helpers import backbones  # TensorFlow: only now, as it takes a while

    start = time.perf_counter()
    network = backbones.load(backbone, size=size or _usual_size(backbone))
    with Store.opened(out) as store:
        if fixed is not None:
            store.correct(fixed)
        rows = _read_new(store, folder, names, network, progress)
        state = _state(store, names, network.name, seed, known)
        asked_anew = fixed is not None or groups not in (None, store.fact("groups")) or arrange
        whole = all((out / name).is_file() for name in RESULTS)
        if whole and not asked_anew and state == store.fact("state"):
            return json.loads((out / "summary.json").read_text(encoding="utf-8"))
        read, estimate = time.perf_counter(), None
        with bar(progress, total=4, unit="step") as steps:
            steps.set_description("looking for copies")
            looked = cleaning.report(names, rows)
            used = [name for name, keep in zip(names, looked["keep"], strict=True) if keep]
            steps.update()
            steps.set_description("finding groups")
            found = _group(store, network.name, used, groups, seed) if used else None
            table = _joined(looked, used, found, store)
            if known is not None:
                given, estimate = _take_names(table, known)
                table = _renamed(table, found, given)
            steps.update()
            steps.set_description("drawing the page")
            report.write_table(table, out / "groups.csv")
            _write_gallery(out / "gallery.html", store, table, used, found, folder, seed, progress)
            steps.update()
            steps.set_description("training the model")
            if found is not None:
                _write_model(out / "model.keras", network, found, seed)
            steps.update()
        if arrange is not None:
            _arrange(folder, out / "sorted", table, arrange, progress)
        seconds = {"reading": read - start, "the rest": time.perf_counter() - read}
        settings = {"backbone": network.name, "groups": groups, "seed": seed, "arrange": arrange}
        summary = _summary(folder, settings, table, found, estimate, seconds)
        with _replaced(out / "summary.json") as part:
            part.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        if found is not None:
            has = table[table["group"] != ""]
            placed = dict(zip(has["file"], has["group"], strict=True))
            store.keep(placed, groups=len(found.names), suggestion=found.suggestion, state=state)
    if found is None:
        raise ValueError(
            f"none of the {len(names):,} files in {folder} is an image that can be used: see "
            f"{out / 'groups.csv'} for the reason of each"
        )
    return summary


def follow(
    z: np.ndarray, groups: Sequence[Any], corrected: np.ndarray, *, seed: int = 0
) -> tuple[list, np.ndarray]:
    """Let all images follow those that a person has put right.

    A linear classifier learns the groups, says them anew, learns these, and so on until they stay.
    An image of which a person said where it belongs counts thirty times and stays there. A group
    that a person has just begun is too small to be learned: the images nearest to its own join it
    at first.

    Parameters
    ----------
    z : np.ndarray, shape (n, d)
        Features.
    groups : sequence of n str or None
        Group of each image as corrected, None for a new image.
    corrected : np.ndarray, bool (n,)
        Of which images a person said where they belong.
    seed : int
        Draws the images to learn from, where there are more than 20,000.

    Returns
    -------
    names : list
        Of the groups.
    p : np.ndarray, shape (n, len(names))
        Probabilities.

    Notes
    -----
    Self-training, as in Nigam et al. (2000), Text classification from labeled and unlabeled
    documents using EM. What it does for the images that nobody corrected: docs/results/sorting.json
    (thirty times, and eight that join, were chosen there). Taught in notebook 07.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import normalize

    codes, names = pd.factorize(np.array(groups, object), sort=True)
    if len(names) == 1:
        return list(names), np.ones((len(z), 1))
    axes, said = normalize(_axes(z, seed)), codes[corrected]
    free = np.flatnonzero(~corrected)
    for group in set(said) - set(codes[free]):
        for row in axes[corrected][said == group]:
            codes[free[np.argsort(-(axes[free] @ row))[:JOINING]]] = group
    order = np.random.default_rng(seed).permutation(len(z))
    order = order[np.argsort(~corrected[order], kind="stable")]  # corrected ones in any case
    some = order[codes[order] >= 0][:MOST_FITTED]
    for _ in range(MOST_TURNS):
        linear = LogisticRegression(C=10, max_iter=500)
        linear.fit(axes[some], codes[some], np.where(corrected[some], TRUST, 1))
        p = np.zeros((len(z), len(names)))  # a group may have lost its last image
        p[:, linear.classes_] = linear.predict_proba(axes)
        p[corrected] = said[:, None] == np.arange(len(names))
        before, codes = codes, p.argmax(1)
        if np.mean(before[some] != codes[some]) < 0.001:
            break
    return list(names), p


def told(summary: Mapping[str, Any], out: str | Path) -> str:
    """Tell in a few lines what `sort_folder` did.

    Parameters
    ----------
    summary : dict
        As it returns.
    out : str or Path
        The folder with the results.

    Returns
    -------
    str
        Lines for a person to read.

    Notes
    -----
    Taught in notebook 07.
    """
    counts, guess, estimate = (summary[key] for key in ("counts", "suggestion", "estimate"))
    lines = [
        f"{counts['files']:,} files: {counts['sorted']:,} sorted into {len(summary['groups'])} "
        f"groups, {counts['unsure']:,} of them unsure; {counts['duplicates']:,} duplicates; "
        f"{counts['left out']:,} could not be used",
        "groups: " + ", ".join(f"{name} ({n:,})" for name, n in summary["groups"].items()),
    ]
    if guess and guess["high"] > guess["low"]:
        lines.append(
            f"number of groups: {guess['k']} is the best guess, {guess['low']} to {guess['high']} "
            "are plausible (--groups K)"
        )
    if estimate and estimate["examples"]:
        lines.append(
            f"your examples: {estimate['right']} of {estimate['examples']} are in a group that the "
            f"others name alike; the true share lies between {estimate['low']:.0%} and "
            f"{estimate['high']:.0%}, if they were picked at random"
        )
    lines.append(f"look at them: {Path(out) / 'gallery.html'}")
    return "\n".join(lines)


@dataclass(eq=False)
class _Found:
    """Groups of the images that were used."""

    z: np.ndarray  # float32 (n, d), scaled to length one
    p: np.ndarray  # (n, k) probabilities
    unsure: np.ndarray  # bool (n,)
    names: list[str]  # of the k groups, in the order of the columns of p
    suggestion: dict[str, int] | None
    scores: dict[str, float]

    @property
    def labels(self) -> np.ndarray:
        return self.p.argmax(1)

    def typical(self) -> np.ndarray:
        """How near each image is to the middle of its group (n,): its prototypes are nearest."""
        result = np.zeros(len(self.z))
        for group in np.unique(self.labels):
            inside = self.z[self.labels == group]
            centre = inside.mean(0)
            result[self.labels == group] = inside @ centre / np.linalg.norm(centre).clip(1e-9)
        return np.where(self.unsure, result - 2, result)


def _usual_size(backbone: str) -> int | None:
    from tfl_helpers import backbones

    photos = backbones.suggested("photos")
    return photos["size"] if backbone == photos["name"] else None


def _check(folder: Path, out: Path, names: list[str], groups: Any, arrange: str | None) -> None:
    """Refuse what cannot work before anything is written."""
    inside, outside = folder.resolve(), out.resolve()
    if outside == inside or inside in outside.parents:
        raise ValueError(
            f"{out} lies in the folder to be sorted, which is only read: choose a place outside"
        )
    if outside in inside.parents:
        raise ValueError(f"{folder} lies in {out}: choose a new folder for the results")
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"{out} is a file: choose a new folder for the results")
    if out.is_dir() and any(out.iterdir()) and not (out / STORE).exists():
        raise FileExistsError(
            f"{out} holds files that no earlier run made: choose a new or an empty folder"
        )
    if not names:
        raise ValueError(f"{folder} holds no file: check the path")
    whole = isinstance(groups, int) and not isinstance(groups, bool) and groups >= 1
    if not (groups in (None, "auto") or whole):
        raise ValueError(f"groups is a whole number from 1, or 'auto', not {groups!r}")
    if arrange not in (None, "copy", "link"):
        raise ValueError(f"arrange is 'copy', 'link' or None, not {arrange!r}")


def _read_new(
    store: Store, folder: Path, names: list[str], network: "keras.Model", progress: bool
) -> list[dict]:
    """Look at the files that are new or changed, and compute their features."""
    import tensorflow as tf

    from tfl_helpers.features import compiled

    forward = functools.cache(lambda: compiled(network))  # nothing to compile if all is known
    grey = network.input_shape[-1] == 1

    def compute(pixels: np.ndarray) -> np.ndarray:
        # No tf.data here: a new pipeline for each block of files would stay in memory.
        parts = []
        for start in range(0, len(pixels), BATCH):
            batch = tf.cast(pixels[start : start + BATCH], tf.float32)
            batch = tf.image.rgb_to_grayscale(batch) if grey else batch
            parts.append(forward()(batch).numpy())
        return np.concatenate(parts)

    def stat(name: str) -> tuple[int, int]:
        try:
            about = (folder / name).stat()
        except OSError:
            return -1, -1  # looked at again in every run
        return about.st_size, about.st_mtime_ns

    def read(name: str) -> tuple[tuple[int, int], dict, np.ndarray | None]:
        before = stat(name)
        row, pixels = cleaning.look(folder / name), None
        if not _unused(row):
            try:
                pixels = read_image(folder / name, size)
            except ImageReadError as error:  # it changed in between
                row["codes"].append("unreadable")
                row["notes"].append(str(error.__cause__))
        return before, row, pixels

    stats, rows, there = store.stats(), store.rows(), store.have_features(network.name)
    done = {key for key, row in rows.items() if key in there or _unused(row)}
    todo = [
        name
        for name in names
        if key(name) not in done or stats[key(name)] != (now := stat(name)) or -1 in now
    ]
    resize = network.get_layer("resize")
    size = resize.height, resize.width
    Image.init()  # before the threads start: which kinds of image Pillow knows
    with (
        bar(progress, total=len(todo), desc="reading", unit="file") as shown,
        ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # what Pillow has to say stands in the table
        for start in range(0, len(todo), BLOCK):
            part = todo[start : start + BLOCK]
            seen = list(pool.map(read, part))
            pixels = [image for *_, image in seen if image is not None]
            features = iter(compute(np.stack(pixels)) if pixels else ())
            block = []
            for name, (about, row, image) in zip(part, seen, strict=True):
                picture = None if image is None else _picture(image, row)
                z = None if image is None else next(features)
                block.append((key(name), about, row, picture, z))
            store.save(network.name, block)
            shown.update(len(part))
    rows = store.rows()
    return [rows[key(name)] for name in names]


def _state(store: Store, names: list[str], *settings: Any) -> str:
    """Sum up what a result hangs on; the same again, nothing is to be done."""
    stats = store.stats()
    files = [(key(name).hex(), *stats[key(name)]) for name in names]
    content = json.dumps([tfl_helpers.__version__, *settings, files], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _unused(row: dict) -> bool:
    """Whether nothing is to be computed from a file."""
    return bool(set(cleaning.LEAVE_OUT) & set(row["codes"]))


def _picture(image: np.ndarray, row: dict) -> bytes:
    """Show the middle of an image in its own proportions, small, as JPEG."""
    height, width = image.shape[:2]
    shown = min(row["width"], row["height"]) / np.array([row["width"], row["height"]])
    right, down = (shown * (width, height)).round().clip(1)
    left, top = (width - right) / 2, (height - down) / 2
    square = (THUMBNAIL, THUMBNAIL)
    small = Image.fromarray(image).resize(square, box=(left, top, left + right, top + down))
    small.save(written := BytesIO(), "JPEG", quality=85)
    return written.getvalue()


def _group(
    store: Store, backbone: str, used: list[str], groups: int | str | None, seed: int
) -> _Found:
    """Find groups, or let those follow that a person has corrected."""
    from sklearn.preprocessing import normalize

    from tfl_helpers import clustering

    z = normalize(store.features(backbone, used), copy=False)
    suggestion, earlier = store.fact("suggestion"), store.earlier()
    rng = np.random.default_rng(seed)
    some = np.sort(rng.permutation(len(z))[:MOST_FITTED])
    if store.fact("corrected"):
        said = store.corrections()
        corrected = np.array([name in said for name in used])
        names, p = follow(z, [earlier.get(name) for name in used], corrected, seed=seed)
        unsure, scores = p.max(1) < SURE, {}
    else:
        if groups is None:
            groups = store.fact("groups") or "auto"
        if groups == "auto":
            suggestion = _suggest(z, seed)
            groups = suggestion["k"]
        if groups > len(z):
            raise ValueError(f"{groups} groups are wanted of {len(z):,} images that can be used")
        method = clustering.NeighbourClustering(groups, random_state=seed).fit(z[some])
        parts = [z[start : start + PART] for start in range(0, len(z), PART)]
        p = np.concatenate([method.predict_proba(part) for part in parts])
        unsure = np.concatenate([method.unsure(part) for part in parts])
        p = p[:, np.argsort(-np.bincount(p.argmax(1), minlength=groups), kind="stable")]
        scores = {"stability": round(method.stability_, 3)}
        names = _names(p.argmax(1), p.shape[1], [earlier.get(name) for name in used])
    return _Found(z, p, unsure, names, suggestion, scores)


def _suggest(z: np.ndarray, seed: int) -> dict[str, int]:
    """Guess the number of groups: {"k", "low", "high"}.

    Numbers that are better than their neighbours, and nearly as good as the best, are plausible.
    Two is passed over if there is another: the coarsest cut is nearly always steady, and two groups
    that belong together are joined more easily than one is taken apart.
    """
    from tfl_helpers import clustering

    if len(z) < FEW:
        return {"k": 1, "low": 1, "high": len(z)}
    some = np.random.default_rng(seed).permutation(len(z))[:MOST_GUESSED]
    most = min(MOST_GROUPS, len(some) // 5)
    guess = clustering.estimate_n_clusters(z[np.sort(some)], 2, most, random_state=seed)
    rank = guess.curves.set_index("k").rank().mean(axis=1)
    beside = np.pad(rank, 1, constant_values=-np.inf)
    peak = (rank > beside[:-2]) & (rank > beside[2:]) & (rank >= rank.max() - NEARLY * len(rank))
    plausible = [*rank.index[peak], guess.suggestion]
    finer = [k for k in plausible if k > 2] or plausible
    return {
        "k": int(max(finer, key=lambda k: rank[k])),
        "low": int(min(plausible)),
        "high": int(max(plausible)),
    }


def _names(labels: np.ndarray, k: int, earlier: Sequence[str | None]) -> list[str]:
    """Name groups as an earlier run did where they share most images, else by number."""
    from scipy.optimize import linear_sum_assignment

    codes, known = pd.factorize(np.array(earlier, object))
    shared = np.zeros((k, len(known)), int)
    np.add.at(shared, (labels[codes >= 0], codes[codes >= 0]), 1)
    names: list[str | None] = [None] * k
    for group, name in zip(*linear_sum_assignment(shared, maximize=True), strict=True):
        if shared[group, name]:
            names[group] = known[name]
    free = (f"group {i}" for i in range(1, 2 * k + len(known) + 1) if f"group {i}" not in known)
    return [name or next(free) for name in names]


def _joined(
    table: pd.DataFrame, used: list[str], found: _Found | None, store: Store
) -> pd.DataFrame:
    """Make the table of files: a duplicate goes where the first of its kind went."""
    place = {name: i for i, name in enumerate(used)} if found else {}
    first = np.where(table["duplicate_of"] == "", table["file"], table["duplicate_of"])
    at = np.array([place.get(name, -1) for name in first], int)
    has = at >= 0

    def column(values: Any, empty: Any) -> list:
        return [
            value if ok else empty for ok, value in zip(has, np.asarray(values)[at], strict=True)
        ]

    twice = {cleaning.PROBLEMS["duplicate"], cleaning.PROBLEMS["near-duplicate"]}
    words = [[w for w in text.split("; ") if w and w not in twice] for text in table["detail"]]
    n = max(len(used), 1)
    group = np.array(found.names, object)[found.labels] if found else [""] * n
    said = store.corrections()
    joined = pd.DataFrame(
        {
            "file": table["file"],
            "group": pd.Series(column(group, ""), dtype=object),
            "confidence": column(found.p.max(1).round(3) if found else [np.nan] * n, np.nan),
            "unsure": column(found.unsure if found else [False] * n, False),
            "duplicate_of": table["duplicate_of"],
            "problem": pd.Series(["; ".join(w) for w in words], dtype=object),
            "corrected": pd.Series([said.get(f, "") for f in table["file"]], dtype=object),
        }
    )
    if said and found:  # also of duplicates, which are not among those used
        own = (joined["corrected"] != "") & (joined["group"] != "")
        earlier = store.earlier()
        joined.loc[own, "group"] = [earlier[file] for file in joined["file"][own]]
        joined.loc[own, "unsure"] = False
    return joined


def _read_examples(path: Path, names: Sequence[str]) -> dict[str, str]:
    """Read what some images show: file to name."""
    try:
        read = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no CSV file in UTF-8: {error}") from error
    if not {"file", "name"} <= set(read.columns):
        raise ValueError(
            f"{path} needs the columns file and name; it has {', '.join(read.columns)}"
        )
    unknown = sorted(set(read["file"]) - set(names))
    if unknown:
        raise ValueError(
            f"{path}: {len(unknown)} files are not in the folder, such as {unknown[0]!r}; give "
            "paths within the folder, with forward slashes"
        )
    read = read[read["name"] != ""]
    twice = read["file"][read["file"].duplicated()]
    if len(twice):
        raise ValueError(f"{path}: {twice.iloc[0]!r} is there twice")
    return dict(zip(read["file"], read["name"], strict=True))


def _read_corrections(path: str | Path, out: Path) -> pd.DataFrame:
    if not (out / "groups.csv").is_file():
        raise ValueError(f"{out} holds no earlier result that {path} could correct")
    return report.read_corrections(path, report.read_table(out / "groups.csv"))


def _take_names(
    table: pd.DataFrame, examples: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, Any]]:
    """Names of groups by the vote of examples, and how far they can be trusted.

    The estimate leaves each example out of the vote in turn and asks whether the others name its
    group as it is named itself. The range is Wilson's, for 95 of 100 such samples.
    """
    from scipy.stats import binomtest

    inside = table[table["file"].isin(examples.keys()) & (table["group"] != "")]
    votes: dict[str, Counter] = {}
    for file, group in zip(inside["file"], inside["group"], strict=True):
        votes.setdefault(group, Counter())[examples[file]] += 1

    def winner(counts: Counter) -> str:
        return min(counts, key=lambda name: (-counts[name], name))

    right = 0
    for file, group in zip(inside["file"], inside["group"], strict=True):
        others = votes[group] - Counter([examples[file]])
        right += bool(others) and winner(others) == examples[file]
    names: dict[str, str] = {}
    for group in sorted(votes, key=lambda group: -votes[group].total()):
        name, number = winner(votes[group]), 1
        while (given := name if number == 1 else f"{name} {number}") in names.values():
            number += 1
        names[group] = given
    if not len(inside):
        return names, {"examples": 0}
    low, high = binomtest(right, len(inside)).proportion_ci(method="wilson")
    share = {"accuracy": right / len(inside), "low": low, "high": high}
    return names, {
        "examples": len(inside),
        "right": right,
        **{key: round(float(value), 3) for key, value in share.items()},
    }


def _renamed(table: pd.DataFrame, found: _Found | None, given: Mapping[str, str]) -> pd.DataFrame:
    """Give names to groups that have only a number; a name that a person gave stays."""
    if found is None:
        return table
    given = {old: new for old, new in given.items() if re.fullmatch(r"group \d+", old)}
    given = {old: new for old, new in given.items() if new not in found.names}
    found.names = [given.get(name, name) for name in found.names]
    return table.assign(group=[given.get(name, name) for name in table["group"]])


def _axes(z: np.ndarray, seed: int) -> np.ndarray:
    """Turn features to their loudest principal axes, found in some of them: (n, 64)."""
    from sklearn.decomposition import PCA

    some = np.random.default_rng(seed).permutation(len(z))[:MOST_PLACED]
    axes = PCA(min(MOST_AXES, len(some), z.shape[1]), random_state=seed).fit(z[np.sort(some)])
    return np.concatenate([axes.transform(z[i : i + PART]) for i in range(0, len(z), PART)])


def _places(z: np.ndarray, seed: int) -> np.ndarray | None:
    """Where each image is on the map, x and y: float (n, 2)."""
    from sklearn.neighbors import KNeighborsRegressor

    if len(z) < FEW:
        return None
    rows = _axes(z, seed)
    some = np.sort(np.random.default_rng(seed).permutation(len(z))[:MOST_PLACED])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a seed makes it slower
        import umap

        laid = umap.UMAP(metric="cosine", random_state=seed).fit_transform(rows[some])
    if len(some) == len(z):
        return laid
    return KNeighborsRegressor(5, weights="distance").fit(rows[some], laid).predict(rows)


def _write_gallery(
    path: Path,
    store: Store,
    table: pd.DataFrame,
    used: list[str],
    found: _Found | None,
    folder: Path,
    seed: int,
    progress: bool,
) -> None:
    has, laid, about = table["group"] != "", None, {}
    if found:
        place = {name: i for i, name in enumerate(used)}
        first = np.where(table["duplicate_of"] == "", table["file"], table["duplicate_of"])
        at = [place[name] for name in first[has]]
        laid, about = _places(found.z, seed), {"typical": found.typical()[at]}
    pictures, title = store.pictures(table["file"][has]), folder.resolve().name
    places = None if laid is None else laid[at]
    report.gallery(path, table, pictures, places, title=title, progress=progress, **about)


def _write_model(path: Path, network: "keras.Model", found: _Found, seed: int) -> None:
    from tfl_helpers import selflabel

    some = np.random.default_rng(seed).permutation(len(found.z))[:MOST_FITTED]
    model = selflabel.classifier(network, found.z[some], found.p[some], seed=seed)
    with _replaced(path) as part:
        model.save(part)


def _arrange(folder: Path, target: Path, table: pd.DataFrame, how: str, progress: bool) -> None:
    """Fill a folder per group; what an earlier run put there and is no longer right goes."""
    folders = _folder_names(sorted(set(table["group"]) - {""}))
    wanted = {
        target / ("unsure" if unsure else folders[group]) / file: folder.resolve() / file
        for file, group, unsure in zip(table["file"], table["group"], table["unsure"], strict=True)
        if group
    }
    for inner, _, files in os.walk(target, topdown=False):
        for file in files:
            if Path(inner, file) not in wanted:
                Path(inner, file).unlink()
        if not os.listdir(inner):
            os.rmdir(inner)
    for place, source in bar(progress, wanted.items(), desc="sorted", unit="file", delay=1):
        if how == "link":
            right = place.is_symlink() and os.readlink(place) == str(source)
        else:
            right = not place.is_symlink() and place.exists() and _same_file(place, source)
        if not right and source.exists():  # it may be gone since it was read
            place.parent.mkdir(parents=True, exist_ok=True)
            part = place.with_name(f"{uuid.uuid4().hex}.part")
            if how == "link":
                part.symlink_to(source)
            else:
                shutil.copy2(source, part)
            os.replace(part, place)


def _same_file(one: Path, other: Path) -> bool:
    a, b = one.stat(), other.stat()
    return (a.st_size, int(a.st_mtime)) == (b.st_size, int(b.st_mtime))


def _folder_names(groups: Sequence[str]) -> dict[str, str]:
    """Make a name for a folder from the name of a group, which may hold anything."""
    result: dict[str, str] = {}
    for group in groups:
        plain = (
            re.sub(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]', "_", group)[:60].strip(" .") or "_"
        )
        name, number = plain, 1
        while name.lower() in {"unsure", *(given.lower() for given in result.values())}:
            number += 1
            name = f"{plain} {number}"
        result[group] = name
    return result


def _summary(
    folder: Path,
    settings: dict[str, Any],
    table: pd.DataFrame,
    found: _Found | None,
    estimate: dict[str, Any] | None,
    seconds: dict[str, float],
) -> dict[str, Any]:
    sizes = table["group"].value_counts()
    libraries = ("tensorflow", "keras", "scikit-learn", "umap-learn", "numpy", "pillow")
    return {
        "folder": str(folder.resolve()),
        "finished": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "settings": settings,
        "versions": {"tfl_helpers": tfl_helpers.__version__, "python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in libraries},
        "counts": {
            "files": len(table),
            "sorted": int((table["group"] != "").sum()),
            "unsure": int(table["unsure"].sum()),
            "duplicates": int((table["duplicate_of"] != "").sum()),
            "left out": int((table["group"] == "").sum()),
        },
        "groups": {name: int(sizes.get(name, 0)) for name in (found.names if found else [])},
        "suggestion": found.suggestion if found else None,
        "scores": found.scores if found else {},
        "estimate": estimate,
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
    }


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """Give a place to write; it takes that of `path` only once it is complete."""
    part = path.with_name(f"{uuid.uuid4().hex}.part{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
