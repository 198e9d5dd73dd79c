"""Graphs of neighbours, balanced assignment, the estimator and the head."""

import inspect
import subprocess
import sys

import numpy as np
import pytest
from scipy.special import logsumexp, softmax
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score, roc_auc_score
from sklearn.preprocessing import normalize
from sklearn.utils.estimator_checks import parametrize_with_checks

from tfl_helpers import clustering, evaluation, features
from tfl_helpers.clustering import NeighbourClustering, neighbours

RNG = np.random.default_rng(0)


def clouds(sizes=(60, 60, 60), d=8, spread=0.25, seed=0):
    """Groups that point in different directions, and who is in which."""
    rng = np.random.default_rng(seed)
    member = np.repeat(np.arange(len(sizes)), sizes)
    z = np.eye(d)[member] + rng.normal(scale=spread / np.sqrt(d), size=(len(member), d))
    order = rng.permutation(len(z))
    return z[order].astype("float32"), member[order]


@parametrize_with_checks([NeighbourClustering(n_neighbors=5, random_state=0)])
def test_scikit_learn_s_own_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def fitted(digit_features):
    return NeighbourClustering(10, random_state=0).fit(digit_features[0])


def test_digits_are_found_without_labels(digits, digit_features, fitted):
    (train, test), (_, b), model = digits, digit_features, fitted
    result = evaluation.score(train.answers, model.labels_, test.answers, model.predict(b))
    assert result["accuracy"] >= 0.95
    assert evaluation.check_collapse(model.labels_, 10) is None
    proba = model.predict_proba(b)
    np.testing.assert_allclose(proba.sum(1), 1)
    sure = proba.max(1) > np.median(proba.max(1))
    named = evaluation.Pairing(train.answers, model.labels_).predict(model.predict(b))
    right = named == evaluation.unseal(test.answers)
    assert right[sure].mean() >= right[~sure].mean()  # what it is sure of is right more often


def test_labels_shuffled_or_absent_change_nothing(digit_features):
    a, b = (z[::4] for z in digit_features)
    model = [NeighbourClustering(10, random_state=0) for _ in range(3)]
    answers = RNG.integers(0, 10, len(a))
    fits = [m.fit(a, y) for m, y in zip(model, (None, answers, answers[::-1]), strict=True)]
    for other in fits[1:]:
        np.testing.assert_array_equal(fits[0].labels_, other.labels_)
        np.testing.assert_array_equal(fits[0].predict(b), other.predict(b))
    for name, part in inspect.getmembers(clustering, inspect.isfunction):
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
        ({"n_clusters": 0}, np.eye(4), "n_clusters == 0"),
        ({"n_clusters": 2, "balance": "equal"}, np.eye(4), "balance='equal'"),
        ({"n_clusters": 2}, np.array([[1, np.nan], [0, 1], [1, 1]]), "NaN"),
        ({"n_clusters": 2}, np.empty((0, 3)), "0 sample"),
        ({"n_clusters": 2, "n_neighbors": 0}, np.eye(4), "n_neighbors == 0"),
        ({"n_clusters": 2, "n_components": 0}, np.eye(4), "n_components == 0"),
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
    twice = np.repeat(z, 20, axis=0)  # more copies than neighbours
    found = NeighbourClustering(2, random_state=0).fit(twice)
    assert np.isfinite(found.predict_proba(z)).all()
    assert set(found.labels_) == {0, 1}
    with_zeros = np.vstack([z, np.zeros((2, 8))])
    assert np.isfinite(NeighbourClustering(2).fit(with_zeros).predict_proba(with_zeros)).all()


@pytest.mark.parametrize("setting", ["n_clusters", "n_neighbors", "n_components"])
@pytest.mark.parametrize("value", ["3", 2.0, None])
def test_numbers_are_whole_numbers(setting, value):
    with pytest.raises(TypeError, match=f"{setting} must be an instance of int"):
        NeighbourClustering(**{"n_clusters": 2, setting: value}).fit(np.eye(4))


@pytest.mark.parametrize("seed", range(3))
def test_few_or_equal_rows_leave_no_group_empty_and_stay_together(seed):
    rng = np.random.default_rng(seed)
    for n, k in ((3, 2), (4, 3), (5, 2), (6, 4)):
        found = NeighbourClustering(k, random_state=seed).fit(rng.normal(size=(n, 9)))
        assert np.bincount(found.labels_, minlength=k).min() >= 1, (n, k)
    kinds = rng.normal(size=(7, 9))
    which = rng.permutation(np.repeat(np.arange(7), 12))
    found = NeighbourClustering(3, random_state=seed).fit(kinds[which])
    groups = [set(found.labels_[which == kind]) for kind in range(7)]
    assert all(len(group) == 1 for group in groups) and set.union(*groups) == {0, 1, 2}
    for copies, others, k in ((100, 10, 3), (80, 3, 3), (400, 40, 8)):  # among others unlike them
        z = np.concatenate(
            [np.repeat(rng.normal(size=(1, 9)), copies, 0), rng.normal(size=(others, 9))]
        )
        found = NeighbourClustering(k, random_state=seed).fit(z)
        assert len(set(found.labels_[:copies])) == 1 and len(found.votes_) == len(z)
        assert np.bincount(found.labels_, minlength=k).min() >= 1
    with pytest.warns(ConvergenceWarning, match="2 different rows"):
        two = NeighbourClustering(3, random_state=seed).fit(np.repeat(np.eye(2), 30, axis=0))
    assert np.bincount(two.labels_).tolist() == [30, 30]


def test_nearest_finds_others_by_angle():
    z = np.array([[1, 0], [5, 0.1], [0, 1], [0.1, 3]])
    found, distances = clustering.nearest(z, 1)
    assert found.ravel().tolist() == [1, 0, 3, 2]
    assert (distances < 0.1).all()


def test_the_graph_is_symmetric_and_joins_what_belongs_together():
    z, member = clouds()
    graph = clustering.neighbour_graph(z, 10)
    assert abs(graph - graph.T).max() < 1e-12
    assert graph.diagonal().max() == 0
    rows, columns = graph.nonzero()
    assert np.mean(member[rows] == member[columns]) > 0.95
    place = clustering.spectral_embedding(clustering.spectrum(graph, 3, random_state=0))
    np.testing.assert_allclose(np.linalg.norm(place, axis=1), 1)
    found = KMeans(3, n_init=10, random_state=0).fit_predict(place)
    assert adjusted_rand_score(member, found) > 0.95


def test_a_walk_forgets_vectors_that_separate_nothing():
    z, member = clouds((100, 20, 20))  # with many vectors, k-means would cut the large group
    graph = clustering.neighbour_graph(z, 10)
    spectrum, found = clustering.walk_spectrum(graph, 5, random_state=0), []
    for n_steps in (0, 10):
        place = clustering.spectral_embedding(spectrum, n_steps=n_steps)
        groups = clustering.balanced_kmeans(place, 3, "none", random_state=0)
        found.append(adjusted_rand_score(member, groups))
    assert found[1] > 0.95 > found[0]


def test_the_walk_length_leaves_as_many_directions_as_groups():
    graph = clustering.neighbour_graph(np.random.default_rng(0).normal(size=(240, 8)), 10)
    steps = [clustering.walk_length(graph, k, random_state=0) for k in (2, 4, 8)]
    assert steps[0] > steps[1] > steps[2] > 0
    spectrum = clustering.walk_spectrum(graph, 4, random_state=0)
    assert clustering.walk_length(spectrum, 4) == steps[1]
    assert clustering.spectral_embedding(spectrum, n_steps=steps[1]).shape == (240, 12)
    apart = clustering.neighbour_graph(clouds((60, 60, 60))[0], 5)
    assert clustering.walk_length(apart, 1) == 1000  # parts nobody walks between


def test_neighbours_that_were_found_stand_for_their_features():
    z = np.random.default_rng(0).normal(size=(240, 8))
    given = clustering.neighbour_graph(clustering.nearest(z, 20), 10)
    assert abs(clustering.neighbour_graph(z, 10) - given).max() == 0


def test_an_embedding_of_few_components_takes_the_leading_eigenvectors():
    vectors = np.random.default_rng(0).normal(size=(6, 4))
    spectrum = clustering.Spectrum(np.array([1, 0.5, 0.2, -0.1]), vectors)
    place = clustering.spectral_embedding(spectrum, 2)
    np.testing.assert_array_equal(place, normalize(vectors[:, :2]))
    place = clustering.spectral_embedding(spectrum, n_steps=3)
    np.testing.assert_allclose(place, normalize(vectors * [1, 0.125, 0.008, 0]))


def test_leading_components_of_a_sample_are_those_of_all():
    z = np.random.default_rng(0).normal((0, 0, 0, 50), (9, 3, 1, 0.1), (300, 4))
    of_all, of_some = (
        clustering.leading_components(z, random_state=0, sample=n) for n in (None, 250)
    )
    assert of_all.shape == of_some.shape == (300, 4)
    for one, other in zip(of_all.T[:3], of_some.T[:3], strict=True):
        assert abs(np.corrcoef(one, other)[0, 1]) > 0.99
    few = clustering.leading_components(z[:4], random_state=0, sample=2)
    assert few.shape == (4, 2)
    assert np.isfinite(clustering.leading_components(np.ones((5, 3)))).all()


def test_doubt_finds_noise_and_most_mistakes(digits, digit_features, letters, fitted):
    (train, test), (a, b), model = digits, digit_features, fitted
    noise = np.random.default_rng(0).integers(0, 256, (100, *test.images.shape[1:])).astype("uint8")
    z = features.extract(letters, noise, cache=False, progress=False)
    assert (model.doubt(z) == 1).mean() > 0.9 and model.unsure(z).mean() > 0.9
    assert model.flagged_ == 0.1
    named = evaluation.Pairing(train.answers, model.labels_)
    wrong = [
        named.predict(found) != evaluation.unseal(images.answers)
        for images, found in ((train, model.labels_), (test, model.predict(b)))
    ]
    by_votes = 1 - model.predict_proba(a).max(1)
    assert roc_auc_score(wrong[0], model.doubt_) > max(roc_auc_score(wrong[0], by_votes), 0.9)
    assert wrong[0][model.doubt_ > 0.9].sum() > 0.75 * wrong[0].sum()
    unsure = model.unsure(b)
    assert 0.05 < unsure.mean() < 0.2  # nothing here is unlike the rows it was fitted on
    assert wrong[1][unsure].mean() > 10 * wrong[1][~unsure].mean()
    assert roc_auc_score(wrong[1], model.doubt(b)) > 0.85


def test_in_doubt_is_what_lies_between_or_nowhere():
    angle = np.sort(np.random.default_rng(0).uniform(0, 2.5, 600))
    z = np.column_stack([np.cos(angle), np.sin(angle), np.full(600, 0.2)])
    model = NeighbourClustering(2, random_state=0).fit(z)
    border = np.flatnonzero(np.diff(model.labels_))
    assert len(border) == 1
    away = np.abs(np.arange(600) - border[0])
    for doubt in (model.doubt_, model.doubt(z)):
        assert ((doubt >= 0) & (doubt <= 1)).all() and np.median(away[doubt > 0.9]) < 60
    assert (model.doubt_ == 1).sum() <= 2
    assert (model.doubt(z) == 1).mean() <= 0.02  # as `far_` promises of the rows it was fitted on
    assert model.doubt([[0, 0, -1]]) == 1 and model.unsure([[0, 0, -1]], share=0.01).all()
    assert model.unsure(z).mean() == pytest.approx(model.flagged_, abs=0.03)
    with pytest.raises(ValueError, match="3 features"):
        model.unsure(np.ones((2, 5)))


def test_doubt_of_any_clusterer_s_groups():
    z, member = clouds((100, 100, 40), spread=0.5)
    groups, moved = member.copy(), RNG.permutation(240)[:12]
    groups[moved] = (groups[moved] + 1) % 3  # islands: wrong, and far from any border
    doubt = clustering.Doubt(z, groups + 5, random_state=0)
    assert roc_auc_score(groups != member, doubt.known_) > 0.99
    new, kinds = clouds((50, 50, 50), spread=0.5, seed=1)
    said = np.where(np.arange(150) < 20, (kinds + 1) % 3, kinds)
    assert roc_auc_score(said != kinds, doubt.of(new, said + 5)) > 0.99
    cut = np.where((member == 0) & (z[:, 5] > 0), 3, member)  # one kind in two groups
    cut[moved] = groups[moved]
    of_cut = clustering.Doubt(z, cut, random_state=0).known_
    assert roc_auc_score(groups != member, of_cut) > 0.9
    for few in ([0], [0, 1], [0, 0, 0, 0]):
        assert (clustering.Doubt(z[: len(few)], few).known_ == 0.5).all()  # nothing to tell apart
    assert [clustering.share_flagged(np.arange(100) < n) for n in (5, 6)] == [0.1, 0.2]


@pytest.mark.parametrize("n", [3, 10, 500])
def test_sinkhorn_keeps_its_sums(n):
    scores = np.random.default_rng(n).normal(scale=30, size=(n, 3))
    plan, bonus = clustering.sinkhorn(scores)
    np.testing.assert_allclose(plan, softmax(scores + bonus, axis=1))
    np.testing.assert_allclose(plan.sum(1), 1)
    np.testing.assert_allclose(plan.sum(0), n / 3, rtol=0.01)
    far, _ = clustering.sinkhorn(np.array([[-1e5, 0.0], [-2e5, 0.0]]))
    assert np.isfinite(far).all()


def test_a_handful_that_all_graphs_agree_on_is_no_group(monkeypatch):
    z, member = clouds()
    real, calls = neighbours.group_places, []

    def planted(*args, **options):
        calls.append(real(*args, **options))
        odd = (np.arange(len(z)) < 2) * np.arange(1, len(z) + 1)  # two rows alone, the rest in one
        return odd if len(calls) > 9 else RNG.permutation(3)[calls[-1]]  # on the longest walk

    monkeypatch.setattr(neighbours, "group_places", planted)
    monkeypatch.setattr(neighbours, "stability", lambda found: len(calls))  # the longest is liked
    found = NeighbourClustering(3, random_state=0).fit(z)
    assert len(calls) == 12
    assert adjusted_rand_score(member, found.labels_) > 0.95


@pytest.mark.parametrize("scale", [1, 20, 1e5])
def test_sinkhorn_is_what_its_formula_says_at_any_scale(scale):
    """In logarithms throughout: no factor is too large or too small there."""
    scores, bonus = -scale * np.random.default_rng(0).random((50, 7)), np.zeros(7)
    scores -= 400 * np.arange(7)  # groups that at first nobody goes to
    for _ in range(40):
        logs = scores + bonus
        logs = logs - logsumexp(logs, axis=1, keepdims=True)
        bonus = bonus + np.log(50 / 7) - logsumexp(logs, axis=0).clip(np.log(1e-300))
    found, by = clustering.sinkhorn(scores, n_iter=40, tol=0)
    np.testing.assert_allclose(by, bonus, rtol=1e-9, atol=1e-9)
    logs = scores + bonus
    np.testing.assert_allclose(
        found, np.exp(logs - logsumexp(logs, axis=1, keepdims=True)), atol=1e-6
    )


def test_sinkhorn_between_free_and_uniform():
    scores = np.tile([3.0, 0.0], (100, 1)) + RNG.normal(size=(100, 2))
    sizes = [clustering.sinkhorn(scores, b)[0].sum(0)[0] for b in ("none", "relaxed", "uniform")]
    assert sizes[0] > sizes[1] + 1 > sizes[2] + 2
    np.testing.assert_allclose(sizes[2], 50, rtol=0.01)
    with pytest.raises(ValueError, match="no balance is called 'all'"):
        clustering.sinkhorn(scores, "all")


def test_unequal_groups_stay_unequal_unless_asked():
    z, member = clouds((240, 40, 20))
    free = NeighbourClustering(3, balance="none", random_state=0).fit(z)
    assert adjusted_rand_score(member, free.labels_) > 0.95
    assert sorted(np.bincount(free.labels_)) == pytest.approx([20, 40, 240], abs=4)
    linked = NeighbourClustering(3, balance="linked", random_state=0).fit(z)
    assert adjusted_rand_score(member, linked.labels_) > 0.95
    many, kinds = clouds((3000, 300, 200))  # so many that some only follow
    found = clustering.linked(many, 3, random_state=0)
    assert len(found) == 3500 and adjusted_rand_score(kinds, found) > 0.99
    forced = clustering.balanced_kmeans(z, 3, "uniform", random_state=0)
    assert np.bincount(forced).max() < 180


def test_small_groups_of_many_rows_are_not_outvoted(monkeypatch):
    """And what links all rows with all is never asked about so many."""
    joined, fit = [], AgglomerativeClustering.fit

    def watched(self, rows, y=None):
        joined.append(len(rows))
        return fit(self, rows, y)

    monkeypatch.setattr(AgglomerativeClustering, "fit", watched)
    z, _ = clouds((2700,))
    z[[5, 6]] = 9 * np.eye(z.shape[1])[:2]
    assert len(np.unique(clustering.linked(z, 3, random_state=0))) == 3
    found = NeighbourClustering(30, balance="linked", random_state=0).fit(z)
    assert len(np.unique(found.labels_)) == 30 and found.stability_ < 1
    rng = np.random.default_rng(0)  # like a network that sees little: most values are 0
    sparse = rng.random((2700, 200)) * (rng.random((2700, 200)) < 1.5 / 200)
    asked = len(joined)
    assert len(np.unique(NeighbourClustering(40, random_state=0).fit(sparse).labels_)) == 40
    assert len(joined) == asked  # one of the labelings has all groups
    monkeypatch.setattr(neighbours, "group_places", lambda places, k, *_, **__: np.arange(2700) % 9)
    assert len(np.unique(NeighbourClustering(10, random_state=0).fit(z).labels_)) == 10
    assert max(joined) == 2500


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


def test_clustering_loads_no_tensorflow():
    code = (
        "import sys, numpy as np; from tfl_helpers import clustering; "
        "clustering.NeighbourClustering(2).fit(np.eye(9)); assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_agreement_by_hand():
    # Rows 0, 1, 2 in one group, 3 in another; 3 of 4 neighbours share; chance (3/4)^2 + (1/4)^2.
    neighbours = np.array([[1], [0], [0], [2]])
    wanted = (3 / 4 - 10 / 16) / (1 - 10 / 16)
    assert clustering.agreement([5, 5, 5, 9], neighbours) == pytest.approx(wanted)


def test_agreement_is_zero_for_random_groups_and_for_one_group_and_one_for_islands():
    rng = np.random.default_rng(0)
    neighbours = rng.integers(3000, size=(3000, 10))
    for share in (0.5, 0.95):
        random = (rng.random(3000) < share).astype(int)
        assert abs(clustering.agreement(random, neighbours)) < 0.03
    assert clustering.agreement(np.zeros(3000, int), neighbours) == 0
    islands = np.arange(3000) % 3
    assert clustering.agreement(islands, (np.arange(3000)[:, None] + [3, 6]) % 3000) == 1


def test_agreement_passes_over_images_that_were_not_grouped():
    neighbours = np.array([[1], [0], [3], [2], [0]])
    assert clustering.agreement([1, 1, 2, 2, -1], neighbours) == 1
    with pytest.raises(ValueError, match="no two neighbours"):
        clustering.agreement([-1, -1, -1, -1, 0], neighbours)
    with pytest.raises(ValueError, match="one group"):
        clustering.agreement([0, 1], neighbours)


def test_stability_is_the_mean_ari_over_what_both_saw():
    rng = np.random.default_rng(0)
    a, b, c = rng.integers(4, size=(3, 200))
    b = np.where(rng.random(200) < 0.7, (a + 1) % 4, b)
    pairs = [(a, b), (a, c), (b, c)]
    wanted = np.mean([adjusted_rand_score(*pair) for pair in pairs])
    assert clustering.stability([a, b, c]) == pytest.approx(wanted)
    hidden = a.copy()
    hidden[::3] = -1
    wrong_there = (a + 2) % 4
    wrong_there[1::3], wrong_there[2::3] = a[1::3], a[2::3]
    assert clustering.stability([hidden, wrong_there]) == 1
    assert clustering.stability([a * 0, a * 0]) == 0  # the same every time, and worth nothing


@pytest.mark.parametrize("bad", [[], [[0, 1]], [[0, 1], [0, 1, 1]]])
def test_stability_needs_two_runs_of_the_same_images(bad):
    with pytest.raises(ValueError, match="two or more"):
        clustering.stability(bad)
