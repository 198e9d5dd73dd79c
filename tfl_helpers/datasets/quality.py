"""How images look: blurred, dark, bright, nearly empty, of an odd shape, unlike the others."""

import numpy as np
import pandas as pd
from scipy.ndimage import uniform_filter1d
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

# What is marked and what it means; such files are used like all others.
MARKS = {
    "blurred": "blurred",
    "dark": "nothing in it is bright",
    "bright": "nothing in it is dark",
    "low-information": "hardly anything can be seen in it",
    "odd-shape": "more than three times as long as wide",
    "outlier": "among those least like the others",
}

# Chosen on planted ones (results/quality.json)
BLURRED, DARK, BRIGHT, FLAT, LITTLE, LONG = 0.22, 0.2, 0.82, 0.11, 0.22, 3
SMALL, USUAL = 24, 1 / 3  # side under which blur can't be told; share that is no mark any more
AXES, FITTED, NEAREST, FAR = 256, 2_000, 40, 1.5
FEW = 0.03  # of all images, the farthest, may be outliers


def measure(pixels: np.ndarray) -> list[float]:
    """Measure how an image looks that was shrunk to 64 pixels, uint8 (h, w, 3).

    Sharpness (what share of the steps between pixels a small blur takes away), the darkest and the
    brightest value but for 5 and 1 %, and the range of all but 10 %, each from 0 to 1.

    References
    ----------
    Crete et al. (2007), The blur effect: perception and estimation with a new no-reference
    perceptual blur metric.
    """
    light = pixels.astype("float32") @ np.array([0.299, 0.587, 0.114], "float32") / 255
    sharp = []
    for axis in (0, 1):
        steps, blurred = (
            np.abs(np.diff(x, axis=axis)) for x in (light, uniform_filter1d(light, 3, axis=axis))
        )
        sharp.append(np.maximum(steps - blurred, 0).sum() / max(steps.sum(), 1e-6))
    low, high, most = np.quantile(light, [0.05, 0.95, 0.99])
    return [round(float(value), 3) for value in (np.mean(sharp), low, most, high - low)]


def find_marks(looks: pd.DataFrame, sizes: pd.DataFrame) -> dict[int, set[str]]:
    """Say of images, by how they look and their width and height, what is to be marked.

    `looks` (n, 4) is from `measure`, missing of what was not measured; images go by its index. What
    is so of more than a third of them is how these images are, and no mark.
    """
    found: dict[int, set[str]] = {}
    looks = looks.dropna()
    if looks.empty:
        return found
    sharp, low, most, spread = looks.to_numpy().T
    sides = sizes.loc[looks.index].to_numpy()
    dark, bright = most < DARK, low > BRIGHT
    flat = (spread < FLAT) | (spread < LITTLE) & (sharp < BLURRED)  # or smooth, besides
    flat &= ~dark & ~bright
    marks = {
        "blurred": (sharp < BLURRED) & ~flat & ~dark & ~bright & (sides.min(axis=1) >= SMALL),
        "dark": dark,
        "bright": bright,
        "low-information": flat,
        "odd-shape": sides.max(axis=1) > LONG * sides.min(axis=1),
    }
    for code, marked in marks.items():
        for i in looks.index[marked] if marked.mean() <= USUAL else ():
            found.setdefault(i, set()).add(code)
    return found


def near_ones(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the images that are nearest by features (n, d): their numbers and distances (n, k).

    Distances are 1 - cosine, seen from the mean, along the leading components.
    """
    z, some = normalize(z), np.random.default_rng(0).permutation(len(z))[:FITTED]
    pca = PCA(min(AXES, len(some), z.shape[1]), svd_solver="randomized", random_state=0)
    z = normalize(pca.fit(z[np.sort(some)]).transform(z))
    k = int(np.clip(len(z) // 25, 5, NEAREST))
    distances, near = NearestNeighbors(n_neighbors=k).fit(z).kneighbors()
    return near, distances**2 / 2


def unlike_all(distances: np.ndarray) -> np.ndarray:
    """Say which images are less like their nearest, at distances (n, k), than is usual: bool (n,).

    That is: the log of their mean cosine is far below the median, the cosine a third below it, and
    less than that of 97 % of the images, as long tails are no outliers.
    """
    alike = np.log(np.maximum(1 - distances.mean(axis=1), 1e-3))
    below = np.median(alike) - alike
    far = (below > FAR * 1.4826 * np.median(np.abs(below))) & (below > np.log(1.5))
    return far & (below > np.quantile(below, 1 - FEW))
