"""The embedded backbone: what is shipped, what it does, and that its trainer sees no digit."""

import importlib.util
import string
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.metrics import confusion_matrix
from sklearn.preprocessing import normalize

from tfl_helpers import backbones
from tfl_helpers.backbones import letters

TOOL = Path(__file__).resolve().parent.parent / "tools" / "train_letters.py"


@pytest.fixture(scope="module")
def tool():
    if not TOOL.is_file():
        pytest.skip("tools/ is part of the repository, not of the installed package")
    spec = importlib.util.spec_from_file_location("train_letters", TOOL)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its worker processes look their function up by name
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_shipped_weights_are_small_plain_and_finite():
    assert letters.WEIGHTS.stat().st_size < 1.6e6
    with np.load(letters.WEIGHTS, allow_pickle=False) as stored:
        assert {w.path for w in letters.network().weights} == set(stored.files)
        assert all(stored[k].dtype == "float16" and np.isfinite(stored[k]).all() for k in stored)


def test_kmeans_finds_the_ten_digits_without_labels():
    digits = load_digits()
    images = digits.images[..., None].astype("float32") * 255 / 16
    backbone = backbones.load("letters")
    features = normalize(backbone.predict(images, batch_size=256, verbose=0))
    groups = KMeans(10, n_init=10, random_state=0).fit_predict(features)
    table = confusion_matrix(digits.target, groups)
    rows, columns = linear_sum_assignment(-table)
    assert table[rows, columns].sum() / len(groups) >= 0.90
    assert np.bincount(groups, minlength=10).min() > 0.03 * len(groups)


def test_any_size_and_type_of_grey_image_is_accepted():
    rng, backbone = np.random.default_rng(0), backbones.load("letters")
    for shape in ((2, 8, 8, 1), (1, 28, 28, 1), (1, 50, 31, 1)):
        image = rng.integers(0, 256, shape, dtype="uint8")
        features = backbone.predict(image, verbose=0)
        assert features.shape == (shape[0], backbone.output.shape[-1])
        np.testing.assert_allclose(
            features, backbone.predict(image.astype("float32"), verbose=0), rtol=1e-4, atol=1e-4
        )


def test_the_network_alone_can_be_trained_and_as_a_backbone_is_frozen():
    assert letters.load().trainable_weights
    assert not backbones.load("letters").trainable_weights


def test_the_network_loads_where_a_call_of_a_model_was_interrupted():
    """Keras then goes on to put that model's name before the paths of all that is built."""
    with keras.name_scope("interrupted"):
        assert letters.load().weights[0].path.startswith("interrupted/")


def test_alphabet_holds_letters_alone(tool):
    assert set(tool.LETTERS) == set(string.ascii_letters)
    assert not any(character.isdigit() for character in tool.LETTERS)
    assert tool.HELD_OUT_FONT not in tool.FONTS


def test_rendering_depends_on_the_seed_alone(tool):
    fonts = tuple(tool.FONTS[:2])
    first, again, other = (tool.render(seed, 20, fonts) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])
    assert first[0].dtype == "uint8" and first[0].shape == (20, letters.SIZE, letters.SIZE)
    assert first[0].max(axis=(1, 2)).min() > 100, "a letter without ink"


@pytest.mark.parametrize("pixels", [8, 13, 28])
def test_trainer_enlarges_as_the_network_does(tool, pixels):
    image = np.random.default_rng(0).random((pixels, pixels), dtype="float32")
    matrix = tool.bilinear(pixels, letters.SIZE)
    resized = keras.layers.Resizing(letters.SIZE, letters.SIZE)(image[None, ..., None])
    np.testing.assert_allclose(
        matrix @ image @ matrix.T, keras.ops.convert_to_numpy(resized)[0, ..., 0], atol=1e-5
    )


def test_area_average_keeps_the_ink(tool):
    matrix = tool.averaging(64, 24)
    np.testing.assert_allclose(matrix.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(matrix.sum(0), 24 / 64, rtol=1e-5)


@pytest.mark.slow
def test_short_training_learns_and_writes_loadable_weights(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "FONTS", tool.FONTS[:1])
    monkeypatch.setattr(tool, "ORIENTATIONS", tool.ORIENTATIONS[:1])
    out = tmp_path / "letters.npz"
    losses = tool.train(out, rounds=3, images=500, batch=50, checks=500)["losses"]
    assert losses[-1] < 0.9 * losses[0]
    assert letters.load(path=out).count_params() == letters.network().count_params()
