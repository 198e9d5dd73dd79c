"""Choose a representation and a method without labels."""

import time
import warnings
from collections.abc import Iterable, Mapping
from itertools import product

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import silhouette_score
from sklearn.preprocessing import normalize
from tqdm.auto import tqdm

from tfl_helpers.clustering import NOT_GROUPED, agreement, nearest, stability
from tfl_helpers.evaluation import check_collapse

SHARE = 0.8  # of the images: what each run sees
N_NEIGHBORS = 10  # that are asked whether they share a group
MOST_JUDGED = 2000  # images by which groups are judged


def search(
    representations: Mapping[str, np.ndarray],
    methods: Mapping[str, BaseEstimator],
    *,
    seeds: Iterable[int] = range(3),
) -> pd.DataFrame:
    """Try every method on every representation and rank them, without a single answer.

    Each seed starts the method and draws the images it sees. Candidates are ordered by their mean
    rank over three scores, averaged over the seeds: `agreement` (do neighbours share a group?),
    `silhouette` (are the groups apart on a map?), `stability` (do the runs find the same groups?).
    Those that crowd into few groups come last.

    Within one representation, neighbours and map are as its own groups would like them. So groups
    are judged in the *other* representations: where most of these see the wrong thing, so will the
    choice. The scores lean to fewer groups: compare equal numbers.

    Parameters
    ----------
    representations : mapping
        Name to raw training features (n, d) of the same images: backbones, layers, input sizes.
        Of fewer than three each has to judge its own groups too: then compare methods only.
    methods : mapping
        Name to scikit-learn clusterer with ``fit_predict``, with its normaliser in a pipeline, such
        as ``make_pipeline(features.normaliser("l2"), KMeans(10))``. Copies are fitted.
    seeds : iterable of int
        Two or more.

    Returns
    -------
    pandas.DataFrame
        Best first, index `candidate` ("representation | method"): `representation`, `method`, the
        three scores, `mean_rank` (1 is best), `at_home` (agreement by its own representation, to
        compare with), `alarm` (of a collapse; empty if there is none), `seconds` (per run).
    """
    seeds, spaces = list(seeds), _same_images(representations)
    if not methods or len(set(seeds)) < 2:
        raise ValueError(
            f"{len(methods)} methods, seeds {seeds}: give a method or more, two different seeds"
        )
    n = len(next(iter(spaces.values())))
    shown = np.sort(np.random.default_rng(0).permutation(n)[:MOST_JUDGED])
    judges = [
        (nearest(z[shown], N_NEIGHBORS)[0], _layout(z[shown]))
        for z in tqdm(spaces.values(), desc="maps", delay=5, leave=False)
    ]
    rows, verdicts = [], []
    for space, name in tqdm(list(product(spaces, methods)), "candidates", delay=5, leave=False):
        start, method = time.perf_counter(), methods[name]
        runs = [_run(method, spaces[space], seed) for seed in seeds]
        seconds = round((time.perf_counter() - start) / len(seeds), 3)
        verdicts.append([_verdict([run[shown] for run in runs], *judge) for judge in judges])
        about = {"candidate": f"{space} | {name}", "representation": space, "method": name}
        scores = {"agreement": 0.0, "silhouette": 0.0, "stability": stability(runs)}
        rows.append(about | scores | {"alarm": _alarm(method, runs), "seconds": seconds})
    table, given = pd.DataFrame(rows).set_index("candidate"), np.array(verdicts)
    home = table.representation.to_numpy()[:, None] == np.array(list(spaces))
    table[["agreement", "silhouette"]] = judged_by_others(given, home & (len(spaces) > 2))
    ranks = table[["agreement", "silhouette", "stability"]].rank(ascending=False)
    table.insert(5, "mean_rank", ranks.mean(axis=1))
    table.insert(6, "at_home", given[home, 0])
    return table.iloc[np.lexsort((table.mean_rank, table.alarm != ""))]


def judged_by_others(given: np.ndarray, home: np.ndarray) -> np.ndarray:
    """Mean lead of each candidate over the others, plus the mean of all scores.

    Every two candidates are compared by the judges that are home to neither, before the mean is
    taken, since some judges are stricter. Takes what each judge gave, float (n_candidates,
    n_judges, n_scores), and who may not judge, bool (n_candidates, n_judges).

    Examples
    --------
    >>> given = np.array([[9, 1, 5], [2, 9, 6], [3, 3, 9.0]])  # 9 for the judge's own
    >>> judged_by_others(given[..., None], np.eye(3, dtype=bool)).ravel().round(1)
    array([4.2, 5.2, 6.2])
    """
    leads = np.zeros((len(given), given.shape[2]))
    for one, lead in enumerate(leads):
        for other in range(len(given)):
            judges = ~home[one] & ~home[other]
            lead += (given[one, judges] - given[other, judges]).mean(0)
    return leads / len(given) + given.mean((0, 1))


def seeded(method: BaseEstimator, seed: int) -> BaseEstimator:
    """Copy a method (or pipeline), not fitted, with every `random_state` in it set.

    Examples
    --------
    >>> from sklearn.cluster import KMeans
    >>> seeded(KMeans(3), seed=5)
    KMeans(n_clusters=3, random_state=5)
    """
    copy = clone(method)
    names = [name for name in copy.get_params() if name.split("__")[-1] == "random_state"]
    return copy.set_params(**dict.fromkeys(names, seed))


def _same_images(representations: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Check that the features are finite and of the same images."""
    spaces = {name: np.asarray(z) for name, z in representations.items()}
    if len({z.shape[:1] for z in spaces.values()}) != 1:
        shapes = {name: z.shape for name, z in spaces.items()}
        raise ValueError(f"representations must be one or more, of the same images: {shapes}")
    for name, z in spaces.items():
        if z.ndim != 2 or len(z) < 4 or not np.isfinite(z).all():
            raise ValueError(
                f"representation {name!r} of shape {z.shape} must be (images, features), four "
                "images or more, without NaN or infinity"
            )
    return spaces


def _layout(z: np.ndarray) -> np.ndarray:
    """Lay rows out on a plane by UMAP (McInnes et al. 2018), by the angles between them."""
    from umap import UMAP  # slow to import

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a fixed seed makes it run on one core
        near = min(15, len(z) - 1)
        return UMAP(n_neighbors=near, min_dist=0.0, random_state=0).fit_transform(normalize(z))


def _run(method: BaseEstimator, z: np.ndarray, seed: int) -> np.ndarray:
    """Group a random share of the images; the others are not grouped."""
    seen = np.random.default_rng(seed).permutation(len(z))[: round(SHARE * len(z))]
    groups = np.full(len(z), NOT_GROUPED)
    groups[seen] = seeded(method, seed).fit_predict(z[seen])
    return groups


def _verdict(runs: list[np.ndarray], neighbours: np.ndarray, layout: np.ndarray) -> list[float]:
    """Give mean agreement and mean silhouette of some runs, by one representation."""
    silhouettes = []
    for run in runs:
        seen = run != NOT_GROUPED
        distinct = 1 < len(np.unique(run[seen])) < seen.sum()
        silhouettes.append(silhouette_score(layout[seen], run[seen]) if distinct else -1.0)
    return [np.mean([agreement(run, neighbours) for run in runs]), np.mean(silhouettes)]


def _alarm(method: BaseEstimator, runs: list[np.ndarray]) -> str:
    """First alarm of a collapse among some runs; empty if there is none."""
    asked = [v for k, v in method.get_params().items() if k.split("__")[-1] == "n_clusters"]
    for run in runs:
        groups = run[run != NOT_GROUPED]
        wanted = next((int(k) for k in asked if k), len(np.unique(groups)))
        if alarm := check_collapse(groups, wanted):
            return alarm
    return ""
