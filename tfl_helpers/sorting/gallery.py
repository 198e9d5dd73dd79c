"""gallery.html: one page that shows the groups, draws a map of them and takes corrections.

Nothing from a file's name is ever taken for markup, script or address.
"""

import base64
import hashlib
import html
import io
import json
import re
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from PIL import Image

from tfl_helpers.datasets import progress_bar, write_whole
from tfl_helpers.sorting.table import LEVELS, checked, plain_cell, plain_text

SIDE, QUALITY = 64, 75  # of a thumbnail, about 1 kB
SMALL_SIDE, SMALL_QUALITY = 32, 60  # in a page of very many
BLOCK = 500  # thumbnails that the page unpacks at once
MOST_PLACED = 1_000  # images that t-SNE lays out
STEPS, COARSE = 350, 0.8  # by scikit-learn's 1,000 and 0.5 no map is better, and all are slower
RANGE = 4095  # places on the map are whole numbers up to this


def thumbnail(image: np.ndarray, shape: tuple[int, int] | None = None) -> bytes:
    """Show the middle of an image, uint8 (h, w, 3), in its own proportions as a small square WebP.

    `shape` is its height and width before it was squeezed, by default what they are.
    """
    size = np.array(image.shape[:2])
    shape = np.array(size if shape is None else shape)
    shown = (size * shape.min() / shape).round().clip(1)
    (top, left), (bottom, right) = (size - shown) / 2, (size + shown) / 2
    square = Image.fromarray(image).resize((SIDE, SIDE), box=(left, top, right, bottom))
    return _webp(square, QUALITY)


def lay_out(rows: np.ndarray, seed: int, graph: sp.csr_matrix | None = None) -> np.ndarray:
    """Place images on a map, alike ones close: (n, 2), from leading components (n, d).

    t-SNE lays out a thousand; the others are placed beside those nearest. Before, each takes twice
    the mean of those that it is linked with in a `graph`, so that all have a say.
    """
    from sklearn.manifold import TSNE
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.preprocessing import normalize

    rows = normalize(rows)
    if graph is not None:
        step = normalize(graph, "l1")
        rows = normalize(step @ (step @ rows))
    some = np.sort(np.random.default_rng(seed).permutation(len(rows))[:MOST_PLACED])
    how = {"perplexity": min(30, len(some) / 4), "max_iter": STEPS, "angle": COARSE}
    laid = TSNE(**how, random_state=seed, n_jobs=1).fit_transform(rows[some])
    if len(some) == len(rows):
        return laid
    return KNeighborsRegressor(5, weights="distance").fit(rows[some], laid).predict(rows)


def write_gallery(
    out: str | Path,
    table: pd.DataFrame,
    thumbnails: Sequence[bytes],
    places: np.ndarray | None = None,
    *,
    title: str = "Sorted images",
    note: str = "",
    questions: dict[str, Any] | None = None,
    large: Sequence[bytes] = (),
    many: int = 20_000,
    most: int = 100_000,
    progress: bool = True,
) -> Path:
    """Write a page that shows the groups and lets a person correct them, in one file.

    In each group the least doubtful images come first, then the unsure, the most doubtful first.
    The page may load nothing (content security policy), and exports a CSV for `read_corrections`.

    Parameters
    ----------
    out, table : str or Path, pd.DataFrame
        The HTML file, and its rows as for `write_table`. Files without a group ("") are listed.
    thumbnails : sequence of bytes, length m
        From `thumbnail`, of each row that has a group, in the table's order.
    places : array of float (m, 2), optional
        Where each is on the map, x to the right and y up, if finite. By default there is no map.
    title, note : str
        The heading, and a sentence below it.
    questions, large : dict, sequence of bytes, optional
        What the page asks about, from `Questions.for_page`, and pictures of these.
    many, most : int
        Of more than `many` images the thumbnails are half as large; no more than `most` get one:
        of each group the least doubtful, and the most of the unsure. So a page stays near 50 MB.
    """
    table, n = checked(table), len(thumbnails)
    shown = (table["group"] != "").to_numpy()
    if (k := shown.sum()) != n:
        raise ValueError(f"{k} rows of the table have a group, but there are {n} pictures")
    if places is not None and np.shape(places) != (n, 2):
        raise ValueError(f"places are ({n}, 2), not {np.shape(places)}")
    doubt = table["doubt"].where(~table["unsure"], -table["doubt"])[shown]
    order = np.argsort(doubt.to_numpy(), kind="stable")  # a group's unsure stand apart
    pictured = _pictured(table[shown], order, most)
    data = _page_data(table, places, np.flatnonzero(shown)[order], questions)
    head, tail = _filled_template(title, note, data | {"pictures": int(pictured.sum())})
    bar = progress_bar(progress, total=n, desc="gallery", unit="image", delay=1)
    with write_whole(out) as part, part.open("wb") as file, bar:
        file.write(head)
        for start in range(0, n, BLOCK):
            block = slice(start, start + BLOCK)
            lines = [  # base64, one a line; an empty line for an image without a thumbnail
                base64.b64encode(_fitted(picture, n > many) if wanted else b"")
                for picture, wanted in zip(thumbnails[block], pictured[block], strict=True)
            ]
            file.write(_in_page("pictures", lines))
            bar.update(len(lines))
        file.write(_in_page("large", map(base64.b64encode, large)))
        file.write(tail)
    return Path(out)


def _in_page(kind: str, lines: Iterable[bytes]) -> bytes:
    head = f'<script type="text/plain" class="{kind}">'.encode()
    return head + b"\n".join(lines) + b"</script>\n"


def _filled_template(title: str, note: str, data: dict[str, Any]) -> list[bytes]:
    """Fill gallery.html with its style and script: what stands before the pictures, and behind."""
    here = resources.files("tfl_helpers").joinpath("sorting")
    template, style, script = (
        here.joinpath(f"gallery.{kind}").read_text("utf-8") for kind in ("html", "css", "js")
    )
    fill = {
        "title": html.escape(plain_text(title)),
        "note": html.escape(plain_text(note)),
        "style": style,
        "script": script,
        "style_hash": _csp_hash(style),
        "script_hash": _csp_hash(script),
        # What closes a script, or starts a comment in one, cannot be in here
        "data": re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", json.dumps(data)),
    }
    parts = template.split("{{pictures}}")
    return [re.sub(r"\{\{(\w+)\}\}", lambda found: fill[found[1]], p).encode() for p in parts]


def _page_data(
    table: pd.DataFrame, places: np.ndarray | None, order: np.ndarray, questions: Any
) -> dict[str, Any]:
    """Collect what the page's script needs to know of each row of the table."""
    texts = {
        name: [plain_cell(text, name) for text in table[name]]
        for name in ("file", "problem", "duplicate_of", "corrected")
    }
    # Groups of one coarser group stand beside each other
    levels = table[table["group"] != ""].drop_duplicates("group")[[*LEVELS[::-1], "group"]]
    names = sorted(levels.to_numpy().tolist(), key=lambda row: [*map(_natural, row)])
    names = [name for *_, name in names]
    code = {"": -1} | {name: number for number, name in enumerate(names)}
    some = {name: {i: t for i, t in enumerate(texts[name]) if t} for name in texts}
    data = {
        "files": texts["file"],
        "names": [plain_text(name) for name in names],
        "group": [code[name] for name in table["group"]],
        "doubt": [None if np.isnan(d) else d for d in table["doubt"].tolist()],
        "unsure": np.flatnonzero(table["unsure"]).tolist(),
        "problems": some["problem"],
        "duplicates": some["duplicate_of"],
        "corrected": some["corrected"],
        "places": None if places is None else _on_the_map(places).ravel().tolist(),
        "order": order.tolist(),
        "block": BLOCK,
        "ask": questions,
    }
    return data | {"key": hashlib.sha256(json.dumps(data).encode()).hexdigest()[:16]}


def _pictured(table: pd.DataFrame, order: np.ndarray, most: int) -> np.ndarray:
    """Which images get a thumbnail (bool): from each group as many as there is room for."""
    rank = table.iloc[order].groupby(["group", "unsure"]).cumcount().to_numpy()
    chosen = np.zeros(len(table), bool)
    chosen[order[np.argsort(rank, kind="stable")][:most]] = True
    return chosen


def _on_the_map(places: np.ndarray) -> np.ndarray:
    """Turn places to whole numbers 0..4095 with y down, (-1, -1) where one is not finite."""
    places = np.asarray(places, float) * (1, -1)
    finite = np.isfinite(places).all(1)
    found = np.full(places.shape, -1)
    if finite.any():
        low, size = places[finite].min(0), np.ptp(places[finite], axis=0)
        scale = RANGE / (size.max() or 1)
        centre = (RANGE - size * scale) / 2  # the shorter side stays in the middle
        found[finite] = ((places[finite] - low) * scale + centre).round()
    return found


def _fitted(picture: bytes, small: bool) -> bytes:
    """Return a thumbnail as it goes into the page; one of an older store (JPEG) becomes WebP."""
    if not small and picture.startswith(b"RIFF"):
        return picture
    image = Image.open(io.BytesIO(picture))
    return _webp(image.resize((SMALL_SIDE,) * 2), SMALL_QUALITY) if small else _webp(image, QUALITY)


def _webp(image: Image.Image, quality: int) -> bytes:
    image.save(written := io.BytesIO(), "WEBP", quality=quality, method=2)
    return written.getvalue()


def _natural(name: str) -> tuple:
    """Sort "group 10" after "group 9"."""
    parts = re.split(r"([0-9]+)", name.casefold())
    parts[1::2] = map(int, parts[1::2])
    return parts, name


def _csp_hash(text: str) -> str:
    """Hash by which the page's policy knows its own style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
