"""New images beside a sorted folder: in which group each is, and what is most like one."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tfl_helpers.datasets import (
    ImageReadError,
    cleaning,
    file_hash,
    progress_bar,
    read_image,
    walk,
    write_whole,
)
from tfl_helpers.sorting.grouping import FEW, far_from
from tfl_helpers.sorting.store import STORE, Store
from tfl_helpers.sorting.table import plain_cell, read_table

TEXTS = ("file", "group", "problem")
FAR = "far from all groups: perhaps a new kind"
USUAL = 0.95  # share of sorted images that are no farther from the others
CLEAR = 2 / 3  # score under which a model that is alone calls its answer unsure
BATCH, MOST_ASKED = 32, 5_000


@dataclass(frozen=True, eq=False)
class Known:
    """What lies beside a model: names of its outputs, and the images that were sorted."""

    lacks: str  # what does not, in words
    names: list[str]
    table: pd.DataFrame | None = None  # as in groups.csv, of what is in a group; of its rows:
    z: np.ndarray | None = None  # float32 (n, d), of length one
    digests: Sequence[str] = ()
    said: pd.Series | None = None  # group by digest, where a person said it
    value_range: Sequence[float] | None = None


def predict_folder(
    folder: str | Path,
    model: str | Path,
    out: str | Path | None = None,
    *,
    all_files: bool = False,
    progress: bool = True,
) -> pd.DataFrame:
    """Say in which group of a sorted folder each image of another one belongs.

    Parameters
    ----------
    folder : str or Path
        New images, whatever else is among them. It is only read.
    model : str or Path
        model.keras of `sort_folder`. The results beside it give names and tell unknown kinds;
        where it is alone, groups are numbers, and unsure is a score under 2/3.
    out : str or Path, optional
        A CSV file to write the table to, outside of the folder.
    all_files, progress : bool
        As in `sort_folder`.

    Returns
    -------
    pd.DataFrame
        One row per file: `file`; `group`, "" where it cannot be used; `score`, the model's
        probability of it; `doubt`, the share of sorted images that are no more doubtful; `unsure`:
        as doubtful as those that are, or farther from all than 95 % of them; `problem`, which says
        that, or why a file cannot be used. `attrs["lacks"]` says what is not beside the model.
    """
    folder, model = Path(folder).expanduser(), Path(model).expanduser()
    if out is not None and Path(out).resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{out} lies in the folder, which is only read: choose a place outside")
    names, _ = walk(folder, all_files)
    known, (body, head) = _beside(model.parent), _opened(model)
    rows = list(_embedded(body, [folder / name for name in names], known.value_range, progress))
    texts = {"file": names, "group": "", "problem": [why for why, *_ in rows]}
    table = pd.DataFrame(texts, dtype=object)  # names of files need not be valid text
    for place, column in enumerate(["score", "doubt", "unsure"], 2):
        table.insert(place, column, np.nan if column != "unsure" else False)
    if used := [i for i, (_, _, z) in enumerate(rows) if z is not None]:
        z = np.stack([rows[i][2] for i in used])
        p = head(z).numpy()
        outputs = known.names if len(known.names) == p.shape[1] else range(1, p.shape[1] + 1)
        groups = np.array([str(name) for name in outputs], object)[p.argmax(axis=1)]
        doubt, unsure, far = _judged(known, z, groups, p.max(axis=1))
        if known.said is not None:  # what a person said holds for the same bytes
            said = known.said.reindex([rows[i][1] for i in used])
            sure = said.notna().to_numpy()
            groups[sure], doubt[sure], unsure[sure], far[sure] = said[sure], 0, False, False
        found = {"group": groups, "score": p.max(axis=1).round(4), "doubt": doubt.round(4)}
        for column, values in (found | {"unsure": unsure}).items():
            table.loc[used, column] = values
        why = table["problem"].iloc[used][far]
        table.loc[why.index, "problem"] = [f"{text}; {FAR}".strip("; ") for text in why]
    table.attrs["lacks"] = known.lacks
    if out is not None:
        plain = {name: [plain_cell(t, name) for t in table[name]] for name in TEXTS}
        with write_whole(out) as part:
            table.assign(**plain).to_csv(part, index=False, encoding="utf-8", lineterminator="\n")
    return table


def most_like(file: str | Path, results: str | Path, n: int = 20) -> pd.DataFrame:
    """List the images of a sorted folder that are most like a given one, of it or new.

    Features are those in the folder of `results`; the sorted folder is not read.

    Returns
    -------
    pd.DataFrame
        At most `n` rows, most like first: `similarity`, the cosine of the angle seen from the mean
        of all images, 1 for the same; `file`; `group`.
    """
    if n < 1:
        raise ValueError(f"n={n}: ask for one image or more")
    file, results = Path(file).expanduser(), Path(results).expanduser()
    known = _beside(results)
    if known.table is None:
        raise FileNotFoundError(f"{results} holds no results of sort to search: {known.lacks}")
    digest = file_hash(file, "") if file.is_file() else ""
    if digest in known.digests:  # no network is needed
        z = known.z[known.digests.index(digest)]
    else:
        opened = _opened(results / "model.keras")
        ((why, _, z),) = _embedded(opened[0], [file], known.value_range, False)
        if z is None:
            raise ValueError(f"{file} cannot be used: {why}")
    centre = known.z.mean(axis=0)
    similarity = _unit(known.z - centre) @ _unit(_unit(z[None]) - centre)[0]
    table = known.table[["file", "group"]].copy()
    table.insert(0, "similarity", similarity.round(3))
    return table.sort_values("similarity", ascending=False, kind="stable", ignore_index=True)[:n]


def _beside(results: Path) -> Known:
    """Read what lies beside a model; without its store it is little."""
    try:
        summary = json.loads((results / "summary.json").read_text(encoding="utf-8"))
        names, views = list(summary["groups"]), summary["settings"]["views"]
    except (OSError, ValueError, KeyError):
        return Known("no summary.json", [])
    if not (results / STORE).is_file() or not (results / "groups.csv").is_file():
        return Known(f"no {STORE} or groups.csv", names)
    table = read_table(results / "groups.csv")
    table = table[table["group"] != ""].reset_index(drop=True)
    with Store.opened(results) as store:
        z = store.features(views, table["file"].tolist())
        placed, digests = store.placed(), store.digests()
        said = placed["group"][placed["said"] != ""]
        digests = [digests[file] for file in table["file"]]
        return Known("", names, table, _unit(z), digests, said, store.fact("range"))


def _opened(model: Path) -> tuple[Any, Any]:
    """Load a model and take it apart: from images to features, from these to groups."""
    import keras

    if not model.is_file():
        raise FileNotFoundError(f"{model} is no file: give the model.keras of a sorted folder")
    try:
        whole = keras.saving.load_model(model, compile=False)
        head = whole.get_layer("head")
        (body,) = (x for x in whole.layers if isinstance(x, keras.Model) and x is not head)
    except (ValueError, TypeError, OSError) as error:
        raise ValueError(f"{model} is no model that sort wrote: {error}") from error
    return body, head


def _embedded(
    body: Any, paths: list[Path], value_range: Any, progress: bool
) -> Iterator[tuple[str, str, np.ndarray | None]]:
    """Yield of each file what is wrong with it, its digest, and features if it can be used."""
    import keras

    from tfl_helpers import features

    inside = chain.from_iterable(getattr(part, "layers", [part]) for part in body.layers)
    sizes = [(x.height, x.width) for x in inside if isinstance(x, keras.layers.Resizing)]
    compute, size = features.compiled(body), tuple(int(side) for side in np.max(sizes, axis=0))
    look = partial(_look, size=size, value_range=value_range)
    bar = progress_bar(progress, total=len(paths), desc="reading", unit="file")
    with bar, ThreadPoolExecutor() as pool:
        for start in range(0, len(paths), BATCH):
            seen = list(pool.map(look, paths[start : start + BATCH]))
            pixels = [image for *_, image in seen if image is not None]
            z = iter(compute(np.stack(pixels).astype("float32")).numpy() if pixels else ())
            for why, digest, image in seen:
                yield why, digest, None if image is None else next(z)
            bar.update(len(seen))


def _look(path: Path, size: tuple[int, int], value_range: Any) -> tuple[str, str, Any]:
    """Read one file as `sort` does."""
    row, image = cleaning.inspect_file(path, value_range), None
    why = [cleaning.PROBLEMS[code] for code in row["codes"]] + row["notes"]
    if not set(cleaning.LEAVE_OUT) & set(row["codes"]):
        try:
            image = read_image(path, size, value_range)
        except ImageReadError as error:  # it changed in between
            why = [str(error.__cause__)]
    return "; ".join(why), row["digest"].hex() if "digest" in row else "", image


def _judged(
    known: Known, z: np.ndarray, groups: np.ndarray, score: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Say how doubtful new images are, which of them are unsure, and which far from all groups."""
    from sklearn.decomposition import PCA

    from tfl_helpers.clustering import Doubt

    if known.z is None or len(known.z) < FEW:
        return np.full(len(z), np.nan), score < CLEAR, np.zeros(len(z), bool)
    some = np.random.default_rng(0).permutation(len(known.z))[:MOST_ASKED]
    old, new = known.z[some], _unit(z)
    far = far_from(np.concatenate([old, new]), np.arange(len(old) + len(new)) < len(old), USUAL)
    pca = PCA(min(64, *old.shape), random_state=0).fit(old)
    before = known.table["group"].to_numpy()[some].astype(str)
    ranking = Doubt(_unit(pca.transform(old)), before, random_state=0)
    doubt = ranking.of(_unit(pca.transform(new)), groups.astype(str))
    far = far[len(old) :]
    return doubt, far | (doubt > 1 - known.table["unsure"].mean()), far


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
