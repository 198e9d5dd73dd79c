"""The network that trains itself on its own groups, and the guard that stops it."""

import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from scipy.stats import ttest_rel
from sklearn.preprocessing import normalize

from tfl_helpers import backbones, datasets, evaluation, features, selflabel
from tfl_helpers.clustering import NeighbourClustering, view_head

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def digits():
    train, test = datasets.load("digits", limit=400)
    backbone = backbones.load("letters")
    z = features.extract(backbone, train, cache=False, progress=False)
    return train, test, backbone, NeighbourClustering(10, random_state=0).fit(z).labels_


@pytest.fixture(scope="module")
def quick(digits):
    """One short round, from images without answers."""
    train, _, backbone, labels = digits
    return selflabel.self_label(
        backbone, train.images, labels, data="digits", rounds=1, steps=6, seed=3
    )


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


def test_characters_are_never_flipped_and_photos_are(digits):
    for data, flips in [("digits", False), ("mnist", False), ("cifar10", True), ("photos", True)]:
        kinds = [type(layer).__name__ for layer in selflabel.augment(data).layers]
        assert ("RandomFlip" in kinds) == flips, data


def test_the_same_seed_changes_images_in_the_same_way(digits):
    images = digits[0].images[:8].astype("float32")
    one, same, other = (
        selflabel.augment("digits", seed)(images, training=True).numpy() for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).mean() > 1 and np.abs(one - images).mean() > 1
    weak = selflabel.augment("digits", 1, strength=0.3)(images, training=True).numpy()
    assert np.abs(weak - images).mean() < np.abs(one - images).mean()


def test_pen_strokes_come_and_go_where_the_ink_is():
    images = np.zeros((60, 24, 24, 1), "float32")
    images[:, 10:14, 11:13] = 200
    added = selflabel.PenStrokes(1.0, 0.0, seed=0)(images, training=True).numpy() - images
    wiped = selflabel.PenStrokes(0.0, 1.0, seed=0)(images, training=True).numpy() - images
    assert (added.max((1, 2, 3)) > 50).all() and added.min() == 0
    assert np.median(wiped.min((1, 2, 3))) < -100 and wiped.max() == 0
    assert (added.mean((1, 2, 3)) < 255 / 8).all()  # short: a small part of the image
    y, x = np.indices((24, 24)) - 11.5
    assert np.average(np.hypot(y, x), weights=added.mean((0, 3))) < 6  # and near the ink
    some = selflabel.PenStrokes(0.5, 0.0, seed=1)
    changed = (some(images, training=True).numpy() != images).any((1, 2, 3))
    assert 15 < changed.sum() < 45
    np.testing.assert_array_equal(some(images), images)  # not in training: nothing
    large = np.kron(images, np.ones((1, 2, 2, 1), "float32"))
    grown = selflabel.PenStrokes(1.0, 0.0, seed=0)(large, training=True).numpy() - large
    assert grown.sum() > 3 * added.sum()  # twice as long, twice as wide
    again = keras.layers.deserialize(keras.layers.serialize(some))
    assert (again.added, again.wiped, again.seed) == (0.5, 0.0, 1)


@pytest.mark.slow
def test_changed_copies_teach_the_groups_of_digits():
    (train, test), backbone = datasets.load("digits"), backbones.load("letters")
    z, z_test = (features.extract(backbone, x, progress=False) for x in (train, test))
    change = selflabel.augment("digits", 0, damage=False)
    views = features.extract_views(backbone, train, change, progress=False)
    size = {"n_axes": 64, "n_init": 1, "n_heads": 16, "batch_size": 256, "n_steps": 200}
    head = view_head(z, views, 10, random_state=0, **size)
    groups = [head.predict(x, verbose=0).argmax(1) for x in (z, z_test)]
    found = evaluation.score(train.answers, groups[0], test.answers, groups[1], n_groups=10)
    assert found["accuracy"] > 0.955  # k-means: 0.953
    assert np.bincount(groups[0], minlength=10).min() > len(z) / 20
    raw = test.images[:4, ..., None].astype("float32")  # and it is the head of one network
    p = keras.Sequential([backbone, head])(raw).numpy()
    np.testing.assert_array_equal(p.argmax(1), groups[1][:4])


def test_the_history_tells_each_round(quick, digits):
    history = quick.history
    assert history["round"].tolist() == [0, 1] and history.verdict[0] == "start"
    assert all(sum(sizes) == len(digits[0]) for sizes in history["sizes"])
    assert history.score.between(0.5, 1).all() and history.anchored.between(0.5, 1).all()
    assert history.anchored[0] == 1 and history.kept.between(1, len(digits[0])).all()
    assert (quick.labels == quick.probabilities.argmax(1)).all()


@pytest.mark.slow
def test_answers_shuffled_or_absent_change_nothing(quick, digits):
    train, test, backbone, labels = digits
    rng = np.random.default_rng(0)
    shuffled = datasets.ImageSet(
        train.images,
        train.names,
        datasets.SealedAnswers(rng.permutation(evaluation.unseal(train.answers))),
        train.class_names,
        "digits",
        "train",
    )
    again = selflabel.self_label(backbone, shuffled, labels, rounds=1, steps=6, seed=3)
    np.testing.assert_allclose(again.probabilities, quick.probabilities, atol=1e-4)
    np.testing.assert_array_equal(again.labels, quick.labels)  # same seed: the same groups
    np.testing.assert_array_equal(again.predict(test), quick.predict(test))


def test_the_backbone_that_was_given_is_not_changed(quick, digits):
    fresh = backbones.load("letters")
    for ours, new in zip(digits[2].get_weights(), fresh.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, new)


@pytest.mark.slow
@pytest.mark.parametrize("from_layer", [None, "block1_conv1"])
def test_batch_normalisation_stays_frozen_while_other_weights_move(digits, from_layer):
    train, _, backbone, labels = digits
    about = {"rounds": 1, "steps": 4, "guard": False, "from_layer": from_layer}
    result = selflabel.self_label(backbone, train, labels, **about)
    tuned, frozen = (m.get_layer("network") for m in (result.backbone, backbone))
    moved = []
    for ours, given in zip(tuned.weights, frozen.weights, strict=True):
        same = np.array_equal(ours.numpy(), given.numpy())
        assert same or "norm" not in ours.path, ours.path
        moved += [] if same else [ours.path]
    assert any("block4" in path for path in moved)
    assert any("block1" in path for path in moved) == (from_layer == "block1_conv1")


def spoil(number, labels):
    """Shuffled labels: nothing to learn but mistakes."""
    return np.random.default_rng(number).permutation(labels)


@pytest.mark.slow
def test_the_guard_rolls_back_a_planted_bad_round(digits, monkeypatch):
    train, _, backbone, labels = digits
    monkeypatch.setattr(selflabel, "WARM_UP", 1)
    about = {"rounds": 2, "steps": 25, "plant": spoil, "learning_rate": 5e-3}
    about["from_layer"] = "block1_conv1"  # all of it, so that much can go wrong
    guarded = selflabel.self_label(backbone, train, labels, **about)
    assert guarded.history.verdict.iloc[-1].startswith("rolled back")
    assert len(guarded.history) == 2, "it did not stop"
    untouched = selflabel.self_label(backbone, train, labels, rounds=0)
    np.testing.assert_allclose(guarded.probabilities, untouched.probabilities, atol=1e-5)
    np.testing.assert_allclose(guarded.predict_proba(train), guarded.probabilities, atol=1e-5)
    loose = selflabel.self_label(backbone, train, labels, guard=False, **about)
    assert len(loose.history) == 3
    before, after = (
        evaluation.hungarian_accuracy(train.answers, r.labels) for r in (guarded, loose)
    )
    assert after < before - 0.03, "without the guard it should have gone wrong"


class Loses:
    """A clustering that knows the groups, but loses one."""

    def __init__(self, labels, lost):
        self.labels = np.where(labels == lost, 7, labels)

    def fit_predict(self, z):
        return self.labels


@pytest.mark.slow
def test_a_vanished_group_is_an_alarm_and_a_way_back(digits):
    train, _, backbone, labels = digits
    lost = int(labels[0])
    cluster = Loses(labels, lost)
    result = selflabel.self_label(backbone, train, labels, cluster=cluster, rounds=2, steps=4)
    assert "vanished" in result.history.verdict.iloc[-1] and len(result.history) == 2
    assert (result.labels == lost).sum() > 0.6 * (labels == lost).sum()


def test_the_vote_holds_where_all_features_lie_far_to_one_side():
    z, labels = blobs([60, 60, 60])
    far = z - z.mean(0) + 300 * np.eye(z.shape[1])[0] * np.abs(z).max()
    assert (normalize(far) @ normalize(far.mean(0, keepdims=True)).T).min() > 0.999
    for features_there in (z - z.mean(0), far):
        head = selflabel._vote_head(features_there, labels, 3, seed=0)
        p = head.predict(features_there, verbose=0)
        np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
        assert (p.argmax(1) == labels).all() and np.median(p.max(1)) > 0.8


@pytest.mark.slow
def test_if_no_round_is_accepted_the_groups_remain_as_they_were_given(digits):
    train, _, backbone, labels = digits
    dice = Loses(np.random.default_rng(0).permutation(labels), -1)
    result = selflabel.self_label(backbone, train, labels, cluster=dice, rounds=3, steps=4)
    assert len(result.history) == 2 and result.history.verdict.iloc[-1].startswith("rolled back")
    assert (result.labels == labels).mean() > 0.97


@pytest.mark.slow
def test_a_fall_beyond_chance_is_undone_though_the_anchors_hold(digits):
    train, _, backbone, labels = digits
    z = features.extract(backbone, train, cache=False, progress=False)
    others = np.flatnonzero(~selflabel.reliable(labels, z, top=0.9))
    worse = labels.copy()
    worse[others] = np.random.default_rng(0).permutation(labels[others])
    cluster = Loses(worse, -1)
    about = {"rounds": 2, "steps": 4, "keep": (0.6, 0.9)}
    result = selflabel.self_label(backbone, train, labels, cluster=cluster, **about)
    assert result.history.anchored.iloc[-1] > 0.98
    assert re.fullmatch(
        r"rolled back: the score fell by \d+\.\d standard errors", result.history.verdict.iloc[-1]
    )
    assert len(result.history) == 2 and (result.labels == labels).mean() > 0.97


def test_a_fall_is_counted_image_by_image():
    rng = np.random.default_rng(0)
    old = rng.random(500)
    new = old + rng.normal(0.01, 0.05, 500)
    assert selflabel._rise(new, old) == pytest.approx(ttest_rel(new, old).statistic, rel=0.01)
    assert selflabel._rise(old, old) == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:invalid value")
def test_features_that_are_no_numbers_end_in_the_best_weights(digits):
    train, _, backbone, labels = digits
    result = selflabel.self_label(
        backbone, train, labels, rounds=2, steps=8, learning_rate=float("inf"), guard=False
    )
    assert "no numbers" in result.history.verdict.iloc[-1]
    assert np.isfinite(result.predict_proba(train)).all()


def test_labels_that_cannot_be_learned_are_refused(digits):
    train, _, backbone, labels = digits
    with pytest.raises(ValueError, match="one group"):
        selflabel.self_label(backbone, train, np.zeros(len(train), int))
    with pytest.raises(ValueError, match="400 images"):
        selflabel.self_label(backbone, train, labels[:5])
    with pytest.raises(ValueError, match="no layer 'nowhere'"):
        selflabel.self_label(backbone, train, labels, from_layer="nowhere")


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
# Keras takes a batch to build the model on several devices, and so other changes would be drawn.
selflabel.augment = lambda *_: keras.Sequential([keras.layers.Identity()])
both = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert both.num_replicas_in_sync == 2
options = {"rounds": 1, "steps": 6, "guard": False}
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
def test_digits_get_better_and_do_not_collapse():
    train, test = datasets.load("digits")
    backbone = backbones.load("letters")
    a, b = (features.extract(backbone, s, cache=False, progress=False) for s in (train, test))
    found = NeighbourClustering(10, random_state=0).fit(a)
    result = selflabel.self_label(backbone, train, found.labels_, rounds=3, seed=0)
    assert evaluation.check_collapse(result.labels, 10) is None
    before = evaluation.score(train.answers, found.labels_, test.answers, found.predict(b))
    after = evaluation.score(train.answers, result.labels, test.answers, result.predict(test))
    assert after["accuracy"] >= max(0.95, before["accuracy"])


def test_from_scratch_learns_the_groups_it_is_told(digits):
    train, _, _, labels = digits
    model = selflabel.from_scratch(train, labels, steps=300, learning_rate=1e-2)
    assert model.name == "article" and model.output_shape == (None, 10)
    share = (model.predict(train.images, verbose=0).argmax(1) == labels).mean()
    assert share > 0.3, "no better than dice"


def test_the_autoencoder_draws_what_it_sees(digits):
    images = digits[0].images
    model = selflabel.autoencoder(images, steps=60)
    drawn = model.predict(images, verbose=0)
    assert drawn.shape == images.shape
    error, spread = np.mean((drawn - images / 255) ** 2), np.var(images / 255)
    assert error < 0.5 * spread
    z = backbones.cut(model, "up2")(keras.ops.convert_to_tensor(images[:3].astype("float32")))
    assert z.shape == (3, 32)
