"""Tables of results: several seeds, chance and ceiling, what labels would buy, choices."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm.auto import tqdm

from tfl_helpers.datasets import ImageSet
from tfl_helpers.evaluation.metrics import UNKNOWN, Answers, answered, unseal
from tfl_helpers.evaluation.pairing import score


def repeat(
    run: Callable[[int], Mapping[str, float]], seeds: Iterable[int] = range(5)
) -> pd.DataFrame:
    """Run once per seed and sum up: `mean` and `sd` of each number and of the `seconds`.

    `run` takes a seed and returns a dict of numbers, such as `score` does.

    Examples
    --------
    >>> repeat(lambda seed: {"accuracy": seed / 10}, seeds=[4, 6]).loc["accuracy", "mean"]
    np.float64(0.5)
    """
    rows = []
    for seed in tqdm(list(seeds), desc="seeds", delay=5, leave=False):
        start = time.perf_counter()
        rows.append({**run(seed), "seconds": time.perf_counter() - start})
    if not rows:
        raise ValueError("no seeds: give at least one seed, such as seeds=range(5)")
    return pd.DataFrame(rows).agg(["mean", "std"]).T.rename(columns={"std": "sd"})


def comparison(
    train: ImageSet,
    test: ImageSet,
    representations: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    n_clusters: int,
    seeds: Iterable[int] = range(5),
    ceilings: bool = True,
) -> pd.DataFrame:
    """Compare chance, k-means on each representation, and what all labels would buy there.

    Parameters
    ----------
    train, test : ImageSet
        Their answers score; k-means does not see them.
    representations : mapping
        Name to (training features (n, d), test features (m, d)), scaled as k-means shall see them.
    n_clusters, seeds, ceilings : int, iterable of int, bool
        Number of groups; a run of each method with each seed; whether to fit the supervised
        ceilings, which take most of the time.

    Returns
    -------
    pandas.DataFrame
        Rows: chance with all images in one group (the most frequent class), with random groups,
        then k-means per representation and, "<name>, supervised", the ceiling. `labels` is how many
        the method saw; the scores are those of `score`, means over the seeds.
    """

    def scored(a: np.ndarray, b: np.ndarray, k: int) -> dict[str, float]:
        return score(train.answers, a, test.answers, b, n_groups=k)

    def random_groups(seed: int, k: int) -> dict[str, float]:
        rng = np.random.default_rng(seed)
        return scored(rng.integers(k, size=len(train)), rng.integers(k, size=len(test)), k)

    def k_means(seed: int, a: np.ndarray, b: np.ndarray) -> dict[str, float]:
        model = KMeans(n_clusters, n_init=10, random_state=seed).fit(a)
        return scored(model.labels_, model.predict(b), n_clusters)

    def linear(seed: int, a: np.ndarray, b: np.ndarray) -> dict[str, float]:
        known, a = answered(train.answers, a, "training features")
        asked, b = answered(test.answers, b, "test features")
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        return {"accuracy": model.fit(a, known).score(b, asked)}

    seeds, n_labels = list(seeds), int((unseal(train.answers) != UNKNOWN).sum())
    runs = {
        ("chance, one group", "all in one", None, 0): partial(random_groups, k=1),
        ("chance, random groups", "random", None, 0): partial(random_groups, k=n_clusters),
    }
    for name, (a, b) in representations.items():
        dims = np.shape(a)[1]
        runs[name, "k-means", dims, 0] = partial(k_means, a=a, b=b)
        if ceilings:
            runs[f"{name}, supervised", "linear", dims, n_labels] = partial(linear, a=a, b=b)
    rows = []
    for (name, method, dims, labels), run in tqdm(runs.items(), "rows", delay=5, leave=False):
        found = repeat(run, seeds[:1] if labels else seeds)  # a ceiling has no randomness
        about = {"representation": name, "method": method, "dims": dims, "labels": labels}
        rows.append(about | found["mean"].to_dict() | {"accuracy_sd": found["sd"]["accuracy"]})
    columns = [*about, "accuracy", "accuracy_sd", "hungarian_test", "nmi", "ari", "seconds"]
    return pd.DataFrame(rows)[columns].astype({"dims": "Int64"}).round(3)


def label_efficiency(
    train_features: np.ndarray,
    train_answers: Answers,
    test_features: np.ndarray,
    test_answers: Answers,
    *,
    per_class: Sequence[int] = (1, 2, 5, 10, 20, 50),
    seeds: Iterable[int] = range(5),
) -> pd.DataFrame:
    """Measure how accurate a linear classifier is that sees a few labelled images per class.

    Columns: `per_class`, `labels` (in all), `accuracy` on test and its `sd` over the seeds.

    Parameters
    ----------
    train_features, train_answers, test_features, test_answers : arrays (n, d), (n,), (m, d), (m,)
        Features, standardised inside by those of train; true classes, sealed or not, -1 is ignored.
    per_class, seeds : sequence of int
        Labels per class (a class that has fewer gives all); each seed draws its own images.
    """
    known, a = answered(train_answers, train_features, "training features")
    asked, b = answered(test_answers, test_features, "test features")
    seeds, classes = list(seeds), np.unique(known)
    if not len(per_class) or min(per_class) < 1:
        raise ValueError(f"per_class={list(per_class)}: give one number or more, each 1 or more")
    if len(classes) < 2:
        raise ValueError(f"all answers are class {classes[0]}: a classifier needs two classes")
    scale = StandardScaler().fit(train_features)
    a, b, rows = scale.transform(a), scale.transform(b), []

    def run(seed: int, number: int) -> dict[str, float]:
        order = np.random.default_rng(seed).permutation(len(known))
        chosen = np.concatenate([order[known[order] == c][:number] for c in classes])
        model = LogisticRegression(max_iter=1000).fit(a[chosen], known[chosen])
        return {"labels": len(chosen), "accuracy": model.score(b, asked)}

    for number in tqdm(per_class, desc="labels per class", delay=5, leave=False):
        table = repeat(partial(run, number=number), seeds)
        rows.append((number, int(table["mean"]["labels"]), *table.loc["accuracy"]))
    return pd.DataFrame(rows, columns=["per_class", "labels", "accuracy", "sd"])


def regret(ranked: Sequence[str], accuracy: Mapping[str, float]) -> dict[str, object]:
    """Measure how good a choice made without labels was, once the answers are open.

    Takes candidates, the preferred one first, as `selection.search` ranks them, and the accuracy of
    each. Returns `chosen`, `accuracy` (of the choice), `best`, `best_accuracy`, `median_accuracy`,
    `regret` (best minus chosen), `rank_correlation` (Spearman; 1: the same order), `candidates`.

    Examples
    --------
    >>> regret(["a", "b"], {"a": 0.5, "b": 0.75})["regret"]
    0.25
    """
    ranked = list(ranked)
    if len(ranked) < 2 or sorted(ranked) != sorted(accuracy):
        raise ValueError(f"not the same two or more candidates: {ranked} and {list(accuracy)}")
    scores = pd.Series(accuracy, ranked, float)
    places = pd.Series(range(len(ranked), 0, -1), ranked)
    return {
        "chosen": ranked[0],
        "accuracy": float(scores.iloc[0]),
        "best": scores.idxmax(),
        "best_accuracy": float(scores.max()),
        "median_accuracy": float(scores.median()),
        "regret": float(scores.max() - scores.iloc[0]),
        "rank_correlation": float(places.corr(scores, method="spearman")),
        "candidates": len(ranked),
    }
