"""The network that trains itself on its own groups, and the guard that stops it."""

import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.preprocessing import normalize

from tfl_helpers import backbones, datasets, evaluation, features, selflabel
from tfl_helpers.augment import augmenter
from tfl_helpers.clustering import NeighbourClustering, view_head
from tfl_helpers.selflabel.guard import Guard
from tfl_helpers.selflabel.heads import vote_head
from tfl_helpers.selflabel.labels import renumber

ROOT = Path(__file__).resolve().parents[1]
SHORT = {"rounds": 1, "steps": 6, "seed": 3, "guard": False}


@pytest.fixture(scope="module")
def some(digits, digit_features):
    """400 training images, their features, and their groups."""
    z = digit_features[0][:400]
    return digits[0].take(range(400)), z, NeighbourClustering(10, random_state=0).fit(z).labels_


@pytest.fixture(scope="module")
def seen():
    """What `on_round` got while `quick` was trained."""
    return []


@pytest.fixture(scope="module")
def quick(some, letters, seen):
    """One short round, from images without answers."""
    train, _, labels = some
    about = {"data": "digits", "on_round": seen.append}
    return selflabel.self_label(letters, train.images, labels, **about, **SHORT)


def blobs(sizes, d=6, seed=0):
    """Clouds around unit axes, and which is which."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    noise = np.random.default_rng(seed).normal(0, 0.05, (len(labels), d))
    return np.eye(d)[labels] + noise, labels


def test_reliable_leaves_out_islands_of_strangers():
    z, labels = blobs([60, 60, 60])
    wrong = labels.copy()
    wrong[:8] = 1  # eight of group 0, called 1
    keep = selflabel.reliable(wrong, z, neighbours=10)
    assert not keep[:8].any()
    assert all(keep[wrong == group].any() for group in range(3))
    assert keep.dtype == bool and keep.mean() > 0.4


def test_reliable_keeps_the_surest_share_of_every_group():
    z, labels = blobs([50, 100])
    sure = np.concatenate([np.linspace(0, 0.01, 50), np.linspace(0.9, 1, 100)])
    keep = selflabel.reliable(labels, z, sure, top=0.5)
    assert keep[:50].sum() == 25 and keep[50:].sum() == 50
    assert sure[:50][keep[:50]].min() > sure[:50][~keep[:50]].max()


@pytest.mark.parametrize("sizes", [[1, 40], [3, 40], [2, 2], [1, 1]])
def test_no_group_that_exists_is_left_with_nothing(sizes):
    z, labels = blobs(sizes)
    z[labels == 0] = z[-1]  # the small group sits inside the large one: nobody agrees
    keep = selflabel.reliable(labels, z, np.full(len(z), np.nan))
    assert all(keep[labels == group].any() for group in np.unique(labels))


def test_reliable_says_what_does_not_fit():
    z, labels = blobs([5, 5])
    with pytest.raises(ValueError, match="10 images"):
        selflabel.reliable(labels[:-1], z)
    with pytest.raises(ValueError, match="9 confidences"):
        selflabel.reliable(labels, z, np.ones(9))
    with pytest.raises(ValueError, match="whole numbers"):
        selflabel.reliable(labels - 1, z)


@pytest.mark.slow
def test_changed_copies_teach_the_groups_of_digits(digits, letters, digit_features):
    (train, test), (z, z_test) = digits, digit_features
    views = features.extract_views(
        letters, train, augmenter("digits", 0, damage=False), progress=False
    )
    size = {"n_axes": 64, "n_init": 1, "n_heads": 16, "batch_size": 256, "n_steps": 200}
    head = view_head(z, views, 10, random_state=0, **size)
    groups = [head.predict(x, verbose=0).argmax(1) for x in (z, z_test)]
    found = evaluation.score(train.answers, groups[0], test.answers, groups[1], n_groups=10)
    assert found["accuracy"] > 0.955  # k-means: 0.953
    assert np.bincount(groups[0], minlength=10).min() > len(z) / 20
    raw = test.images[:4, ..., None].astype("float32")  # and it is the head of one network
    p = keras.Sequential([letters, head])(raw).numpy()
    np.testing.assert_array_equal(p.argmax(1), groups[1][:4])


def test_the_history_tells_each_round(quick, some):
    history = quick.history
    columns = "round kept agreement score anchored smallest largest sizes verdict"
    assert history.columns.tolist() == columns.split()
    assert history["round"].tolist() == [0, 1] and history.verdict[0] == "start"
    assert all(sum(sizes) == 400 for sizes in history["sizes"])
    assert (history.smallest == history["sizes"].map(min)).all()
    assert (history.largest == history["sizes"].map(max)).all()
    assert history.score.between(0.5, 1).all() and history.anchored.between(0.5, 1).all()
    assert history.anchored[0] == 1 and history.kept.between(1, 400).all()
    assert (quick.labels == quick.probabilities.argmax(1)).all()


def test_a_callback_sees_what_each_round_learns(quick, seen, some):
    (plan,), (_, _, labels) = seen, some
    assert plan.number == 1 and plan.chosen.sum() == quick.history.kept[1]
    np.testing.assert_array_equal(plan.labels, labels)


@pytest.mark.slow
def test_answers_shuffled_or_absent_change_nothing(quick, digits, letters, some):
    train, _, labels = some
    rng = np.random.default_rng(0)
    shuffled = datasets.ImageSet(
        train.images,
        train.names,
        datasets.SealedAnswers(rng.permutation(evaluation.unseal(train.answers))),
        train.class_names,
        "digits",
        "train",
    )
    again = selflabel.self_label(letters, shuffled, labels, **SHORT)
    np.testing.assert_allclose(again.probabilities, quick.probabilities, atol=1e-4)
    np.testing.assert_array_equal(again.labels, quick.labels)  # same seed: the same groups
    np.testing.assert_array_equal(again.predict(digits[1]), quick.predict(digits[1]))


def test_the_backbone_that_was_given_is_not_changed(quick, letters):
    fresh = backbones.load("letters")
    for ours, new in zip(letters.get_weights(), fresh.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, new)


def moved(tuned, frozen):
    """Names of the weights that training changed; none may be of batch normalisation."""
    pairs = zip(tuned.weights, frozen.weights, strict=True)
    names = [ours.path for ours, given in pairs if not np.array_equal(ours.numpy(), given.numpy())]
    assert not any("norm" in name for name in names)
    return names


def test_the_end_of_the_network_moves_but_no_batch_normalisation(quick, letters):
    names = moved(*(backbones.network(model) for model in (quick.backbone, letters)))
    assert any("block4" in name for name in names)
    assert not any("block1" in name for name in names)


@pytest.mark.slow
def test_training_starts_where_it_is_asked_to(some, letters):
    train, _, labels = some
    about = {"rounds": 1, "steps": 4, "guard": False, "from_layer": "block1_conv1"}
    result = selflabel.self_label(letters, train, labels, **about)
    names = moved(*(backbones.network(model) for model in (result.backbone, letters)))
    assert any("block4" in name for name in names) and any("block1" in name for name in names)


def spoil(plan):
    """Shuffled labels: nothing to learn but mistakes."""
    plan.labels = np.random.default_rng(plan.number).permutation(plan.labels)


@pytest.mark.slow
def test_the_guard_rolls_back_a_planted_bad_round(some, letters):
    train, _, labels = some
    about = {"rounds": 2, "steps": 25, "on_round": spoil, "learning_rate": 2e-2}
    about["from_layer"] = "block1_conv1"  # all of it, so that much can go wrong
    guarded = selflabel.self_label(letters, train, labels, **about)
    assert guarded.history.verdict.iloc[-1].startswith("rolled back")
    assert len(guarded.history) == 2, "it did not stop"
    untouched = selflabel.self_label(letters, train, labels, rounds=0)
    np.testing.assert_allclose(guarded.probabilities, untouched.probabilities, atol=1e-5)
    np.testing.assert_allclose(guarded.predict_proba(train), guarded.probabilities, atol=1e-5)
    loose = selflabel.self_label(letters, train, labels, guard=False, **about)
    assert len(loose.history) == 3
    before, after = (
        evaluation.hungarian_accuracy(train.answers, r.labels) for r in (guarded, loose)
    )
    assert after < before - 0.03, "without the guard it should have gone wrong"


class Finds:
    """A clustering that finds the groups it was given."""

    def __init__(self, labels):
        self.labels = labels

    def fit_predict(self, z):
        return self.labels


@pytest.mark.slow
def test_if_no_round_is_accepted_the_groups_remain_as_they_were_given(some, letters):
    train, _, labels = some
    random = Finds(np.random.default_rng(0).permutation(labels))
    result = selflabel.self_label(letters, train, labels, cluster=random, rounds=3, steps=4)
    assert len(result.history) == 2 and result.history.verdict.iloc[-1].startswith("rolled back")
    assert (result.labels == labels).mean() > 0.97


def test_new_groups_get_the_numbers_of_the_old_ones():
    old = np.random.default_rng(0).integers(10, size=400)
    p = 0.7 * np.eye(10)[old] + 0.03
    renamed = np.random.default_rng(1).permutation(10)[old]
    np.testing.assert_array_equal(renumber(renamed, p), old)
    assert set(renumber(np.minimum(renamed, 8), p)) < set(range(10))  # fewer than before
    with pytest.raises(ValueError, match="found 11 groups, but there were 10"):
        renumber(np.arange(400) % 11, p)


@pytest.fixture
def guard():
    """A guard of 5 groups of 200 in a row; images are alike in the rows before them."""
    labels = np.repeat(np.arange(5), 200)
    neighbours = (np.arange(1000)[:, None] - np.arange(1, 11)) % 1000
    return Guard(labels, neighbours, anchors=np.arange(1000) % 200 < 100)


def test_what_has_not_changed_is_no_trouble(guard):
    assert guard.trouble(guard.first, accepted=guard.first) == ""
    about = guard.measure(guard.first, guard.neighbours)
    assert about["anchored"] == 1 and about["agreement"] == about["score"] > 0.9


def test_a_vanished_group_is_an_alarm(guard):
    found = np.where(guard.first == 2, 4, guard.first)
    found[400:420] = 2  # a tenth is left
    assert "anchors" in guard.trouble(found, accepted=guard.first)
    found[419] = 4
    assert guard.trouble(found, accepted=guard.first) == "vanished: group 2"
    about = guard.measure(np.where(guard.first == 4, 2, guard.first), guard.neighbours)
    assert about["sizes"] == [200, 200, 400, 200, 0]
    assert (about["smallest"], about["largest"]) == (0, 400)


def test_anchors_that_leave_are_an_alarm(guard):
    found = guard.first.copy()
    found[:10] = 1  # of 500
    assert "anchors" not in guard.trouble(found, accepted=found)
    found[10] = 1
    assert guard.trouble(found, accepted=found) == "2% of the anchors left their group"


def test_a_fall_beyond_chance_is_an_alarm_though_the_anchors_hold(guard):
    found = guard.first.copy()
    found[199] = 3  # a stranger; ten images that had it as neighbour see another group
    assert guard.trouble(guard.first, accepted=found) == ""  # a rise
    found[150:199:12] = 3
    verdict = guard.trouble(found, accepted=guard.first)
    assert re.fullmatch(r"the score fell by \d+\.\d standard errors", verdict)
    few = guard.first.copy()
    few[[999, 199]] = few[[199, 999]]  # two images change places at the edge of their groups
    change = guard.measure(few, guard.neighbours)["score"]
    assert change < guard.measure(guard.first, guard.neighbours)["score"]


def test_the_vote_holds_where_all_features_lie_far_to_one_side():
    z, labels = blobs([60, 60, 60])
    far = z - z.mean(0) + 300 * np.eye(z.shape[1])[0] * np.abs(z).max()
    assert (normalize(far) @ normalize(far.mean(0, keepdims=True)).T).min() > 0.999
    for features_there in (z - z.mean(0), far):
        head = vote_head(features_there, np.eye(3)[labels], seed=0)
        p = head.predict(features_there, verbose=0)
        np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
        assert (p.argmax(1) == labels).all() and np.median(p.max(1)) > 0.8


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:invalid value")
def test_features_that_are_no_numbers_end_in_the_best_weights(some, letters):
    train, _, labels = some
    about = {"rounds": 2, "steps": 8, "learning_rate": float("inf"), "guard": False}
    result = selflabel.self_label(letters, train, labels, **about)
    assert "no numbers" in result.history.verdict.iloc[-1]
    assert np.isfinite(result.predict_proba(train)).all()


def test_labels_that_cannot_be_learned_are_refused(some, letters):
    train, _, labels = some
    with pytest.raises(ValueError, match="one group"):
        selflabel.self_label(letters, train, np.zeros(len(train), int))
    with pytest.raises(ValueError, match="400 images"):
        selflabel.self_label(letters, train, labels[:5])
    with pytest.raises(ValueError, match="no layer is called 'nowhere'"):
        selflabel.self_label(letters, train, labels, from_layer="nowhere")


def test_a_saved_model_works_where_this_package_does_not_exist(quick, digits, tmp_path):
    quick.model.save(tmp_path / "groups.keras")
    images = np.kron(digits[1].images[:20], np.ones((1, 2, 3, 1), "uint8"))  # another size
    np.save(tmp_path / "images.npy", images)
    code = """
import sys
sys.modules["tfl_helpers"] = None  # import fails
import keras, numpy as np
model = keras.models.load_model("groups.keras")
np.save("p.npy", model.predict(np.load("images.npy"), verbose=0))
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    p = np.load(tmp_path / "p.npy")
    np.testing.assert_allclose(p, quick.predict_proba(images), atol=1e-4)
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-5)


@pytest.mark.slow
def test_several_devices_share_the_work():
    code = """
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from tfl_helpers import backbones, clustering, datasets, features, selflabel
train, _ = datasets.load("digits", limit=200)
backbone = backbones.load("letters")
z = features.extract(backbone, train, cache=False, progress=False)
labels = clustering.NeighbourClustering(10, random_state=0).fit(z).labels_
both = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert both.num_replicas_in_sync == 2
options = {"rounds": 1, "steps": 6, "guard": False}
# Keras takes a batch to build the model on several devices, and so other changes would be drawn.
options["data"] = keras.Sequential([keras.layers.Identity()])
runs = [selflabel.self_label(backbone, train, labels, strategy=strategy, seed=seed, **options)
        for strategy, seed in ((both, 0), (None, 0), (None, 1))]
def flat(model):
    return np.concatenate([w.ravel() for w in model.get_weights()])

moves = [flat(run.backbone) - flat(backbone) for run in runs]
moves = [move / np.linalg.norm(move) for move in moves]
assert moves[0] @ moves[1] > 0.999, "two devices do not take the steps of one"
assert moves[0] @ moves[2] < 0.99, "other batches make no difference: the test sees nothing"
assert (runs[0].labels == runs[1].labels).all()
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.slow
def test_digits_get_better_and_do_not_collapse(digits, letters, digit_features):
    (train, test), (z, z_test) = digits, digit_features
    found = NeighbourClustering(10, random_state=0).fit(z)
    result = selflabel.self_label(letters, train, found.labels_, rounds=3, seed=0)
    assert evaluation.check_collapse(result.labels, 10) is None
    before = evaluation.score(train.answers, found.labels_, test.answers, found.predict(z_test))
    after = evaluation.score(train.answers, result.labels, test.answers, result.predict(test))
    assert after["accuracy"] >= max(0.95, before["accuracy"])
