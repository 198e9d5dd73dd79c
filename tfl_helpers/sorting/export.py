"""What was found, for other tools: folders of images, a plain table, COCO, Label Studio, Parquet.

All is made from groups.csv and the store, and put into OUT/export as `arrange` puts files there.
"""

import hashlib
import importlib.util
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np
import pandas as pd

from tfl_helpers.datasets import write_whole
from tfl_helpers.sorting.arrange import file_marks, fill_folders, put_files, safe_names
from tfl_helpers.sorting.corrections import SAMPLED
from tfl_helpers.sorting.following import SEVERAL_KINDS
from tfl_helpers.sorting.gallery import lay_out
from tfl_helpers.sorting.grouping import FEW, Settings
from tfl_helpers.sorting.store import Store
from tfl_helpers.sorting.table import plain_cell, plain_text, read_table

EXPORTS = ("imagefolder", "csv", "coco", "labelstudio", "parquet")
PLACE = "../export/"  # as the store knows it, seen from the folders of `arrange`
TEXT_COLUMNS = ["file", "label", "group", "level_1", "level_2", "duplicate_of"]
COLUMNS = [*TEXT_COLUMNS, "doubt", "unsure"]
MORE = ["features", "x", "y"]  # in Parquet alone


def checked_exports(kinds: str | Sequence[str] | None) -> list[str]:
    """Read kinds of export from "csv,coco" or a list of such; a ValueError says what is wrong.

    Examples
    --------
    >>> checked_exports(["csv,coco", "csv"])
    ['csv', 'coco']
    """
    given = [kinds] if isinstance(kinds, str) else kinds or ()
    asked = list(dict.fromkeys(kind.strip() for text in given for kind in text.split(",")))
    if unknown := set(asked) - set(EXPORTS):
        raise ValueError(f"export is of {', '.join(EXPORTS)}, not {', '.join(sorted(unknown))}")
    if "parquet" in asked and not importlib.util.find_spec("pyarrow"):
        raise ValueError('for Parquet files first: pip install "tfl-helpers[parquet]"')
    return asked


def hand_out(
    summary: dict, folder: Path, out: Path, store: Store, settings: Settings, progress: bool
) -> dict[str, Any]:
    """Fill the folders and write the exports that are asked for, from groups.csv and the store.

    What became of them goes into the summary, which is written too, and returned.
    """
    how, alone, exported = settings.arrange, [], None
    if how or settings.export:
        table = read_table(out / "groups.csv")
    if how:
        left = fill_folders(folder, out, table, how, store, progress)
        alone += [f"sorted/{place}" for place in left]
    if settings.export:
        count, left = export(folder, out, table, store, settings, progress)
        alone += [f"export/{place}" for place in left]
        exported = {"as": settings.export, "images": count, "left out": len(table) - count}
    told = summary | {"left_alone": alone, "exported": exported}
    if told != summary:
        with write_whole(out / "summary.json") as part:
            part.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return told


def export(
    folder: Path, out: Path, table: pd.DataFrame, store: Store, settings: Settings, progress: bool
) -> tuple[int, list[str]]:
    """Export a result; return the number of its images, and what a user changed there."""
    kinds, how = settings.export, settings.arrange or "copy"
    table = _labelled(table, store)
    wanted: dict[str, Path | bytes] = {}
    marks: dict[str, str] = {}
    if "imagefolder" in kinds:
        some = table[table["label"] != ""]
        folders = safe_names(sorted(set(some["label"])))
        files = safe_names(some["file"], suffixes=True)
        pairs = zip(some["label"], some["file"], strict=True)
        wanted = {f"imagefolder/{folders[k]}/{files[f]}": folder / f for k, f in pairs}
        marks = file_marks(wanted, some["file"], how, store)
    if "parquet" in kinds and len(table):
        z = store.features(settings.views, table["file"].tolist())
        table["features"] = list(z)
        table[["x", "y"]] = _on_a_map(z, settings.seed)
    texts = {place: text for kind in kinds for place, text in _texts(kind, table, folder).items()}
    digests = {place: f"sha256 {hashlib.sha256(text).hexdigest()}" for place, text in texts.items()}
    recorded, again = store.arranged(PLACE), {*kinds, *texts}
    others = {p: mark for p, mark in recorded.items() if p.split("/")[0] not in again}
    recorded = {p: mark for p, mark in recorded.items() if p not in others}
    put = {**wanted, **texts}, {**marks, **digests}, recorded
    alone = put_files(
        out / "export", *put, lambda made: store.arrange(made | others, PLACE), progress
    )
    return len(table), alone


def _on_a_map(z: np.ndarray, seed: int) -> np.ndarray:
    """Place images with features (n, d) on a map, for tools that draw one; few get no place."""
    from tfl_helpers.clustering import leading_components

    if len(z) < FEW:
        return np.full((len(z), 2), np.nan)
    return lay_out(leading_components(z, random_state=seed, sample=SAMPLED), seed)


def _labelled(table: pd.DataFrame, store: Store) -> pd.DataFrame:
    """Give all images in a group a label: what a person called it, or its name."""
    table = table[table["group"] != ""].reset_index(drop=True)
    table["label"] = table["group"].where(table["group"] != SEVERAL_KINDS, "")
    sizes = [(row["width"], row["height"]) for row in store.rows(table["file"])]
    table[["width", "height"]] = np.array(sizes, int).reshape(-1, 2)
    return table[[*COLUMNS, "width", "height"]]


def _texts(kind: str, table: pd.DataFrame, folder: Path) -> dict[str, bytes]:
    """Write the files of a kind of export, by name."""
    table = table.drop(columns=MORE, errors="ignore") if kind == "csv" else table.copy()
    for name in TEXT_COLUMNS:  # a name need not be valid text
        texts = [plain_cell(t, name) if kind == "csv" else plain_text(t) for t in table[name]]
        table[name] = pd.Series(texts, table.index, dtype=object)
    if kind == "csv":
        return {"labels.csv": table.to_csv(index=False, lineterminator="\n").encode()}
    if kind == "parquet":
        table.to_parquet(written := io.BytesIO(), index=False)
        return {"labels.parquet": written.getvalue()}
    if kind == "coco":
        return {"coco.json": json.dumps(_coco(table)).encode()}
    if kind == "labelstudio":
        choices = [f"<Choice value={quoteattr(name)}/>" for name in _names(table)]
        view = f'<Choices name="label" toName="image">{"".join(choices)}</Choices>'
        view = f'<View><Image name="image" value="$image"/>{view}</View>\n'
        tasks = [_task(row, folder.resolve().name) for row in table.itertuples()]
        tasks = json.dumps(tasks).encode()
        return {"labelstudio.json": tasks, "labelstudio.xml": view.encode()}
    return {}


def _names(table: pd.DataFrame) -> list[str]:
    return sorted(set(table["label"]) - {""})


def _coco(table: pd.DataFrame) -> dict[str, Any]:
    """List images as COCO does; each label is that of a box around the whole image."""
    numbers = {name: i for i, name in enumerate(_names(table), 1)}
    images, boxes = [], []
    for i, row in enumerate(table.itertuples(), 1):
        size = {"width": int(row.width), "height": int(row.height)}
        images.append({"id": i, "file_name": row.file, **size})
        if row.label:
            what = {"id": i, "image_id": i, "category_id": numbers[row.label], "iscrowd": 0}
            box = {"bbox": [0, 0, *size.values()], "area": size["width"] * size["height"]}
            boxes.append({**what, **box, "segmentation": []})
    kinds = [{"id": i, "name": name, "supercategory": ""} for name, i in numbers.items()]
    return {"info": {}, "licenses": [], "images": images, "annotations": boxes, "categories": kinds}


def _task(row: Any, folder: str) -> dict[str, Any]:
    """Make a task of Label Studio, with its guess (labelstud.io/guide/predictions).

    It finds the images where LOCAL_FILES_DOCUMENT_ROOT is the folder that theirs lies in, and
    theirs was added as a local storage (labelstud.io/guide/storage).
    """
    image = f"/data/local-files/?d={quote(f'{folder}/{row.file}', errors='replace')}"
    choice = {"from_name": "label", "to_name": "image", "type": "choices"}
    result = [{**choice, "value": {"choices": [row.label]}}] if row.label else []
    guess = {"model_version": "tfl_helpers", "score": round(1 - row.doubt, 4), "result": result}
    return {"data": {"image": image, "file": row.file}, "predictions": [guess]}
