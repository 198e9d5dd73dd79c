"""Features: those of the bare network, in order, computed once, never from a stale cache."""

import itertools
import logging
import os
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from PIL import Image

from tfl_helpers import backbones, datasets, features
from tfl_helpers.augment import augmenter

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (23, 12, 12, 3), dtype="uint8")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("TFL_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def computed(place):
    """Number of blocks that were computed since the fixture was asked the last time."""
    before: set[tuple] = set()

    def new():
        entries = {(path, path.stat().st_mtime_ns) for path in place.rglob("output.pkl")}
        found = len(entries - before)
        before.update(entries)
        return found

    return new


def small(seed=0, size=8, wide=5, channels=3, name="small", end="avg"):
    """A cheap frozen backbone of the same build as those of `backbones.load`."""
    image = keras.Input((size, size, channels))
    draw = keras.initializers.GlorotUniform(seed)
    x = keras.layers.Conv2D(5, 3, activation="relu", kernel_initializer=draw)(image)
    x = keras.layers.Conv2D(wide, 3, kernel_initializer=draw, name="last")(x)
    return backbones.from_layer(keras.Model(image, x, name=name), "last", pooling=end)


def extract(backbone, images, **options):
    about = {"progress": False, "batch_size": 4, "block_size": 10}  # three blocks
    return features.extract(backbone, images, **about | options)


# --- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_features_are_those_of_the_bare_network_in_order(batch_size):
    backbone = small()
    expected = backbone.predict(IMAGES.astype("float32"), verbose=0)
    for _ in range(2):  # computed, then read
        found = extract(backbone, IMAGES, batch_size=batch_size)
        assert found.dtype == np.float32 and found.shape == (23, 5)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_grey_images_meet_colour_backbones_and_back():
    train, _ = datasets.load("digits", limit=12)
    pixels = extract(backbones.load("pixels", size=8), train)
    np.testing.assert_allclose(
        pixels.reshape(12, 8, 8, 3), np.repeat(train.images / 255, 3, 3), atol=1e-5
    )
    assert extract(small(channels=1), IMAGES).shape == (23, 5)


def test_a_folder_gives_what_its_pixels_give(tmp_path, computed):
    for number, pixels in enumerate(IMAGES):
        Image.fromarray(pixels).save(tmp_path / f"{number:02d}.png")
    folder, backbone = datasets.FolderImages(tmp_path), small(size=12)
    expected = extract(backbone, IMAGES, cache=False)
    np.testing.assert_allclose(extract(backbone, folder), expected, rtol=1e-4, atol=1e-4)
    assert computed() == 3
    again = extract(backbone, datasets.FolderImages(tmp_path))
    np.testing.assert_allclose(again, expected, rtol=1e-4, atol=1e-4)
    assert computed() == 0
    Image.fromarray(IMAGES[0]).save(tmp_path / "15.png")
    changed = extract(backbone, folder)
    assert computed() == 1
    np.testing.assert_allclose(changed[15], expected[0], rtol=1e-4, atol=1e-4)
    (tmp_path / "21.png").write_bytes(b"broken")
    with pytest.raises(datasets.ImageReadError, match=r"^cannot read .*21\.png"):
        extract(backbone, folder)


def test_bad_input_says_what_is_wrong(tmp_path):
    with pytest.raises(ValueError, match="no images"):
        extract(small(), IMAGES[:0])
    with pytest.raises(ValueError, match=r'not one vector per image.*pooling="avg"'):
        extract(small(end=None), IMAGES)
    with pytest.raises(ValueError, match=r"shape \(n, h, w"):
        extract(small(), IMAGES[0])
    Image.fromarray(IMAGES[0]).save(tmp_path / "0.png")
    with pytest.raises(ValueError, match="load it with size="):
        extract(_anysize(), datasets.FolderImages(tmp_path))


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda x: x / 255, "values from 0 to 1; raw values from 0 to 255"),
        (lambda x: x / 127.5 - 1, "values from -1 to 1"),
        (lambda x: (x - x.mean()) / x.std(), "raw values"),
        (lambda x: x.astype("uint16") * 257, "to 65535"),
        (lambda x: (x > 99).astype("uint8"), "to 1"),
        (
            lambda x: np.where(np.arange(23)[:, None, None, None] == 7, np.nan, x),
            "image 7 holds NaN",
        ),
        (
            lambda x: np.where(np.arange(23)[:, None, None, None] == 9, np.inf, x),
            "image 9 holds NaN",
        ),
        (lambda x: x > 99, "bool"),
    ],
)
def test_images_that_are_not_raw_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        extract(small(), change(IMAGES), cache=False)


def test_images_are_taken_as_people_give_them(tmp_path):
    backbone, expected = small(), extract(small(), IMAGES)
    for number, pixels in enumerate(IMAGES):
        Image.fromarray(pixels).save(tmp_path / f"{number:02d}.png")
    square = small(size=12)
    for given in (list(IMAGES), tuple(IMAGES), IMAGES.astype(float), IMAGES.astype("int64")):
        np.testing.assert_allclose(extract(backbone, given), expected, atol=1e-5)
    for given in (tmp_path, str(tmp_path)):
        np.testing.assert_allclose(extract(square, given), extract(square, IMAGES), atol=1e-5)
    for given, said in {(5,): "not int", ("letters",): "is not a folder"}.items():
        with pytest.raises((TypeError, NotADirectoryError), match=said):
            extract(backbone, *given)
    with pytest.raises(ValueError, match="several shapes"):
        extract(backbone, [IMAGES[0], IMAGES[0][:9]])
    with pytest.raises(TypeError, match=r"take backbones\.load"):
        extract("letters", IMAGES)
    for options in ({"batch_size": 0}, {"block_size": 0}):
        with pytest.raises(ValueError, match="must be >= 1"):
            extract(backbone, IMAGES, **options)


def test_a_batch_is_as_large_as_memory_allows():
    large, few = small(size=2000, wide=64), small()
    assert backbones.fitting_batch(few, 64) == 64
    assert 1 <= backbones.fitting_batch(large, 64) < 4
    with pytest.raises(ValueError, match=r"needs about [\d,]+ GB for one image"):
        backbones.fitting_batch(small(size=40_000, wide=64), 1)


def _anysize():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D(name="pool")(image))
    return backbones.from_layer(model, "pool", pooling=None)


# --- cache -------------------------------------------------------------------------------------


def test_second_call_reads_and_a_changed_image_costs_one_block(computed):
    backbone = small()
    first = extract(backbone, IMAGES)
    assert computed() == 3
    np.testing.assert_array_equal(extract(backbone, IMAGES.copy()), first)
    assert computed() == 0
    changed = IMAGES.copy()
    changed[12, 3, 3, 1] ^= 1
    second = extract(backbone, changed)
    assert computed() == 1
    np.testing.assert_array_equal(np.flatnonzero((second != first).any(1)), [12])


def joined():
    return backbones.join([small(size=12, name="a"), small(1, size=8, wide=7, name="b")])


def test_looks_are_averaged_and_kept_one_by_one(computed):
    as_they_are, turned = (extract(small(), x) for x in (IMAGES, IMAGES[:, :, ::-1]))
    assert np.abs(as_they_are - turned).max() > 1e-3 and computed() == 6
    both = extract(small(), IMAGES, looks="mirror")
    np.testing.assert_allclose(both, (as_they_are + turned) / 2, rtol=1e-5, atol=1e-6)
    assert computed() == 3  # what is as it was is there already
    larger = extract(small(size=12), IMAGES, cache=False)
    found = extract(small(), IMAGES, looks=(1, 1.5))
    np.testing.assert_allclose(found, (as_they_are + larger) / 2, rtol=1e-4, atol=1e-5)
    assert computed() == 3
    for wrong in ("miror", 0, (1, "x"), -1):
        with pytest.raises(ValueError, match='looks are "mirror" and factors'):
            extract(small(), IMAGES, looks=wrong)
    with pytest.raises(ValueError, match="no such looks"):
        extract(small(end="flatten"), IMAGES, looks=1.5)
    with pytest.raises(ValueError, match="load it with size="):
        extract(_anysize(), IMAGES, looks=1.5)


def test_a_joined_backbone_of_known_parts_computes_nothing(computed):
    """Its features are those of its parts, each of length one, and those of the model itself."""
    parts = [extract(part, IMAGES) for part in backbones.parts(joined())]
    assert computed() == 6
    both = extract(joined(), IMAGES)
    assert computed() == 0 and both.shape == (23, 12)
    unit = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in parts]
    np.testing.assert_allclose(both, np.hstack(unit), rtol=1e-5, atol=1e-6)
    raw = IMAGES.astype("float32")
    np.testing.assert_allclose(joined()(raw), both, rtol=1e-4, atol=1e-5)
    looks = (0.75, 1, "mirror")
    one_model = backbones.seen(joined(), looks)
    np.testing.assert_allclose(one_model(raw), extract(joined(), IMAGES, looks=looks), atol=1e-5)


def test_another_backbone_layer_or_size_is_computed_anew(computed):
    variants = [
        small(), small(seed=1), small(size=9), small(end="max"), small(end="flatten"),
        *(backbones.load("letters", size=s, layer=n, pooling=p) for s, n, p in
          [(None, None, "avg"), (16, None, "avg"), (24, "block1_conv1_relu", "avg"),
           (24, "block1_conv1_relu", "max")]),
    ]  # fmt: skip
    results = [extract(variant, IMAGES[:5]) for variant in variants]
    assert computed() == len(variants)
    for one, other in itertools.combinations(results, 2):
        assert one.shape != other.shape or not np.allclose(one, other)
    kernel = backbones.network(variants[0]).layers[1].kernel
    kernel.assign(kernel + 1e-3)
    extract(variants[0], IMAGES[:5])
    extract(small(), IMAGES[:5].astype("float32"))
    assert computed() == 2
    extract(small(), IMAGES[:5])  # built anew, and alike
    assert computed() == 0


FRESH = """
import numpy as np
from tfl_helpers import backbones, datasets, features
from tfl_helpers.augment import augmenter
train, _ = datasets.load("digits", limit=40)
for options in ({"name": "letters"}, {"name": "MobileNet", "size": 32, "weights": None}):
    found = features.extract(backbones.load(**options), train)
    print(features.cache_info()["entries"], np.round(found.sum(), 4))
"""


def fresh_process(place):
    return subprocess.Popen(
        [sys.executable, "-c", FRESH],
        env={**os.environ, "TFL_CACHE_DIR": str(place), "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_two_processes_at_once_and_a_later_one_agree(place):
    outputs = [process.communicate() for process in [fresh_process(place), fresh_process(place)]]
    outputs.append(fresh_process(place).communicate())
    sums = [[line.split()[1] for line in out.splitlines()] for out, _ in outputs]
    assert len(sums[0]) == 2 and sums[0] == sums[1] == sums[2], outputs
    assert [line.split()[0] for line in outputs[2][0].splitlines()] == ["2", "2"]  # nothing new


class Stops(np.ndarray):
    """Images of which the third block cannot be had."""

    def __getitem__(self, index):
        if isinstance(index, slice) and index.start == 20:
            raise KeyboardInterrupt
        return super().__getitem__(index)


def test_a_stopped_run_goes_on_where_it_was(computed):
    backbone = small()
    with pytest.raises(KeyboardInterrupt):
        extract(backbone, IMAGES.view(Stops))
    assert computed() == 2 and features.cache_info()["entries"] == 2
    found = extract(backbone, IMAGES)
    assert computed() == 1
    np.testing.assert_array_equal(found, extract(backbone, IMAGES, cache=False))


@pytest.mark.filterwarnings("ignore:.*Exception while loading results")
@pytest.mark.parametrize("damage", [b"", b"no pickle", None])
def test_a_damaged_entry_is_computed_again(place, computed, damage):
    backbone = small()
    first = extract(backbone, IMAGES)
    (entry, *_) = place.rglob("output.pkl")
    entry.write_bytes(entry.read_bytes()[:-60] if damage is None else damage)
    computed()
    for new in (1, 0):
        np.testing.assert_array_equal(extract(backbone, IMAGES), first)
        assert computed() == new


def test_where_nothing_can_be_written_it_warns_and_computes(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(UserWarning, match=r"cannot be written.*TFL_CACHE_DIR") as caught:
        found = extract(small(), IMAGES, cache=tmp_path / "file" / "cache")
    assert caught[0].filename == __file__ or "extract" in str(caught[0])
    np.testing.assert_array_equal(found, extract(small(), IMAGES, cache=False))


def test_cache_info_and_clear_know_their_own_files_alone(place):
    others = [place / "mine.npy", place / "joblib" / "x", place / "tfl_helpers" / "y"]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(10**6))
    assert features.cache_info()["entries"] == 0 and features.cache_info()["megabytes"] == 0
    assert features.clear_cache() == 0
    extract(small(wide=20000), IMAGES)
    info = features.cache_info()
    assert info["entries"] == 3 and info["folder"].startswith(str(place))
    assert info["megabytes"] == pytest.approx(1.8, abs=0.1)
    assert features.clear_cache() == info["megabytes"] and features.cache_info()["entries"] == 0
    assert all(path.stat().st_size == 10**6 for path in others)


def test_the_cache_is_where_it_is_asked_for(place, tmp_path, monkeypatch):
    extract(small(), IMAGES, cache=False)
    assert not place.exists()
    monkeypatch.setenv("HOME", str(tmp_path))
    extract(small(), IMAGES, cache="~/other")
    assert not place.exists() and features.cache_info(tmp_path / "other")["entries"] == 3
    extract(small(), IMAGES)
    assert features.cache_info()["entries"] == features.cache_info(place)["entries"] == 3


def test_progress_is_shown_only_when_asked(capsys):
    extract(small(), IMAGES, cache=False, progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_second_call_on_50000_by_1280_takes_under_a_second():
    images = RNG.integers(0, 256, (50_000, 32, 32, 3), dtype="uint8")
    backbone, seconds = small(size=5, wide=1280), []
    about = {"batch_size": 1000, "block_size": 4096}
    first = extract(backbone, images, **about)
    for _ in range(4):  # the best of a few, in seconds of work: the machine may be busy otherwise
        start = time.process_time()
        again = extract(backbone, images, **about)
        seconds.append(time.process_time() - start)
    assert first.shape == (50_000, 1280) and np.array_equal(first[::99], again[::99])
    assert min(seconds) < 1, seconds


# --- normalisers -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vectors():
    return RNG.gamma(1, size=(300, 20)).astype("float32") @ RNG.normal(size=(20, 20)) + 3


def test_normalisers_do_what_they_are_called(vectors):
    fitted = {kind: features.normaliser(kind).fit(vectors) for kind in
              ("none", "l2", "standard", "pca-whiten")}  # fmt: skip
    done = {kind: step.transform(vectors) for kind, step in fitted.items()}
    np.testing.assert_array_equal(done["none"], vectors)
    np.testing.assert_allclose(np.linalg.norm(done["l2"], axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(done["l2"] * np.linalg.norm(vectors, axis=1)[:, None], vectors)
    np.testing.assert_allclose(done["standard"].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(done["standard"].std(0), 1, rtol=1e-5)
    whitened = fitted["pca-whiten"][:-1].transform(vectors)
    np.testing.assert_allclose(np.cov(whitened.T), np.eye(whitened.shape[1]), atol=1e-6)
    assert 5 < whitened.shape[1] < 20
    np.testing.assert_allclose(np.linalg.norm(done["pca-whiten"], axis=1), 1, rtol=1e-5)
    assert not np.allclose(fitted["standard"].transform(vectors[:50] + 1).mean(0), 0, atol=0.1)


def test_unknown_normaliser_names_the_known_ones():
    with pytest.raises(ValueError, match="'zca'; there are none, l2, standard, pca-whiten"):
        features.normaliser("zca")


@pytest.mark.parametrize("kind", ["none", "l2", "standard", "pca-whiten"])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning:sklearn")
@pytest.mark.parametrize("what", ["one feature constant", "some zero rows", "all equal", "zeros"])
def test_dead_features_give_finite_numbers(vectors, kind, what):
    dead = vectors[:60].copy()
    if what == "one feature constant":
        dead[:, 3] = 7
    elif what == "some zero rows":
        dead[:9] = 0
    else:
        dead[:] = what == "all equal"
    done = features.normaliser(kind).fit_transform(dead)
    assert len(done) == 60 and done.shape[1] >= 1 and np.isfinite(done).all()


def test_whitening_is_not_drowned_by_how_strongly_images_respond():
    """Features of an untrained network grow with brightness: 90 % of the variance in one number."""
    directions = np.abs(RNG.normal(size=(300, 20))) + 2
    features_of_bright_and_dark = directions * RNG.uniform(1, 100, size=(300, 1))
    done = features.normaliser("pca-whiten").fit_transform(features_of_bright_and_dark)
    assert done.shape[1] > 10


# --- without a cache ---------------------------------------------------------------------------


def test_views_are_features_of_changed_copies():
    backbone = backbones.load("letters", layer="block2_conv2_relu")
    grey, about = IMAGES[..., :1], {"batch_size": 8, "progress": False}
    same = keras.Sequential([keras.layers.Identity()])
    views = features.extract_views(backbone, grey, same, n_views=1, **about)
    assert views.shape == (1, 23, 64) and views.dtype == np.float16
    plain = features.extract(backbone, grey, cache=False, progress=False)
    np.testing.assert_allclose(views[0], plain, rtol=2e-3, atol=2e-3)
    change = augmenter("digits", 0, damage=False)
    views = features.extract_views(backbone, grey, change, **about)
    gaps = [np.abs(a - b).mean() for a, b in ((views[0], plain), (views[0], views[1]))]
    assert len(views) == 2 and min(gaps) > 0.01
    with pytest.raises(ValueError, match="no images"):
        features.extract_views(backbone, grey[:0], change)


@pytest.mark.parametrize("kind", ["uint8", "float32"])
@pytest.mark.parametrize("channels, backbone_channels", [(3, 3), (3, 1), (1, 3), (1, 1)])
def test_pixels_in_memory_give_the_same_features(channels, backbone_channels, kind):
    backbone = small(channels=backbone_channels)
    images = IMAGES[..., :channels].astype(kind)
    compute = features.extractor(backbones.View(backbone), batch_size=4)
    for part in (images, images[:1]):
        found = compute(part)
        assert found.dtype == np.float32
        expected = extract(backbone, part, cache=False)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_compiled_backbone_gives_what_the_backbone_gives(letters):
    images = IMAGES[..., :1].astype("float32")
    found = features.compiled(letters)(images)
    np.testing.assert_allclose(found, letters(images), rtol=1e-5, atol=1e-5)


def test_many_backbones_in_one_process_cause_no_warning_of_tensorflow():
    images, heard = np.zeros((2, 8, 8, 3), "uint8"), []
    handler = logging.Handler()
    handler.emit = heard.append
    logging.getLogger("tensorflow").addHandler(handler)
    try:
        for size in range(8, 16):
            features.extractor(backbones.View(backbones.load("pixels", size=size)))(images)
    finally:
        logging.getLogger("tensorflow").removeHandler(handler)
    assert not heard
