"""A few names for all images: `clustering.questions` and `clustering.spread_names`."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import make_blobs
from sklearn.preprocessing import normalize

from tfl_helpers import backbones, clustering, datasets, evaluation, features


@pytest.fixture(scope="module")
def digits():
    train, _ = datasets.load("digits", limit=1_000, progress=False)
    z = features.extract(backbones.load("letters"), train, progress=False)
    z = normalize(clustering.leading_components(z))
    return z, clustering.neighbour_graph(z), evaluation.unseal(train.answers)


@pytest.mark.parametrize(("asked", "least"), [(10, 0.85), (20, 0.95), (50, 0.97)])
def test_a_few_names_reach_all_digits(digits, asked, least):
    _, graph, truth = digits
    rows = clustering.questions(graph, asked, random_state=0)
    found = clustering.spread_names(graph, rows, truth[rows]).argmax(axis=1)
    assert np.mean(found == truth) > least
    assert np.bincount(found).min() > (50 if asked > 10 else 0)


def test_they_are_worth_more_than_names_of_random_images(digits):
    _, graph, truth = digits
    rows = {"asked": clustering.questions(graph, 20, random_state=0)}
    rows |= {seed: np.random.default_rng(seed).permutation(len(truth))[:20] for seed in range(5)}
    right = {
        which: np.mean(clustering.spread_names(graph, some, truth[some]).argmax(1) == truth)
        for which, some in rows.items()
    }
    ours = right.pop("asked")
    assert ours > max(right.values()) and ours > np.mean(list(right.values())) + 0.05


def test_every_blob_is_asked_about_once_before_one_is_asked_about_twice():
    z, blob = make_blobs([300, 100, 40, 20, 20], n_features=8, cluster_std=0.5, random_state=0)
    z = np.hstack([np.ones((len(z), 1)), z - z.mean(0)])  # only directions count
    order = clustering.questions(clustering.neighbour_graph(z), 60, random_state=0)
    assert sorted(blob[order[:5]]) == [0, 1, 2, 3, 4]
    assert blob[order[0]] == 0  # the largest tells most
    assert len(set(order)) == 60


def test_questions_go_where_names_disagree():
    """Of two blobs one got one name, the other two: the second is asked about, with the third."""
    z, blob = make_blobs([100, 100, 100], n_features=8, cluster_std=0.5, random_state=1)
    graph = clustering.neighbour_graph(np.hstack([np.ones((len(z), 1)), z - z.mean(0)]), 15)
    first = clustering.questions(graph, 9, random_state=0)
    named = first[blob[first] != 2]
    names = np.where(blob[named] == 0, 0, np.arange(len(named)) % 2)
    asked = clustering.questions(graph, 4, named, names, random_state=0)
    assert blob[asked[0]] == 2 and 0 not in blob[asked]
    assert not set(asked) & set(named)


def test_what_no_walk_reaches_has_no_name_and_all_else_adds_up_to_one():
    links = sp.csr_matrix(np.kron(np.eye(3), np.ones((4, 4)) - np.eye(4)))  # three islands
    reach = clustering.spread_names(links, [0, 5, 6], [1, 0, 0])
    assert reach[:4].argmax(1).tolist() == [1] * 4 and reach[4:8].argmax(1).tolist() == [0] * 4
    assert reach[:8].sum(1) == pytest.approx(1) and not reach[8:].any()


def test_a_name_given_often_does_not_win_by_number_alone():
    """Two cliques, one link between them; one is named once, the other five times."""
    links = np.kron(np.eye(2), np.ones((6, 6)) - np.eye(6))
    links[5, 6] = links[6, 5] = 1
    reach = clustering.spread_names(sp.csr_matrix(links), [0, 7, 8, 9, 10, 11], [0] + [1] * 5)
    assert reach.argmax(axis=1).tolist() == [0] * 6 + [1] * 6


def test_more_questions_than_images_and_a_sample_of_many(monkeypatch):
    z = np.random.default_rng(0).normal(size=(30, 5))
    graph = clustering.neighbour_graph(z, 5)
    assert sorted(clustering.questions(graph, 99)) == list(range(30))
    monkeypatch.setattr("tfl_helpers.clustering.naming.MOST_ASKED", 10)
    few = [clustering.questions(graph, 99, random_state=seed) for seed in (0, 0, 1)]
    assert len(few[0]) == 10 and (few[0] == few[1]).all() and set(few[0]) != set(few[2])


def test_a_classifier_that_learns_the_names_is_as_good_and_no_group_is_lost(digits):
    z, graph, truth = digits
    for seed in range(3):  # names of random images leave more to mend
        rows = np.random.default_rng(seed).permutation(len(truth))[:40]
        reach = clustering.spread_names(graph, rows, truth[rows])
        both = clustering.learn_names(z, reach, rows, truth[rows], random_state=0)
        walked, learned = (np.mean(p.argmax(axis=1) == truth) for p in (reach, both))
        assert both.sum(axis=1) == pytest.approx(1)
        assert learned > walked - 0.005 and learned > 0.8 and np.bincount(both.argmax(1)).min() > 30


def test_what_walks_led_astray_is_learned_from_the_rest_and_one_name_is_no_lesson():
    z = normalize(
        make_blobs([30, 30], centers=[[9, 1], [1, 9]], cluster_std=0.5, random_state=0)[0]
    )
    side = (z[:, 0] < z[:, 1]).astype(int)
    reach = np.where(side[:, None] == [0, 1], 0.9, 0.1)
    astray, rows = np.flatnonzero(side == 0)[3:6], [np.flatnonzero(side == s)[0] for s in (0, 1)]
    reach[astray], reach[np.flatnonzero(side)[9]] = [0.45, 0.55], 0  # one that nothing reaches
    both = clustering.learn_names(z, reach, rows, [0, 1])
    assert (both.argmax(1) == side)[reach.any(axis=1)].all() and (both.any(1) == reach.any(1)).all()
    assert clustering.learn_names(z, reach, rows, [1, 1]) is reach


def between(n_left, n_right, unsure, named_right):
    """Two kinds side by side, and some between them that walks cannot tell apart, barely wrong."""
    rng = np.random.default_rng(0)
    angle = np.concatenate([rng.normal(0.3, 0.05, n_left), rng.normal(1.2, 0.05, n_right), unsure])
    z = np.column_stack([np.cos(angle), np.sin(angle)])
    right = np.r_[np.zeros(n_left), np.ones(n_right), named_right]
    return z, np.column_stack([1 - right, right]) * 0.8 + 0.1, [0, n_left]


def test_what_is_hardly_told_apart_teaches_little():
    """Many images near the second kind, which walks give to the first by a hair."""
    z, reach, rows = between(40, 40, np.full(200, 1.1), np.zeros(200))
    reach[80:] = [0.501, 0.499]
    both = clustering.learn_names(z, reach, rows, [0, 1])
    assert both[80:].argmax(axis=1).all() and (both[:80].argmax(1) == np.repeat([0, 1], 40)).all()


def test_a_name_of_many_images_does_not_win_by_number_alone():
    z, reach, rows = between(400, 8, np.full(20, 1.0), np.full(20, 0.5))
    both = clustering.learn_names(z, reach, rows, [0, 1])
    assert both[408:].argmax(axis=1).all()  # nearer to the few
