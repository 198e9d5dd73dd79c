"""How many groups there may be."""

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.cluster import KMeans
from sklearn.metrics import mutual_info_score, pairwise_distances, silhouette_score
from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state, check_scalar

from tfl_helpers import clustering

MAX_SEED = np.iinfo(np.int32).max
RULES = ("eigengap", "silhouette", "walk", "information")
MOST_GROUPS, MOST_ROWS = 75, 5_000  # that are looked for; rows that are looked at
STEP = 1.1  # from one number that is tried to the next, where that is more than one
N_SPLITS, MOST_HALF = 2, 1_000  # of the rows into halves; rows of a half
MOST_SHOWN = 1_500  # rows whose silhouettes are computed, and that a cloud has
FEWEST = 12  # different rows of which four rules can say something
N_CLOUDS, NEAR = 3, 10  # to compare with; neighbours there


class GroupNumber(NamedTuple):
    """How many groups there may be, see `estimate_n_clusters`."""

    suggestion: int
    low: int
    high: int
    curves: pd.DataFrame
    preferred: dict[str, int]


def estimate_n_clusters(
    z: ArrayLike, k_max: int | None = None, *, random_state: Any = None
) -> GroupNumber:
    """Estimate the number of groups by four rules that have little in common.

    All see the same space (the leading components of rows of length one, at length one), and 5,000
    rows at most. The suggestion is their geometric median, so one that errs does not move it far.

    Parameters
    ----------
    z : array, shape (n, d)
        Features of 12 rows or more.
    k_max : int, optional
        Largest number to try, 3 to n / 4; by default twice the root of n, at most 75.
    random_state : int, RandomState or None
        Draws rows, halves and starts. An int makes the result the same each time.

    Returns
    -------
    GroupNumber
        `suggestion`; 1 where nothing is to be seen, and then `low` and `high` are 1 too: neighbours
        hang together as in one cloud of the same extent. Else these are least and largest of what
        the rules have `preferred`. `curves`: a row per `k`, larger is better, NaN where a rule did
        not try it. `eigengap`: fall from the k-th to the next eigenvalue of the graph.
        `silhouette`: of groups by k-means, and `walk`: of groups where walks on the graph end, both
        from 3 groups on. `information`: what groups found in two halves tell of each other, in
        nats, less what chance and ln(k) / 2 would.

    References
    ----------
    von Luxburg (2007), A tutorial on spectral clustering; Rousseeuw (1987), Silhouettes; Vinh, Epps
    and Bailey (2010), on information corrected for chance. How far each is right, and what did not
    work: results/groups.json.

    Examples
    --------
    >>> z = np.repeat(np.eye(3), 20, axis=0) + np.random.default_rng(0).normal(0, 0.1, (60, 3))
    >>> estimate_n_clusters(z, random_state=0).suggestion
    3
    """
    rng, n = check_random_state(random_state), len(z)
    z = np.asarray(z) if isinstance(z, list | tuple | pd.DataFrame) else z  # else rows are drawn
    most = n // 4
    if k_max is not None:
        check_scalar(k_max, "k_max", Integral)
    if n < FEWEST or not 3 <= (k_max or 3) <= most:
        raise ValueError(
            f"{n} rows, k_max={k_max}: {FEWEST} rows and 3 <= k_max <= {most} are needed"
        )
    z = normalize(z[np.sort(rng.permutation(n)[:MOST_ROWS])])
    z = z[np.sort(np.unique(z.round(6), axis=0, return_index=True)[1])]  # copies tell nothing
    if len(z) < FEWEST:
        return GroupNumber(len(z), len(z), len(z), pd.DataFrame(columns=["k", *RULES]), {})
    k_max = min(k_max or min(MOST_GROUPS, int(2 * np.sqrt(n))), len(z) // 4)
    leading = clustering.leading_components(z, random_state=rng.randint(MAX_SEED))
    curves = _curves(normalize(leading), k_max, rng)
    preferred = {rule: int(k) for rule, k in curves.set_index("k").idxmax().items()}
    if _one_cloud(leading, rng):
        return GroupNumber(1, 1, 1, curves, preferred)
    numbers = [*preferred.values()]
    suggestion = round(np.exp(np.median(np.log(numbers))))
    return GroupNumber(suggestion, min(numbers), max(numbers), curves, preferred)


def _curves(rows: np.ndarray, k_max: int, rng: np.random.RandomState) -> pd.DataFrame:
    """Compute the curves of `estimate_n_clusters`, for rows (n, d) of length one."""
    n, graph = len(rows), clustering.neighbour_graph(rows)
    spectrum = clustering.spectrum(graph, k_max + 1, random_state=rng)
    splits = [rng.permutation(n)[: 2 * MOST_HALF] for _ in range(N_SPLITS)]
    halves = [half for split in splits for half in np.array_split(split, 2)]
    shown = rng.permutation(n)[:MOST_SHOWN]
    distances = pairwise_distances(rows[shown])

    def silhouette(groups: np.ndarray) -> float:
        if not 1 < len(np.unique(groups)) < len(groups):
            return 0.0
        return silhouette_score(distances, groups, metric="precomputed")

    curves = pd.DataFrame({"k": range(2, k_max + 1)}).set_index("k")
    curves["eigengap"] = spectrum.values[1:-1] - spectrum.values[2:]
    k = 2
    while k <= k_max:
        means = KMeans(k, n_init=1, random_state=rng.randint(MAX_SEED))
        found = [means.fit(rows[half]).predict(rows) for half in halves]
        pairs = zip(found[::2], found[1::2], strict=True)
        curves.loc[k, "information"] = np.mean([_information(*pair) for pair in pairs])
        if k > 2:
            part = clustering.Spectrum(spectrum.values[: 3 * k], spectrum.vectors[:, : 3 * k])
            n_steps = clustering.walk_length(part, k)
            ends = means.fit(clustering.spectral_embedding(part, n_steps=n_steps)).labels_
            curves.loc[k, "silhouette"] = np.mean(
                [silhouette(groups[shown]) for groups in found[:2]]
            )
            curves.loc[k, "walk"] = silhouette(ends[shown])
        k = max(k + 1, round(STEP * k))
    return curves[[*RULES]].reset_index()


def _information(one: np.ndarray, other: np.ndarray) -> float:
    """Nats that two labelings tell of each other, less what chance and their number would."""
    table = contingency_matrix(one, other)
    chance = expected_mutual_information(table, table.sum())
    known = mutual_info_score(None, None, contingency=table)
    return known - chance - np.log(max(table.shape)) / 2


def _one_cloud(leading: np.ndarray, rng: np.random.RandomState) -> bool:
    """Tell whether rows (n, d) hang together like clouds of normal numbers as wide as they are.

    The less they do, the larger are the second to fourth eigenvalue of the graph: by 0.08 or more
    on real images of several kinds, on clouds of any form (from 300 rows on) by 0.02. A cloud that
    is long and thin has two ends, like two far groups; but these are not linked by distance.
    """
    leading = leading[rng.permutation(len(leading))[:MOST_SHOWN]]

    def eigenvalues(rows: np.ndarray) -> np.ndarray:
        by_angle = clustering.neighbour_graph(rows)
        distances, neighbours = NearestNeighbors(n_neighbors=NEAR).fit(rows).kneighbors()
        graphs = by_angle, clustering.neighbour_graph((neighbours, distances))
        return np.array([clustering.spectrum(g, 4, random_state=rng).values[1:] for g in graphs])

    shape, wide = leading.shape, leading.std(axis=0)
    clouds = [eigenvalues(rng.normal(size=shape) * wide) for _ in range(N_CLOUDS)]
    found, cloud = eigenvalues(leading), np.mean(clouds, axis=0)
    more = (found - cloud)[0].cumsum() / np.arange(1, found.shape[1] + 1)
    in_parts = 1 - found[1, 0] < 0.1 * (1 - cloud[1, 0])
    return bool(more.max() < 0.03 + 0.2 / np.sqrt(len(leading)) and not in_parts)
