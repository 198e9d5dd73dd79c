import dataclasses
import itertools
import math
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tfl_helpers import evaluation
from tfl_helpers.datasets import SealedAnswers

small = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=25)


def best_by_trying(answers, groups):
    """Accuracy of the best one-to-one pairing, by trying every one."""
    classes, found = list(np.unique(answers)), list(np.unique(groups))
    if len(classes) < len(found):
        pairings = (
            dict(zip(p, classes, strict=True)) for p in itertools.permutations(found, len(classes))
        )
    else:
        pairings = (
            dict(zip(found, p, strict=True)) for p in itertools.permutations(classes, len(found))
        )
    return max(
        np.mean([p.get(g) == a for a, g in zip(answers, groups, strict=True)]) for p in pairings
    )


@given(small)
@settings(max_examples=60, deadline=None)
def test_hungarian_accuracy_is_the_best_of_all_pairings(rows):
    answers, groups = np.array(rows).T
    assert evaluation.hungarian_accuracy(answers, groups) == pytest.approx(
        best_by_trying(answers, groups)
    )


@given(small)
@settings(max_examples=40, deadline=None)
def test_mapping_agrees_with_the_accuracy_where_it_is_one_to_one(rows):
    answers, groups = np.array(rows).T
    mapping = evaluation.Pairing(answers, groups).mapping
    right = np.mean([mapping[g] == a for a, g in zip(answers, groups, strict=True)])
    one_to_one = evaluation.hungarian_accuracy(answers, groups)
    if len(set(groups)) <= len(set(answers)):
        assert len(set(mapping.values())) == len(mapping)
        assert right == pytest.approx(one_to_one)
    else:
        assert right >= one_to_one


def test_greedy_pairing_would_be_wrong():
    # Group 0 has 5 of class 0 and 4 of class 1, group 1 has 4 of class 0 only: the largest cell
    # first gives 5 right, the best pairing 4 + 4.
    groups, answers = [0] * 9 + [1] * 4, [0] * 5 + [1] * 4 + [0] * 4
    assert evaluation.hungarian_accuracy(answers, groups) == pytest.approx(8 / 13)
    assert evaluation.Pairing(answers, groups).mapping == {0: 1, 1: 0}


def test_more_groups_than_classes():
    # By hand: class 7 lies in groups 0 (3), 1 (2), class 9 in group 2 (4) and once in group 1.
    groups, answers = [0, 0, 0, 1, 1, 1, 2, 2, 2, 2], [7, 7, 7, 7, 7, 9, 9, 9, 9, 9]
    assert evaluation.hungarian_accuracy(answers, groups) == pytest.approx(0.7)  # group 1 all wrong
    pairing = evaluation.Pairing(answers, groups)
    assert pairing.mapping == {0: 7, 1: 7, 2: 9}  # group 1: its majority
    scores = evaluation.score(answers, groups, answers, groups)
    assert scores["accuracy"] == pytest.approx(0.9)


def test_fewer_groups_than_classes():
    groups, answers = [0, 0, 0, 1, 1, 1], [0, 0, 1, 2, 2, 2]
    assert evaluation.hungarian_accuracy(answers, groups) == pytest.approx(5 / 6)
    assert evaluation.Pairing(answers, groups).mapping == {0: 0, 1: 2}


def test_the_pairing_comes_from_train_and_is_counted_on_test():
    # Train says group 0 is class 0. On test the two are swapped, so the honest accuracy is 1/4,
    # while pairing on test itself would say 3/4.
    train = ([0, 0, 1, 1], [0, 0, 1, 1])
    test = ([1, 1, 0, 1], [0, 0, 1, 1])
    scores = evaluation.score(*train, *test)
    assert scores["accuracy"] == 0.25
    assert scores["hungarian_test"] == 0.75


def test_a_group_never_seen_on_train_is_wrong():
    train, test = ([0, 0, 1, 1], [5, 5, 6, 6]), ([0, 1, 1, 1], [5, 6, 7, 7])
    pairing = evaluation.Pairing(*train)
    assert pairing.predict(test[1]).tolist() == [0, 1, -1, -1]
    assert evaluation.score(*train, *test)["accuracy"] == 0.5


def test_nmi_and_ari_by_their_published_definitions():
    rng = np.random.default_rng(0)
    answers = rng.integers(4, size=200)
    groups = np.where(rng.random(200) < 0.6, answers, rng.integers(6, size=200))
    joint = pd.crosstab(groups, answers).to_numpy()
    p = joint / joint.sum()
    outer = np.outer(p.sum(1), p.sum(0))
    mutual = sum(p[i] * math.log(p[i] / outer[i]) for i in zip(*np.nonzero(p), strict=True))
    entropies = [-(q * np.log(q)).sum() for q in (p.sum(1), p.sum(0))]
    # Hubert and Arabie (1985), counted over all pairs of images, one by one.
    same = [
        (answers[i] == answers[j], groups[i] == groups[j])
        for i, j in itertools.combinations(range(200), 2)
    ]
    both, in_class, in_group = (
        sum(f) for f in zip(*[(a and g, a, g) for a, g in same], strict=True)
    )
    expected = in_class * in_group / len(same)
    scores = evaluation.score(answers, groups, answers, groups)
    assert scores["nmi"] == pytest.approx(mutual / np.mean(entropies))
    assert scores["ari"] == pytest.approx(
        (both - expected) / ((in_class + in_group) / 2 - expected)
    )


def test_group_numbers_mean_nothing():
    rng = np.random.default_rng(1)
    answers, groups = rng.integers(5, size=100), rng.integers(5, size=100)
    other = np.array([900, -7, 3, 12, 0])[groups]
    first = evaluation.score(answers, groups, answers, groups)
    assert evaluation.score(answers, other, answers, other) == pytest.approx(first)


def test_rows_without_an_answer_are_ignored_and_sealed_answers_work():
    answers, groups = np.array([0, 0, 1, 1, -1, -1]), np.array([3, 3, 4, 4, 3, 4])
    sealed = SealedAnswers(answers)
    assert evaluation.hungarian_accuracy(sealed, groups) == 1.0
    assert evaluation.score(sealed, groups, sealed, groups)["nmi"] == pytest.approx(1.0)
    pairing = evaluation.Pairing(sealed, groups)
    assert -1 not in pairing.mapping.values()
    assert evaluation.unseal(sealed).tolist() == answers.tolist()


@pytest.mark.parametrize(
    ("answers", "groups", "message"),
    [
        (None, [0, 1], "no answers"),
        ([0, 1], [0], "2 answers but 1 groups"),
        ([0, 1], [[0.1, 0.9], [0.5, 0.5]], "argmax"),
        ([0, 1], [0.0, 1.0], "whole numbers"),
        (["cat", "dog"], [0, 1], "whole numbers"),
        ([-1, -1], [0, 1], "no image has an answer"),
        ([], [], "no image has an answer"),
    ],
)
def test_bad_input_says_what_to_do(answers, groups, message):
    with pytest.raises(ValueError, match=message):
        evaluation.hungarian_accuracy(answers, groups)


def test_collapse_into_one_group_is_an_alarm():
    message = evaluation.check_collapse(np.zeros(1000, int), 10)
    assert "9 of 10 groups are empty" in message
    assert "effective number is 1.0" in message and "100%" in message


def test_collapse_without_an_empty_group_is_an_alarm_too():
    groups = np.r_[np.zeros(900, int), np.arange(10), np.arange(10)]
    assert "0 of 10 groups are empty" in evaluation.check_collapse(groups, 10)
    assert evaluation.check_collapse([0] * 91 + [1] * 9, 2)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "sizes",
    [[100] * 10, [1000 // i for i in range(1, 11)], [89, 11], [7]],
    ids=["equal", "1/i", "nine to one", "a single group"],
)
def test_ordinary_sizes_are_no_alarm(sizes):
    assert evaluation.check_collapse(np.repeat(np.arange(len(sizes)), sizes), len(sizes)) is None


def test_every_score_passes_the_alarm_and_points_at_its_caller():
    answers = np.arange(100) % 10
    with pytest.warns(evaluation.CollapseWarning) as caught:
        scores = evaluation.score(answers, np.zeros(100, int), answers, np.zeros(100, int))
    assert [warning.filename for warning in caught] == [__file__]
    assert (scores["accuracy"], scores["n_groups"], scores["effective_groups"]) == (0.1, 1, 1.0)
    with warnings.catch_warnings(action="error"):  # five groups on purpose: no collapse
        evaluation.score(answers, answers // 2, answers, answers // 2, n_groups=5)


def test_effective_groups_is_the_exponential_of_the_entropy():
    answers = [0] * 50 + [1] * 25 + [2] * 25
    scores = evaluation.score(answers, answers, answers, answers)
    assert scores["effective_groups"] == pytest.approx(2**1.5)  # entropy 1.5 bits
    assert (scores["n_groups"], scores["smallest_group"]) == (3, 25)


def test_repeat_gives_mean_and_sample_deviation():
    table = evaluation.repeat(lambda seed: {"a": float(seed), "b": 1.0}, seeds=[1, 2, 6])
    assert table.loc["a"].tolist() == pytest.approx([3.0, math.sqrt(7)])
    assert table.loc["b"].tolist() == [1.0, 0.0]
    assert table.loc["seconds", "mean"] >= 0
    with pytest.raises(ValueError, match="no seeds"):
        evaluation.repeat(lambda seed: {}, seeds=[])


@pytest.fixture(scope="module")
def some(digits):
    """400 training and 400 test images of the digits, and their pixels."""
    train, test = (images.take(range(400)) for images in digits)
    return train, test, [x.images.reshape(400, -1).astype("float32") for x in (train, test)]


@pytest.fixture(scope="module")
def table(some):
    train, test, pixels = some
    noise = [np.random.default_rng(0).normal(size=(len(z), 8)) for z in pixels]
    spaces = {"noise": tuple(noise), "pixels": tuple(pixels)}
    table = evaluation.comparison(train, test, spaces, n_clusters=10, seeds=range(2))
    assert table["representation"].is_unique
    return table.set_index("representation")


def test_comparison_on_real_digits(table):
    accuracy = table["accuracy"]
    assert 0.02 < accuracy["chance, random groups"] < 0.18
    assert 0.02 < accuracy["noise"] < 0.2
    assert 0.6 < accuracy["pixels"] < accuracy["pixels, supervised"] <= 1
    assert table.loc["pixels", "dims"] == 64
    assert table["labels"].tolist() == [0, 0, 0, 400, 0, 400]
    assert (table["hungarian_test"] >= accuracy)[["noise", "chance, random groups"]].all()
    assert (table["seconds"] > 0).all()


def test_chance_with_one_group_is_the_most_frequent_class(some, table):
    train, test = (evaluation.unseal(images.answers) for images in some[:2])
    wanted = np.mean(test == np.bincount(train).argmax())
    assert table.loc["chance, one group", "accuracy"] == round(wanted, 3)


def test_k_means_does_not_see_the_answers(some, table):
    """With shuffled answers the groups stay the same, so only the scores change."""
    train, test, pixels = some
    shuffled = SealedAnswers(np.random.default_rng(0).permutation(evaluation.unseal(train.answers)))
    other = dataclasses.replace(train, answers=shuffled)
    spaces = {"pixels": tuple(pixels)}
    again = evaluation.comparison(other, test, spaces, n_clusters=10, seeds=range(2))
    again = again.set_index("representation").loc["pixels"]
    assert again["accuracy"] < 0.4 < table.loc["pixels", "accuracy"]
    for key in ("nmi", "ari", "hungarian_test"):
        assert again[key] == table.loc["pixels", key]


def test_ceiling_does_not_depend_on_the_scale_of_a_feature(some, table):
    train, test, (a, b) = some
    scale = np.logspace(-3, 3, a.shape[1])
    spaces = {"scaled": (a * scale + 5, b * scale + 5)}
    other = evaluation.comparison(train, test, spaces, n_clusters=10, seeds=range(1))
    first = table.loc["pixels, supervised", "accuracy"]
    assert first > 0.9
    assert other.accuracy.iloc[-1] == pytest.approx(first, abs=0.01)


def clouds(n, seed=0):
    """Three clouds of points in five dimensions, the first feature on a scale of its own."""
    rng = np.random.default_rng(seed)
    answers = rng.integers(3, size=n)
    return np.eye(5)[answers] * 4 + rng.normal(size=(n, 5)), answers


@pytest.fixture(scope="module")
def curve():
    (a, known), (b, asked) = clouds(300), clouds(200, 1)
    return evaluation.label_efficiency(a, known, b, asked, per_class=(1, 5, 1000), seeds=range(4))


def test_label_efficiency_rises_to_the_ceiling(curve):
    (a, known), (b, asked) = clouds(300), clouds(200, 1)
    assert curve.per_class.tolist() == [1, 5, 1000]
    assert curve.labels.tolist() == [3, 15, 300]  # a class gives all it has
    assert curve.accuracy.is_monotonic_increasing and curve.accuracy[0] > 0.5
    assert curve.sd[0] > 0.01 and curve.sd[2] == 0
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(a, known)
    assert curve.accuracy[2] == pytest.approx(model.score(b, asked), abs=0.02)


def test_label_efficiency_sees_only_the_labels_it_says():
    """Answers of images that no seed draws change nothing."""
    (a, known), (b, asked) = clouds(300), clouds(200, 1)
    drawn = np.random.default_rng(7).permutation(300)
    chosen = np.concatenate([drawn[known[drawn] == c][:2] for c in range(3)])
    hidden = np.full(300, -1)
    hidden[chosen] = known[chosen]
    scale = [(z - a.mean(0)) / a.std(0) for z in (a, b)]
    by_hand = LogisticRegression(max_iter=1000).fit(scale[0][chosen], known[chosen])
    found = evaluation.label_efficiency(a, known, b, asked, per_class=[2], seeds=[7])
    assert found.accuracy[0] == by_hand.score(scale[1], asked) and math.isnan(found.sd[0])
    again = evaluation.label_efficiency(a, hidden, b, asked, per_class=[9], seeds=[0])
    assert again.labels[0] == 6 and again.accuracy[0] == pytest.approx(found.accuracy[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_answers": None}, "no answers"),
        ({"train_answers": [0, 1]}, "2 answers but 6 training features"),
        ({"train_answers": [1] * 6}, "two classes"),
        ({"train_features": np.array([[np.nan, 1]] + [[0, 1]] * 5)}, "NaN"),
        ({"per_class": ()}, "one number or more"),
        ({"per_class": (0, 1)}, "1 or more"),
        ({"seeds": ()}, "at least one seed"),
    ],
)
def test_label_efficiency_says_what_is_wrong(change, message):
    z, answers = np.arange(12.0).reshape(6, 2), [0, 0, 1, 1, 0, 1]
    given = {"train_features": z, "train_answers": answers}
    given |= {"test_features": z, "test_answers": answers} | change
    with pytest.raises(ValueError, match=message):
        evaluation.label_efficiency(**given)


def test_regret_by_hand():
    accuracy = {"a": 0.5, "b": 0.9, "c": 0.7, "d": 0.1}
    result = evaluation.regret(["c", "b", "a", "d"], accuracy)
    assert (result["chosen"], result["best"], result["candidates"]) == ("c", "b", 4)
    assert result["regret"] == pytest.approx(0.2) and result["median_accuracy"] == pytest.approx(
        0.6
    )
    assert result["rank_correlation"] == pytest.approx(0.8)  # 1 - 6 * 2 / (4 * 15)
    assert evaluation.regret(["b", "c", "a", "d"], accuracy)["rank_correlation"] == 1
    assert evaluation.regret(["d", "a", "c", "b"], accuracy)["regret"] == pytest.approx(0.8)


@pytest.mark.parametrize("ranked", [["a"], ["a", "c"], ["a", "b", "b"], []])
def test_regret_needs_the_same_candidates(ranked):
    with pytest.raises(ValueError, match="same two or more"):
        evaluation.regret(ranked, {"a": 0.5, "b": 0.9})
