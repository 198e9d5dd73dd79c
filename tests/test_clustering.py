import inspect

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from tfl_helpers import backbones, clustering, datasets, evaluation, features
from tfl_helpers.clustering import NeighbourClustering

RNG = np.random.default_rng(0)


def clouds(sizes=(60, 60, 60), d=8, spread=0.25, seed=0):
    """Groups that point in different directions, and who is in which."""
    rng = np.random.default_rng(seed)
    member = np.repeat(np.arange(len(sizes)), sizes)
    z = np.eye(d)[member] + rng.normal(scale=spread / np.sqrt(d), size=(len(member), d))
    order = rng.permutation(len(z))
    return z[order].astype("float32"), member[order]


@pytest.fixture(scope="module")
def digits():
    train, test = datasets.load("digits")
    backbone = backbones.load("letters")
    z = [features.extract(backbone, x, cache=False, progress=False) for x in (train, test)]
    return train, test, *z


@parametrize_with_checks([NeighbourClustering(n_neighbors=5, random_state=0)])
def test_scikit_learn_s_own_checks(estimator, check):
    check(estimator)


def test_digits_are_found_without_labels(digits):
    train, test, a, b = digits
    model = NeighbourClustering(10, random_state=0).fit(a)
    result = evaluation.score(train.answers, model.labels_, test.answers, model.predict(b))
    assert result["accuracy"] >= 0.95
    assert evaluation.check_collapse(model.labels_, 10, warn=False) is None
    proba = model.predict_proba(b)
    np.testing.assert_allclose(proba.sum(1), 1)
    sure = proba.max(1) > np.median(proba.max(1))
    pairs = evaluation.map_groups(train.answers, model.labels_)
    right = np.array([pairs[g] for g in model.predict(b)]) == evaluation.unseal(test.answers)
    assert right[sure].mean() >= right[~sure].mean()  # what it is sure of is right more often


def test_labels_shuffled_or_absent_change_nothing(digits):
    _, _, a, b = digits
    model = [NeighbourClustering(10, random_state=0) for _ in range(3)]
    answers = RNG.integers(0, 10, len(a))
    fits = [m.fit(a, y) for m, y in zip(model, (None, answers, answers[::-1]), strict=True)]
    for other in fits[1:]:
        np.testing.assert_array_equal(fits[0].labels_, other.labels_)
        np.testing.assert_array_equal(fits[0].predict(b), other.predict(b))
    for name, part in inspect.getmembers(clustering, inspect.isfunction):
        if part.__module__ == clustering.__name__:
            assert not {"y", "answers", "labels"} & set(inspect.signature(part).parameters), name


def test_a_seed_fixes_everything():
    z, _ = clouds(spread=1.0)
    one, two = (NeighbourClustering(4, random_state=3).fit(z) for _ in range(2))
    np.testing.assert_array_equal(one.votes_, two.votes_)
    assert one.stability_ == two.stability_
    assert one.stability_ < 1  # the case is hard enough to differ at all


@pytest.mark.parametrize(
    ("settings", "z", "said"),
    [
        ({"n_clusters": 5}, np.eye(4), r"n_samples=4 should be >= n_clusters=5"),
        ({"n_clusters": 0}, np.eye(4), "n_clusters=0"),
        ({"n_clusters": 2, "balance": "equal"}, np.eye(4), "balance='equal'"),
        ({"n_clusters": 2}, np.array([[1, np.nan], [0, 1], [1, 1]]), "NaN"),
        ({"n_clusters": 2}, np.empty((0, 3)), "0 sample"),
        ({"n_clusters": 2, "n_neighbors": 0}, np.eye(4), "n_neighbors=0"),
    ],
)
def test_bad_input_is_refused(settings, z, said):
    with pytest.raises(ValueError, match=said):
        NeighbourClustering(**settings).fit(z)


def test_odd_but_right_input():
    one = NeighbourClustering(1).fit(clouds()[0])
    assert set(one.labels_) == {0}
    np.testing.assert_allclose(one.predict_proba(np.ones((3, 8))), np.ones((3, 1)))
    each = NeighbourClustering(5).fit(np.eye(5))
    assert sorted(each.labels_) == list(range(5))
    few, member = clouds((3, 3))  # fewer rows than neighbours
    assert adjusted_rand_score(member, NeighbourClustering(2).fit(few).labels_) == 1
    with pytest.warns(ConvergenceWarning, match="one group"):
        same = NeighbourClustering(2, random_state=0).fit(np.ones((40, 3)))
    assert set(same.labels_) == {0} and same.votes_.shape == (40, 2)
    z, member = clouds((40, 40))
    twice = np.repeat(z, 20, axis=0)  # more twins than neighbours
    found = NeighbourClustering(2, random_state=0).fit(twice)
    assert np.isfinite(found.predict_proba(z)).all()
    assert set(found.labels_) == {0, 1}
    with_zeros = np.vstack([z, np.zeros((2, 8))])
    assert np.isfinite(NeighbourClustering(2).fit(with_zeros).predict_proba(with_zeros)).all()


def test_nearest_finds_others_by_angle():
    z = np.array([[1, 0], [5, 0.1], [0, 1], [0.1, 3]])
    found, distances = clustering.nearest(z, 1)
    assert found.ravel().tolist() == [1, 0, 3, 2]
    assert (distances < 0.1).all()


def test_the_graph_is_symmetric_and_joins_friends():
    z, member = clouds()
    graph = clustering.neighbour_graph(z, 10)
    assert abs(graph - graph.T).max() < 1e-12
    assert graph.diagonal().max() == 0
    rows, columns = graph.nonzero()
    assert np.mean(member[rows] == member[columns]) > 0.95
    place = clustering.spectral_embedding(graph, 3, random_state=0)
    np.testing.assert_allclose(np.linalg.norm(place, axis=1), 1)
    found = KMeans(3, n_init=10, random_state=0).fit_predict(place)
    assert adjusted_rand_score(member, found) > 0.95


def test_a_walk_forgets_vectors_that_separate_nothing():
    z, member = clouds((100, 20, 20))  # with many vectors, k-means would cut the large group
    graph = clustering.neighbour_graph(z, 10)
    found = []
    for n_steps in (0, 10):
        place = clustering.spectral_embedding(graph, 5, n_steps=n_steps, random_state=0)
        groups = clustering.balanced_kmeans(place, 3, "none", random_state=0)
        found.append(adjusted_rand_score(member, groups))
    assert found[1] > 0.95 > found[0]


def test_the_walk_length_leaves_as_many_directions_as_groups():
    graph = clustering.neighbour_graph(np.random.default_rng(0).normal(size=(240, 8)), 10)
    steps = [clustering.walk_length(graph, k, random_state=0) for k in (2, 4, 8)]
    assert steps[0] > steps[1] > steps[2] > 0
    place = clustering.spectral_embedding(graph, 4, n_steps=steps[1], random_state=0)
    assert place.shape == (240, 12)
    apart = clustering.neighbour_graph(clouds((60, 60, 60))[0], 5)
    assert clustering.walk_length(apart, 1) == clustering.MOST_STEPS  # parts nobody walks between


def test_it_is_unsure_of_noise_and_of_what_it_gets_wrong(digits):
    train, test, a, b = digits
    model = NeighbourClustering(10, random_state=0).fit(a)
    noise = np.random.default_rng(0).integers(0, 256, (100, *test.images.shape[1:])).astype("uint8")
    z = features.extract(backbones.load("letters"), noise, cache=False, progress=False)
    assert model.unsure(z).mean() > 0.9
    unsure = model.unsure(b)
    assert 0 < unsure.mean() < 0.1  # ordinary digits mostly pass
    pairs = evaluation.map_groups(train.answers, model.labels_)
    wrong = np.array([pairs[g] for g in model.predict(b)]) != evaluation.unseal(test.answers)
    assert wrong[unsure].mean() > 5 * wrong[~unsure].mean()


def test_unsure_is_what_lies_between_or_nowhere():
    angle = np.random.default_rng(0).uniform(0, 2.5, 600)
    z = np.column_stack([np.cos(angle), np.sin(angle), np.full(600, 0.2)])
    model = NeighbourClustering(2, random_state=0).fit(z)
    lowest = model.predict_proba(z).max(1)
    between = model.unsure(z, share=0.9)
    assert between[lowest < 0.9].all() and 0 < (lowest < 0.9).sum() < 60
    nowhere = model.unsure(z, share=0)
    assert nowhere.mean() <= 0.01  # as `far_` promises of the rows it was fitted on
    assert model.unsure([[0, 0, -1]], share=0).all()
    with pytest.raises(ValueError, match="3 features"):
        model.unsure(np.ones((2, 5)))


def test_every_public_docstring_says_where_it_is_taught():
    own = [p for _, p in inspect.getmembers(clustering) if inspect.getmodule(p) is clustering]
    parts = [p for p in own if callable(p) and not p.__name__.startswith("_")]
    parts += [
        vars(NeighbourClustering)[name] for name in ("fit", "predict", "predict_proba", "unsure")
    ]
    for part in parts:
        assert " ".join(inspect.getdoc(part).split()).endswith(
            ("Taught in notebook 03.", "Taught in notebook 04.")
        ), part


@pytest.mark.parametrize("n", [3, 10, 500])
def test_sinkhorn_keeps_its_sums(n):
    scores = np.random.default_rng(n).normal(scale=30, size=(n, 3))
    plan = clustering.sinkhorn(scores)
    np.testing.assert_allclose(plan.sum(1), 1)
    np.testing.assert_allclose(plan.sum(0), n / 3, rtol=0.01)
    far = clustering.sinkhorn(np.array([[-1e5, 0.0], [-2e5, 0.0]]))
    assert np.isfinite(far).all()


def test_a_handful_that_all_graphs_agree_on_is_no_group(monkeypatch):
    z, member = clouds()
    real, calls = clustering.balanced_kmeans, []

    def planted(*args, **options):
        calls.append(real(*args, **options))
        odd = (np.arange(len(z)) < 2) * np.arange(1, len(z) + 1)  # two rows alone, the rest in one
        return odd if len(calls) > 9 else RNG.permutation(3)[calls[-1]]  # on the longest walk

    monkeypatch.setattr(clustering, "balanced_kmeans", planted)
    monkeypatch.setattr(clustering, "_stability", lambda found: len(calls))  # the longest is liked
    found = NeighbourClustering(3, random_state=0).fit(z)
    assert len(calls) == 12
    assert adjusted_rand_score(member, found.labels_) > 0.95


def test_sinkhorn_between_free_and_uniform():
    scores = np.tile([3.0, 0.0], (100, 1)) + RNG.normal(size=(100, 2))
    sizes = [clustering.sinkhorn(scores, b).sum(0)[0] for b in ("none", "relaxed", "uniform")]
    assert sizes[0] > sizes[1] + 1 > sizes[2] + 2
    np.testing.assert_allclose(sizes[2], 50, rtol=0.01)
    with pytest.raises(ValueError, match="no balance is called 'all'"):
        clustering.sinkhorn(scores, "all")


def test_unequal_groups_stay_unequal_unless_asked():
    z, member = clouds((240, 40, 20))
    free = NeighbourClustering(3, balance="none", random_state=0).fit(z)
    assert adjusted_rand_score(member, free.labels_) > 0.95
    assert sorted(np.bincount(free.labels_)) == pytest.approx([20, 40, 240], abs=4)
    forced = clustering.balanced_kmeans(z, 3, "uniform", random_state=0)
    assert np.bincount(forced).max() < 180


def test_evidence_says_which_balance_fits_the_sizes():
    z, _ = clouds((240, 60, 30), spread=0.9)  # graphs in one piece: else rounding cuts the ties
    table = clustering.balance_evidence(z, 3, random_state=0)
    assert table.index[0] == "none"
    assert table.smallest_group["none"] == pytest.approx(30, abs=5)
    assert table.smallest_group["uniform"] > 90
    assert (table.loc["none", ["agreement", "stability"]] > 0.85).all()
    assert table.agreement["uniform"] < 0.8 and table.stability["uniform"] < 0.85
    assert table.effective_groups.between(1, 3).all() and table.mean_rank.is_monotonic_increasing
    pd.testing.assert_frame_equal(table, clustering.balance_evidence(z, 3, random_state=0))
    equal = clustering.balance_evidence(clouds()[0], 3, random_state=0)
    assert equal.index[0] == "relaxed"  # nothing speaks against the default
    assert (equal[["agreement", "stability"]] > 0.9).all(axis=None)
    for k in (1, 220):
        with pytest.raises(ValueError, match=f"n_clusters={k}: 2 <= n_clusters < 220"):
            clustering.balance_evidence(z, k)


def test_consensus_is_better_than_its_voters():
    rng = np.random.default_rng(0)
    planted = rng.integers(0, 5, 600)
    voters = []
    for _ in range(9):  # others' numbers, and a third of the images at random
        noisy = np.where(rng.random(600) < 0.33, rng.integers(0, 5, 600), planted)
        voters.append(rng.permutation(5)[noisy] * 7)
    votes = clustering.consensus(voters)
    np.testing.assert_allclose(votes.sum(1), 1)
    agreed = adjusted_rand_score(planted, votes.argmax(1))
    assert agreed > 0.95 > max(adjusted_rand_score(planted, v) for v in voters)
    with pytest.raises(ValueError, match="lengths"):
        clustering.consensus([[0, 1], [0, 1, 1]])
    with pytest.raises(ValueError, match="one or more"):
        clustering.consensus([])


def test_the_neighbour_head_needs_its_entropy():
    z, member = clouds(spread=0.5)
    near, _ = clustering.nearest(z, 10)
    head = clustering.neighbour_head(z, near, 3, learning_rate=0.02, n_steps=200, random_state=0)
    p = head(z).numpy()
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
    assert adjusted_rand_score(member, p.argmax(1)) > 0.95
    again = clustering.neighbour_head(z, near, 3, learning_rate=0.02, n_steps=200, random_state=0)
    np.testing.assert_allclose(p, again(z).numpy(), atol=1e-5)
    settings = {"learning_rate": 0.05, "n_steps": 300, "entropy_weight": 0.0, "random_state": 0}
    collapsed = clustering.neighbour_head(z, near, 3, n_heads=1, **settings)
    assert collapsed(z).numpy().mean(0).max() > p.mean(0).max()


def test_turtle_finds_what_a_probe_learns_easily():
    z, member = clouds(spread=0.5)
    z = (z - z.mean(0)) / z.std(0)
    settings = {"n_steps": 300, "learning_rate": 0.01, "random_state": 0}
    first, second = clustering.turtle_head([z, z[:, :5]], 3, **settings)
    p = (first(z).numpy() + second(z[:, :5]).numpy()) / 2
    assert adjusted_rand_score(member, p.argmax(1)) > 0.8


def test_the_number_of_groups_is_estimated():
    z, _ = make_blobs(300, 10, centers=5, cluster_std=0.6, random_state=0)
    found = clustering.estimate_n_clusters(z - z.mean(0), 2, 9, random_state=0)
    assert found.suggestion == 5
    assert found.low <= 5 <= found.high
    assert found.curves.columns.tolist() == ["k", "eigengap", "stability", "silhouette"]
    assert found.curves.k.tolist() == list(range(2, 10))
    assert found.curves.stability.between(-1, 1).all()
    with pytest.raises(ValueError, match="k_min=1"):
        clustering.estimate_n_clusters(z, 1, 5)
    with pytest.raises(ValueError, match="k_max=9"):
        clustering.estimate_n_clusters(z[:8], 2, 9)


@pytest.fixture(scope="module")
def copies():
    """Three kinds; four copies of each image, in which what means nothing changes loudly."""
    rng = np.random.default_rng(0)
    kinds = np.repeat(np.arange(3), 200)
    z = rng.normal(size=(4, 600, 12)) * 0.3
    z[..., :3] += np.eye(3)[kinds]
    z[..., 3:6] += 3 * rng.choice([-1, 1], (4, 600, 3))
    return z.astype("float32"), kinds


def test_copies_say_what_may_change(copies):
    (z, *views), kinds = copies
    options = {"n_axes": 3, "n_init": 2, "n_heads": 4, "batch_size": 256, "n_steps": 150}
    head, same = (clustering.view_head(z, views, 3, random_state=0, **options) for _ in range(2))
    groups = head.predict(z, verbose=0).argmax(1)
    plain = KMeans(3, n_init=10, random_state=0).fit_predict(z)
    right = [adjusted_rand_score(kinds, found) for found in (groups, plain)]
    assert right[0] > 0.6 and right[0] > right[1] + 0.4
    assert np.bincount(groups, minlength=3).min() > 120
    np.testing.assert_array_equal(head.predict(z, verbose=0), same.predict(z, verbose=0))


def test_a_view_head_wants_copies_that_differ(copies):
    (z, *views), _ = copies
    with pytest.raises(ValueError, match="1 or more"):
        clustering.view_head(z, views[0], 3)
    with pytest.raises(ValueError, match="600 images"):
        clustering.view_head(z, np.stack(views)[:, :5], 3)
    with pytest.raises(ValueError, match="the same as the images"):
        clustering.view_head(z, z[None], 3)
