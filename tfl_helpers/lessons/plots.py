"""Figures with a text alternative, readable in light and dark themes, small enough to commit.

Each function displays one figure. `title` stands above it; `alt` says what it shows to those who
cannot see it. Images are uint8 (n, h, w, 1 or 3), a list of such images of many sizes, or
`datasets.FolderImages`. Arguments that do not fit together raise a ValueError.
"""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from tfl_helpers.sorting import widget

# Petroff (2021): ten colours for colour-blind readers too; with seven markers, 70 groups differ.
PALETTE = tuple(to_hex(color) for color in plt.color_sequences["petroff10"])
MARKERS = ("circle", "square", "triangle", "diamond", "inverted_triangle", "star", "plus")
MAP_POINTS = 1_500  # more thumbnails than this would make a notebook larger than 3 MB
Images = Sequence[np.ndarray]
Numbers = Mapping[str, float] | pd.Series


def figure(fig: Figure, alt: str) -> None:
    """Display a figure of Matplotlib as an image, and close it; `alt` must not repeat its title."""
    titles = [fig.get_suptitle(), *(axes.get_title() for axes in fig.axes)]
    if not alt.strip() or alt.strip() in titles:
        raise ValueError(f"alt must say what the figure shows, and more than its title: {alt!r}")
    file = io.BytesIO()
    fig.savefig(file, format="png", dpi=fig.dpi, facecolor="white", bbox_inches="tight")
    plt.close(fig)
    if file.tell() > 100_000:  # photographs: 256 colours take a third of the space
        reduced = Image.open(file).convert("RGB").quantize(256)
        reduced.save(file := io.BytesIO(), "PNG", optimize=True)
    png = base64.b64encode(file.getvalue()).decode()
    image = f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{png}">'
    _show(widget.figure(image, alt))


def image_grid(
    images: Images, *, titles: Sequence[str] = (), columns: int = 10, alt: str, title: str = ""
) -> None:
    """Display images in rows of `columns`, each in its own proportions, with or without titles."""
    if len(titles) not in (0, len(images)):
        raise ValueError(f"{len(titles)} titles for {len(images)} images: give one each")
    places = range(len(images))
    rows = [[images[i] for i in places[start : start + columns]] for start in places[::columns]]
    _rows(rows, [""] * len(rows), titles, alt=alt, title=title)


def group_gallery(
    images: Images, groups: np.ndarray, *, per_group: int = 10, alt: str, title: str = ""
) -> None:
    """Display one row per group (n,): its first images, in the order given; only these are read."""
    groups = _one_each(groups, images, "groups")
    found, sizes = np.unique(groups, return_counts=True)
    rows = [[images[int(i)] for i in np.flatnonzero(groups == g)[:per_group]] for g in found]
    labels = [f"group {g}\n{n:,} images" for g, n in zip(found, sizes, strict=True)]
    _rows(rows, labels, alt=alt, title=title)


def feature_maps(maps: Mapping[str, np.ndarray], *, alt: str, title: str = "") -> None:
    """Display one row per layer: the first twelve feature maps of one image, scaled one by one.

    `maps` leads from a layer's name to its output for the image, float (h, w, channels).
    """
    rows, labels = [], []
    for name, output in maps.items():
        shown = np.asarray(output, "float32").transpose(2, 0, 1)[:12]
        low, high = (f((1, 2), keepdims=True) for f in (shown.min, shown.max))
        shown = (shown - low) / np.where(high > low, high - low, 1)
        rows.append((plt.get_cmap("viridis")(shown)[..., :3] * 255).astype("uint8"))
        labels.append(f"{name}\n" + " x ".join(map(str, np.shape(output))))
    _rows(rows, labels, alt=alt, title=title)


def bars(
    values: Numbers, *, errors: Numbers | None = None, alt: str, title: str, xlabel: str = ""
) -> None:
    """Display horizontal bars, the first on top; `errors` are half the length of error bars."""
    values = dict(values)
    spread = None if errors is None else [errors[name] for name in values]
    fig, ax = plt.subplots(figsize=(7, 0.8 + 0.36 * len(values)), layout="constrained")
    drawn = ax.barh(list(map(str, values)), values.values(), xerr=spread, color=PALETTE[0])
    texts = [f"{n:,}" if isinstance(n, Integral) else f"{n:.3f}" for n in values.values()]
    ax.bar_label(drawn, texts, padding=3)
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set(title=title, xlabel=xlabel)
    figure(fig, alt)


def feature_map_2d(
    points: np.ndarray,
    images: Images,
    groups: np.ndarray,
    *,
    names: Sequence[str] | None = None,
    title: str,
    alt: str,
) -> None:
    """Display a map of images; pointing at one shows it with its group and name. Needs no network.

    Parameters
    ----------
    points : np.ndarray, shape (n, 2)
        Where each image lies, from t-SNE, UMAP or PCA.
    images : images
        The n images; of more than `MAP_POINTS`, so many evenly spaced ones are shown.
    groups : array of int, shape (n,)
        Group of each image: its colour and its marker.
    names : sequence of str, optional
        Name of each image; its position by default.
    """
    points = np.asarray(points)
    if points.shape != (len(images), 2):
        raise ValueError(f"points has shape {points.shape}, not {(len(images), 2)}: give x and y")
    groups = _one_each(groups, images, "groups")
    names = np.arange(len(images)) if names is None else _one_each(names, images, "names")
    shown = np.unique(np.linspace(0, len(images) - 1, min(len(images), MAP_POINTS)).astype(int))
    table = pd.DataFrame(points[shown], columns=["x", "y"])
    table = table.assign(group=groups[shown], name=names[shown].astype(str))
    table["image"] = [_thumbnail(images[int(i)]) for i in shown]
    caption = (
        f"{alt} Point at a marker to see its image; click a group in the legend to hide it. "
        "(No map above? Run this cell: notebooks from elsewhere show no scripts before that.)"
    )
    if len(shown) < len(images):
        caption += f" {len(shown):,} of {len(images):,} images are shown."
    _show(widget.framed(_map_page(table, title), 540, caption, alt))


def _map_page(table: pd.DataFrame, title: str) -> str:
    """Page of a map; the table holds x, y, group, name and image (WebP in base64)."""
    from bokeh.embed import file_html
    from bokeh.models import ColumnDataSource, HoverTool, Legend
    from bokeh.plotting import figure as bokeh_figure
    from bokeh.resources import INLINE

    plot = bokeh_figure(
        title=title, height=520, sizing_mode="stretch_width", tools="pan,wheel_zoom,box_zoom,reset"
    )
    items = []
    for number, (group, rows) in enumerate(table.groupby("group")):
        source = ColumnDataSource({name: rows[name].to_numpy() for name in rows})
        color, marker = PALETTE[number % len(PALETTE)], MARKERS[number % len(MARKERS)]
        glyph = plot.scatter("x", "y", source=source, size=7, color=color, marker=marker, alpha=0.8)
        items.append((f"group {group} ({len(rows)})", [glyph]))
    n_columns = int(np.ceil(len(items) / 20))
    plot.add_layout(Legend(items=items, click_policy="hide", ncols=n_columns), "right")
    plot.axis.visible = plot.grid.visible = False
    side = "image-rendering: pixelated; width: 72px; height: 72px; object-fit: contain"
    tooltip = (
        f'<img src="data:image/webp;base64,@image" alt="" style="{side}">'
        "<div>group @group</div><div>@name</div>"
    )
    options = {"point_policy": "snap_to_data", "attachment": "horizontal", "limit": 2}
    plot.add_tools(HoverTool(tooltips=tooltip, **options))
    return file_html(plot, INLINE, title)


def boxes(image: np.ndarray, sets: Mapping[str, np.ndarray], *, alt: str, title: str) -> None:
    """Display an image with named sets of boxes (n, 4): top, left, bottom, right in pixels."""
    height, width = np.shape(image)[:2]
    fig, ax = plt.subplots(figsize=(7, 7 * height / width + 0.6), dpi=80, layout="constrained")
    ax.imshow(_pixels(image, max(height, width)))
    for number, (name, group) in enumerate(sets.items()):
        line = {"color": PALETTE[number % 10], "ls": ("-", "--", ":", "-.")[number % 4], "lw": 2}
        group = np.asarray(group, float).reshape(-1, 4)
        for top, left, bottom, right in group:
            xy = [left, right, right, left, left], [top, top, bottom, bottom, top]
            ax.plot(*xy, color="white", lw=3.5)  # seen on dark and on light ground
            ax.plot(*xy, **line)
        ax.plot([], [], **line, label=f"{name} ({len(group)})")
    ax.set(xlim=(0, width), ylim=(height, 0), title=title)
    ax.axis("off")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=len(sets), frameon=False)
    figure(fig, alt)


def task_stream(
    tasks: Sequence[Mapping[str, Any]],
    *,
    marks: Mapping[str, float] | None = None,
    alt: str,
    title: str,
) -> None:
    """Display blocks of work as bars in time, a row per worker in the order in which they began.

    `tasks` are those that Dask's `get_task_stream` recorded; `marks` are moments (in its seconds)
    by what happened then.
    """
    steps = [{"who": task["worker"], **step} for task in tasks for step in task["startstops"]]
    steps = [step for step in steps if step["action"] == "compute"]
    bars = [(step["who"], step["start"], step["stop"]) for step in steps]
    if not bars:
        raise ValueError("no task was recorded: work has to be done while the stream is recorded")
    bars.sort(key=lambda bar: bar[1])
    rows = {who: number for number, who in enumerate(dict.fromkeys(who for who, *_ in bars))}
    first, names = bars[0][1], [f"worker {number}" for number in range(1, len(rows) + 1)]
    fig, ax = plt.subplots(figsize=(8, 1.4 + 0.45 * len(rows)), layout="constrained")
    for who, start, stop in bars:
        color = PALETTE[rows[who] % len(PALETTE)]
        ax.barh(rows[who], stop - start, 0.7, start - first, color=color, edgecolor="white")
    for number, (name, when) in enumerate((marks or {}).items()):
        line = {"color": "black", "ls": ("--", ":", "-.")[number % 3]}
        ax.axvline(when - first, **line, label=name)
    ax.set_yticks(range(len(rows)), names)
    ax.set(ylim=(len(rows) - 0.4, -0.6), xlabel="seconds since the first block began", title=title)
    ax.spines[["top", "right"]].set_visible(False)
    if marks:
        ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    figure(fig, alt)


def key_result(text: str) -> None:
    """Print the notebook's result in one line, which the tools that run the series pick up.

    Examples
    --------
    >>> key_result("94.2% are in the right group")
    Key result: 94.2% are in the right group
    """
    if not text.strip() or "\n" in text:
        raise ValueError(f"a key result is one line of text, not {text!r}")
    print(f"Key result: {text}")


def _show(output: tuple[dict[str, str], dict[str, Any]]) -> None:
    data, metadata = output
    display(data, metadata=metadata, raw=True)


def _one_each(values: Any, images: Sequence, what: str) -> np.ndarray:
    """Check that there is one value per image, and at least one image."""
    values = np.asarray(values)
    if values.shape != (len(images),) or not len(images):
        raise ValueError(f"{what} has shape {values.shape} for {len(images)} images: give one each")
    return values


def _pixels(image: Any, side: int) -> np.ndarray:
    """One image as uint8 (h, w, 3), reduced to at most `side` pixels."""
    image = np.asarray(image)
    flat = image[..., 0] if image.shape[2:] == (1,) else image
    if image.dtype != np.uint8 or not (flat.ndim == 2 or flat.shape[2:] == (3,)):
        raise ValueError(
            f"an image is uint8 (h, w, 1 or 3), this is {image.dtype} {image.shape}: "
            "np.clip(image, 0, 255).astype('uint8') converts values of 0..255"
        )
    picture = Image.fromarray(flat).convert("RGB")
    picture.thumbnail((side, side))
    return np.asarray(picture)


def _thumbnail(image: Any) -> str:
    """One image as a tiny WebP file in base64: 32 x 32 colours take some 240 bytes."""
    pixels, file = _pixels(image, 32), io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=40, lossless=pixels.size < 500)
    return base64.b64encode(file.getvalue()).decode()


def _rows(
    rows: list[Images], labels: list[str], titles: Sequence[str] = (), *, alt: str, title: str
) -> None:
    """Draw rows of images into one pair of axes, far quicker than one for each."""
    if not rows:
        raise ValueError("there are no images to show")
    # Each image is drawn one unit long; a cell is as wide as the widest and as tall as the tallest.
    rows = [[_pixels(image, 96) for image in row] for row in rows]
    sides = np.array([pixels.shape[:2] for row in rows for pixels in row])
    tall, wide = (sides / sides.max(1, keepdims=True)).max(0) + 0.06
    lines = [text.split("\n") for text in titles]
    letters = max((len(line) for text in lines for line in text), default=0)
    inches = max(0.76 / np.sqrt(tall * wide), 0.065 * letters / wide)
    space = 0.22 * max(map(len, lines), default=0)
    width, height = max(map(len, rows)) * wide, len(rows) * (tall + space)
    size = width * inches + 1.1 * any(labels), height * inches + 0.4 * bool(title)
    fig, ax = plt.subplots(figsize=size, dpi=80, layout="constrained")
    titles = iter(titles)
    for y, row in enumerate(rows):
        bottom = (y + 1) * (tall + space)
        ax.text(-0.1, bottom - tall / 2, labels[y], ha="right", va="center", fontsize=8)
        for x, pixels in enumerate(row):
            h, w = np.array(pixels.shape[:2]) / max(pixels.shape[:2]) / 2
            middle = (x + 0.5) * wide
            box = (middle - w, middle + w, bottom - tall / 2 + h, bottom - tall / 2 - h)
            ax.imshow(pixels, extent=box, interpolation="nearest")
            text = next(titles, "")
            ax.text(middle, bottom - tall, text, ha="center", va="bottom", fontsize=8)
    ax.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    ax.axis("off")
    fig.suptitle(title, fontsize=11)
    figure(fig, alt)
