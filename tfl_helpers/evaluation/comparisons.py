"""Tables of results: several seeds, chance and ceiling, what labels would buy, choices."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

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
    """Run once per seed and sum up.

    Parameters
    ----------
    run, seeds : callable and iterable of int
        Takes a seed, returns a dict of numbers such as `score` does.

    Returns
    -------
    pandas.DataFrame
        A row per number and for `seconds`; columns `mean` and `sd` (of a sample; NaN for one run).

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


def supervised_ceiling(
    train_features: np.ndarray,
    train_answers: Answers,
    test_features: np.ndarray,
    test_answers: Answers,
) -> float:
    """Compute the test accuracy of a linear classifier that sees every training label.

    Parameters
    ----------
    train_features, test_features : np.ndarray, shape (n, d) and (m, d)
        Standardised inside, by the training features.
    train_answers, test_answers : array of int, shape (n,) and (m,)
        True classes, sealed or not; rows with -1 are ignored.

    Examples
    --------
    >>> supervised_ceiling(np.array([[0.0], [1], [9]]), [0, 0, 1], np.array([[8.0]]), [1])
    1.0
    """
    known, a = answered(train_answers, np.asarray(train_features), "training features")
    asked, b = answered(test_answers, np.asarray(test_features), "test features")
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return float(model.fit(a, known).score(b, asked))


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
    n_clusters, seeds : int and iterable of int
        Number of groups; one run of k-means (best of ten starts) and of random groups each.
    ceilings : bool
        Also fit the supervised ceiling of each representation, which takes most of the time.

    Returns
    -------
    pandas.DataFrame
        Columns `representation`, `method`, `dims`, `labels` (how many the method saw), `accuracy`,
        `accuracy_sd`, `hungarian_test`, `nmi`, `ari` (as in `score`, means over the seeds),
        `seconds`. Rows: chance with all images in one group (the most frequent class) and with
        random groups, then k-means per representation and, "<name>, supervised", the ceiling.
    """

    def random_groups(seed: int, k: int) -> dict[str, float]:
        rng = np.random.default_rng(seed)
        a, b = (rng.integers(k, size=len(images)) for images in (train, test))
        return score(train.answers, a, test.answers, b, n_groups=k)

    def k_means(seed: int, a: np.ndarray, b: np.ndarray) -> dict[str, float]:
        model = KMeans(n_clusters, n_init=10, random_state=seed).fit(a)
        groups = model.labels_, model.predict(b)
        return score(train.answers, groups[0], test.answers, groups[1], n_groups=n_clusters)

    def linear(seed: int, a: np.ndarray, b: np.ndarray) -> dict[str, float]:
        return {"accuracy": supervised_ceiling(a, train.answers, b, test.answers)}

    seeds, n_labels = list(seeds), int((unseal(train.answers) != UNKNOWN).sum())
    runs = [
        ("chance, one group", "all in one", partial(random_groups, k=1), None, 0),
        ("chance, random groups", "random", partial(random_groups, k=n_clusters), None, 0),
    ]
    for name, (a, b) in representations.items():
        dims = np.shape(a)[1]
        runs.append((name, "k-means", partial(k_means, a=a, b=b), dims, 0))
        if ceilings:
            run = partial(linear, a=a, b=b)
            runs.append((f"{name}, supervised", "linear", run, dims, n_labels))
    rows = []
    for name, method, run, dims, labels in tqdm(runs, desc="rows", delay=5, leave=False):
        found = repeat(run, seeds[:1] if labels else seeds)
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
    """Measure what a few labels buy: a linear classifier that sees n labelled images per class.

    Parameters
    ----------
    train_features, train_answers, test_features, test_answers
        As in `supervised_ceiling`; all training features standardise, labelled or not.
    per_class, seeds : sequence of int
        Labels per class (a class that has fewer gives all); each seed draws its own images.

    Returns
    -------
    pandas.DataFrame
        A row per number: `per_class`, `labels` (in all), `accuracy` on test (mean over the seeds)
        and `sd` (sample standard deviation, NaN for one seed).
    """
    known, a = answered(train_answers, np.asarray(train_features), "training features")
    asked, b = answered(test_answers, np.asarray(test_features), "test features")
    seeds, classes = list(seeds), np.unique(known)
    if not len(per_class) or min(per_class) < 1:
        raise ValueError(f"per_class={list(per_class)}: give one number or more, each 1 or more")
    if len(classes) < 2:
        raise ValueError(f"all answers are class {classes[0]}: a classifier needs two classes")
    scale = StandardScaler().fit(np.asarray(train_features))
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


def labels_to_reach(curve: pd.DataFrame, accuracy: float) -> int | None:
    """Find how many labels per class are as good as a result without labels; None: not enough.

    Parameters
    ----------
    curve, accuracy : pandas.DataFrame and float
        From `label_efficiency`; what was reached without labels, on the same test images.

    Examples
    --------
    >>> labels_to_reach(pd.DataFrame({"per_class": [1, 5], "accuracy": [0.5, 0.9]}), 0.8)
    5
    """
    enough = curve.per_class[curve.accuracy >= accuracy]
    return int(enough.min()) if len(enough) else None


def regret(ranked: Sequence[str], accuracy: Mapping[str, float]) -> dict[str, Any]:
    """Measure how good a choice made without labels was, once the answers are open.

    Parameters
    ----------
    ranked, accuracy : sequence of str and mapping
        Candidates, the preferred one first, as `selection.search` ranks them; each one's accuracy.

    Returns
    -------
    dict
        `chosen`, `accuracy` (of the choice), `best` (name), `best_accuracy`, `median_accuracy` (a
        random choice gives it half the time), `regret` (best minus chosen), `rank_correlation`
        (Spearman; 1: the same order, NaN: all accuracies are equal), `candidates` (how many).

    Examples
    --------
    >>> regret(["a", "b"], {"a": 0.5, "b": 0.75})["regret"]
    0.25
    """
    ranked = list(ranked)
    if len(ranked) < 2 or sorted(ranked) != sorted(accuracy):
        odd = sorted(set(ranked) ^ set(accuracy)) or ranked
        raise ValueError(
            f"ranked and accuracy must name the same two or more candidates, once; look at {odd}"
        )
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
