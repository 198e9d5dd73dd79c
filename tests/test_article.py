"""The article's network: it builds for any size, learns what it is told, and draws what it sees."""

import keras
import numpy as np
import pytest

from tfl_helpers import backbones, datasets, evaluation
from tfl_helpers.lessons.article import autoencoder, define_model, train, trainable_copy


def outputs(model, images):
    return keras.ops.convert_to_numpy(model(images))


@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 13, 3), (28, 28, 1), (32, 32, 3), (65, 33, 3)])
def test_the_articles_network_builds_for_any_size(shape):
    model = define_model(shape, 7)
    found = outputs(model, np.random.default_rng(0).uniform(0, 255, (2, *shape)).astype("f4"))
    assert found.shape == (2, 7)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    assert {"base", "up1", "up2", "output"} < {layer.name for layer in model.layers}
    assert model.get_layer("up2").output.shape[3] == 32
    same, other = (define_model(shape, 7, seed=s) for s in (0, 1))
    np.testing.assert_array_equal(same.get_weights()[0], model.get_weights()[0])
    assert not np.array_equal(other.get_weights()[0], model.get_weights()[0])


def test_the_articles_network_learns_is_saved_and_loaded(tmp_path):
    bright = np.arange(40) % 2
    images = (
        np.random.default_rng(0).uniform(0, 100, (40, 9, 11, 1)) + 150 * bright[:, None, None, None]
    )
    model = define_model((9, 11, 1), 2)
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    history = model.fit(images, bright, epochs=10, batch_size=10, verbose=0).history
    assert history["loss"][-1] < 0.5 * history["loss"][0] and history["accuracy"][-1] > 0.95
    model.save(tmp_path / "article.keras")
    again = keras.models.load_model(tmp_path / "article.keras")
    np.testing.assert_allclose(outputs(again, images), outputs(model, images), rtol=1e-5)


@pytest.mark.parametrize("shape, classes", [
    ((7, 8, 1), 2), ((8, 8), 2), ((8, 8, 2), 2), ((8, 8, 1), 1), ((None, 8, 1), 2),
    ((8, 8, 1, 1), 2),
])  # fmt: skip
def test_the_articles_network_refuses_what_makes_no_sense(shape, classes):
    with pytest.raises(ValueError, match=r"input_shape must be|num_classes must be"):
        define_model(shape, classes)


@pytest.mark.slow
def test_from_scratch_the_articles_network_learns_the_groups_it_is_told(digits):
    images, labels = digits[0].take(range(400)), evaluation.unseal(digits[0].answers)[:400]
    model = train(define_model((8, 8, 1), 10), images, labels, steps=300, learning_rate=1e-2)
    share = (model.predict(images.images, verbose=0).argmax(1) == labels).mean()
    assert share > 0.3, "no better than chance"


@pytest.mark.parametrize("pretrained", [True, False])
def test_a_copy_of_a_backbone_is_new_or_not_and_learns_as_a_whole(digits, pretrained):
    backbone = backbones.load(**backbones.suggested("digits"))
    before = backbone.get_weights()
    model, same = (trainable_copy(backbone, 10, pretrained=pretrained, seed=1) for _ in range(2))
    for a, b in zip(model.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    kernel, known = model.get_weights()[0], backbones.network(backbone).get_weights()[0]
    assert kernel.shape == known.shape and np.array_equal(kernel, known) is pretrained
    images, labels = digits[0].take(range(128)), evaluation.unseal(digits[0].answers)[:128]
    assert train(model, images, labels, steps=2) is model
    moved = zip(model.get_weights(), same.get_weights(), strict=True)
    assert not any(np.array_equal(a, b) for a, b in moved), "batch normalisation learns too"
    assert outputs(model, images.images).shape == (128, 10)
    for a, b in zip(before, backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not backbone.trainable_weights


@pytest.mark.slow
def test_without_pretraining_the_backbones_architecture_learns_the_same_labels(digits):
    train_set, test_set = digits
    backbone = backbones.load(**backbones.suggested("digits"))
    model = trainable_copy(backbone, 10, pretrained=False)
    train(model, train_set, evaluation.unseal(train_set.answers), steps=200)
    size = backbones.input_size(model)
    stream = datasets.batches(test_set, size=size, channels=1, batch_size=500)
    found = np.concatenate([outputs(model, batch).argmax(1) for batch in stream])
    assert (found == evaluation.unseal(test_set.answers)).mean() > 0.9


def test_the_autoencoder_draws_what_it_sees(digits):
    images = digits[0].images[:400]
    model = autoencoder(images, (8, 8, 1), steps=60)
    drawn = model.predict(images, verbose=0)
    assert drawn.shape == images.shape
    error, spread = np.mean((drawn - images / 255) ** 2), np.var(images / 255)
    assert error < 0.5 * spread
    z = backbones.from_layer(model, "up2")(
        keras.ops.convert_to_tensor(images[:3].astype("float32"))
    )
    assert z.shape == (3, 32)
