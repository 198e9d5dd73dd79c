"""Whether groups should be drawn to equal size: a choice that needs no labels."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import entropy
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state

from tfl_helpers import clustering

MAX_SEED = np.iinfo(np.int32).max
TRIED = "relaxed", "none", "linked", "uniform"
N_PARTINGS = 2  # into halves
LEAD = 0.05  # by chance alone probes of few images differ by as much
MOST = 3_000  # rows that are looked at


def balance_evidence(z: np.ndarray, n_clusters: int, *, random_state: Any = None) -> pd.DataFrame:
    """Group once with each balance and say which groups can be learned.

    The images are parted into halves, and each is grouped by itself. A linear probe learns the
    groups of one half and is asked for those of the other. Where a large kind was cut in two, the
    halves cut it in different places, and the probe finds other groups. That sizes are forced can
    speak against groups, never for them: "uniform" comes last, and "relaxed", the default, is first
    unless another is ahead of it by 0.05.

    Parameters
    ----------
    z : array, shape (n, d)
        Features; 3,000 rows of them, drawn at random, have to do.
    n_clusters : int
        Number of groups, 2 or more and at most a quarter of the rows.
    random_state : int, RandomState or None
        Draws rows, halves and starts.

    Returns
    -------
    pd.DataFrame
        A row per balance, the best first. `probe`: mean adjusted Rand index of what is foretold and
        what is found. `effective_groups`: exp of the entropy of the sizes. `smallest_share`: of the
        images, in the smallest group.

    Examples
    --------
    >>> z = np.repeat(np.eye(3), 20, axis=0) + np.random.default_rng(0).normal(0, 0.1, (60, 3))
    >>> balance_evidence(z, 3, random_state=0).probe["relaxed"].round(2)
    np.float64(1.0)
    """
    rng = check_random_state(random_state)
    z = np.asarray(z) if isinstance(z, list | tuple | pd.DataFrame) else z  # else rows are drawn
    z = z[np.sort(rng.permutation(len(z))[:MOST])]
    if not 2 <= n_clusters <= len(z) // 4:
        raise ValueError(f"n_clusters={n_clusters}: 2 <= n_clusters <= {len(z) // 4} is needed")
    z = normalize(clustering.leading_components(z, random_state=rng.randint(MAX_SEED)))
    rows = []
    for _ in range(N_PARTINGS):
        halves = [z[part] for part in np.array_split(rng.permutation(len(z)), 2)]
        graphs = [clustering.neighbour_graph(half) for half in halves]
        places = [clustering.walk_places(g, n_clusters, random_state=rng) for g in graphs]
        for balance in TRIED:
            groups = [
                clustering.group_places(
                    place, n_clusters, balance, random_state=rng.randint(MAX_SEED)
                )
                for place in places
            ]
            sizes = np.bincount(groups[0], minlength=n_clusters) / len(groups[0])
            probe = np.mean(
                [_foretold(halves[i], groups[i], halves[1 - i], groups[1 - i]) for i in (0, 1)]
            )
            rows.append((balance, probe, np.exp(entropy(sizes)), sizes.min()))
    columns = ["balance", "probe", "effective_groups", "smallest_share"]
    table = pd.DataFrame(rows, columns=columns).groupby("balance", sort=False).mean()
    standing = table.probe.drop("uniform") + LEAD * (table.index[:-1] == "relaxed")
    order = standing.sort_values(ascending=False, kind="stable").index
    return table.loc[[*order, "uniform"]]


def _foretold(a: np.ndarray, groups_a: np.ndarray, b: np.ndarray, groups_b: np.ndarray) -> float:
    """How well a probe that learned a foretells b; not at all, if there is one group to learn."""
    if len(np.unique(groups_a)) < 2:
        return 0.0
    probe = LogisticRegression(C=10, max_iter=200).fit(a, groups_a)
    return adjusted_rand_score(groups_b, probe.predict(b))
