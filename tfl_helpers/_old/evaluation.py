"""Honest scores: groups are paired with classes on train and counted on test.

The only module that opens sealed answers. Groups carry no names, so before anything can be counted
each group has to be paired with a class. That pairing is found on the training images and applied,
unchanged, to the test images.
"""

import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm.auto import tqdm

from tfl_helpers.datasets import ImageSet, SealedAnswers, _unseal

Answers = SealedAnswers | ArrayLike
UNKNOWN = -1  # among answers: this image has none; among predictions: a group never seen on train


class CollapseWarning(UserWarning):
    """Most images ended up in a few groups, or some groups are empty."""


def unseal(answers: Answers | None) -> np.ndarray:
    """Open sealed answers on purpose, to teach or to score; never to fit, tune or stop.

    Parameters
    ----------
    answers : SealedAnswers or array of int, shape (n,)
        What `ImageSet.answers` holds, or plain class numbers.

    Returns
    -------
    np.ndarray
        int64 (n,); -1 where an image has no answer.

    Raises
    ------
    ValueError
        There are no answers (None), or they are not one whole number per image.

    Notes
    -----
    Taught in notebook 01.
    """
    if answers is None:
        raise ValueError(
            "these images have no answers (answers is None), so nothing can be scored: look at the "
            "groups with plots.group_gallery, or sort a few images into one folder per class"
        )
    return _unseal(answers) if isinstance(answers, SealedAnswers) else _integers(answers, "answers")


def hungarian_accuracy(answers: Answers, groups: ArrayLike) -> float:
    """Share of images that are right under the best one-to-one pairing of groups and classes.

    Strictly one-to-one, for any numbers of groups and classes: images of a group left without a
    class are wrong, and so are those of a class left without a group. The pairing is found on the
    very images it is counted on, so this is an upper view; `score` is the honest one.

    Parameters
    ----------
    answers : SealedAnswers or array of int, shape (n,)
        True classes; rows with -1 are ignored.
    groups : array of int, shape (n,)
        Group of each image; the numbers mean nothing.

    Returns
    -------
    float
        Between 0 and 1.

    Notes
    -----
    Kuhn (1955), The Hungarian method for the assignment problem. Taught in notebook 03.
    """
    answers, groups = _answered(answers, _integers(groups, "groups"))
    pairs = _one_to_one(pd.crosstab(groups, answers))
    return float(np.mean(_apply(pairs, groups) == answers))


def map_groups(answers: Answers, groups: ArrayLike, n_classes: int | None = None) -> dict[int, int]:
    """Find the class that each group stands for. Call it on training images.

    One-to-one (Hungarian) as far as there are classes; with more groups than classes, each group
    left over takes the class most frequent in it.

    Parameters
    ----------
    answers : SealedAnswers or array of int, shape (n,)
        True classes; rows with -1 are ignored.
    groups : array of int, shape (n,)
        Group of each image.
    n_classes : int, optional
        Number of classes, where `answers` may not show all of 0 .. n_classes - 1. Then the pairing
        stays one-to-one for up to `n_classes` groups.

    Returns
    -------
    dict
        Group number to class number, for every group that holds an answered image.

    Notes
    -----
    Taught in notebook 03.
    """
    answers, groups = _answered(answers, _integers(groups, "groups"))
    table = pd.crosstab(groups, answers)
    if n_classes is not None:
        if answers.min() < 0 or answers.max() >= n_classes:
            raise ValueError(
                f"answers run from {answers.min()} to {answers.max()}, which does not fit "
                f"n_classes={n_classes}: they must be 0 .. n_classes - 1"
            )
        table = table.reindex(columns=range(n_classes), fill_value=0)
    majority = {int(group): int(name) for group, name in table.idxmax(axis=1).items()}
    return majority | _one_to_one(table)


def score(
    train_answers: Answers,
    train_groups: ArrayLike,
    test_answers: Answers,
    test_groups: ArrayLike,
    *,
    n_groups: int | None = None,
) -> dict[str, float]:
    """Score groups on test images, with the pairing found on training images.

    Parameters
    ----------
    train_answers, test_answers : SealedAnswers or array of int, shape (n,) and (m,)
        True classes; rows with -1 are ignored.
    train_groups, test_groups : array of int, shape (n,) and (m,)
        Group of each image. A test group that no training image is in counts as wrong.
    n_groups : int, optional
        How many groups were asked for, for the collapse alarm. By default the number of groups or
        of classes in the training images, whichever is larger.

    Returns
    -------
    dict
        `accuracy`: pairing from train, counted on test. `hungarian_test`: pairing found on test
        itself, an upper view. `nmi` (arithmetic mean) and `ari`: on test, no pairing needed.
        `n_groups`, `effective_groups` (exp of entropy) and `smallest_group` (images): of the
        training groups.

    Warns
    -----
    CollapseWarning
        See `check_collapse`.

    Notes
    -----
    Taught in notebook 03.
    """
    true, predicted, groups = _predict(train_answers, train_groups, test_answers, test_groups)
    known, train_groups = unseal(train_answers), _integers(train_groups, "train_groups")
    sizes = np.unique(train_groups, return_counts=True)[1]
    asked = n_groups or max(len(sizes), len(np.unique(known[known != UNKNOWN])))
    if alarm := check_collapse(train_groups, asked, warn=False):
        warnings.warn(alarm, CollapseWarning, stacklevel=2)
    return {
        "accuracy": float(np.mean(predicted == true)),
        "hungarian_test": hungarian_accuracy(true, groups),
        "nmi": float(normalized_mutual_info_score(true, groups)),
        "ari": float(adjusted_rand_score(true, groups)),
        "n_groups": len(sizes),
        "effective_groups": _effective(sizes),
        "smallest_group": int(sizes.min()),
    }


def per_class(
    train_answers: Answers,
    train_groups: ArrayLike,
    test_answers: Answers,
    test_groups: ArrayLike,
    class_names: Sequence[str] = (),
) -> pd.DataFrame:
    """Score each class on test images: which ones the groups find and which they miss.

    Parameters
    ----------
    train_answers, train_groups, test_answers, test_groups
        As in `score`.
    class_names : sequence of str
        Names; the index is the class number.

    Returns
    -------
    pandas.DataFrame
        A row per class: `class`, `images` (test images of it), `recall` (share of them found),
        `precision` (share of those called so that are; NaN where none is).

    Notes
    -----
    Taught in notebook 03.
    """
    table = confusion(train_answers, train_groups, test_answers, test_groups, class_names)
    called = table.reindex(columns=table.index)
    right = np.diag(called)
    return pd.DataFrame(
        {
            "class": table.index,
            "images": table.sum(axis=1).to_numpy(),
            "recall": right / table.sum(axis=1).replace(0, np.nan).to_numpy(),
            "precision": right / called.sum().replace(0, np.nan).to_numpy(),
        }
    )


def confusion(
    train_answers: Answers,
    train_groups: ArrayLike,
    test_answers: Answers,
    test_groups: ArrayLike,
    class_names: Sequence[str] = (),
) -> pd.DataFrame:
    """Count test images by true class (rows) and the class their group stands for (columns).

    Parameters
    ----------
    train_answers, train_groups, test_answers, test_groups
        As in `score`.
    class_names : sequence of str
        Names; the index is the class number.

    Returns
    -------
    pandas.DataFrame
        int counts, a row and a column per class; a last column "no class" where some test image
        is in a group that no training image is in.

    Notes
    -----
    Taught in notebook 03.
    """
    true, predicted, _ = _predict(train_answers, train_groups, test_answers, test_groups)
    classes = np.union1d(true, predicted)
    classes = np.union1d(classes[classes != UNKNOWN], np.arange(len(class_names)))
    columns = [*classes, UNKNOWN] if UNKNOWN in predicted else classes
    table = pd.crosstab(true, predicted).reindex(index=classes, columns=columns, fill_value=0)

    table.index = pd.Index([_name(c, class_names) for c in table.index], name="class")
    table.columns = pd.Index(
        [_name(c, class_names) for c in table.columns], name="group stands for"
    )
    return table


def group_sizes(groups: ArrayLike, n_groups: int | None = None) -> pd.DataFrame:
    """Count the images of each group.

    Parameters
    ----------
    groups : array of int, shape (n,)
        Group of each image.
    n_groups : int, optional
        How many groups were asked for; those of 0 .. n_groups - 1 with no image then show as 0.

    Returns
    -------
    pandas.DataFrame
        Columns `group`, `images`, `share`, by group number.

    Notes
    -----
    Taught in notebook 03.
    """
    groups = _integers(groups, "groups")
    shown = np.union1d(groups, np.arange(n_groups or 0)).astype(int)
    images = pd.Series(groups).value_counts().reindex(shown, fill_value=0).to_numpy()
    return pd.DataFrame({"group": shown, "images": images, "share": images / max(len(groups), 1)})


def check_collapse(groups: ArrayLike, n_groups: int, *, warn: bool = True) -> str | None:
    """Raise the alarm when the images crowd into few groups, whatever the loss says.

    Two signs, no label needed. A group is empty. Or the effective number of groups, the
    exponential of the entropy of the group sizes, is less than 40 % of the way from 1 (all images
    in one group) to `n_groups` (all groups equal): 4.6 of 10; for two groups, a split more lopsided
    than 90 to 10. Sizes that fall off like 1, 1/2, 1/3 … stay well above it (7.6 of 10), so an
    ordinary imbalance is no alarm. Data that really is that lopsided raises it too: look.

    Parameters
    ----------
    groups : array of int, shape (n,)
        Group of each image.
    n_groups : int
        How many groups were asked for.
    warn : bool
        Also warn with `CollapseWarning`.

    Returns
    -------
    str or None
        What is wrong, in words; None if there is no sign of a collapse.

    Notes
    -----
    Taught in notebook 03.
    """
    groups = _integers(groups, "groups")
    if n_groups < 1 or not len(groups):
        raise ValueError(f"{len(groups)} images in {n_groups} groups: there is nothing to check")
    sizes = np.unique(groups, return_counts=True)[1]
    empty, effective = max(n_groups - len(sizes), 0), _effective(sizes)
    if not empty and (n_groups == 1 or (effective - 1) / (n_groups - 1) >= 0.4):
        return None
    message = (
        f"possible collapse: {empty} of {n_groups} groups are empty, the effective number is "
        f"{effective:.1f}, the largest holds {sizes.max() / len(groups):.0%} of the images. "
        "Look at evaluation.group_sizes before you trust any score"
    )
    if warn:
        warnings.warn(message, CollapseWarning, stacklevel=2)
    return message


def repeat(
    run: Callable[[int], Mapping[str, float]], seeds: Iterable[int] = range(5)
) -> pd.DataFrame:
    """Run once per seed and sum up, because one lucky run is no result.

    Parameters
    ----------
    run : callable
        Takes a seed, returns a dict of numbers such as `score` does.
    seeds : iterable of int
        One run each.

    Returns
    -------
    pandas.DataFrame
        A row per number, and `seconds` per run; columns `mean` and `sd` (sample standard
        deviation, NaN for a single run).

    Notes
    -----
    Taught in notebook 03.
    """
    rows = []
    for seed in tqdm(list(seeds), desc="seeds", delay=5, leave=False):
        start = time.perf_counter()
        rows.append({**run(seed), "seconds": time.perf_counter() - start})
    if not rows:
        raise ValueError("no seeds: give at least one, such as seeds=range(5)")
    return pd.DataFrame(rows).agg(["mean", "std"]).T.rename(columns={"std": "sd"})


def supervised_ceiling(
    train_features: np.ndarray,
    train_answers: Answers,
    test_features: np.ndarray,
    test_answers: Answers,
) -> float:
    """Test accuracy of a linear classifier that sees every training label: what labels would buy.

    Parameters
    ----------
    train_features, test_features : np.ndarray, shape (n, d) and (m, d)
        Standardised inside, with the mean and spread of the training features.
    train_answers, test_answers : SealedAnswers or array of int, shape (n,) and (m,)
        True classes; rows with -1 are ignored.

    Returns
    -------
    float
        Between 0 and 1.

    Notes
    -----
    Multinomial logistic regression from scikit-learn, C = 1. Taught in notebook 03.
    """
    known, a = _answered(train_answers, np.asarray(train_features), "training features")
    asked, b = _answered(test_answers, np.asarray(test_features), "test features")
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
    """One table: chance, k-means on each representation, and what all labels would buy there.

    Parameters
    ----------
    train, test : ImageSet
        Their answers score; k-means does not see them.
    representations : mapping
        Name to (training features (n, d), test features (m, d)), scaled as k-means shall see them.
    n_clusters : int
        Number of groups.
    seeds : iterable of int
        One run of k-means (best of ten starts) and of chance each.
    ceilings : bool
        Also fit the supervised ceiling of each representation, which takes most of the time.

    Returns
    -------
    pandas.DataFrame
        Columns `representation`, `method`, `dims`, `labels` (how many training labels the method
        saw), `accuracy`, `accuracy_sd`, `hungarian_test`, `nmi`, `ari` (as in `score`, means over
        the seeds), `seconds` (mean per run). Rows: chance with all images in one group (the most
        frequent class), chance with random groups, then per representation its k-means and, named
        "<name>, supervised", its `supervised_ceiling`. Rounded to three decimals.

    Notes
    -----
    Taught in notebook 03.
    """
    seeds = list(seeds)
    n_labels = int((unseal(train.answers) != UNKNOWN).sum())

    def one_group(seed: int) -> dict[str, float]:
        return score(train.answers, [0] * len(train), test.answers, [0] * len(test), n_groups=1)

    def dice(seed: int) -> dict[str, float]:
        rng = np.random.default_rng(seed)
        a, b = (rng.integers(n_clusters, size=len(images)) for images in (train, test))
        return score(train.answers, a, test.answers, b, n_groups=n_clusters)

    def k_means(seed: int, *, a: np.ndarray, b: np.ndarray) -> dict[str, float]:
        found = KMeans(n_clusters, n_init=10, random_state=seed).fit(a)
        groups = found.labels_, found.predict(b)
        return score(train.answers, groups[0], test.answers, groups[1], n_groups=n_clusters)

    def linear(seed: int, *, a: np.ndarray, b: np.ndarray) -> dict[str, float]:
        return {"accuracy": supervised_ceiling(a, train.answers, b, test.answers)}

    runs = [
        ("chance, one group", "all in one", one_group, None, 0),
        ("chance, random groups", "dice", dice, None, 0),
    ]
    for name, (a, b) in representations.items():
        dims = np.shape(a)[1]
        runs.append((name, "k-means", partial(k_means, a=a, b=b), dims, 0))
        if ceilings:
            run = partial(linear, a=a, b=b)
            runs.append((f"{name}, supervised", "linear", run, dims, n_labels))
    rows = []
    for name, method, run, dims, labels in tqdm(runs, desc="rows", delay=5, leave=False):
        table = repeat(run, seeds[:1] if labels else seeds)
        about = {"representation": name, "method": method, "dims": dims, "labels": labels}
        spread = {"accuracy_sd": table.loc["accuracy", "sd"]}
        rows.append(about | table["mean"].to_dict() | spread)
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
    train_features, test_features : np.ndarray, shape (n, d) and (m, d)
        Standardised inside by all training features, since unlabelled images cost nothing.
    train_answers, test_answers : SealedAnswers or array of int, shape (n,) and (m,)
        True classes; rows with -1 are ignored.
    per_class : sequence of int
        Labels per class. A class that has fewer images gives all it has.
    seeds : iterable of int
        Each draws its own labelled images, at random within each class.

    Returns
    -------
    pandas.DataFrame
        A row per number: `per_class`, `labels` (in all), `accuracy` on test (mean over the seeds)
        and `sd` (sample standard deviation, NaN for one seed).

    Raises
    ------
    ValueError
        A number below 1, no number, no seed, or fewer than two classes among the answers.

    Notes
    -----
    Multinomial logistic regression from scikit-learn, C = 1. Taught in notebook 05.
    """
    known, a = _answered(train_answers, np.asarray(train_features), "training features")
    asked, b = _answered(test_answers, np.asarray(test_features), "test features")
    seeds, classes = list(seeds), np.unique(known)
    if not len(per_class) or min(per_class) < 1 or not seeds:
        raise ValueError(
            f"per_class={list(per_class)}, seeds={seeds}: give one number or more, each 1 or more, "
            "and at least one seed"
        )
    if len(classes) < 2:
        raise ValueError(f"all answers are class {classes[0]}: a classifier needs two classes")
    scale = StandardScaler().fit(np.asarray(train_features))
    a, b, rows = scale.transform(a), scale.transform(b), []
    for number in tqdm(per_class, desc="labels per class", delay=5, leave=False):
        found = []
        for seed in seeds:
            order = np.random.default_rng(seed).permutation(len(known))
            chosen = np.concatenate([order[known[order] == c][:number] for c in classes])
            model = LogisticRegression(max_iter=1000).fit(a[chosen], known[chosen])
            found.append(model.score(b, asked))
        sd = np.std(found, ddof=1) if len(found) > 1 else np.nan
        rows.append((number, len(chosen), np.mean(found), sd))
    return pd.DataFrame(rows, columns=["per_class", "labels", "accuracy", "sd"])


def labels_to_reach(curve: pd.DataFrame, accuracy: float) -> int | None:
    """Find how many labels per class a classifier needs to be as good as a result without labels.

    Parameters
    ----------
    curve : pandas.DataFrame
        From `label_efficiency`.
    accuracy : float
        What was reached without labels, on the same test images.

    Returns
    -------
    int or None
        The first `per_class` of the curve with at least this mean accuracy; None if there is none.

    Notes
    -----
    Taught in notebook 05.
    """
    enough = curve.sort_values("per_class").query("accuracy >= @accuracy").per_class
    return int(enough.iloc[0]) if len(enough) else None


def reliability(
    train_answers: Answers,
    train_groups: ArrayLike,
    test_answers: Answers,
    test_probabilities: ArrayLike,
    *,
    n_bins: int = 10,
) -> pd.DataFrame:
    """Compare how sure a method was of test images with how often it was right.

    Parameters
    ----------
    train_answers, train_groups, test_answers
        As in `score`.
    test_probabilities : array of float, shape (m, k)
        Share of each group, rows sum to one; column g is group g. The largest is the confidence.
    n_bins : int
        Equal parts of 0..1; images are counted by their confidence.

    Returns
    -------
    pandas.DataFrame
        A row per part: `low`, `high`, `images`, `confidence` (mean) and `right` (share; both NaN
        where no image is).

    Raises
    ------
    ValueError
        `test_probabilities` are no probabilities.

    Notes
    -----
    Niculescu-Mizil and Caruana (2005), Predicting good probabilities with supervised learning.
    Taught in notebook 05.
    """
    if n_bins < 1:
        raise ValueError(f"n_bins={n_bins} must be 1 or more")
    true, called, sure, _ = _confident(
        train_answers, train_groups, test_answers, test_probabilities
    )
    part = np.minimum((sure * n_bins).astype(int), n_bins - 1)
    table = pd.DataFrame({"part": part, "confidence": sure, "right": called == true})
    means = table.groupby("part").mean().reindex(range(n_bins))
    edges = np.linspace(0, 1, n_bins + 1)
    images = np.bincount(part, minlength=n_bins)
    return pd.DataFrame(
        {"low": edges[:-1], "high": edges[1:], "images": images, **means.to_dict("list")}
    )


def calibration_error(table: pd.DataFrame) -> float:
    """Sum up a reliability table: by how much confidence and share of right ones differ.

    Parameters
    ----------
    table : pandas.DataFrame
        From `reliability`.

    Returns
    -------
    float
        Expected calibration error: mean of |confidence - right|, weighted by images. 0 is perfect.

    Notes
    -----
    Naeini et al. (2015), Obtaining well calibrated probabilities using Bayesian binning; Guo et al.
    (2017), On calibration of modern neural networks. Taught in notebook 05.
    """
    gaps = (table.confidence - table.right).abs()
    return float((gaps * table.images).sum() / table.images.sum())


def mistakes(
    train_answers: Answers,
    train_groups: ArrayLike,
    test_answers: Answers,
    test_probabilities: ArrayLike,
    class_names: Sequence[str] = (),
) -> pd.DataFrame:
    """List the test images that were called wrong, the most confident first.

    Parameters
    ----------
    train_answers, train_groups, test_answers
        As in `score`.
    test_probabilities : array of float, shape (m, k)
        As in `reliability`.
    class_names : sequence of str
        Names; the index is the class number.

    Returns
    -------
    pandas.DataFrame
        `image` (position among the test images), `true`, `called` (class that its group stands
        for; "no class" where no training image is in it), `confidence`.

    Notes
    -----
    Taught in notebook 05.
    """
    true, called, sure, rows = _confident(
        train_answers, train_groups, test_answers, test_probabilities
    )
    names = [
        [_name(number, class_names) for number in numbers.tolist()] for numbers in (true, called)
    ]
    table = pd.DataFrame({"image": rows, "true": names[0], "called": names[1], "confidence": sure})
    wrong = table[true != called].sort_values("confidence", ascending=False, kind="stable")
    return wrong.reset_index(drop=True)


def regret(ranked: Sequence[str], accuracy: Mapping[str, float]) -> dict[str, Any]:
    """Say how good a choice made without labels was, once the seal is open.

    Parameters
    ----------
    ranked : sequence of str
        Names of the candidates, the one preferred without labels first, as the index of
        `tuning.search` has them.
    accuracy : mapping
        Test accuracy of every candidate.

    Returns
    -------
    dict
        `chosen`, `accuracy` (of the choice), `best` (name), `best_accuracy`, `median_accuracy` (of
        all candidates: what a random choice gives half the time), `regret` (best minus chosen),
        `rank_correlation` (Spearman, of the order with the accuracies: 1 the same order, 0 none,
        NaN where all accuracies are equal), `candidates`.

    Raises
    ------
    ValueError
        The names differ, or there are fewer than two.

    Notes
    -----
    Taught in notebook 05.
    """
    ranked = list(ranked)
    if len(ranked) < 2 or sorted(ranked) != sorted(accuracy):
        odd = sorted(set(ranked) ^ set(accuracy)) or ranked
        raise ValueError(
            f"ranked and accuracy must name the same two or more candidates, once; look at {odd}"
        )
    scores = pd.Series({name: float(accuracy[name]) for name in ranked})
    order = pd.Series(range(len(ranked), 0, -1), ranked)
    return {
        "chosen": ranked[0],
        "accuracy": float(scores.iloc[0]),
        "best": scores.idxmax(),
        "best_accuracy": float(scores.max()),
        "median_accuracy": float(scores.median()),
        "regret": float(scores.max() - scores.iloc[0]),
        "rank_correlation": float(order.corr(scores, method="spearman")),
        "candidates": len(ranked),
    }


def match_boxes(
    people: Sequence[Answers],
    boxes: Sequence[np.ndarray],
    scores: Sequence[np.ndarray],
    *,
    overlap: float = 0.5,
    aspect: float | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Match detected boxes with the people in each scene, the surest box first.

    A box is right if it shares at least `overlap` with a person that no surer box has taken; of
    several such persons it takes the one it shares most with. All others are false alarms.

    Parameters
    ----------
    people : sequence, one per scene, of SealedAnswers or int arrays (n, 4 or 6)
        `streets.Scene.people`: top, left, bottom, right, and perhaps percent visible and dark.
    boxes : sequence, one per scene, of float arrays (m, 4)
        Detected: top, left, bottom, right.
    scores : sequence, one per scene, of float arrays (m,)
        One each; larger is surer.
    overlap : float
        Intersection over union.
    aspect : float, optional
        Give the people's boxes this width by height first, around the same middle, as the field
        does with 0.41: whether arms hang or swing shall not decide. By default they stay.

    Returns
    -------
    found : pandas.DataFrame
        A row per box: `scene` (position), `score`, `right` (bool).
    missed : pandas.DataFrame
        A row per person: `scene`, `height` (pixels), `visible` and `dark` (-1 where not known),
        `score` of the box that found it (NaN: none did).

    Raises
    ------
    ValueError
        The lists do not fit together.

    Notes
    -----
    The rule of PASCAL VOC and of Dollar et al. (2012). Taught in notebook 06.
    """
    if not len(people) == len(boxes) == len(scores) or not len(people):
        raise ValueError(
            f"{len(people)} scenes, boxes for {len(boxes)}, scores for {len(scores)}: give one "
            "array per scene"
        )
    found, missed = [], []
    for scene, (known, b, s) in enumerate(zip(people, boxes, scores, strict=True)):
        known = _unseal(known) if isinstance(known, SealedAnswers) else np.asarray(known)
        known = known.reshape(len(known), -1) if known.size else np.zeros((0, 6), int)
        b, s = np.asarray(b, float).reshape(-1, 4), np.asarray(s, float)
        if len(b) != len(s):
            raise ValueError(f"scene {scene}: {len(b)} boxes and {len(s)} scores")
        shared = _iou(b, _with_aspect(known[:, :4].astype(float).reshape(-1, 4), aspect))
        taken = np.full(len(known), np.nan)
        for row in np.argsort(-s, kind="stable"):
            free = np.where(np.isnan(taken), shared[row], -1.0)
            right = bool(len(free)) and free.max() >= overlap
            if right:
                taken[free.argmax()] = s[row]
            found.append((scene, s[row], right))
        facts = known[:, 4:6] if known.shape[1] >= 6 else np.full((len(known), 2), -1)
        for person, (visible, dark), score in zip(known, facts, taken, strict=True):
            missed.append((scene, person[2] - person[0], visible, dark, score))
    return (
        pd.DataFrame(found, columns=["scene", "score", "right"]).astype({"right": bool}),
        pd.DataFrame(missed, columns=["scene", "height", "visible", "dark", "score"]),
    )


def miss_rate_curve(found: pd.DataFrame, n_people: int, n_scenes: int) -> pd.DataFrame:
    """Miss rate against false alarms per image, for every threshold.

    Parameters
    ----------
    found : pandas.DataFrame
        From `match_boxes`.
    n_people, n_scenes : int
        How many there are in all.

    Returns
    -------
    pandas.DataFrame
        A row per score, falling: `threshold` (boxes with at least this score count), `fppi` (false
        positives per image), `miss_rate` (share of the people without a box). The first row stands
        for no box at all: threshold inf, nothing false, everybody missed.

    Raises
    ------
    ValueError
        No people, or no scenes.

    Notes
    -----
    Dollar et al. (2012), Pedestrian detection: an evaluation of the state of the art. Taught in
    notebook 06.
    """
    if n_people < 1 or n_scenes < 1:
        raise ValueError(f"{n_people} people in {n_scenes} scenes: at least one of each is needed")
    per_score = found.groupby("score").right.agg(["sum", "size"]).sort_index(ascending=False)
    right, boxes = per_score["sum"].cumsum(), per_score["size"].cumsum()
    return pd.DataFrame(
        {
            "threshold": [np.inf, *per_score.index],
            "fppi": [0.0, *(boxes - right) / n_scenes],
            "miss_rate": [1.0, *1 - right / n_people],
        }
    )


def log_average_miss_rate(curve: pd.DataFrame) -> float:
    """Sum up a curve in the field's one number.

    Parameters
    ----------
    curve : pandas.DataFrame
        From `miss_rate_curve`.

    Returns
    -------
    float
        Geometric mean of the miss rates at nine rates of false positives per image, evenly spaced
        from 0.01 to 1 on a logarithmic scale. At each the lowest miss rate reached with no more
        false positives counts. 0 is perfect, 1 finds nobody.

    Notes
    -----
    Dollar et al. (2012). Taught in notebook 06.
    """
    places = np.logspace(-2, 0, 9)
    reached = [curve.miss_rate[curve.fppi <= place].min() for place in places]
    return float(np.exp(np.mean(np.log(np.maximum(reached, 1e-10)))))


def _with_aspect(boxes: np.ndarray, aspect: float | None) -> np.ndarray:
    """Set the width of boxes (n, 4) by their height."""
    if aspect is None:
        return boxes
    middle, half = (boxes[:, 1] + boxes[:, 3]) / 2, aspect * (boxes[:, 2] - boxes[:, 0]) / 2
    return np.stack([boxes[:, 0], middle - half, boxes[:, 2], middle + half], 1)


def _iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (n, 4) and (m, 4): (n, m)."""
    low, high = np.maximum(a[:, None, :2], b[:, :2]), np.minimum(a[:, None, 2:], b[:, 2:])
    shared = (high - low).clip(0).prod(2)
    areas = [(x[:, 2:] - x[:, :2]).prod(1) for x in (a, b)]
    return shared / np.maximum(areas[0][:, None] + areas[1] - shared, 1e-12)


def _integers(values: ArrayLike, what: str) -> np.ndarray:
    """Whole numbers, one per image, as int64 (n,)."""
    values = np.asarray(values)
    if values.ndim != 1:
        raise ValueError(
            f"{what} must be one number per image, but its shape is {values.shape}"
            + (": take .argmax(axis=1) of probabilities first" if values.ndim == 2 else "")
        )
    if values.size and not np.issubdtype(values.dtype, np.integer) and values.dtype != bool:
        raise ValueError(f"{what} must be whole numbers, but its type is {values.dtype}")
    return values.astype("int64")


def _answered(
    answers: Answers, rows: np.ndarray, what: str = "groups"
) -> tuple[np.ndarray, np.ndarray]:
    """Answers, and groups or features, of the images that have an answer."""
    answers = unseal(answers)
    if len(answers) != len(rows):
        raise ValueError(
            f"{len(answers):,} answers but {len(rows):,} {what}: give both for the same images"
        )
    known = answers != UNKNOWN
    if not known.any():
        raise ValueError("no image has an answer, so nothing can be scored")
    return answers[known], rows[known]


def _one_to_one(table: pd.DataFrame) -> dict[int, int]:
    """Best one-to-one pairing in a table of counts, groups by classes."""
    rows, columns = linear_sum_assignment(table.to_numpy(), maximize=True)
    return {int(table.index[r]): int(table.columns[c]) for r, c in zip(rows, columns, strict=True)}


def _apply(mapping: dict[int, int], groups: np.ndarray) -> np.ndarray:
    """Class of each image by its group; UNKNOWN, never right, for a group without one."""
    return np.array([mapping.get(int(group), UNKNOWN) for group in groups])


def _predict(train_answers, train_groups, test_answers, test_groups):
    """Name the test groups by train: true classes, predicted classes, groups."""
    true, groups = _answered(test_answers, _integers(test_groups, "test_groups"))
    return true, _apply(map_groups(train_answers, train_groups), groups), groups


def _confident(train_answers, train_groups, test_answers, test_probabilities):
    """Name the test groups by train: true classes, predicted ones, confidences, positions."""
    p = np.asarray(test_probabilities, "float64")
    if p.ndim != 2 or not len(p) or not (p >= 0).all() or np.abs(p.sum(1) - 1).max() > 1e-3:
        raise ValueError(
            f"test_probabilities of shape {p.shape} must be (images, groups), each row 0 or more "
            "and summing to one, without NaN: what predict_proba returns"
        )
    groups, rows = p.argmax(1), np.arange(len(p))
    true, called, _ = _predict(train_answers, train_groups, test_answers, groups)
    _, kept = _answered(test_answers, rows)
    return true, called, p.max(1)[kept], kept


def _name(number: int, class_names: Sequence[str]) -> str:
    """Name of a class, its number where it has none, "no class" for UNKNOWN."""
    if number == UNKNOWN:
        return "no class"
    return class_names[number] if 0 <= number < len(class_names) else str(number)


def _effective(sizes: np.ndarray) -> float:
    """Exponential of the entropy of group sizes (Hill number of order 1)."""
    share = sizes[sizes > 0] / sizes.sum()
    return float(np.exp(-(share * np.log(share)).sum()))
