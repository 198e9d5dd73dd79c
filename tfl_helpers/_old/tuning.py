"""Choose without labels, and keep every result.

`search` ranks settings by three scores that need no answer: do neighbours share a group, are the
groups islands on a map, do they come out again. No function here takes answers; how good a choice
was, `evaluation.regret` says once the seal is open. `record` and `runs` keep a table of results.
"""

import importlib.metadata
import json
import os
import platform
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.preprocessing import normalize
from tqdm.auto import tqdm

from tfl_helpers.clustering import nearest
from tfl_helpers.evaluation import check_collapse

NOT_GROUPED = -1  # an image that a run did not see
PACKAGES = ("tfl-helpers", "tensorflow", "keras", "scikit-learn", "numpy")


def agreement(groups: ArrayLike, neighbours: np.ndarray) -> float:
    """Share of neighbours that are in the same group, corrected for chance.

    Parameters
    ----------
    groups : array of int, shape (n,)
        Group of each image; pairs with -1 (not grouped) do not count.
    neighbours : np.ndarray, int (n, m)
        Rows of each image's neighbours, from `clustering.nearest`.

    Returns
    -------
    float
        1: neighbours always share a group. 0: no more often than any two images, as with dice or
        with all images in one group. With few groups sharing is easier, and so is a high value.

    Raises
    ------
    ValueError
        The shapes differ, or no neighbours are grouped.

    Notes
    -----
    (p - c) / (1 - c) as in Cohen (1960), where p is the share and c the chance that two images
    drawn at random share a group. Taught in notebook 05.
    """
    groups = np.asarray(groups)
    if groups.ndim != 1 or len(groups) != len(neighbours):
        raise ValueError(
            f"groups of shape {groups.shape}, neighbours of {np.shape(neighbours)}: give one group "
            "and one row of neighbours for each image"
        )
    seen = (groups[:, None] != NOT_GROUPED) & (groups[neighbours] != NOT_GROUPED)
    if not seen.any():
        raise ValueError("no two neighbours are grouped, so nothing can agree")
    share = np.mean((groups[:, None] == groups[neighbours])[seen])
    sizes = np.unique(groups[groups != NOT_GROUPED], return_counts=True)[1]
    chance = np.sum((sizes / sizes.sum()) ** 2)
    return float((share - chance) / (1 - chance)) if chance < 1 else 0.0


def stability(runs: Sequence[ArrayLike]) -> float:
    """Say how much several runs agree, whatever they call their groups.

    Parameters
    ----------
    runs : sequence of int arrays, each (n,)
        Groups of the same images, -1 where a run did not see an image.

    Returns
    -------
    float
        Mean adjusted Rand index of all pairs of runs, over the images that both saw: 1 where they
        are the same, about 0 where they have nothing in common. 0 where a run has a single group:
        that comes out again every time and says nothing.

    Raises
    ------
    ValueError
        Fewer than two runs, or their lengths differ.

    Notes
    -----
    von Luxburg (2010), Clustering stability. Taught in notebook 05.
    """
    runs = [np.asarray(run) for run in runs]
    if len(runs) < 2 or len({run.shape for run in runs}) > 1:
        shapes = [run.shape for run in runs]
        raise ValueError(f"runs must be two or more, of the same images; their shapes: {shapes}")

    def alike(one: np.ndarray, other: np.ndarray) -> float:
        both = (one != NOT_GROUPED) & (other != NOT_GROUPED)
        if min(len(np.unique(run[both])) for run in (one, other)) < 2:
            return 0.0
        return adjusted_rand_score(one[both], other[both])

    return float(np.mean([alike(*pair) for pair in combinations(runs, 2)]))


def search(
    representations: Mapping[str, np.ndarray],
    methods: Mapping[str, BaseEstimator],
    *,
    seeds: Iterable[int] = range(3),
    share: float = 0.8,
    n_neighbors: int = 10,
    most: int = 2000,
) -> pd.DataFrame:
    """Try every method on every representation and rank them, without a single answer.

    Each seed starts the method and draws the images it sees. (A method without chance would be
    perfectly stable otherwise.) Three scores, averaged over the seeds:

    - `agreement`: do neighbours share a group?
    - `silhouette`: are the groups islands on a map (UMAP)?
    - `stability`: do the runs find the same groups?

    Who are the neighbours, and whose map? Within one representation both are as its own groups
    would like them: edges agree with edges, and a poor layer looks fine. So the groups found in one
    representation are judged in the *others*, and since some judges are stricter, any two
    candidates are compared by judges that are home to neither. Candidates are ordered by their mean
    rank over the three scores. Those that crowd into few groups (`evaluation.check_collapse`) come
    last.

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
    share : float
        Share of the images that each run sees.
    n_neighbors : int
        Neighbours that are asked.
    most : int
        Judge by this many images, drawn once; the methods see all.

    Returns
    -------
    pandas.DataFrame
        Best first, index `candidate` ("representation | method"): `representation`, `method`, the
        three scores, `mean_rank` (1 is best), `at_home` (agreement by its own representation, to
        compare with; it counts for nothing), `alarm` (of a collapse; empty if there is none),
        `seconds` (per run).

    Raises
    ------
    ValueError
        Nothing to try, fewer than two seeds, or features that are NaN or not of the same images.

    Notes
    -----
    The judges' verdict is that of the majority: where most representations see the wrong thing, so
    will the choice. The scores lean to fewer groups: take candidates with the same number, or
    `clustering.estimate_n_clusters`. Nothing here takes answers. UMAP: McInnes et al. (2018).
    Taught in notebook 05.
    """
    seeds, spaces = list(seeds), _same_images(representations)
    if not methods or len(set(seeds)) < 2 or not 0 < share <= 1:
        raise ValueError(
            f"{len(methods)} methods, seeds {seeds}, share {share}: give a method or more, two "
            "different seeds or more, and a share above 0 and at most 1"
        )
    n = len(next(iter(spaces.values())))
    shown = np.sort(np.random.default_rng(0).permutation(n)[:most])
    judges = {}
    for name, z in tqdm(spaces.items(), desc="maps", delay=5, leave=False):
        judges[name] = nearest(z[shown], n_neighbors)[0], _layout(z[shown])
    rows, verdicts, home = [], [], []
    pairs = [(space, method) for space in spaces for method in methods]
    for space, method in tqdm(pairs, desc="candidates", delay=5, leave=False):
        start, runs = time.perf_counter(), []
        for seed in seeds:
            seen = np.random.default_rng(seed).permutation(n)[: max(round(share * n), 2)]
            runs.append(np.full(n, NOT_GROUPED))
            runs[-1][seen] = seeded(methods[method], seed).fit_predict(spaces[space][seen])
        seconds = (time.perf_counter() - start) / len(seeds)
        verdicts.append([_verdict([run[shown] for run in runs], *j) for j in judges.values()])
        home.append([name == space for name in judges])
        about = {"candidate": f"{space} | {method}", "representation": space, "method": method}
        scores = {"agreement": 0.0, "silhouette": 0.0, "stability": stability(runs)}
        alarm = _alarm(methods[method], runs)
        rows.append({**about, **scores, "alarm": alarm, "seconds": round(seconds, 3)})
    table = pd.DataFrame(rows).set_index("candidate")
    given, home = np.array(verdicts), np.array(home)
    table[["agreement", "silhouette"]] = _fair(given, home & (len(spaces) > 2))
    ranks = table[["agreement", "silhouette", "stability"]].rank(ascending=False)
    table.insert(5, "mean_rank", ranks.mean(axis=1))
    table.insert(6, "at_home", given[home, 0])
    order = table.assign(alarmed=table.alarm != "").sort_values(
        ["alarmed", "mean_rank"], kind="stable"
    )
    return order.drop(columns="alarmed")


def seeded(method: BaseEstimator, seed: int) -> BaseEstimator:
    """Copy a method, not fitted, with every `random_state` in it set.

    Parameters
    ----------
    method : scikit-learn estimator
        Or a pipeline of them.
    seed : int
        For all of its parts that take one.

    Returns
    -------
    scikit-learn estimator
        Its copy.

    Notes
    -----
    Taught in notebook 05.
    """
    copy = clone(method)
    names = [name for name in copy.get_params() if name.split("__")[-1] == "random_state"]
    return copy.set_params(**dict.fromkeys(names, seed))


def record(
    file: str | Path, run: Callable[..., Mapping[str, float]], /, **settings: Any
) -> dict[str, float]:
    """Run once with these settings and add a row to a table of results.

    ``record("runs.jsonl", experiment, method="k-means", seed=0)`` is the same as
    ``experiment(method="k-means", seed=0)``, and is remembered.

    Parameters
    ----------
    file : str or Path
        The table, one line of JSON per run; made where there is none.
    run : callable
        Takes the settings, returns a dict of numbers such as `evaluation.score` does.
    **settings
        Numbers, texts, lists: what JSON can hold.

    Returns
    -------
    dict
        What `run` returned.

    Raises
    ------
    TypeError
        A setting cannot be written; nothing is run.
    ValueError
        The file is no such table; nothing is run, and it is left as it is.

    Notes
    -----
    A row is added in one write at the end of the file and what stands there is never touched, so
    two notebooks can use the same file, and a stopped run leaves nothing half-written behind.
    Taught in notebook 05.
    """
    file = Path(file).expanduser()
    json.dumps(settings, default=_plain)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab"):  # what will not work shall not work before the run, not after it
        _lines(file)
    start = time.perf_counter()
    scores = dict(run(**settings))
    row = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "settings": settings,
        "scores": scores,
        "seconds": round(time.perf_counter() - start, 3),
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in PACKAGES},
    }
    line = json.dumps(row, default=lambda v: v.item() if isinstance(v, np.generic) else str(v))
    line += "\n"
    with file.open("ab+", buffering=0) as table:
        if table.seek(0, os.SEEK_END):
            table.seek(-1, os.SEEK_END)
            if table.read(1) != b"\n":  # the disk was full in the middle of a line, or an editor
                line = "\n" + line
        if table.write(line.encode()) < len(line.encode()):
            raise OSError(f"no room for a whole row in {file}; the run gave {scores}")
    return scores


def runs(file: str | Path) -> pd.DataFrame:
    """Read the table that `record` writes.

    Parameters
    ----------
    file : str or Path
        The table.

    Returns
    -------
    pandas.DataFrame
        A row per run, oldest first: `time` (UTC), a column per setting, a column per score (with
        "found " before its name where a setting has the same), `seconds`, `versions` (a text).

    Raises
    ------
    FileNotFoundError
        There is no such file: nothing was recorded.
    ValueError
        The file is no such table.

    Warns
    -----
    UserWarning
        A line cannot be read; it is passed over and stays in the file.

    Notes
    -----
    Taught in notebook 05.
    """
    file = Path(file).expanduser()
    read, broken = _lines(file) if file.exists() else ([], [])
    if not read:
        raise FileNotFoundError(f"no runs in {file}: tuning.record adds the first")
    if broken:
        warnings.warn(
            f"{file}: lines {broken} cannot be read and are passed over", UserWarning, stacklevel=2
        )
    rows = []
    for row in read:
        scores = {
            f"found {name}" if name in row["settings"] else name: value
            for name, value in row["scores"].items()
        }
        versions = ", ".join(f"{name} {version}" for name, version in row["versions"].items())
        last = {"seconds": row["seconds"], "versions": versions}
        rows.append({"time": row["time"], **row["settings"], **scores, **last})
    table = pd.DataFrame(rows)
    return table[[*table.columns.drop(["seconds", "versions"]), "seconds", "versions"]]


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
    """Lay rows out on a plane by UMAP, by the angles between them."""
    from umap import UMAP  # slow to import

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a fixed seed makes it run on one core
        near = min(15, len(z) - 1)
        return UMAP(n_neighbors=near, min_dist=0.0, random_state=0).fit_transform(normalize(z))


def _verdict(runs: list[np.ndarray], neighbours: np.ndarray, layout: np.ndarray) -> list[float]:
    """Give mean agreement and mean silhouette of some runs, by one representation."""
    fits = []
    for run in runs:
        seen = run != NOT_GROUPED
        found = 1 < len(np.unique(run[seen])) < seen.sum()
        fits.append(silhouette_score(layout[seen], run[seen]) if found else -1.0)
    return [np.mean([agreement(run, neighbours) for run in runs]), np.mean(fits)]


def _fair(given: np.ndarray, home: np.ndarray) -> np.ndarray:
    """Compare every two candidates by the judges that are home to neither.

    `given` (candidates, judges, scores) and `home` (candidates, judges) to (candidates, scores):
    mean lead over the others, plus the mean of all that was given, to be read like one score.
    """
    leads = np.zeros((len(given), given.shape[2]))
    for one, lead in enumerate(leads):
        for other in range(len(given)):
            judges = ~home[one] & ~home[other]
            lead += (given[one, judges] - given[other, judges]).mean(0)
    return leads / len(given) + given.mean((0, 1))


def _alarm(method: BaseEstimator, runs: list[np.ndarray]) -> str:
    """First alarm of a collapse among some runs; empty if there is none."""
    asked = [v for k, v in method.get_params().items() if k.split("__")[-1] == "n_clusters"]
    for run in runs:
        groups = run[run != NOT_GROUPED]
        wanted = next((int(k) for k in asked if k), len(np.unique(groups)))
        if alarm := check_collapse(groups, wanted, warn=False):
            return alarm
    return ""


def _plain(value: Any) -> Any:
    """Numbers of NumPy as Python's, for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(
        f"{value!r} of type {type(value).__name__} cannot be kept in a table of runs: give a "
        "number, a text or a list of them"
    )


def _lines(file: Path) -> tuple[list[dict], list[int]]:
    """Rows of a table of runs, and the numbers of the lines that are none."""
    rows, broken = [], []
    for number, line in enumerate(file.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            row["time"], row["seconds"]
            if all(isinstance(row[part], dict) for part in ("settings", "scores", "versions")):
                rows.append(row)
                continue
        except (ValueError, TypeError, KeyError):
            pass
        broken.append(number)
    if broken and not rows:
        raise ValueError(
            f"{file} is no table of runs (no line of it can be read): it was left as it is. Give "
            "the name of a new file, or of one that tuning.record made"
        )
    return rows, broken
