"""The page of a run as the output of a notebook, and what is said in it as a table there."""

import html
import io
import json
import re
from importlib import resources, util
from math import ceil
from pathlib import Path
from typing import Any

import pandas as pd

from tfl_helpers.datasets import write_whole
from tfl_helpers.sorting.table import read_table

LARGEST = 2.0  # MB of a page that a notebook is to keep
ALT = "The gallery page: one image, large, to be named; a map of all; thumbnails by group."
NOTE = "(No page above? Run this cell: notebooks from elsewhere show no scripts before that.)"


class Results:
    """Results of `sort_folder`, which a notebook shows as their page, and takes answers from.

    In JupyterLab with anywidget (`pip install "tfl-helpers[widget]"`) each answer given in a page
    of at most 40,000 files reaches Python at once. Elsewhere, and without a kernel, it is the page
    alone, whose *Save answers* gives a file.

    Parameters
    ----------
    out : str or Path
        The folder of results. They are taken as they are now: after another run make anew.
    height : int
        Of the page, in pixels.
    largest : float
        MB of a page that is shown, since the notebook keeps it. Of a larger one it is said where
        it is.

    Examples
    --------
    In one cell ``results = sorting.Results(OUT)`` and below it ``results``. Name a few images, and
    go on in the next: ``sorting.sort_folder(FOLDER, OUT, corrections=results.save())``.
    """

    def __init__(self, out: str | Path, *, height: int = 620, largest: float = LARGEST) -> None:
        self.out, self.height, self.largest = Path(out).expanduser(), height, largest
        self._page = (self.out / "gallery.html").read_text("utf-8")
        self._table = read_table(self.out / "groups.csv")
        data = re.search('<script type="application/json" id="data">(.*?)</script>', self._page)
        data = json.loads(data[1])
        self._beside = "beside" in data  # what a frame could not load
        # A widget whose trait `said` the page sets, or None
        self.link = _link(data["key"])

    @property
    def labels(self) -> pd.DataFrame:
        """Table of the images as the page shows them now: file, group, unsure and corrected."""
        table = self._told("labels")
        shown = table.loc[table["group"] != "", ["file", "group", "unsure", "corrected"]]
        return shown.reset_index(drop=True)

    def save(self, path: str | Path | None = None) -> Path | None:
        """Write what was said to a file for `sort_folder(corrections=...)`, as *Save answers* does.

        By default it is groups_corrected.csv in the folder of results. None if nothing was said.
        """
        what = ["file", "group", "corrected"]
        if self._told("answers")[what].equals(self._table[what]):
            return None
        with write_whole(path := Path(path or self.out / "groups_corrected.csv")) as part:
            part.write_text(self.link.said["answers"], "utf-8", newline="\n")
        return path

    def _told(self, what: str) -> pd.DataFrame:
        """Read what came from the page; nothing did: the table of the run."""
        text = self.link and self.link.said.get(what)
        return read_table(io.StringIO(text)) if text else self._table

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
        if self._beside:
            return {"text/plain": "gallery.html has very many images: open it in a browser"}, {}
        if (size := len(self._page.encode()) / 1e6) > self.largest:
            text = f"gallery.html has {size:.0f} MB: open it in a browser, or show it here by"
            return {"text/plain": f"{text} largest={ceil(size)} (the notebook keeps it)"}, {}
        return framed(self._page, self.height, f"{ALT} {NOTE}", ALT)


def framed(page: str, height: int, caption: str, alt: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Put a page of HTML into a frame of `height` pixels with a caption below, as `figure` does."""
    # Scripts hold far fewer single quotes than double ones: less to escape.
    page = page.replace("&", "&amp;").replace("'", "&#39;")
    style = f"width: 100%; height: {height}px; border: 0"
    frame = f"<iframe title='{html.escape(alt)}' style='{style}' srcdoc='{page}'></iframe>"
    return figure(frame + f"<figcaption>{html.escape(caption)}</figcaption>", alt)


def figure(content: str, alt: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Output of a notebook, and its metadata: HTML on a white ground, or `alt` as text."""
    style = "margin: 0; padding: 4px; background: white; color: black; max-width: 100%"
    page = f'<figure style="{style}">{content}</figure>'
    return {"text/html": page, "text/plain": f"[figure: {alt}]"}, {"needs_background": "light"}


def _link(key: str) -> Any:
    """Listen to the page that has this key, by widget.js; None where anywidget is not installed."""
    if util.find_spec("anywidget") is None:
        return None
    import anywidget
    import traitlets

    class Link(anywidget.AnyWidget):
        _esm = resources.files("tfl_helpers").joinpath("sorting/widget.js").read_text("utf-8")
        key = traitlets.Unicode().tag(sync=True)
        said = traitlets.Dict().tag(sync=True)

    return Link(key=key)
