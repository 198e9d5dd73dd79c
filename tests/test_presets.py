"""Networks of KerasHub, made here with random weights: what they give, in all of the package."""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tfl_helpers import __main__ as command
from tfl_helpers import backbones, datasets, features, selflabel, sorting
from tfl_helpers.backbones import WeightsMissingError

keras_hub = pytest.importorskip("keras_hub", reason="needs the extra hub")
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 20, 28, 3), dtype="uint8")
TOWER = {"patch_size": 4, "num_layers": 2, "hidden_dim": 16, "num_heads": 2}
TOWER |= {"intermediate_dim": 32, "image_shape": (16, 16, 3)}
TEXT = {"vocabulary_size": 9, "embedding_dim": 16, "num_layers": 1, "hidden_dim": 16}
TEXT |= {"num_heads": 2, "intermediate_dim": 16}
SCALE, OFFSET = [0.017, 0.018, 0.019], [-2.1, -2.0, -1.8]
KINDS = ["DINOV2", "DINOV3", "SigLIP", "CLIP", "MobileNetV5"]


def made(kind):
    """A tiny network of KerasHub with random weights."""
    models = keras_hub.models
    if kind == "DINOV2":
        return models.DINOV2Backbone(**TOWER, position_embedding_shape=(16, 16, 3))
    if kind == "DINOV3":
        return models.DINOV3Backbone(**TOWER)
    if kind == "MobileNetV5":
        blocks = {"block_types": "er", "num_filters": 24, "strides": 2, "act_layers": "relu"}
        blocks |= {"exp_ratios": 4.0, "se_ratios": 0.0, "exp_kernel_sizes": 3, "pw_kernel_sizes": 1}
        zero = ["dw_kernel_sizes", "dw_start_kernel_sizes", "dw_end_kernel_sizes", "use_cpe"]
        zero += ["num_heads", "key_dims", "value_dims", "kv_strides"]
        args = {f"stackwise_{name}": [[value]] for name, value in blocks.items()}
        args |= {f"stackwise_{name}": [[0]] for name in zero}
        return models.MobileNetV5Backbone(**args, stackwise_num_blocks=[1], use_msfa=False)
    image = getattr(models, f"{kind}VisionEncoder")(**TOWER)
    text = getattr(models, f"{kind}TextEncoder")(**TEXT)
    extra = {"projection_dim": 8} if kind == "CLIP" else {}
    return getattr(models, f"{kind}Backbone")(image, text, **extra)


@pytest.fixture(scope="module")
def presets(tmp_path_factory):
    """A folder with a preset of each kind."""
    root = tmp_path_factory.mktemp("presets")
    for kind in KINDS:
        model = made(kind)
        for weight in model.weights:  # gammas, positions and scales too, else much is 0 or 1
            if weight.dtype == "float32" and "interpolated" not in weight.path:
                weight.assign(weight + keras.random.normal(weight.shape, stddev=0.2, seed=1))
        model.save_to_preset(str(root / kind))
        converter = getattr(keras_hub.layers, f"{kind}ImageConverter")
        converter(image_size=(16, 16), scale=SCALE, offset=OFFSET).save_to_preset(str(root / kind))
    return root


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setenv("TFL_OFFLINE", "1")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


def own(kind, folder, size):
    """What KerasHub itself gives for images that are resized and scaled by hand."""
    ready = tf.image.resize(IMAGES, (size, size)).numpy() * np.array(SCALE) + np.array(OFFSET)
    ready = ready.astype("float32")
    shape = {"image_shape": (size, size, 3)} if kind in ("DINOV2", "DINOV3", "MobileNetV5") else {}
    model = keras_hub.models.Backbone.from_preset(str(folder / kind), **shape)
    if kind.startswith("DINO"):
        return model({model.inputs[0].name: ready})[:, 0].numpy()
    if kind == "CLIP":
        return model.vision_pooler(model.vision_encoder({"images": ready})).numpy()
    if kind == "SigLIP":
        return model.get_vision_embeddings(ready).numpy()
    return model(ready).numpy().mean((1, 2))


@pytest.mark.parametrize("kind", KINDS)
def test_features_are_those_of_keras_hub(kind, presets, tmp_path):
    """At the size of training and, where KerasHub can do that, another; in batches; once saved."""
    for size in (16, 24) if kind not in ("CLIP", "SigLIP") else (16,):
        backbone = backbones.load(str(presets / kind), size=size)
        found = features.extract(backbone, IMAGES, batch_size=2, cache=False, progress=False)
        np.testing.assert_allclose(found, own(kind, presets, size), rtol=1e-4, atol=1e-5)
        assert found.std() > 0.05 and not backbone.trainable_weights
    backbone.save(tmp_path / "saved.keras")
    again = backbones.load(tmp_path / "saved.keras")
    np.testing.assert_allclose(again(IMAGES.astype("float32")), found, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["CLIP", "SigLIP"])
def test_positions_are_interpolated(kind, presets):
    """Smooth positions come out as if drawn finer; the class token keeps its own."""
    folder = presets / kind
    tower = keras_hub.models.Backbone.from_preset(str(folder)).vision_encoder
    table = tower.layers[1].position_embedding.embeddings.numpy()
    grid = table[-16:].reshape(4, 4, 16)
    found = backbones.network(backbones.load(str(folder), size=24)).layers[1]
    found = found.position_embedding.embeddings.numpy()
    finer = tf.image.resize(grid, (6, 6), method="bicubic").numpy().reshape(36, 16)
    assert len(found) == 36 + len(table) - 16
    np.testing.assert_allclose(found[-36:], finer, rtol=1e-2, atol=0.05)
    np.testing.assert_array_equal(found[:-36], table[:-16])


def test_what_cannot_be_is_a_clear_error(presets, tmp_path, monkeypatch):
    folder = str(presets / "DINOV2")
    for size in (18, (16, 24), 2):
        with pytest.raises(ValueError, match="squares with sides that 4 divides"):
            backbones.load(folder, size=size)
    assert backbones.load(str(presets / "DINOV3"), size=(16, 24)).output_shape == (None, 16)
    for name in ("dinov2_small", "hf://me/tiny", "kaggle://me/tiny/keras/tiny/1"):
        with pytest.raises(WeightsMissingError) as error:
            backbones.load(name)
        for part in (name, "prefetch --out DIR", "KERAS_HOME", "TFL_OFFLINE"):
            assert part in str(error.value)
    with pytest.raises(ValueError, match="did you mean dinov2_small"):
        backbones.load("dinov2_smal")
    broken = shutil.copytree(folder, tmp_path / "broken")
    (broken / "image_converter.json").unlink()
    with pytest.raises(ValueError, match="is no preset that can be loaded"):
        backbones.load(str(broken))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(WeightsMissingError, match=r'pip install "keras-hub'):
        backbones.load("dinov2_small")


def test_a_bundle_brings_presets_to_where_there_is_no_network(presets, tmp_path, capsys):
    assert (
        command.main(["prefetch", "--out", str(tmp_path), "--backbone", str(presets / "CLIP")]) == 0
    )
    assert "CLIP: " in capsys.readouterr().out
    (tmp_path / "keras" / "presets" / "CLIP").rename(tmp_path / "keras" / "presets" / "hf_me_tiny")
    backbone = backbones.load("hf://me/tiny")
    found = backbone(IMAGES.astype("float32"))
    np.testing.assert_allclose(found, own("CLIP", presets, 16), rtol=1e-4, atol=1e-5)
    assert backbone.name == "hf_me_tiny_16x16"


def test_a_round_of_self_labelling_trains_the_last_block_alone(presets):
    backbone = backbones.load(str(presets / "DINOV2"), size=16)
    images = np.concatenate([IMAGES // 4, 255 - IMAGES // 4] * 6)
    inner = backbones.inner_layers(backbone).layer.tolist()
    assert inner[-3:] == ["layers_0", "layers_1", "dinov2_backbone_layernorm"]
    labels = np.tile(np.repeat([0, 1], 5), 6)
    before = [w.numpy() for w in backbone.weights]
    found = selflabel.self_label(
        backbone, images, labels, rounds=1, steps=4, batch_size=10, from_layer="layers_1"
    )
    assert found.history.verdict.tolist()[0] == "start" and len(found.history) == 2
    assert (found.predict(images) == labels).mean() > 0.9  # bright and dark
    for old, weight in zip(before, backbone.weights, strict=True):
        np.testing.assert_array_equal(old, weight)
    trained = backbones.unfreeze(backbone, "layers_1").trainable_weights
    assert trained and all("layers_1" in w.path or "layernorm" in w.path for w in trained)


def test_sort_takes_a_preset_and_its_model_predicts(presets, digit_files, tmp_path):
    folder, _ = digit_files
    few = tmp_path / "few"
    few.mkdir()
    for number in range(60):
        shutil.copy(folder / f"{number:04d}.png", few)
    out, name = tmp_path / "out", str(presets / "SigLIP")
    arguments = ["sort", str(few), "--out", str(out), "--groups", "3", "--quiet"]
    assert command.main([*arguments, "--backbone", name, "--size", "16"]) == 0
    table = sorting.read_table(out / "groups.csv").set_index("file")
    assert (table["group"].value_counts() > 0).sum() == 3
    model = keras.saving.load_model(out / "model.keras")
    read = np.stack([datasets.read_image(few / file) for file in table.index])
    found = pd.Series(model.predict(read, verbose=0).argmax(1), table.index)
    assert pd.crosstab(found, table["group"]).max(axis=1).sum() > 50


@pytest.mark.slow
def test_the_scoreboard_takes_a_preset(presets, tmp_path, monkeypatch):
    root = Path(__file__).resolve().parents[1]
    if not (root / "benchmarks").is_dir():
        pytest.skip("benchmarks/ is part of the repository, not of the installed package")
    monkeypatch.syspath_prepend(root / "benchmarks")
    monkeypatch.setenv("TFL_CACHE_DIR", str(tmp_path))
    run = ["digits", "--limit", "100", "--seeds", "1", "--out", str(tmp_path / "board.json")]
    board = importlib.import_module("scoreboard")
    board.main([*run, "--backbone", f"{presets / 'DINOV2'}:16", "--methods", "k-means, L2"])
    (row,) = json.loads((tmp_path / "board.json").read_text())
    assert row["backbone"].startswith("DINOV2_") and 0.1 < row["accuracy_mean"] < 1


@pytest.mark.slow
def test_it_works_without_tensorflow_text(presets):
    code = (
        "import sys; sys.modules['tensorflow_text'] = None\n"
        "from tfl_helpers import backbones\n"
        f"print(backbones.load({str(presets / 'DINOV2')!r}, size=16).output_shape)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "(None, 16)"
