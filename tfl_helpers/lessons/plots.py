"""Figures with a text alternative, readable in light and dark themes, small enough to commit."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

# Petroff (2021): ten colours that stay apart for colour-blind readers. No two of the first seventy
# groups share colour and marker.
PALETTE = tuple(to_hex(color) for color in plt.color_sequences["petroff10"])
MARKERS = ("circle", "square", "triangle", "diamond", "inverted_triangle", "star", "plus")
MAP_POINTS = 1_500  # more thumbnails than this would make a notebook larger than 3 MB


def figure(fig: Figure, alt: str, *, caption: str | None = None) -> None:
    """Display a Matplotlib figure as an image with a text alternative, and close it.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
        Drawn, with a title that says what to see.
    alt : str
        What the picture shows, for those who cannot see it; more than the title.
    caption : str, optional
        Printed below the picture.

    Raises
    ------
    ValueError
        `alt` is empty, or only repeats a title.

    Notes
    -----
    JupyterLab gives images no alt text, so this writes HTML. Taught in notebook 00.
    """
    titles = [fig.get_suptitle(), *(axes.get_title() for axes in fig.axes)]
    if not alt.strip() or alt.strip() in titles:
        raise ValueError(f"alt must say what the figure shows, and more than its title: {alt!r}")
    file = io.BytesIO()
    fig.savefig(file, format="png", dpi=fig.dpi, facecolor="white", bbox_inches="tight")
    plt.close(fig)
    if file.tell() > 100_000:  # photographs: 256 colours take a third of the space
        palette = Image.open(file).convert("RGB").quantize(256)
        file = io.BytesIO()
        palette.save(file, "PNG", optimize=True)
    png = base64.b64encode(file.getvalue()).decode()
    picture = f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{png}">'
    _show(picture, alt, caption)


def image_grid(
    images: Sequence[np.ndarray],
    *,
    titles: Sequence[str] | None = None,
    columns: int = 10,
    alt: str,
    title: str | None = None,
) -> None:
    """Display images in rows, each in its own proportions.

    Parameters
    ----------
    images : uint8 (n, h, w, 1 or 3), list of such images, or FolderImages
        Sizes may differ. Small ones are enlarged with crisp pixels.
    titles : sequence of str, optional
        One short title per image.
    columns : int
        Images in a row.
    alt, title : str
        See `figure`.

    Raises
    ------
    ValueError
        There are no images, or not one title per image.

    Notes
    -----
    Taught in notebook 01.
    """
    if titles is not None and len(titles) != len(images):
        raise ValueError(f"{len(titles)} titles for {len(images)} images: give one each")
    starts = range(0, len(images), columns)
    rows = [[images[i] for i in range(s, min(s + columns, len(images)))] for s in starts]
    _rows(rows, ["" for _ in rows], titles, alt=alt, title=title)


def group_gallery(
    images: Sequence[np.ndarray],
    groups: np.ndarray,
    *,
    per_group: int = 10,
    alt: str,
    title: str | None = None,
) -> None:
    """Display one row per group: its first images, in the order given.

    Parameters
    ----------
    images : uint8 (n, h, w, 1 or 3), list of such images, or FolderImages
        Only those shown are read.
    groups : array of int, shape (n,)
        Group of each image.
    per_group : int
        Images in a row.
    alt, title : str
        See `figure`.

    Raises
    ------
    ValueError
        There are no images, or not one group per image.

    Notes
    -----
    Taught in notebook 00.
    """
    groups = _one_each(groups, images, "groups")
    found, sizes = np.unique(groups, return_counts=True)
    rows = [[images[int(i)] for i in np.flatnonzero(groups == g)[:per_group]] for g in found]
    labels = [f"group {g}\n{n:,} images" for g, n in zip(found, sizes, strict=True)]
    _rows(rows, labels, alt=alt, title=title)


def feature_maps(
    maps: Mapping[str, np.ndarray], *, per_layer: int = 12, alt: str, title: str | None = None
) -> None:
    """Display one row per layer: the feature maps of one image, each from its own low to high.

    Parameters
    ----------
    maps : mapping
        Layer name to the layer's output for one image, float (h, w, channels).
    per_layer : int
        Maps in a row: the first ones.
    alt, title : str
        See `figure`.

    Notes
    -----
    Taught in notebook 02.
    """
    rows, labels = [], []
    for name, output in maps.items():
        output = np.asarray(output, "float32")
        if output.ndim != 3:
            raise ValueError(f"{name}: maps of one image are (h, w, channels), not {output.shape}")
        shown = output.transpose(2, 0, 1)[:per_layer]
        low, high = (f((1, 2), keepdims=True) for f in (shown.min, shown.max))
        shown = (shown - low) / np.where(high > low, high - low, 1)
        rows.append((plt.get_cmap("viridis")(shown)[..., :3] * 255).astype("uint8"))
        labels.append(f"{name}\n" + " x ".join(map(str, output.shape)))
    _rows(rows, labels, alt=alt, title=title)


def confusion_matrix(table: pd.DataFrame, *, alt: str, title: str) -> None:
    """Display counts of true classes (rows) against predicted ones, shaded by share of the row.

    Parameters
    ----------
    table : pandas.DataFrame
        From `evaluation.confusion`.
    alt, title : str
        See `figure`.

    Notes
    -----
    Taught in notebook 03.
    """
    counts = table.to_numpy()
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    n_rows, n_columns = counts.shape
    fig, ax = plt.subplots(figsize=(2 + 0.5 * n_columns, 1.5 + 0.42 * n_rows), layout="constrained")
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        ink = "white" if share[row, column] > 0.5 else "black"
        ax.text(column, row, f"{count}", ha="center", va="center", color=ink, fontsize=9)
    turned = max(len(str(name)) for name in table.columns) > 3
    ax.set_xticks(
        range(n_columns), table.columns, rotation=45 * turned, ha=["center", "right"][turned]
    )
    ax.set_yticks(range(n_rows), table.index)
    ax.set(xlabel=table.columns.name, ylabel=table.index.name, title=title)
    figure(fig, alt)


def bars(
    values: Mapping[str, float] | pd.Series,
    *,
    errors: Mapping[str, float] | pd.Series | None = None,
    alt: str,
    title: str,
    xlabel: str = "",
) -> None:
    """Display horizontal bars from zero, each with its value written at its end.

    Parameters
    ----------
    values : mapping or pandas.Series
        Name to number, drawn from top to bottom.
    errors : mapping or pandas.Series, optional
        Name to the half length of an error bar, such as a standard deviation.
    alt, title, xlabel : str
        See `figure`.

    Notes
    -----
    Taught in notebook 00.
    """
    values = dict(values)
    names, numbers = list(values), list(values.values())
    spread = None if errors is None else [errors[name] for name in names]
    fig, ax = plt.subplots(figsize=(7, 0.8 + 0.36 * len(names)), layout="constrained")
    drawn = ax.barh([str(name) for name in names], numbers, xerr=spread, color=PALETTE[0])
    ax.bar_label(
        drawn,
        [f"{n:,}" if isinstance(n, int | np.integer) else f"{n:.3f}" for n in numbers],
        padding=3,
    )
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set(title=title, xlabel=xlabel)
    figure(fig, alt)


def reliability(table: pd.DataFrame, *, alt: str, title: str) -> None:
    """Display the share of right ones over confidence, with the number of images behind each bar.

    On the diagonal a method is right as often as it says. Bars below it: it says too much.

    Parameters
    ----------
    table : pandas.DataFrame
        From `evaluation.reliability`.
    alt, title : str
        See `figure`.

    Notes
    -----
    Taught in notebook 05.
    """
    fig, ax = plt.subplots(figsize=(5.4, 3.6), layout="constrained")
    used = table[table.images > 0]
    width = used.high - used.low
    drawn = ax.bar(used.low, used.right, width, align="edge", color=PALETTE[0], edgecolor="white")
    ax.bar_label(drawn, [f"{n:,}" for n in used.images], padding=2, fontsize=8)
    ax.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=1)
    ax.set(xlim=(0, 1), ylim=(0, 1.1), xlabel="confidence", ylabel="share of right ones")
    ax.set(title=title)
    ax.spines[["top", "right"]].set_visible(False)
    figure(fig, alt)


def feature_map_2d(
    points: np.ndarray,
    images: Sequence[np.ndarray],
    groups: np.ndarray,
    *,
    names: Sequence[str] | None = None,
    title: str,
    alt: str,
) -> None:
    """Display a map of images to point at: hovering shows the image, its group and its name.

    A click on the legend hides a group. Works in JupyterLab, in exported HTML and without a
    network, since everything it needs is inside. Of more than 1,500 images, 1,500 evenly spaced
    ones are shown, and the caption says so.

    Parameters
    ----------
    points : np.ndarray, shape (n, 2)
        Where each image lies, from t-SNE, UMAP or PCA.
    images : uint8 (n, h, w, 1 or 3), list of such images, or FolderImages
        The images; small copies go into the notebook.
    groups : array of int, shape (n,)
        Group of each image: its colour and its marker.
    names : sequence of str, optional
        Name of each image; its position by default.
    title, alt : str
        See `figure`.

    Raises
    ------
    ValueError
        The shapes do not fit together.

    Notes
    -----
    Taught in notebook 03.
    """
    from bokeh.embed import file_html
    from bokeh.models import ColumnDataSource, HoverTool, Legend
    from bokeh.plotting import figure as bokeh_figure
    from bokeh.resources import INLINE

    points = np.asarray(points)
    if points.shape != (len(images), 2):
        raise ValueError(
            f"points has shape {points.shape}, not ({len(images)}, 2): x and y of each image"
        )
    groups = _one_each(groups, images, "groups")
    names = np.arange(len(images)) if names is None else _one_each(names, images, "names")
    shown = np.unique(np.linspace(0, len(images) - 1, min(len(images), MAP_POINTS)).astype(int))
    data = pd.DataFrame(
        {
            "x": points[shown, 0],
            "y": points[shown, 1],
            "group": groups[shown],
            "name": np.asarray(names)[shown].astype(str),
            "image": [_thumbnail(images[int(i)]) for i in shown],
        }
    )
    plot = bokeh_figure(
        title=title, height=520, sizing_mode="stretch_width", tools="pan,wheel_zoom,box_zoom,reset"
    )
    items = []
    for number, (group, rows) in enumerate(data.groupby("group")):
        source = ColumnDataSource({name: rows[name].to_numpy() for name in rows})
        color, marker = PALETTE[number % len(PALETTE)], MARKERS[number % len(MARKERS)]
        glyph = plot.scatter("x", "y", source=source, size=7, color=color, marker=marker, alpha=0.8)
        items.append((f"group {group} ({len(rows)})", [glyph]))
    legend = Legend(items=items, click_policy="hide", ncols=-(-len(items) // 20))
    plot.add_layout(legend, "right")
    plot.axis.visible = plot.grid.visible = False
    side = "image-rendering: pixelated; width: 72px; height: 72px; object-fit: contain"
    plot.add_tools(
        HoverTool(
            tooltips=f'<img src="data:image/webp;base64,@image" alt="" style="{side}">'
            "<div>group @group</div><div>@name</div>",
            point_policy="snap_to_data",
            attachment="horizontal",
            limit=2,
        )
    )
    # Bokeh's code holds far fewer single quotes than double ones: 0.1 MB less to escape.
    page = file_html(plot, INLINE, title).replace("&", "&amp;").replace("'", "&#39;")
    caption = (
        f"{alt} Point at a marker to see its image; click a group in the legend to hide it. "
        "(No map above? Run this cell: notebooks from elsewhere show no scripts before that.)"
    )
    if len(shown) < len(images):
        caption += f" {len(shown):,} of {len(images):,} images are shown."
    style = "width: 100%; height: 540px; border: 0"
    frame = f"<iframe title='{html.escape(alt)}' style='{style}' srcdoc='{page}'></iframe>"
    _show(frame, alt, caption)


def boxes(
    image: np.ndarray,
    sets: Mapping[str, np.ndarray],
    *,
    alt: str,
    title: str,
) -> None:
    """Display an image with boxes drawn on it, each set in its own colour and line.

    Parameters
    ----------
    image : np.ndarray
        uint8 (h, w, 1 or 3).
    sets : mapping
        Name for the legend to boxes (n, 4): top, left, bottom, right in pixels.
    alt, title : str
        See `figure`.

    Notes
    -----
    Taught in notebook 06.
    """
    height, width = np.shape(image)[:2]
    fig, ax = plt.subplots(figsize=(7, 7 * height / width + 0.6), dpi=80, layout="constrained")
    ax.imshow(_pixels(image, max(height, width)))
    for number, (name, group) in enumerate(sets.items()):
        look = {"color": PALETTE[number % 10], "ls": ("-", "--", ":", "-.")[number % 4], "lw": 2}
        group = np.asarray(group, float).reshape(-1, 4)
        for top, left, bottom, right in group:
            xy = [left, right, right, left, left], [top, top, bottom, bottom, top]
            ax.plot(*xy, color="white", lw=3.5)  # seen on dark and on light ground
            ax.plot(*xy, **look)
        ax.plot([], [], **look, label=f"{name} ({len(group)})")
    ax.set(xlim=(0, width), ylim=(height, 0), title=title)
    ax.axis("off")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=len(sets), frameon=False)
    figure(fig, alt)


def key_result(text: str) -> None:
    """Print the notebook's result in one line; `tools` that run the series pick it up.

    Parameters
    ----------
    text : str
        One line.

    Notes
    -----
    Taught in notebook 00.
    """
    if not text.strip() or "\n" in text:
        raise ValueError(f"a key result is one line of text, not {text!r}")
    print(f"Key result: {text}")


def _show(content: str, alt: str, caption: str | None) -> None:
    """Display HTML on a white ground; where only text can be shown, the text alternative."""
    style = "margin: 0; padding: 4px; background: white; color: black; max-width: 100%"
    below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    display(
        {
            "text/html": f'<figure style="{style}">{content}{below}</figure>',
            "text/plain": f"[figure: {alt}]",
        },
        metadata={"needs_background": "light"},
        raw=True,
    )


def _one_each(values: Any, images: Sequence, what: str) -> np.ndarray:
    """Check that there is one value per image, and at least one image."""
    values = np.asarray(values)
    if values.shape != (len(images),) or not len(images):
        raise ValueError(f"{what} has shape {values.shape} for {len(images)} images: give one each")
    return values


def _pixels(image: Any, side: int) -> np.ndarray:
    """One image as uint8 (h, w, 3), reduced to at most `side` pixels."""
    image = np.asarray(image)
    if (
        image.dtype != np.uint8
        or image.ndim not in (2, 3)
        or image.shape[2:] not in ((), (1,), (3,))
    ):
        raise ValueError(
            f"an image is uint8 (h, w, 1 or 3), this is {image.dtype} {image.shape}: "
            "np.clip(image, 0, 255).astype('uint8') converts values of 0..255"
        )
    picture = Image.fromarray(image[..., 0] if image.shape[2:] == (1,) else image).convert("RGB")
    picture.thumbnail((side, side))
    return np.asarray(picture)


def _thumbnail(image: Any) -> str:
    """One image as a tiny WebP file in base64: 32 x 32 colours take some 240 bytes."""
    pixels, file = _pixels(image, 32), io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=40, lossless=pixels.size < 500)
    return base64.b64encode(file.getvalue()).decode()


def _rows(
    rows: Sequence[Sequence[np.ndarray]],
    labels: Sequence[str],
    titles: Sequence[str] | None = None,
    *,
    alt: str,
    title: str | None,
) -> None:
    """Draw rows of images into one pair of axes, far quicker than an axes for each."""
    if not rows:
        raise ValueError("there are no images to show")
    # Each image is drawn one unit long; a cell is as wide as the widest and as tall as the tallest.
    rows = [[_pixels(image, 96) for image in row] for row in rows]
    sides = np.array([pixels.shape[:2] for row in rows for pixels in row])
    tall, wide = (sides / sides.max(1, keepdims=True)).max(0) + 0.06
    letters = max((len(line) for text in titles or () for line in text.split("\n")), default=0)
    inches = max(0.76 / np.sqrt(tall * wide), 0.065 * letters / wide)
    space = 0.22 * max((text.count("\n") + 1 for text in titles or ()), default=0)
    width, height = max(map(len, rows)) * wide, len(rows) * (tall + space)
    fig, ax = plt.subplots(
        figsize=(width * inches + 1.1 * any(labels), height * inches + 0.4 * bool(title)),
        dpi=80,
        layout="constrained",
    )
    titles = iter(titles or ())
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
    fig.suptitle(title or "", fontsize=11)
    figure(fig, alt)
