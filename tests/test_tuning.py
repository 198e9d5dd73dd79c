import inspect
import json
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline

from tfl_helpers import clustering, evaluation, features, tuning
from tfl_helpers.datasets import SealedAnswers, SealedError


def test_agreement_by_hand():
    # Rows 0, 1, 2 in one group, 3 in another; 3 of 4 neighbours share; chance (3/4)^2 + (1/4)^2.
    neighbours = np.array([[1], [0], [0], [2]])
    wanted = (3 / 4 - 10 / 16) / (1 - 10 / 16)
    assert tuning.agreement([5, 5, 5, 9], neighbours) == pytest.approx(wanted)


def test_agreement_is_zero_for_dice_and_for_one_group_and_one_for_islands():
    rng = np.random.default_rng(0)
    neighbours = rng.integers(3000, size=(3000, 10))
    for share in (0.5, 0.95):
        dice = (rng.random(3000) < share).astype(int)
        assert abs(tuning.agreement(dice, neighbours)) < 0.03
    assert tuning.agreement(np.zeros(3000, int), neighbours) == 0
    islands = np.arange(3000) % 3
    assert tuning.agreement(islands, (np.arange(3000)[:, None] + [3, 6]) % 3000) == 1


def test_agreement_passes_over_images_that_were_not_grouped():
    neighbours = np.array([[1], [0], [3], [2], [0]])
    assert tuning.agreement([1, 1, 2, 2, -1], neighbours) == 1
    with pytest.raises(ValueError, match="no two neighbours"):
        tuning.agreement([-1, -1, -1, -1, 0], neighbours)
    with pytest.raises(ValueError, match="one group"):
        tuning.agreement([0, 1], neighbours)


def test_stability_is_the_mean_ari_over_what_both_saw():
    rng = np.random.default_rng(0)
    a, b, c = rng.integers(4, size=(3, 200))
    b = np.where(rng.random(200) < 0.7, (a + 1) % 4, b)
    pairs = [(a, b), (a, c), (b, c)]
    wanted = np.mean([adjusted_rand_score(*pair) for pair in pairs])
    assert tuning.stability([a, b, c]) == pytest.approx(wanted)
    hidden = a.copy()
    hidden[::3] = -1
    wrong_there = (a + 2) % 4
    wrong_there[1::3], wrong_there[2::3] = a[1::3], a[2::3]
    assert tuning.stability([hidden, wrong_there]) == 1
    assert tuning.stability([a * 0, a * 0]) == 0  # the same every time, and worth nothing


@pytest.mark.parametrize("bad", [[], [[0, 1]], [[0, 1], [0, 1, 1]]])
def test_stability_needs_two_runs_of_the_same_images(bad):
    with pytest.raises(ValueError, match="two or more"):
        tuning.stability(bad)


@pytest.fixture(scope="module")
def spaces():
    """Three views of four islands and one of noise; the truth is in none of the names."""
    rng = np.random.default_rng(0)
    truth = np.arange(240) % 4
    middle = np.eye(4)[truth] * 6
    views = {f"view {i}": middle @ rng.normal(size=(4, 8)) for i in range(3)}
    views = {name: z + rng.normal(size=z.shape) for name, z in views.items()}
    # Two clean halves that mean nothing: at home their groups look better than any other's.
    coin = rng.integers(4, size=240)
    return views | {"fooled": np.eye(4)[coin] * 9 + rng.normal(size=(240, 4)) * 0.1}, truth


class Dice(ClusterMixin, BaseEstimator):
    """Groups at random."""

    def __init__(self, n_clusters=4, random_state=None):
        self.n_clusters, self.random_state = n_clusters, random_state

    def fit(self, X, y=None):
        rng = np.random.default_rng(self.random_state)
        self.labels_ = rng.integers(self.n_clusters, size=len(X))
        return self


class AllInOne(Dice):
    """Collapses."""

    def fit(self, X, y=None):
        self.labels_ = np.zeros(len(X), int)
        return self


METHODS = {
    "k-means": make_pipeline(features.normaliser("l2"), KMeans(4, n_init=5)),
    "dice": Dice(4),
    "all in one": AllInOne(4),
}


@pytest.fixture(scope="module")
def table(spaces):
    return tuning.search(spaces[0], METHODS, seeds=range(2))


def test_search_prefers_groups_that_others_see_too(table):
    assert len(table) == 12
    assert set(table.index[:3]) == {f"view {i} | k-means" for i in range(3)}
    assert table.loc["view 0 | k-means", "agreement"] > 0.6
    assert abs(table.loc["view 0 | dice", "agreement"]) < 0.2
    fooled = table.loc["fooled | k-means"]
    assert fooled.stability > 0.99 and fooled.agreement < 0.2 and fooled.at_home > 0.99
    assert table.mean_rank.iloc[0] < 4


def test_a_collapse_comes_last_and_says_so(table):
    assert set(table.method.iloc[-4:]) == {"all in one"}
    assert table.alarm.iloc[-1].startswith("possible collapse")
    assert (table.alarm.iloc[:-4] == "").all()


def test_mean_rank_is_the_mean_of_the_three_ranks(table):
    ranks = table[["agreement", "silhouette", "stability"]].rank(ascending=False).mean(axis=1)
    assert np.allclose(ranks, table.mean_rank)
    assert table.mean_rank[table.alarm == ""].is_monotonic_increasing


def test_strict_judges_do_not_harm_those_they_judge():
    """Candidate i is worth i; judges differ in strictness and none judges its own."""
    home = np.eye(4, dtype=bool)
    given = np.arange(4.0)[:, None, None] + np.array([0, -9, 5, 2.0])[None, :, None]
    given = np.where(home[..., None], 99.0, given)  # flattery at home
    fair = tuning._fair(given, home)[:, 0]
    assert np.allclose(np.diff(fair), 1)


def test_search_is_the_same_twice(spaces, table):
    again = tuning.search(spaces[0], METHODS, seeds=range(2))
    assert again.drop(columns="seconds").equals(table.drop(columns="seconds"))


def test_every_seed_draws_its_own_images():
    seen = []

    class Watched(Dice):
        def fit(self, X, y=None):
            assert y is None
            seen.append((self.random_state, sorted(X[:, 0].tolist())))
            return super().fit(X)

    z = np.random.default_rng(0).normal(size=(50, 3))
    tuning.search({"z": z}, {"watched": Watched()}, seeds=[3, 5])
    assert [seed for seed, _ in seen] == [3, 5]
    assert [len(rows) for _, rows in seen] == [40, 40] and seen[0][1] != seen[1][1]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_search_takes_equal_and_few_images():
    z = np.ones((30, 3))
    table = tuning.search({"same": z}, {"k-means": KMeans(3, n_init=1)}, seeds=range(2))
    assert table.alarm.iloc[0] and table.stability.iloc[0] == 0
    few = np.random.default_rng(0).normal(size=(12, 3))
    table = tuning.search({"few": few}, {"k-means": KMeans(2, n_init=1)}, seeds=range(2))
    assert np.isfinite(table[["agreement", "silhouette", "stability"]].to_numpy()).all()


Z = np.random.default_rng(0).normal(size=(20, 3))


@pytest.mark.parametrize(
    ("spaces", "methods", "options", "message"),
    [
        ({}, {"dice": Dice()}, {}, "one or more"),
        ({"a": Z, "b": Z[:9]}, {"dice": Dice()}, {}, "same images"),
        ({"a": np.where(Z > 1, np.nan, Z)}, {"dice": Dice()}, {}, "'a'.*without NaN"),
        ({"a": Z[:, 0]}, {"dice": Dice()}, {}, "images, features"),
        ({"a": Z}, {}, {}, "a method or more"),
        ({"a": Z}, {"dice": Dice()}, {"seeds": [1, 1]}, "different seeds"),
        ({"a": Z}, {"dice": Dice()}, {"share": 0}, "above 0"),
    ],
)
def test_search_says_what_is_wrong(spaces, methods, options, message):
    with pytest.raises(ValueError, match=message):
        tuning.search(spaces, methods, **options)


def test_no_answer_can_enter():
    """Nothing in the module takes answers or opens them, and sealed ones are refused."""
    for function in (tuning.search, tuning.agreement, tuning.stability):
        assert not [name for name in inspect.signature(function).parameters if "answer" in name]
    source = Path(tuning.__file__).read_text("utf8")
    assert re.findall(r"from tfl_helpers\.(.*)", source) == [
        "clustering import nearest",
        "evaluation import check_collapse",
    ]
    assert "unseal(" not in source
    with pytest.raises(SealedError):
        tuning.search({"answers": SealedAnswers([0, 1, 0, 1])}, {"dice": Dice(2)})


def experiment(method, seed=0, n_groups=2):
    return {"accuracy": np.float32(0.5) + seed, "n_groups": np.int64(3), "empty": float("nan")}


def test_a_run_adds_a_row_and_keeps_all_about_it(tmp_path):
    file = tmp_path / "new" / "runs.jsonl"
    assert tuning.record(file, experiment, method="k-means")["accuracy"] == 0.5
    tuning.record(file, experiment, method="ours", seed=np.int64(1), n_groups=2)
    table = tuning.runs(file)
    assert table.method.tolist() == ["k-means", "ours"]
    assert table.accuracy.tolist() == [0.5, 1.5]
    assert table.n_groups.tolist()[1] == 2 and table["found n_groups"].iloc[1] == 3
    assert (table.seconds >= 0).all() and table.time.str.endswith("Z").all()
    assert "tensorflow" in table.versions[0] and "python 3" in table.versions[0]
    assert list(table.columns[-2:]) == ["seconds", "versions"]


def test_a_half_written_row_loses_no_other(tmp_path):
    file = tmp_path / "runs.jsonl"
    for seed in range(2):
        tuning.record(file, experiment, method="a", seed=seed)
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:40])  # the disk was full
    tuning.record(file, experiment, method="a", seed=2)
    with pytest.warns(UserWarning, match=r"lines \[3\]"):
        assert tuning.runs(file).seed.tolist() == [0, 1, 2]
    assert file.read_bytes().startswith(whole + whole[:40])


@pytest.mark.parametrize(
    "content",
    [b"a,b\n1,2\n", b"\x89PNG\r\n\x1a\n\xff\xfe", b'{"cells": []}', b"[1]\n5\nnull\n", b'{"time":'],
    ids=["csv", "png", "notebook", "json", "half"],
)
def test_another_file_is_left_as_it_is_and_nothing_is_run(tmp_path, content):
    file = tmp_path / "mine"
    file.write_bytes(content)
    with pytest.raises(ValueError, match="no table of runs"):
        tuning.record(file, lambda: pytest.fail("was run"))
    with pytest.raises(ValueError, match="no table of runs"):
        tuning.runs(file)
    assert file.read_bytes() == content


def test_settings_that_cannot_be_kept_stop_before_the_run(tmp_path):
    file = tmp_path / "runs.jsonl"
    for value in (np.zeros(3), SealedAnswers([0, 1]), KMeans()):
        with pytest.raises(TypeError, match="cannot be kept"):
            tuning.record(file, lambda value: pytest.fail("was run"), value=value)
    assert not file.exists()
    with pytest.raises(OSError):
        tuning.record(tmp_path, lambda: pytest.fail("was run"))
    with pytest.raises(FileNotFoundError, match="adds the first"):
        tuning.runs(file)


def test_a_run_that_fails_leaves_no_row(tmp_path):
    file = tmp_path / "runs.jsonl"
    tuning.record(file, experiment, method="a")
    with pytest.raises(ZeroDivisionError):
        tuning.record(file, lambda: 1 / 0)
    assert len(tuning.runs(file)) == 1


def test_scores_of_any_kind_are_not_lost_after_a_long_run(tmp_path):
    file = tmp_path / "runs.jsonl"
    tuning.record(file, lambda: {"sizes": np.array([3, 4]), "accuracy": 0.5})
    assert tuning.runs(file)[["sizes", "accuracy"]].values.tolist() == [["[3 4]", 0.5]]


@pytest.mark.slow
def test_two_processes_write_the_same_file(tmp_path):
    file = tmp_path / "runs.jsonl"
    code = (
        "import sys; from tfl_helpers import tuning\n"
        "for i in range(100): tuning.record(sys.argv[1], lambda i, who: {'x': i}, "
        "i=i, who=sys.argv[2] * 2000)"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(file), who], stderr=subprocess.PIPE)
        for who in "ab"
    ]
    assert [process.wait(120) for process in started] == [0, 0]
    with warnings.catch_warnings(action="error"):
        table = tuning.runs(file)
    assert len(table) == 200 and table.groupby("who").i.nunique().tolist() == [100, 100]
    # One that looks while the other is writing sees no end of line and begins a new one: an empty
    # line may stay, but no row is torn.
    assert all(json.loads(line) for line in file.read_text().splitlines() if line)


@pytest.mark.slow
def test_the_choice_is_good_on_digits_and_regret_says_how_good():
    """End to end: choose without answers, then open the seal."""
    from tfl_helpers import backbones, datasets

    train, test = datasets.load("digits", limit=500)
    models = {
        "pixels": backbones.load("pixels"),
        "early": backbones.load("letters", layer="block1_conv1_relu"),
        "middle": backbones.load("letters", layer="block3_conv2_relu"),
        "letters": backbones.load("letters"),
    }
    raw = {
        name: [features.extract(m, x, cache=False) for x in (train, test)]
        for name, m in models.items()
    }
    methods = {
        "l2, k-means": make_pipeline(features.normaliser("l2"), KMeans(10, n_init=3)),
        "l2, ours": make_pipeline(features.normaliser("l2"), clustering.NeighbourClustering(10)),
    }
    table = tuning.search({name: a for name, (a, _) in raw.items()}, methods, seeds=range(2))
    accuracy = {}
    for row in table.itertuples():
        a, b = raw[row.representation]
        model = tuning.seeded(methods[row.method], 0)
        groups = model.fit_predict(a), model.predict(b)
        found = evaluation.score(train.answers, groups[0], test.answers, groups[1], n_groups=10)
        accuracy[row.Index] = found["accuracy"]
    result = evaluation.regret(table.index, accuracy)
    assert result["accuracy"] > result["median_accuracy"] + 0.05
    assert result["regret"] < 0.05 and result["rank_correlation"] > 0.6
