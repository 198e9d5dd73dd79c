"""Backbones: raw images in, features out, scaled once, frozen, found or clearly missing."""

import hashlib
import http.server
import importlib.util
import os
import random
import re
import socket
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfl_helpers import backbones, datasets
from tfl_helpers.backbones import WeightsMissingError
from tfl_helpers.backbones import letters as letters_network
from tfl_helpers.backbones.families import FAMILIES, SCALINGS
from tfl_helpers.backbones.weights import APPLICATIONS as TABLE
from tfl_helpers.backbones.weights import find_weights

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 20, 28, 3), dtype="uint8")
RAW = IMAGES.astype("float32")
APPLICATIONS = [name for name in dir(keras.applications) if name[0].isupper()]
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path, request):
    """No network, and no weights but those that a test asks for."""
    monkeypatch.setenv("TFL_OFFLINE", "1")
    if "keras_home" not in request.fixturenames:
        monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **options):
        raise AssertionError("the network was tried")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


@pytest.fixture(scope="module")
def mobilenet():
    return backbones.load("MobileNetV2", size=32, weights=None)


def script(path):
    if not (ROOT / path).is_file():
        pytest.skip(f"{path} is part of the repository, not of the installed package")
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    assert names == ["letters", "pixels", *APPLICATIONS] and len(names) > 35
    options = {data: backbones.suggested(data) for data in [*datasets.CATALOGUE, "folder:any"]}
    drawn = {"digits", "drawn_streets", "mnist", "fashion_mnist"}
    assert {data for data, option in options.items() if option["name"] == "letters"} == drawn
    for data in ("digits", "drawn_streets", "pedestrians"):
        wide = 256 if data in drawn else 1280
        assert backbones.load(**options[data], weights=None).output_shape == (None, wide)


@pytest.mark.parametrize("options, message", [
    ({"name": "mobilenetv2"}, "did you mean MobileNetV2"),
    ({"name": "zzz"}, "there are letters, pixels, ConvNeXt"),
    ({"pooling": "mean"}, "no pooling is called 'mean'"),
    ({"layer": "block1_conv1_rel"}, "did you mean block1_conv1_relu"),
    ({"layer": "features"}, r"gives no maps.*pooling=None"),
    ({"size": 0.5}, "size"), ({"size": (1, 2, 3)}, r"one number or \(height, width\)"),
    ({"size": -3}, "size is one number"),
    ({"name": "VGG16", "weights": "places"}, "no set of weights is called 'places'"),
])  # fmt: skip
def test_what_cannot_be_is_a_clear_error(options, message):
    with pytest.raises(ValueError, match=message):
        backbones.load(**options)


@pytest.mark.parametrize("name", ["MobileNetV2", "VGG16", "NASNetMobile", "EfficientNetV2B0"])
def test_missing_weights_say_what_to_do_and_touch_no_network(name, no_network):
    with pytest.raises(WeightsMissingError) as error:
        backbones.load(name)
    for part in ("KERAS_HOME", "prefetch", "weights=None", "TFL_OFFLINE", ".h5"):
        assert part in str(error.value)


# --- what goes in and comes out ----------------------------------------------------------------


def test_letters_and_pixels_take_any_image(tmp_path):
    grey = RAW.mean(3, keepdims=True)
    expected = letters_network.load()(tf.image.resize(grey, (24, 24)) / 127.5 - 1).numpy()
    backbone = backbones.load("letters")
    np.testing.assert_allclose(features(backbone, grey), expected, rtol=1e-4, atol=1e-5)
    backbone.save(tmp_path / "letters.keras")
    again = keras.models.load_model(tmp_path / "letters.keras")
    np.testing.assert_allclose(features(again, grey), expected, rtol=1e-4, atol=1e-5)
    assert features(backbones.load("letters", size=(16, 40)), grey).shape == (6, 256)
    inner = backbones.load("letters", layer="block2_conv2_relu", pooling="max")
    assert features(inner, grey).shape == (6, 64)
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
    ("VGG16", keras.applications.vgg16), ("MobileNetV2", keras.applications.mobilenet_v2),
    *(pytest.param(name, getattr(keras.applications, module), marks=pytest.mark.slow)
      for name, module in [("DenseNet121", "densenet"), ("EfficientNetV2B0", "efficientnet_v2")]),
])  # fmt: skip
def test_preprocessing_is_that_of_each_network(name, module):
    backbone = backbones.load(name, weights=None, size=32)
    expected = module.preprocess_input(tf.image.resize(RAW, (32, 32)).numpy())
    np.testing.assert_allclose(backbones.prepare(backbone, IMAGES), expected, atol=2e-3)
    assert features(backbone).shape == (6, backbone.output_shape[1])


@pytest.fixture(scope="module")
def tool():
    return script("tools/list_weights.py")


@pytest.mark.parametrize("name", APPLICATIONS)
def test_every_network_has_its_own_size_and_scaling(name, tool):
    assert FAMILIES[name].size == tool.default_size(name)
    layer = SCALINGS[FAMILIES[name].scaling]()
    make = getattr(keras.applications, name)
    module = __import__(make.__module__, fromlist=["preprocess_input"])
    expected = module.preprocess_input(RAW.copy())
    np.testing.assert_allclose(RAW if layer is None else layer(RAW), expected, atol=1e-4)


@pytest.mark.parametrize("name, size", [("MobileNetV2", 160), ("MobileNet", 128), ("VGG16", 100)])
def test_weights_are_those_that_keras_would_take(name, size, tool):
    known = TABLE[name]["weights"]
    assert known.get(str(size), known["default"]) == tool.weights(name, size)


@pytest.mark.parametrize("size, wanted", [(96, 96), (160, 160), (100, 224), ((160, 96), 224)])
def test_sizes_with_weights_of_their_own_take_them(size, wanted):
    with pytest.raises(WeightsMissingError, match=f"kernels_1.0_{wanted}_no_top.h5"):
        backbones.load("MobileNetV2", size=size)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_efficientnets_are_scaled_as_they_were_trained(tmp_path, monkeypatch):
    """Keras scales their images once more, but only if it looks for the weights itself."""
    network = keras.applications.EfficientNetB0(False, None, input_shape=(32, 32, 3))
    (scale,) = (x for x in network.layers if isinstance(x, keras.layers.Normalization))
    scale.set_weights([np.array([0.4, 0.5, 0.3]), np.array([0.05, 0.06, 0.04]), np.array(1)])
    path = tmp_path / "keras" / "models" / TABLE["EfficientNetB0"]["weights"]["default"]["file"]
    path.parent.mkdir(parents=True)
    network.save(path)
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda *_, **__: str(path))
    plain = keras.applications.EfficientNetB0(False, input_shape=(32, 32, 3), pooling="avg")
    resized = tf.image.resize(RAW, (32, 32))
    backbone = backbones.load("EfficientNetB0", size=32)
    np.testing.assert_allclose(features(backbone), plain(resized), rtol=1e-3, atol=1e-5)


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
    table = backbones.inner_layers(mobilenet)
    row = table[table.layer == "block_6_expand_relu"].squeeze()
    assert (row.type, row.output, row.parameters) == ("ReLU", "4 x 4 x 192", 0)
    inner = backbones.load(
        "MobileNetV2", size=32, weights=None, layer="block_6_expand_relu", pooling=pooling
    )
    whole = backbones.network(mobilenet)
    maps = keras.Model(whole.inputs, whole.get_layer("block_6_expand_relu").output)
    expected = maps.predict(backbones.prepare(mobilenet, IMAGES), verbose=0)
    if pooling:
        reduce = {"avg": lambda x: x.mean((1, 2)), "max": lambda x: x.max((1, 2)),
                  "flatten": lambda x: x.reshape(6, -1)}[pooling]  # fmt: skip
        expected = reduce(expected)
    np.testing.assert_allclose(features(inner), expected, rtol=1e-3, atol=1e-4)


def test_any_model_becomes_a_backbone():
    own = small_network(20)
    backbone = backbones.from_layer(own, "relu", pooling="max")
    resized = tf.image.resize(RAW, (20, 20))
    np.testing.assert_allclose(features(backbone), own(resized).numpy().max((1, 2)), rtol=1e-4)
    assert backbone.name == "own_20x20_relu_max" and not backbone.trainable_weights
    with pytest.raises(ValueError, match="did you mean relu"):
        backbones.from_layer(own, "rely")
    np.testing.assert_allclose(backbones.prepare(backbone, IMAGES), resized, atol=1e-4)
    with pytest.raises(ValueError, match="no pooling is called 'mean'"):
        backbones.from_layer(own, "relu", pooling="mean")


def saved(model, path):
    model.save(path)
    return str(path)


def test_any_file_of_keras_becomes_a_backbone(tmp_path):
    own = small_network(20)
    file = saved(own, tmp_path / "my own+net.keras")
    maps = own(tf.image.resize(RAW, (20, 20))).numpy()
    backbone = backbones.load(file)
    np.testing.assert_allclose(features(backbone), maps.mean((1, 2)), rtol=1e-4, atol=1e-4)
    assert re.fullmatch(r"my_own_net_\w{8}_20x20_avg", backbone.name)
    assert not backbone.trainable_weights
    inner = backbones.load(file, layer="conv", pooling="max", size=12)
    kernel, bias = own.get_layer("conv").get_weights()
    cut = tf.nn.conv2d(tf.image.resize(RAW, (12, 12)), kernel, 1, "VALID") + bias
    expected = cut.numpy().max((1, 2))
    np.testing.assert_allclose(features(inner), expected, rtol=1e-4, atol=1e-3)
    again = backbones.load(saved(backbone, tmp_path / "again.keras"))
    assert again.name.startswith(backbone.name) and backbones.input_size(again) == (20, 20)
    row = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(2, 3, name="only")])
    any_size = backbones.load(saved(row, tmp_path / "row.h5"))
    assert backbones.input_size(any_size) is None and any_size.output_shape == (None, 2)
    assert backbones.inner_layers(any_size).layer.tolist() == ["only"]


@pytest.mark.photos
def test_a_real_file_of_keras_gives_what_it_gave(keras_home):
    file = keras_home / "other" / "efficientnet_lite0_224.keras"
    if not file.is_file():
        pytest.skip("needs KERAS_HOME/other/efficientnet_lite0_224.keras")
    backbone, own = backbones.load(file), keras.saving.load_model(file)
    expected = own(tf.image.resize(RAW, (224, 224))).numpy().mean((1, 2))
    np.testing.assert_allclose(features(backbone), expected, rtol=1e-3, atol=1e-4)
    assert backbone.output_shape == (None, 1280) and backbones.input_size(backbone) == (224, 224)


def test_what_is_no_network_of_images_is_said(tmp_path):
    image, vector = keras.Input((8, 8, 3)), keras.Input((5,))
    ran, keep = [], keras.layers.Conv2D(2, 3)(image)
    code = keras.layers.Lambda(lambda x: ran.append(1) or x * 2, output_shape=(8, 8, 3))
    (tmp_path / "text.keras").write_text("no model")
    (tmp_path / "text.h5").write_text("no model")
    flat = keras.layers.Reshape((36, 2))(keep)
    files = {
        "none.keras": "there is no file", "text.keras": "cannot be loaded as a Keras model",
        "text.h5": "cannot be loaded as a Keras model",
        saved(keras.Model(image, code(image)), tmp_path / "code.keras"): "a Lambda layer",
        saved(keras.Model(image, code(image)), tmp_path / "code.h5"): "a Lambda layer",
        saved(keras.Model(vector, vector * 2), tmp_path / "vector.keras"): "not one image",
        saved(keras.Model(image, [keep, keep + 1]), tmp_path / "two.keras"): "2 outputs: say which",
        saved(keras.Model(image, flat), tmp_path / "flat.keras"): r"flat_\w+ gives no maps",
    }  # fmt: skip
    ran.clear()
    for file, said in files.items():
        with pytest.raises((ValueError, WeightsMissingError), match=said):
            backbones.load(tmp_path / file)
    assert not ran
    maps = backbones.load(saved(keras.Model(image, keep), tmp_path / "maps.keras"), pooling=None)
    assert maps.output_shape == (None, 6, 6, 2)


def test_networks_are_joined_by_name_in_one_model_and_file(tmp_path):
    file = saved(small_network(20), tmp_path / "own.keras")
    both = backbones.load(f"letters:16x20 + {file}+pixels")
    assert both.output_shape == (None, 256 + 4 + 768) and not both.trainable_weights
    assert re.fullmatch(r"letters_16x20_and_own_\w{8}_20x20_avg_and_pixels_16x16", both.name)
    assert backbones.input_size(both) == (20, 20)
    parts = backbones.parts(both)
    assert [one.name for one in parts] == both.name.split("_and_")
    assert backbones.parts(parts[0]) == [parts[0]]
    grey = tf.image.rgb_to_grayscale(RAW)
    alone = [features(one, grey if n == 0 else RAW) for n, one in enumerate(parts)]
    unit = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in alone]
    found = features(both)
    np.testing.assert_allclose(found, np.hstack(unit), rtol=1e-3, atol=1e-4)
    again = backbones.load(saved(both, tmp_path / "both.keras"))
    np.testing.assert_allclose(features(again), found, rtol=1e-4, atol=1e-5)
    for one, name in zip(backbones.parts(again), both.name.split("_and_"), strict=True):
        assert one.name.startswith(name) and one.name != name
    for ask in (backbones.inner_layers, lambda b: backbones.unfreeze(b, "conv"),
                lambda b: backbones.prepare(b, IMAGES)):  # fmt: skip
        with pytest.raises(ValueError, match=r"3 networks side by side: take one.*parts"):
            ask(both)
    for wrong, said in {
        "letters+letters": "the same network twice",
        "letters+zz": "no backbone is",
    }.items():
        with pytest.raises(ValueError, match=said):
            backbones.load(wrong)
    with pytest.raises(ValueError, match="has no layer 'conv' of its own"):
        backbones.load("letters+pixels", layer="conv")


def test_what_a_backbone_sees_can_be_asked_for(mobilenet):
    assert backbones.input_size(mobilenet) == (32, 32)
    assert backbones.input_size(small_network(20)) == (20, 20)
    any_size = keras.Input((None, None, 3))
    any_size = keras.Model(any_size, keras.layers.Conv2D(2, 3, name="conv")(any_size))
    assert backbones.input_size(backbones.from_layer(any_size, "conv")) is None
    assert backbones.network(mobilenet).input_shape == (None, 32, 32, 3)


def test_benchmarks_put_several_layers_side_by_side(letters):
    several = script("benchmarks/layers.py").side_by_side
    images = RAW.mean(3, keepdims=True)
    names = ["block2_conv2_relu", "block4_conv2_relu"]
    both = several(letters, names)
    parts = [features(backbones.load("letters", layer=name), images) for name in names]
    np.testing.assert_allclose(features(both, images), np.concatenate(parts, 1), atol=1e-5)
    assert not both.trainable_weights
    with pytest.raises(ValueError, match="did you mean"):
        several(letters, ["block2_conv2_rel"])
    with pytest.raises(ValueError, match="one layer"):
        several(letters, [])


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
        about = {"file": "w.h5", "url": f"http://127.0.0.1:{server.server_port}/w.h5"}
        about["hash"] = "0" * 32
        monkeypatch.setitem(TABLE, "Small", {"weights": {"default": about}})
        try:
            with pytest.raises(WeightsMissingError, match="has hash"):
                find_weights("Small", (8, 8))
            assert not list((tmp_path / "keras").rglob("*.*"))
            about["hash"] = hashlib.md5(content).hexdigest()
            path = find_weights("Small", (8, 8))
        finally:
            server.shutdown()
            thread.join()
    assert path == tmp_path / "keras" / "models" / "w.h5" and path.read_bytes() == content
    assert find_weights("Small", (8, 8)) == path  # found, with nobody to ask
    about["file"] = "other.h5"
    with pytest.raises(WeightsMissingError, match="download:"):
        find_weights("Small", (8, 8))


@pytest.mark.photos
def test_weights_are_found_where_nothing_may_be_written(keras_home, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    file = TABLE["MobileNetV2"]["weights"]["96"]["file"]
    (tmp_path / "models").symlink_to(keras_home / "models")
    tmp_path.chmod(0o555)
    try:
        assert find_weights("MobileNetV2", (96, 96)) == tmp_path / "models" / file
        copy = backbones.copy_to_bundle("MobileNetV2", tmp_path.parent / "bundle", size=96)
    finally:
        tmp_path.chmod(0o755)
    assert copy == tmp_path.parent / "bundle" / "models" / file
    assert copy.stat().st_size == (keras_home / "models" / file).stat().st_size


def test_only_imagenet_networks_are_copied_to_a_bundle(tmp_path):
    with pytest.raises(ValueError, match="no ImageNet backbone is called 'letters'"):
        backbones.copy_to_bundle("letters", tmp_path)
    with pytest.raises(WeightsMissingError, match="prefetch"):
        backbones.copy_to_bundle("VGG16", tmp_path)
    assert not list(tmp_path.iterdir())


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


def test_a_saved_model_that_is_not_there_is_a_clear_error(tmp_path, no_network):
    for place in (tmp_path / "none", tmp_path):
        with pytest.raises(WeightsMissingError, match=r"no SavedModel at.*saved_model\.pb"):
            backbones.from_hub(place, size=8)
    with pytest.raises(WeightsMissingError, match="TFL_OFFLINE=1 forbids"):
        backbones.from_hub("https://tfhub.dev/google/imagenet/mobilenet_v2", size=224)
