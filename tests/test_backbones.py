"""Backbones: raw images in, features out, scaled once, frozen, found or clearly missing."""

import hashlib
import http.server
import os
import random
import threading
import urllib.request
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfl_helpers import backbones, datasets, letters
from tfl_helpers.backbones import WeightsMissingError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 20, 28, 3), dtype="uint8")
RAW = IMAGES.astype("float32")
APPLICATIONS = backbones.names()[2:]


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path, request):
    """No network, and no weights but those that a test asks for."""
    monkeypatch.setenv("TFL_OFFLINE", "1")
    if "keras_home" not in request.fixturenames:
        monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


@pytest.fixture(scope="module")
def mobilenet():
    return backbones.load("MobileNetV2", size=32, weights=None)


def features(backbone, images=RAW):
    return keras.ops.convert_to_numpy(backbone(images))


def small_network(size=8):
    image = keras.Input((size, size, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(image)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ReLU(name="relu")(x)
    return keras.Model(image, x, name="own")


# --- names and errors --------------------------------------------------------------------------


def test_names_and_suggestions_can_be_loaded():
    names = backbones.names()
    wanted = {"letters", "pixels", "VGG16", "VGG19", "ResNet50", "MobileNetV2", "EfficientNetV2B0"}
    assert wanted < set(names) and len(names) > 35
    for data in [*datasets.CLASS_NAMES, "folder:somewhere"]:
        options = backbones.suggested(data)
        assert backbones.load(**options, weights=None).output_shape[1] in (256, 1280)
        assert (options["name"] == "letters") == (
            data in ("digits", "drawn_streets", "mnist", "fashion_mnist")
        )


@pytest.mark.parametrize("options, message", [
    ({"name": "mobilenetv2"}, "did you mean MobileNetV2"),
    ({"name": "zzz"}, "there are letters, pixels, ConvNeXt"),
    ({"pooling": "mean"}, "no pooling is called 'mean'"),
    ({"layer": "block1_conv1_rel"}, "did you mean block1_conv1_relu"),
    ({"layer": "features"}, r"gives no maps.*pooling=None"),
    ({"size": 0.5}, "size"), ({"size": (1, 2, 3)}, r"one number or \(height, width\)"),
    ({"size": -3}, "size is one number"),
])  # fmt: skip
def test_what_cannot_be_is_a_clear_error(options, message):
    with pytest.raises(ValueError, match=message):
        backbones.load(**options)


@pytest.mark.parametrize("name", ["MobileNetV2", "VGG16", "NASNetMobile", "EfficientNetV2B0"])
def test_missing_weights_say_what_to_do_and_touch_no_network(name, monkeypatch):
    monkeypatch.setattr(urllib.request, "urlopen", mock.Mock(side_effect=AssertionError))
    with pytest.raises(WeightsMissingError) as error:
        backbones.load(name)
    for part in ("KERAS_HOME", "prefetch", "weights=None", "TFL_OFFLINE", ".h5"):
        assert part in str(error.value)


# --- what goes in and comes out ----------------------------------------------------------------


def test_letters_and_pixels_take_any_image(tmp_path):
    grey = RAW.mean(3, keepdims=True)
    expected = letters.load().predict(grey, verbose=0)
    backbone = backbones.load("letters")
    np.testing.assert_allclose(features(backbone, grey), expected, rtol=1e-4, atol=1e-5)
    backbone.save(tmp_path / "letters.keras")
    again = keras.models.load_model(tmp_path / "letters.keras")
    np.testing.assert_allclose(features(again, grey), expected, rtol=1e-4, atol=1e-5)
    assert features(backbones.load("letters", size=(16, 40)), grey).shape == (6, 256)
    inner = backbones.load("letters", layer="block2_conv2_relu", pooling="max")
    assert features(inner, grey).shape == (6, letters.WIDTHS[1])
    pixels = features(backbones.load("pixels", size=(20, 28)))
    np.testing.assert_allclose(pixels, RAW.reshape(6, -1) / 255, atol=1e-6)


@pytest.mark.photos
def test_real_weights_give_what_keras_gives(keras_home, photo_bundle):
    photos, _ = datasets.load("cifar10", limit=12, progress=False)
    (weights,) = keras_home.glob("models/mobilenet_v2*_96_no_top.h5")
    plain = keras.applications.MobileNetV2(
        input_shape=(96, 96, 3), include_top=False, pooling="avg", weights=str(weights)
    )
    resized = tf.image.resize(photos.images, (96, 96))
    ready = keras.applications.mobilenet_v2.preprocess_input(resized.numpy())
    expected = plain.predict(ready, verbose=0)
    backbone = backbones.load("MobileNetV2", size=96)
    found = features(backbone, photos.images.astype("float32"))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(backbones.prepare(backbone, photos.images), ready, atol=1e-4)


@pytest.mark.parametrize("name, module", [
    ("VGG16", keras.applications.vgg16), ("ResNet50", keras.applications.resnet50),
    ("MobileNetV2", keras.applications.mobilenet_v2), ("DenseNet121", keras.applications.densenet),
    ("EfficientNetV2B0", keras.applications.efficientnet_v2),
])  # fmt: skip
def test_preprocessing_is_that_of_each_network(name, module):
    backbone = backbones.load(name, weights=None, size=32)
    expected = module.preprocess_input(tf.image.resize(RAW, (32, 32)).numpy())
    np.testing.assert_allclose(backbones.prepare(backbone, IMAGES), expected, atol=2e-3)
    assert features(backbone).shape == (6, backbone.output_shape[1])


class Asked(Exception):
    """Carries what a network asks for, before it is built."""


@pytest.mark.parametrize("name", APPLICATIONS)
def test_every_network_has_its_own_size_and_scaling(name):
    make = getattr(keras.applications, name)

    def ask(shape, default_size, **_):
        raise Asked(default_size)

    if not name.startswith("MobileNetV3"):  # which does not ask
        patch = mock.patch("keras.src.applications.imagenet_utils.obtain_input_shape", ask)
        with patch, pytest.raises(Asked) as asked:
            make(weights=None)
        assert asked.value.args[0] == backbones.OWN_SIZES.get(name, backbones.PHOTO_SIZE)
    scaled = RAW
    for layer in backbones._preprocessing(name):  # none, or one
        scaled = layer(scaled)
    module = __import__(make.__module__, fromlist=["preprocess_input"])
    expected = module.preprocess_input(RAW.copy())
    np.testing.assert_allclose(scaled, expected, atol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", [
    "ConvNeXtTiny", "EfficientNetB0", "InceptionV3", "MobileNet", "MobileNetV3Small",
    "NASNetMobile", "ResNet50V2", "Xception",
])  # fmt: skip
def test_networks_of_every_kind_run(name):
    backbone = backbones.load(name, weights=None, size=75)
    found = features(backbone)
    assert found.shape == (6, backbone.output_shape[1]) and np.isfinite(found).all()
    assert not backbone.trainable_weights


@pytest.mark.parametrize("pooling", ["avg", "max", "flatten", None])
def test_inner_layers_and_pooling(mobilenet, pooling):
    table = backbones.layers(mobilenet)
    row = table[table.layer == "block_6_expand_relu"].squeeze()
    assert (row.type, row.output, row.parameters) == ("ReLU", "4 x 4 x 192", 0)
    inner = backbones.load(
        "MobileNetV2", size=32, weights=None, layer="block_6_expand_relu", pooling=pooling
    )
    whole = mobilenet.get_layer("network")
    maps = keras.Model(whole.inputs, whole.get_layer("block_6_expand_relu").output)
    expected = maps.predict(backbones.prepare(mobilenet, IMAGES), verbose=0)
    if pooling:
        reduce = {"avg": lambda x: x.mean((1, 2)), "max": lambda x: x.max((1, 2)),
                  "flatten": lambda x: x.reshape(6, -1)}[pooling]  # fmt: skip
        expected = reduce(expected)
    np.testing.assert_allclose(features(inner), expected, rtol=1e-3, atol=1e-4)


def test_cut_makes_a_backbone_of_any_model():
    own = small_network(20)
    backbone = backbones.cut(own, "relu", pooling="max")
    resized = tf.image.resize(RAW, (20, 20))
    np.testing.assert_allclose(features(backbone), own(resized).numpy().max((1, 2)), rtol=1e-4)
    assert backbone.name == "own_20x20_relu_max" and not backbone.trainable_weights
    with pytest.raises(ValueError, match="did you mean relu"):
        backbones.cut(own, "rely")
    np.testing.assert_allclose(backbones.prepare(backbone, IMAGES), resized, atol=1e-4)


# --- frozen and not ----------------------------------------------------------------------------


def trained(backbone, epochs=2):
    """Train a head on a backbone; return all of the backbone's weights before and after."""
    model = keras.Sequential([backbone, keras.layers.Dense(2)])
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(True))
    before = {w.path: w.numpy() for w in backbone.weights}
    model.fit(RAW, np.arange(6) % 2, epochs=epochs, verbose=0)
    return before, {w.path: w.numpy() for w in backbone.weights}


def test_a_loaded_backbone_does_not_change_while_a_head_learns():
    backbone = backbones.load("MobileNetV2", size=32, weights=None, layer="block_4_add")
    assert not backbone.trainable_weights
    before, after = trained(backbone)
    assert any("moving_mean" in path for path in before)
    for path in before:
        np.testing.assert_array_equal(before[path], after[path])


def test_unfreezing_spares_batch_normalisation_and_what_comes_before():
    backbone = backbones.load("MobileNetV2", size=32, weights=None, layer="block_4_add")
    assert backbones.unfreeze(backbone, "block_4_expand") is backbone
    before, after = trained(backbone)
    changed = {path for path in before if not np.array_equal(before[path], after[path])}
    assert changed and {p for p in changed if "block_4" in p} == changed
    assert not any("BN" in path or "moving" in path for path in changed)
    backbones.unfreeze(backbone, "block_4_project")  # again, with less
    assert {w.path.split("/")[-2] for w in backbone.trainable_weights} == {"block_4_project"}
    with pytest.raises(ValueError, match="did you mean block_4"):
        backbones.unfreeze(backbone, "block_4_expandd")


def test_seeds_repeat_and_leave_the_world_as_it_was():
    random.seed(7)
    np.random.seed(7)  # noqa: NPY002
    state, numbers = random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    one, same, other = (
        features(backbones.load("MobileNetV2", size=32, weights=None, seed=s)) for s in (1, 1, 2)
    )
    assert random.getstate() == state
    np.testing.assert_array_equal(np.random.get_state()[1], numbers)  # noqa: NPY002
    np.testing.assert_allclose(one, same, rtol=1e-5)
    assert not np.allclose(one, other, rtol=0.5, atol=0)


# --- weights and SavedModels -------------------------------------------------------------------


def test_weights_are_downloaded_once_and_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("TFL_OFFLINE", "0")
    content = np.random.default_rng(0).bytes(5000)
    (tmp_path / "w.h5").write_bytes(content)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/w.h5"
        try:
            with pytest.raises(WeightsMissingError, match="has hash"):
                backbones.weights_file("w.h5", address, file_hash="0" * 32)
            assert not list((tmp_path / "keras").rglob("*.*"))
            md5 = hashlib.md5(content).hexdigest()
            path = backbones.weights_file("w.h5", address, cache_subdir="models", file_hash=md5)
        finally:
            server.shutdown()
            thread.join()
    assert path == str(tmp_path / "keras" / "models" / "w.h5")
    assert backbones.weights_file("w.h5", "") == path  # found, with nothing to ask
    assert (tmp_path / "keras" / "models" / "w.h5").read_bytes() == content
    with pytest.raises(WeightsMissingError, match="download:"):
        backbones.weights_file("other.h5", address)


@pytest.mark.parametrize("export", ["model.export", "tf.saved_model.save", "tf.Module"])
def test_a_saved_model_becomes_a_frozen_backbone(tmp_path, export):
    network, path = small_network(), tmp_path / f"my models é {os.sep}v 1"
    if export == "model.export":
        network.export(path, verbose=False)
    elif export == "tf.saved_model.save":
        tf.saved_model.save(network, str(path))
    else:
        module = tf.Module()
        module.network = network
        signature = [tf.TensorSpec((None, 8, 8, 3))]
        module.__call__ = tf.function(lambda x: network(x, training=False), signature)
        tf.saved_model.save(module, str(path))
    backbone = backbones.from_hub(path, size=8)
    expected = network(tf.image.resize(RAW, (8, 8)) / 255, training=False).numpy().mean((1, 2))
    before = features(backbone)
    np.testing.assert_allclose(before, expected, rtol=1e-4, atol=1e-5)
    assert not backbone.trainable_weights
    trained(backbone)
    np.testing.assert_array_equal(features(backbone), before)
    with pytest.raises(ValueError, match=r"takes no images \(9, 9, 3\): give the size"):
        backbones.from_hub(path, size=9)


def test_a_saved_model_that_is_not_there_is_a_clear_error(tmp_path, monkeypatch):
    for place in (tmp_path / "none", tmp_path):
        with pytest.raises(WeightsMissingError, match=r"no SavedModel at.*saved_model\.pb"):
            backbones.from_hub(place, size=8)
    monkeypatch.setattr(urllib.request, "urlopen", mock.Mock(side_effect=AssertionError))
    with pytest.raises(WeightsMissingError, match="TFL_OFFLINE=1 forbids"):
        backbones.from_hub("https://tfhub.dev/google/imagenet/mobilenet_v2", size=224)


# --- the article's network ---------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 13, 3), (28, 28, 1), (32, 32, 3), (65, 33, 3)])
def test_the_articles_network_builds_for_any_size(shape):
    model = backbones.define_model(shape, 7)
    found = features(model, np.random.default_rng(0).uniform(0, 255, (2, *shape)).astype("f4"))
    assert found.shape == (2, 7)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    assert {"base", "up1", "up2", "output"} < {layer.name for layer in model.layers}
    assert model.get_layer("up2").output.shape[3] == 32
    same, other = (backbones.define_model(shape, 7, seed=s) for s in (0, 1))
    np.testing.assert_array_equal(same.get_weights()[0], model.get_weights()[0])
    assert not np.array_equal(other.get_weights()[0], model.get_weights()[0])


def test_the_articles_network_learns_is_saved_and_loaded(tmp_path):
    bright = np.arange(40) % 2
    images = (
        np.random.default_rng(0).uniform(0, 100, (40, 9, 11, 1)) + 150 * bright[:, None, None, None]
    )
    model = backbones.define_model((9, 11, 1), 2)
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    history = model.fit(images, bright, epochs=10, batch_size=10, verbose=0).history
    assert history["loss"][-1] < 0.5 * history["loss"][0] and history["accuracy"][-1] > 0.95
    model.save(tmp_path / "article.keras")
    again = keras.models.load_model(tmp_path / "article.keras")
    np.testing.assert_allclose(features(again, images), features(model, images), rtol=1e-5)


@pytest.mark.parametrize("shape, classes", [
    ((7, 8, 1), 2), ((8, 8), 2), ((8, 8, 2), 2), ((8, 8, 1), 1), ((None, 8, 1), 2),
    ((8, 8, 1, 1), 2),
])  # fmt: skip
def test_the_articles_network_refuses_what_makes_no_sense(shape, classes):
    with pytest.raises(ValueError, match=r"input_shape must be|num_classes must be"):
        backbones.define_model(shape, classes)


def test_several_layers_side_by_side():
    whole = backbones.load("letters")
    images = np.random.default_rng(0).integers(0, 256, (5, 20, 20, 1)).astype("float32")
    names = ["block2_conv2_relu", "block4_conv2_relu"]
    both = backbones.several(whole, names)
    parts = [backbones.load("letters", layer=name)(images) for name in names]
    np.testing.assert_allclose(both(images), np.concatenate(parts, axis=1), atol=1e-5)
    assert not both.trainable_weights
    with pytest.raises(ValueError, match="did you mean"):
        backbones.several(whole, ["block2_conv2_rel"])
    with pytest.raises(ValueError, match="one layer"):
        backbones.several(whole, [])
