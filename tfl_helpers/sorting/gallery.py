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
from urllib.parse import quote

import numpy as np
import pandas as pd
import scipy.sparse as sp
from PIL import Image

from tfl_helpers.datasets import progress_bar, write_whole
from tfl_helpers.sorting.asking import packed
from tfl_helpers.sorting.table import LEVELS, checked, plain_cell, plain_text

SIDE, QUALITY = 64, 75  # of a thumbnail, about 1 kB
BLOCK = 500  # thumbnails that the page unpacks at once
SHEET, COLUMNS = 200, 20  # thumbnails of one picture beside a page of very many
NAMES = 20_000  # names of files that such a page loads at once
NONE, MARK, SCALE = 0xFFFF, 0x8000, 10_000  # how it writes numbers, see gallery.js
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
    progress: bool = True,
) -> Path:
    """Write a page that shows the groups and lets a person correct them.

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
    many : int
        A page of up to so many images is one file. One of more begins with what all need, and loads
        pictures, names of files and the map from a folder beside it, `out` without its ending and
        with "_files", when they are shown. That needs no server, but the folder has to stay there.
    """
    out, table, n = Path(out), checked(table), len(thumbnails)
    shown = (table["group"] != "").to_numpy()
    if (k := shown.sum()) != n:
        raise ValueError(f"{k} rows of the table have a group, but there are {n} pictures")
    if places is not None and np.shape(places) != (n, 2):
        raise ValueError(f"places are ({n}, 2), not {np.shape(places)}")
    if n > many:
        table = table.assign(doubt=(table["doubt"] * SCALE).round() / SCALE)
    doubt = table["doubt"].where(~table["unsure"], -table["doubt"])[shown]
    order = np.argsort(doubt.to_numpy(), kind="stable")  # a group's unsure stand apart
    data = _page_data(table, places, np.flatnonzero(shown)[order], questions)
    bar = progress_bar(progress, total=n, desc="gallery", unit="image", delay=1)
    with write_whole(out) as part, part.open("wb") as file, bar:
        if n > many:
            data = _write_beside(out, data, thumbnails, order, bar)
        head, tail = _filled_template(title, note, data)
        file.write(head)
        for start in range(0, 0 if n > many else n, BLOCK):
            lines = [  # base64, one a line
                base64.b64encode(_as_webp(thumbnails[i]))
                for i in range(start, min(start + BLOCK, n))
            ]
            file.write(_in_page("pictures", lines))
            bar.update(len(lines))
        file.write(_in_page("large", map(base64.b64encode, large)))
        file.write(tail)
    _remove_older(out, data["key"])
    return out


def _write_beside(
    out: Path, data: dict[str, Any], thumbnails: Sequence[bytes], order: np.ndarray, bar: Any
) -> dict[str, Any]:
    """Write what a page of very many images loads later; return what it begins with.

    Pictures lie on sheets, group by group and in `order`, so that a row of them is on one sheet.
    """
    folder, key = _folder_beside(out), data["key"]
    folder.mkdir(exist_ok=True)
    group = np.array(data["group"])
    by_group = order[np.argsort(group[group >= 0][order], kind="stable")]
    for number, start in enumerate(range(0, len(by_group), SHEET)):
        sheet = Image.new("RGB", (COLUMNS * SIDE, SHEET // COLUMNS * SIDE))
        for at, image in enumerate(by_group[start : start + SHEET]):
            picture = Image.open(io.BytesIO(thumbnails[image]))
            sheet.paste(picture, (at % COLUMNS * SIDE, at // COLUMNS * SIDE))
            bar.update()
        (folder / f"{key}-{number}.webp").write_bytes(_webp(sheet, QUALITY))
    parts = range(0, len(group), NAMES)
    for number, start in enumerate(parts):
        names = json.dumps(data["files"][start : start + NAMES])
        script = folder / f"{key}-names-{number}.js"
        script.write_text(f"namesAre({start}, {names});\n", "utf-8")
    if data["places"] is not None:
        text = packed(np.array(data["places"], int) % (NONE + 1), "<u2")
        (folder / f"{key}-map.js").write_text(f'placesAre("{text}");\n', "utf-8")
    doubt = np.array([NONE - MARK if d is None else round(d * SCALE) for d in data["doubt"]], int)
    doubt[data["unsure"]] |= MARK
    about = {"path": f"{quote(folder.name)}/{key}", "sheet": SHEET, "columns": COLUMNS}
    about |= {"names": len(parts), "map": data["places"] is not None}
    numbers = {"group": packed(group % (NONE + 1), "<u2"), "doubt": packed(doubt, "<u2")}
    later = dict.fromkeys(("files", "unsure", "order", "places"))
    return data | later | numbers | {"beside": about}


def _folder_beside(out: Path) -> Path:
    return out.with_name(f"{out.stem}_files")


def _remove_older(out: Path, key: str) -> None:
    """Remove what an earlier page of that name had beside it, and nothing else."""
    folder, ours = _folder_beside(out), r"[0-9a-f]{16}-(\d+\.webp|names-\d+\.js|map\.js)"
    for path in folder.glob("*"):
        if re.fullmatch(ours, path.name) and not path.name.startswith(key):
            path.unlink()
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _in_page(kind: str, lines: Iterable[bytes]) -> bytes:
    head = f'<script type="text/plain" class="{kind}">'.encode()
    return head + b"\n".join(lines) + b"</script>\n"


def _filled_template(title: str, note: str, data: dict[str, Any]) -> list[bytes]:
    """Fill gallery.html with its style and script: what stands before the pictures, and behind."""
    here = resources.files("tfl_helpers").joinpath("sorting")
    template, style, script = (
        here.joinpath(f"gallery.{kind}").read_text("utf-8") for kind in ("html", "css", "js")
    )
    beside = data.get("beside")
    fill = {
        "beside": " 'self' file:" if beside else "",
        "loads": f"Only {beside['path'].split('/')[0]} is loaded"
        if beside
        else "Nothing is loaded",
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


def _as_webp(picture: bytes) -> bytes:
    """Return a thumbnail as it goes into the page; one of an older store is a JPEG."""
    return (
        picture if picture.startswith(b"RIFF") else _webp(Image.open(io.BytesIO(picture)), QUALITY)
    )


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
