"""Draw the picture on top of the README: images without names, twenty names, every image named.

python tools/picture.py       writes docs/twenty_names.png

The images are scikit-learn's digits, the network saw printed letters only. The names are given by
their sealed answers, as a person would type them; how many of the others are right is measured.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.preprocessing import normalize

from tfl_helpers import backbones, clustering, datasets, evaluation, features

PLACE = Path(__file__).resolve().parents[1] / "docs" / "twenty_names.png"
INK, BLUE, ORANGE = "#222222", "#0072B2", "#D55E00"  # of Okabe and Ito: told apart by all
N_NAMES, SIDE = 20, 8


def strip(images: np.ndarray, columns: int, gap: int = 1) -> np.ndarray:
    """Lay images (n, h, w, 1) out in rows, white between them."""
    rows = -(-len(images) // columns)
    sheet = np.zeros((rows * (SIDE + gap) - gap, columns * (SIDE + gap) - gap))
    for place, image in enumerate(images):
        y, x = divmod(place, columns)
        top, left = y * (SIDE + gap), x * (SIDE + gap)
        sheet[top : top + SIDE, left : left + SIDE] = image[..., 0]
    return sheet


def named() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """All images, which are asked about, the names of all, and whether each is right."""
    parts = datasets.load("digits", progress=False)
    network = backbones.load(**datasets.describe("digits").backbone)
    z = np.concatenate([features.extract(network, part, progress=False) for part in parts])
    answers = np.concatenate([evaluation.unseal(part.answers) for part in parts])
    rows = normalize(clustering.leading_components(z, random_state=0))
    graph = clustering.neighbour_graph(rows)
    asked = clustering.questions(graph, N_NAMES, random_state=0)
    names = clustering.spread_names(graph, asked, answers[asked]).argmax(axis=1)
    images = np.concatenate([part.images for part in parts])
    return images, asked, names, names == answers


def show(axes: plt.Axes, sheet: np.ndarray, title: str) -> None:
    """Show a sheet of images, dark on white, under what is to be seen."""
    axes.imshow(sheet, cmap="Greys", vmin=0, vmax=255, interpolation="nearest")
    axes.set_title(title, fontsize=15, color=INK, pad=12)
    axes.axis("off")


def main() -> None:
    """Draw and write."""
    images, asked, names, right = named()
    rng = np.random.default_rng(1)
    figure, (heap, twenty, rows) = plt.subplots(
        1, 3, figsize=(15, 4.8), width_ratios=(1, 0.95, 1.25), facecolor="white"
    )
    show(
        heap,
        strip(images[rng.permutation(len(images))[:169]], 13),
        f"{len(images):,} images, none has a name",
    )
    show(twenty, strip(images[asked], 5, gap=6), f"{N_NAMES} of them are named")
    for place, image in enumerate(asked):
        y, x = divmod(place, 5)
        where = x * (SIDE + 6) + 3.5, y * (SIDE + 6) + SIDE + 2.4
        twenty.text(*where, names[image], ha="center", va="center", fontsize=15, color=BLUE)
    columns = 16
    shown = [rng.permutation(np.flatnonzero(names == name))[:columns] for name in range(10)]
    title = f"every image has a name, {right.mean():.1%} the right one"
    show(rows, strip(images[np.concatenate(shown)], columns, gap=2), title)
    for name, some in enumerate(shown):
        rows.text(-5, name * (SIDE + 2) + 4, name, va="center", fontsize=15, color=BLUE)
        for x in np.flatnonzero(~right[some]):
            box = (x * (SIDE + 2) - 1, name * (SIDE + 2) - 1), SIDE + 1, SIDE + 1
            rows.add_patch(plt.Rectangle(*box, fill=False, edgecolor=ORANGE, linewidth=2))
    figure.tight_layout(w_pad=4)
    for left, after in ((heap, twenty), (twenty, rows)):
        x = (left.get_position().x1 + after.get_position().x0) / 2
        figure.text(x - 0.008, 0.5, "→", ha="center", va="center", fontsize=30, color=INK)
    figure.savefig(PLACE, dpi=100, bbox_inches="tight", pad_inches=0.15)
    print(f"{PLACE.name}: {right.mean():.4f} right after {N_NAMES} names")


if __name__ == "__main__":
    main()
