import inspect
import json
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, make_blobs
from sklearn.pipeline import make_pipeline

from tfl_helpers import clustering, evaluation, features, selection
from tfl_helpers.datasets import SealedAnswers, SealedError


def clouds(sizes=(60, 60, 60), d=8, spread=0.25, seed=0):
    """Groups that point in different directions."""
    rng = np.random.default_rng(seed)
    member = np.repeat(np.arange(len(sizes)), sizes)
    z = np.eye(d)[member] + rng.normal(scale=spread / np.sqrt(d), size=(len(member), d))
    return z[rng.permutation(len(z))].astype("float32")


RULES = ["eigengap", "silhouette", "walk", "information"]


def test_the_number_of_groups_is_the_median_of_four_rules():
    z, _ = make_blobs(300, 10, centers=5, cluster_std=0.6, random_state=0)
    found = selection.estimate_n_clusters(z - z.mean(0), random_state=0)
    assert found.suggestion == 5
    assert found.low <= 5 <= found.high
    assert found.curves.columns.tolist() == ["k", *RULES]
    assert found.curves.k.tolist() == list(range(2, 35))  # twice the root of 300
    assert found.curves.eigengap.notna().all()
    assert found.curves[["silhouette", "walk"]].iloc[1:8].notna().all(axis=None)
    assert list(found.preferred) == RULES
    for rule, k in found.preferred.items():
        assert found.curves[rule].max() == found.curves.set_index("k")[rule][k]
    assert (found.low, found.high) == (min(found.preferred.values()), max(found.preferred.values()))
    again = selection.estimate_n_clusters(z - z.mean(0), random_state=0)
    pd.testing.assert_frame_equal(found.curves, again.curves)
    assert found.preferred == again.preferred and found.suggestion == again.suggestion
    few = selection.estimate_n_clusters(z - z.mean(0), 9, random_state=0)
    assert few.suggestion == 5 and few.curves.k.max() == 9


def test_one_rule_that_errs_does_not_move_the_number_far():
    found = selection.estimate_n_clusters(load_digits().data[:500], random_state=0)
    said = sorted(found.preferred.values())
    assert said[0] < said[-1], "the rules agree: take other images"
    assert found.suggestion == round(np.sqrt(said[1] * said[2]))  # geometric, of the middle two
    assert found.suggestion < said[-1]


def test_more_groups_than_twenty_are_found():
    z = clouds((40,) * 30, d=32, spread=0.8)
    assert 28 <= selection.estimate_n_clusters(z, random_state=0).suggestion <= 32


def test_one_cloud_is_one_group_and_two_far_ones_are_two_or_three():
    rng = np.random.default_rng(0)
    for cloud in (rng.normal(size=(400, 64)), rng.normal(size=(400, 64)) / np.arange(1, 65)):
        found = selection.estimate_n_clusters(cloud + 0.5, random_state=0)
        assert (found.suggestion, found.low, found.high) == (1, 1, 1)
        assert list(found.preferred) == RULES  # what they would have said is told
    two = clouds((200, 200), d=64, spread=0.5)
    assert selection.estimate_n_clusters(two, random_state=0).suggestion in (2, 3)


def test_equal_rows_are_one_group_and_copies_change_nothing():
    found = selection.estimate_n_clusters(np.ones((50, 8)), random_state=0)
    assert (found.suggestion, found.low, found.high) == (1, 1, 1) and found.curves.empty
    z = clouds((60, 60, 60))
    heap = np.concatenate([z, np.repeat(z[:1], 300, axis=0)])
    assert selection.estimate_n_clusters(heap, random_state=0).suggestion in (3, 4)
    for args, message in {(9,): "k_max=9", (2,): "k_max=2"}.items():
        with pytest.raises(ValueError, match=message):
            selection.estimate_n_clusters(z[:30], *args)
    with pytest.raises(ValueError, match="11 rows"):
        selection.estimate_n_clusters(z[:11])


def test_a_probe_between_halves_says_which_balance_fits_the_sizes():
    z = clouds((240, 60, 30), spread=0.9)  # graphs in one piece: else rounding cuts the ties
    table = selection.balance_evidence(z, 3, random_state=0)
    assert sorted(table.index) == ["linked", "none", "relaxed", "uniform"]
    assert table.index[0] in ("none", "linked") and table.index[-1] == "uniform"
    assert table.probe.iloc[0] > 0.85 > 0.75 > table.probe["uniform"]
    assert table.smallest_share["none"] == pytest.approx(30 / 330, abs=0.03)
    assert table.smallest_share["uniform"] > 0.27
    assert table.effective_groups.between(1, 3).all()
    pd.testing.assert_frame_equal(table, selection.balance_evidence(z, 3, random_state=0))
    equal = selection.balance_evidence(clouds(), 3, random_state=0)
    assert equal.index[0] == "relaxed"  # nothing speaks against the default
    assert (equal.probe > 0.9).all()
    for k in (1, 83):
        with pytest.raises(ValueError, match=f"n_clusters={k}: 2 <= n_clusters <= 82"):
            selection.balance_evidence(z, k)


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


class Random(ClusterMixin, BaseEstimator):
    """Groups at random."""

    def __init__(self, n_clusters=4, random_state=None):
        self.n_clusters, self.random_state = n_clusters, random_state

    def fit(self, X, y=None):
        rng = np.random.default_rng(self.random_state)
        self.labels_ = rng.integers(self.n_clusters, size=len(X))
        return self


class AllInOne(Random):
    """Collapses."""

    def fit(self, X, y=None):
        self.labels_ = np.zeros(len(X), int)
        return self


METHODS = {
    "k-means": make_pipeline(features.normaliser("l2"), KMeans(4, n_init=5)),
    "random": Random(4),
    "all in one": AllInOne(4),
}


@pytest.fixture(scope="module")
def table(spaces):
    return selection.search(spaces[0], METHODS, seeds=range(2))


def test_search_prefers_groups_that_others_see_too(table):
    assert len(table) == 12
    assert set(table.index[:3]) == {f"view {i} | k-means" for i in range(3)}
    assert table.loc["view 0 | k-means", "agreement"] > 0.6
    assert abs(table.loc["view 0 | random", "agreement"]) < 0.2
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
    fair = selection.judged_by_others(given, home)[:, 0]
    assert np.allclose(np.diff(fair), 1)


def test_search_is_the_same_twice(spaces, table):
    again = selection.search(spaces[0], METHODS, seeds=range(2))
    assert again.drop(columns="seconds").equals(table.drop(columns="seconds"))


def test_every_seed_draws_its_own_images():
    seen = []

    class Watched(Random):
        def fit(self, X, y=None):
            assert y is None
            seen.append((self.random_state, sorted(X[:, 0].tolist())))
            return super().fit(X)

    z = np.random.default_rng(0).normal(size=(50, 3))
    selection.search({"z": z}, {"watched": Watched()}, seeds=[3, 5])
    assert [seed for seed, _ in seen] == [3, 5]
    assert [len(rows) for _, rows in seen] == [40, 40] and seen[0][1] != seen[1][1]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_search_takes_equal_and_few_images():
    z = np.ones((30, 3))
    table = selection.search({"same": z}, {"k-means": KMeans(3, n_init=1)}, seeds=range(2))
    assert table.alarm.iloc[0] and table.stability.iloc[0] == 0
    few = np.random.default_rng(0).normal(size=(12, 3))
    table = selection.search({"few": few}, {"k-means": KMeans(2, n_init=1)}, seeds=range(2))
    assert np.isfinite(table[["agreement", "silhouette", "stability"]].to_numpy()).all()


Z = np.random.default_rng(0).normal(size=(20, 3))


@pytest.mark.parametrize(
    ("spaces", "methods", "seeds", "message"),
    [
        ({}, {"random": Random()}, [1, 2], "one or more"),
        ({"a": Z, "b": Z[:9]}, {"random": Random()}, [1, 2], "same images"),
        ({"a": np.where(Z > 1, np.nan, Z)}, {"random": Random()}, [1, 2], "'a'.*without NaN"),
        ({"a": Z[:, 0]}, {"random": Random()}, [1, 2], "images, features"),
        ({"a": Z}, {}, [1, 2], "a method or more"),
        ({"a": Z}, {"random": Random()}, [1, 1], "different seeds"),
    ],
)
def test_search_says_what_is_wrong(spaces, methods, seeds, message):
    with pytest.raises(ValueError, match=message):
        selection.search(spaces, methods, seeds=seeds)


def test_no_answer_can_enter():
    """Nothing in the module takes answers or opens them, and sealed ones are refused."""
    for name, function in inspect.getmembers(selection, inspect.isfunction):
        assert not [p for p in inspect.signature(function).parameters if "answer" in p], name
    folder = Path(selection.__file__).parent
    source = "".join(path.read_text("utf8") for path in folder.glob("*.py"))
    assert re.findall(r"from tfl_helpers\.evaluation (.*)", source) == ["import check_collapse"]
    assert "unseal" not in source
    with pytest.raises(SealedError):
        selection.search({"answers": SealedAnswers([0, 1, 0, 1])}, {"random": Random(2)})


def experiment(method, seed=0, n_groups=2):
    return {"accuracy": np.float32(0.5) + seed, "n_groups": np.int64(3), "empty": float("nan")}


def test_a_run_adds_a_row_and_keeps_all_about_it(tmp_path):
    file = tmp_path / "new" / "runs.jsonl"
    assert selection.record(file, experiment, method="k-means")["accuracy"] == 0.5
    selection.record(file, experiment, method="ours", seed=np.int64(1), n_groups=2)
    table = selection.read_record(file)
    assert table.method.tolist() == ["k-means", "ours"]
    assert table.accuracy.tolist() == [0.5, 1.5]
    assert table.n_groups.tolist()[1] == 2 and table["found n_groups"].iloc[1] == 3
    assert (table.seconds >= 0).all() and table.time.str.endswith("Z").all()
    assert "tensorflow" in table.versions[0] and "python 3" in table.versions[0]
    assert table.columns[0] == "time" and list(table.columns[-2:]) == ["seconds", "versions"]


def test_a_score_may_be_called_like_a_column_of_the_table(tmp_path):
    file = tmp_path / "runs.jsonl"
    selection.record(file, lambda time: {"seconds": 99, "time": 98}, time=97)
    table = selection.read_record(file)
    assert table["found seconds"].tolist() == [99] and table["found time"].tolist() == [98]
    assert table.seconds[0] < 9 and table.time[0].endswith("Z")


def test_a_half_written_row_is_passed_over(tmp_path):
    file = tmp_path / "runs.jsonl"
    for seed in range(2):
        selection.record(file, experiment, method="a", seed=seed)
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:40])  # stopped in the middle of a line
    selection.record(file, experiment, method="a", seed=2)
    with pytest.warns(UserWarning, match="1 lines cannot be read"):
        assert selection.read_record(file).seed.tolist() == [0, 1, 2]
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
        selection.record(file, lambda: pytest.fail("was run"))
    with pytest.raises(ValueError, match="no table of runs"):
        selection.read_record(file)
    assert file.read_bytes() == content


def test_settings_that_cannot_be_kept_stop_before_the_run(tmp_path):
    file = tmp_path / "runs.jsonl"
    for value in (np.zeros(3), SealedAnswers([0, 1]), KMeans()):
        with pytest.raises(TypeError, match="cannot be kept"):
            selection.record(file, lambda value: pytest.fail("was run"), value=value)
    assert not file.exists()
    with pytest.raises(OSError):
        selection.record(tmp_path, lambda: pytest.fail("was run"))
    with pytest.raises(FileNotFoundError, match="adds the first"):
        selection.read_record(file)


def test_a_run_that_fails_leaves_no_row(tmp_path):
    file = tmp_path / "runs.jsonl"
    selection.record(file, experiment, method="a")
    with pytest.raises(ZeroDivisionError):
        selection.record(file, lambda: 1 / 0)
    assert len(selection.read_record(file)) == 1


def test_scores_of_any_kind_are_not_lost_after_a_long_run(tmp_path):
    file = tmp_path / "runs.jsonl"
    selection.record(file, lambda: {"sizes": np.array([3, 4]), "accuracy": 0.5})
    assert selection.read_record(file)[["sizes", "accuracy"]].values.tolist() == [["[3 4]", 0.5]]


@pytest.mark.slow
def test_two_processes_write_the_same_file(tmp_path):
    file = tmp_path / "runs.jsonl"
    code = (
        "import sys; from tfl_helpers import selection\n"
        "for i in range(100): selection.record(sys.argv[1], lambda i, who: {'x': i}, "
        "i=i, who=sys.argv[2] * 2000)"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(file), who], stderr=subprocess.PIPE)
        for who in "ab"
    ]
    assert [process.wait(120) for process in started] == [0, 0]
    with warnings.catch_warnings(action="error"):
        table = selection.read_record(file)
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
    table = selection.search({name: a for name, (a, _) in raw.items()}, methods, seeds=range(2))
    accuracy = {}
    for row in table.itertuples():
        a, b = raw[row.representation]
        model = selection.seeded(methods[row.method], 0)
        groups = model.fit_predict(a), model.predict(b)
        found = evaluation.score(train.answers, groups[0], test.answers, groups[1], n_groups=10)
        accuracy[row.Index] = found["accuracy"]
    result = evaluation.regret(table.index, accuracy)
    assert result["accuracy"] > result["median_accuracy"] + 0.05
    assert result["regret"] < 0.05 and result["rank_correlation"] > 0.6
