"""What may change about an image, and the batches of changed images that networks learn from."""

import keras
import numpy as np
import pytest

from tfl_helpers.augment import PenStrokes, augmenter, training_batches


def test_characters_are_never_flipped_and_photos_are():
    for kind, flips in [("digits", False), ("mnist", False), ("cifar10", True), ("photos", True)]:
        steps = [type(layer).__name__ for layer in augmenter(kind).layers]
        assert ("RandomFlip" in steps) == flips, kind


@pytest.mark.parametrize("name, kind", [
    ("digits", "characters"), ("fashion_mnist", "clothes"), ("cifar10", "photos"),
    ("folder:any", "photos"),
])  # fmt: skip
def test_a_set_of_images_is_changed_as_its_kind(name, kind):
    def steps(which):
        return [layer.get_config() for layer in augmenter(which, 3).layers]

    def plain(configs):
        return [{k: v for k, v in config.items() if k != "name"} for config in configs]

    assert plain(steps(name)) == plain(steps(kind))


def test_the_same_seed_changes_images_in_the_same_way(digits):
    images = digits[0].images[:8].astype("float32")
    one, same, other = (
        augmenter("digits", seed)(images, training=True).numpy() for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).mean() > 1 and np.abs(one - images).mean() > 1


def test_pen_strokes_come_and_go_where_the_ink_is():
    images = np.zeros((60, 24, 24, 1), "float32")
    images[:, 10:14, 11:13] = 200
    added = PenStrokes(1.0, 0.0, seed=0)(images, training=True).numpy() - images
    wiped = PenStrokes(0.0, 1.0, seed=0)(images, training=True).numpy() - images
    assert (added.max((1, 2, 3)) > 50).all() and added.min() == 0
    assert np.median(wiped.min((1, 2, 3))) < -100 and wiped.max() == 0
    assert (added.mean((1, 2, 3)) < 255 / 8).all()  # short: a small part of the image
    y, x = np.indices((24, 24)) - 11.5
    assert np.average(np.hypot(y, x), weights=added.mean((0, 3))) < 6  # and near the ink
    some = PenStrokes(0.5, 0.0, seed=1)
    changed = (some(images, training=True).numpy() != images).any((1, 2, 3))
    assert 15 < changed.sum() < 45
    np.testing.assert_array_equal(some(images), images)  # not in training: nothing
    large = np.kron(images, np.ones((1, 2, 2, 1), "float32"))
    grown = PenStrokes(1.0, 0.0, seed=0)(large, training=True).numpy() - large
    assert grown.sum() > 3 * added.sum()  # twice as long, twice as wide
    again = keras.layers.deserialize(keras.layers.serialize(some))
    assert (again.added, again.wiped, again.seed) == (0.5, 0.0, 1)


def test_training_batches_go_around_the_chosen_images_in_new_orders():
    images = np.arange(12, dtype="uint8").reshape(12, 1, 1, 1) * np.ones((1, 9, 9, 1), "uint8")
    targets = np.eye(12, dtype="float32")
    same, chosen = keras.Sequential([keras.layers.Identity()]), np.array([1, 3, 4, 7, 8])
    image = keras.Input((9, 9, 1))
    model = keras.Model(image, keras.layers.Flatten()(image))
    about = {"change": same, "seed": (0, 1), "steps": 5, "batch_size": 4}
    batches = list(training_batches(model, images, targets, chosen, **about))
    assert [len(x) for x, _ in batches] == [4] * 5
    seen, told = (np.concatenate([part[i] for part in batches]) for i in (0, 1))
    np.testing.assert_array_equal(seen[:, 0, 0, 0], told.argmax(1))
    rounds = told.argmax(1).reshape(4, 5)
    np.testing.assert_array_equal(np.sort(rounds), np.tile(chosen, (4, 1)))
    assert len(np.unique(rounds, axis=0)) > 1
    drawn = list(training_batches(model, images, None, chosen, **about))
    np.testing.assert_allclose(drawn[0][0] / 255, drawn[0][1])
    changed = [
        np.concatenate([x for x, _ in training_batches(model, images, targets, chosen, **about)])
        for about["change"] in ("digits", "characters", "clothes")
    ]
    np.testing.assert_array_equal(changed[0], changed[1])
    assert np.abs(changed[0] - seen).mean() > 1 and np.abs(changed[0] - changed[2]).mean() > 1


def test_training_batches_have_the_size_that_a_backbone_sees(letters):
    images = np.zeros((3, 40, 30, 3), "uint8")
    about = {"change": "characters", "seed": (0,), "steps": 1, "batch_size": 2}
    ((x, y),) = training_batches(letters, images, np.eye(3), np.arange(3), **about)
    assert x.shape == (2, 24, 24, 1) and y.shape == (2, 3) and y.dtype == "float32"


def test_grey_photos_have_no_colours_to_change():
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 1)).astype("float32")
    changed = augmenter("photos", 0, channels=1)(images, training=True).numpy()
    assert changed.shape == images.shape and np.abs(changed - images).mean() > 5
