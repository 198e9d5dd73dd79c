"""How many groups there may be."""

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.metrics import silhouette_score
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state, check_scalar

from tfl_helpers import clustering

MAX_SEED = np.iinfo(np.int32).max
N_PARTS = 6  # random parts of the images, two thirds each, compared in pairs
MOST_SHOWN = 2000  # rows whose silhouettes are computed


class GroupNumber(NamedTuple):
    """How many groups there may be: `suggestion`, a range `low` to `high`, and the `curves`."""

    suggestion: int
    low: int
    high: int
    curves: pd.DataFrame


def estimate_n_clusters(
    z: ArrayLike, k_min: int = 2, k_max: int = 20, *, random_state: Any = None
) -> GroupNumber:
    """Estimate the number of groups, with a range.

    Parameters
    ----------
    z : array, shape (n, d)
        Features; a few thousand rows are enough.
    k_min, k_max : int
        Numbers to try; 2 <= k_min <= k_max < n - 1.
    random_state : int, RandomState or None
        Draws parts of the images and starts.

    Returns
    -------
    GroupNumber
        `suggestion`: best mean rank over three curves. `low`, `high`: least and largest number that
        a curve prefers, or the suggestion. `curves`: a row per `k` with `eigengap` (fall from the
        k-th to the next eigenvalue of the graph), `stability` (of groups found on two random parts,
        where they overlap), `silhouette` (of the groups in the embedding); larger is better.

    References
    ----------
    von Luxburg (2007), A tutorial on spectral clustering; von Luxburg (2010), Clustering stability;
    Rousseeuw (1987), Silhouettes.

    Examples
    --------
    >>> z = np.repeat(np.eye(3), 20, axis=0) + np.random.default_rng(0).normal(0, 0.1, (60, 3))
    >>> estimate_n_clusters(z, 2, 4, random_state=0).suggestion
    3
    """
    z, rng = normalize(z), check_random_state(random_state)
    n = len(z)
    for name, value in {"k_min": k_min, "k_max": k_max}.items():
        check_scalar(value, name, Integral)
    if not 2 <= k_min <= k_max < n - 1:
        raise ValueError(f"k_min={k_min}, k_max={k_max}: 2 <= k_min <= k_max < {n - 1} is needed")
    if z.var(axis=0).sum() < 1e-12:
        raise ValueError(f"the {n} rows of z are all alike: they are one group")
    spectra = [clustering.spectrum(clustering.neighbour_graph(z), k_max + 1, random_state=rng)]
    parts = []
    for _ in range(N_PARTS):
        parts.append(np.sort(rng.choice(n, max(n * 2 // 3, min(k_max + 2, n)), replace=False)))
        graph = clustering.neighbour_graph(z[parts[-1]])
        spectra.append(clustering.spectrum(graph, k_max, random_state=rng))
    shown = rng.choice(n, min(n, MOST_SHOWN), replace=False)
    rows = []
    for k in range(k_min, k_max + 1):
        places = [clustering.spectral_embedding(part, k) for part in spectra]
        groups, stability = _group(places, parts, k, "none", rng)
        groups = groups[shown]
        distinct = 1 < len(np.unique(groups)) < len(groups)
        silhouette = silhouette_score(places[0][shown], groups) if distinct else 0.0
        eigengap = spectra[0].values[k - 1] - spectra[0].values[k]
        rows.append((k, eigengap, stability, silhouette))
    curves = pd.DataFrame(rows, columns=["k", "eigengap", "stability", "silhouette"])
    three = curves.set_index("k")
    suggestion = int(three.rank().mean(axis=1).idxmax())
    preferred = [*three.idxmax().astype(int), suggestion]
    return GroupNumber(suggestion, min(preferred), max(preferred), curves)


def _group(
    places: list[np.ndarray], parts: list[np.ndarray], k: int, balance: str, rng: Any
) -> tuple[np.ndarray, float]:
    """Group all images (the first places), and say how much pairs of parts (the others) agree."""
    groups, *found = [
        clustering.balanced_kmeans(place, k, balance, random_state=rng.randint(MAX_SEED))
        for place in places
    ]
    runs = np.full((len(parts), len(groups)), clustering.NOT_GROUPED)
    for run, part, of_part in zip(runs, parts, found, strict=True):
        run[part] = of_part
    pairs = zip(runs[::2], runs[1::2], strict=True)
    return groups, np.mean([clustering.stability(pair) for pair in pairs])
