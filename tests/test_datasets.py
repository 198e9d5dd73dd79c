"""Images in, answers sealed: where sets are found, their splits, their seals, their caches."""

import ast
import copy
import gzip
import hashlib
import io
import pickle
import socket
import tarfile
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression

from tfl_helpers import datasets, evaluation
from tfl_helpers.datasets import CATALOGUE, DataSet, DatasetMissingError, SealedError

ROOT = Path(__file__).resolve().parent.parent
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path, request):
    """No bundle, an empty Keras cache, and a network that fails the test when it is touched."""
    if "photo_bundle" not in request.fixturenames:
        monkeypatch.delenv("TFL_DATA_DIR", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("TFL_OFFLINE", "1")
    touched = []

    def refuse(*args, **kwargs):
        touched.append(args)
        raise OSError("the network was touched")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    yield touched
    assert not touched


def npz(path, n=(8, 4), **changed):
    """Write a small set in the Keras layout; None leaves a part out."""
    arrays = {}
    for split, count in zip(("train", "test"), n, strict=True):
        arrays[f"x_{split}"] = RNG.integers(0, 256, (count, 28, 28), dtype="uint8")
        arrays[f"y_{split}"] = np.arange(count, dtype="uint8") % 10
    arrays = {key: value for key, value in (arrays | changed).items() if value is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return arrays


def photos(root, names, size=(40, 60), mode="RGB"):
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), dtype="uint8")
        Image.fromarray(pixels).convert(mode).save(path)
    return root


# --- sources -----------------------------------------------------------------------------------


def test_digits_are_always_there_and_split_alike(digits):
    train, test = digits
    assert (len(train), len(test)) == (1347, 450)
    assert train.images.shape == (1347, 8, 8, 1) and train.images.dtype == np.uint8
    assert train.images.max() == 255 and train.images.min() == 0
    assert train.class_names == tuple("0123456789") and train.split == "train"
    assert len(train.answers) == 1347 and not set(train.names) & set(test.names)
    np.testing.assert_array_equal(train.images, datasets.load("digits", seed=5)[0].images)


@pytest.mark.photos
@pytest.mark.parametrize(
    "name, shape, classes",
    [("mnist", (28, 28, 1), 10), ("cifar10", (32, 32, 3), 10), ("pedestrians", (128, 64, 3), 2)],
)
def test_real_sets_load_from_the_bundle(photo_bundle, name, shape, classes):
    train, test = datasets.load(name, limit=200, progress=False)
    assert train.images.shape == (200, *shape) and test.images.shape == (40, *shape)
    assert train.images.dtype == np.uint8 and train.images.std() > 30
    assert (
        len(train.class_names) == classes
        and train.class_names == datasets.describe(name).class_names
    )
    known = evaluation.unseal(train.answers)
    assert set(known) == set(range(classes))
    # Neither names nor order tell the answers: sorted by class there would be few changes.
    assert (known[1:] != known[:-1]).mean() > 0.5 * (1 - 1 / classes)
    assert all(name[:6] == "train/" and name[6:].isdigit() for name in train.names)


@pytest.mark.photos
def test_answers_of_a_bundled_folder_belong_to_their_images(photo_bundle):
    train, _ = datasets.load("pedestrians", limit=30, progress=False)
    crops = {Image.open(p).tobytes(): p.parent.name for p in photo_bundle.rglob("train/*/*.jpg")
             if "pedestrians" in str(p)}  # fmt: skip
    for image, answer in zip(train.images, evaluation.unseal(train.answers), strict=True):
        assert crops[image.tobytes()] == train.class_names[answer]


def test_limit_and_seed_repeat():
    first, again, other = (datasets.load("digits", limit=50, seed=s)[0] for s in (1, 1, 2))
    assert first.names == again.names != other.names and len(first) == 50
    assert len(datasets.load("digits", limit=50)[1]) == 10
    assert len(datasets.load("digits", limit=10**6)[0]) == 1347
    with pytest.raises(ValueError, match="limit == 0"):
        datasets.load("digits", limit=0)


def test_excluded_images_are_gone_and_take_keeps_seals(digits):
    train, _ = digits
    rest, _ = datasets.load("digits", exclude=train.names[:3])
    assert rest.names == train.names[3:] and len(rest.answers) == 1344
    some = train.take(np.arange(len(train)) % 2 == 0)
    assert len(some) == len(some.answers) == 674 and "674 train images" in repr(some)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="cifar10, pedestrians, folder:PATH"):
        datasets.load("cifar")


def test_bundle_comes_before_keras_cache_before_network(tmp_path, monkeypatch, bare):
    monkeypatch.setenv("TFL_OFFLINE", "0")
    with pytest.raises(DatasetMissingError, match="the network was touched"):
        datasets.load("mnist")
    bare.clear()
    cached = npz(tmp_path / "keras" / "datasets" / "mnist.npz")
    np.testing.assert_array_equal(datasets.load("mnist")[0].images[..., 0], cached["x_train"])
    bundled = npz(tmp_path / "bundle" / "mnist.npz", n=(9, 4))
    monkeypatch.setenv("TFL_DATA_DIR", str(tmp_path / "bundle"))
    np.testing.assert_array_equal(datasets.load("mnist")[0].images[..., 0], bundled["x_train"])


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "pedestrians"])
def test_offline_a_missing_set_names_three_ways_and_touches_nothing(name, monkeypatch):
    with pytest.raises(DatasetMissingError) as error:
        datasets.load(name)
    for part in ("TFL_DATA_DIR", "prefetch --out", "(3)", name):
        assert part in str(error.value)
    assert "TFL_OFFLINE unset" in str(error.value)
    monkeypatch.setenv("TFL_DATA_DIR", "/no/such/folder")
    with pytest.raises(DatasetMissingError, match="no such folder"):
        datasets.load(name)


def test_a_new_set_is_one_entry_of_the_catalogue(tmp_path, monkeypatch):
    entry = DataSet("marks", ("a", "b"), {"name": "letters"}, "characters")
    monkeypatch.setitem(CATALOGUE, "marks", entry)
    with pytest.raises(DatasetMissingError, match="no public download of this set"):
        datasets.load("marks")
    npz(tmp_path / "marks.npz", y_train=[0, 1] * 4, y_test=[1, 0] * 2)
    monkeypatch.setenv("TFL_DATA_DIR", str(tmp_path))
    train, _ = datasets.load("marks")
    assert train.class_names == ("a", "b") and repr(train) == "<8 train images of marks>"
    assert datasets.describe("marks").backbone == {"name": "letters"}
    assert "marks" in set(datasets.available().data)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    target = tmp_path / "new" / "a.csv"
    with datasets.write_whole(target) as part:
        assert part.parent == target.parent and part.suffix == ".csv"
        part.write_text("first")
        assert not target.exists()
    with pytest.raises(KeyboardInterrupt), datasets.write_whole(target) as part:
        part.write_text("sec")
        raise KeyboardInterrupt
    assert target.read_text() == "first" and list(target.parent.iterdir()) == [target]
    with pytest.raises(OSError), datasets.write_whole(tmp_path / "folder") as part:
        part.mkdir()
        (part / "a").touch()
        raise OSError
    with datasets.write_whole(tmp_path / "folder") as part:
        part.mkdir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "new"]


def test_available_says_where(tmp_path, monkeypatch):
    table = datasets.available().set_index("data")
    assert table.found.to_dict() == {
        **dict.fromkeys(CATALOGUE, False), "digits": True, "drawn_streets": True,
        "folder:PATH": True
    }  # fmt: skip
    npz(tmp_path / "keras" / "datasets" / "mnist.npz")
    photos(tmp_path / "bundle" / "pedestrians", ["train/a/1.png"])
    monkeypatch.setenv("TFL_DATA_DIR", str(tmp_path / "bundle"))
    table = datasets.available().set_index("data")
    assert table["where"]["mnist"] == "the Keras cache"
    assert table["where"]["pedestrians"] == "TFL_DATA_DIR: pedestrians"


# --- seals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "look",
    [
        np.asarray, np.unique, list, set, sum, pickle.dumps, copy.copy, copy.deepcopy, joblib.hash,
        pd.Series, lambda a: a[0], lambda a: a == 1, lambda a: a != a, lambda a: a < 3,
        lambda a: 1 in a, lambda a: a + 1, lambda a: a - a, lambda a: np.arange(50) * a,
        lambda a: next(reversed(a)), lambda a: a.__getstate__(), lambda a: np.array([a, a]),
        lambda a: LogisticRegression().fit(np.eye(50), a), lambda a: KMeans(2).fit(a),
    ],
)  # fmt: skip
def test_sealed_answers_refuse_and_say_why(look, digits):
    answers = digits[0].answers.take(range(50))
    with pytest.raises(SealedError, match=r"nothing that fits, tunes or stops.*evaluation"):
        look(answers)


def test_sealed_answers_refuse_keras_and_tensorflow():
    import keras
    import tensorflow as tf

    answers = datasets.SealedAnswers([0, 1, 1])
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    for use in (tf.convert_to_tensor, lambda a: model.fit(np.zeros((3, 2)), a, verbose=0)):
        with pytest.raises(SealedError):
            use(answers)


def test_sealed_answers_show_their_number_only():
    answers = datasets.SealedAnswers([7, 7, 7])
    assert len(answers) == 3 and len(answers.take([True, False, True])) == 2
    assert f"{answers}" == "<sealed answers of 3 images>"


def test_only_evaluation_opens_the_seal():
    """Any other use of `_unseal`, or a way round it, in the package or a notebook is a leak."""
    users = set()
    for path in [*ROOT.glob("tfl_helpers/**/*.py"), *ROOT.glob("notebooks/**/*.ipynb")]:
        text = path.read_text("utf-8")
        if "_unseal" in text or "_SealedAnswers__" in text:
            users.add(path.relative_to(ROOT / "tfl_helpers").as_posix())
    assert users == {"datasets/answers.py", "datasets/sets.py", "evaluation/metrics.py"}
    tree = ast.parse((ROOT / "tfl_helpers" / "datasets" / "sets.py").read_text("utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert [f.name for f in functions if "_unseal" in ast.unparse(f)] == ["copy_to_bundle"]


# --- bundles and caches ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"y_test": None}, "y_test"),
        ({"x_train": np.array([{}] * 8)}, "no pickled objects"),
        ({"x_train": np.zeros((8, 28, 28))}, "x_train: float64"),
        ({"x_test": np.zeros((4, 28, 28, 2), "uint8")}, r"\(4, 28, 28, 2\)"),
        ({"y_train": np.zeros(7, "uint8")}, "for 8 images"),
        ({"y_train": np.zeros(8)}, "one whole number"),
        ({"y_train": np.full(8, 10)}, "from 0 to 9"),
    ],
)
def test_bad_npz_says_what_is_wrong(tmp_path, monkeypatch, changed, message):
    monkeypatch.setenv("TFL_DATA_DIR", str(tmp_path))
    npz(tmp_path / "mnist.npz", **changed)
    with pytest.raises(ValueError, match=message) as error:
        datasets.load("mnist")
    assert "mnist.npz" in str(error.value)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "npy", "pickle"])
def test_broken_npz_is_a_plain_error(tmp_path, monkeypatch, damage):
    monkeypatch.setenv("TFL_DATA_DIR", str(tmp_path))
    path = tmp_path / "mnist.npz"
    npz(path)
    whole = path.read_bytes()
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    path.write_bytes(
        {"cut": whole[:-3000], "flipped": whole[:500] + b"???" + whole[503:], "empty": b"",
         "text": b"hello", "npy": array.getvalue(), "pickle": pickle.dumps([1])}[damage]
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"mnist\.npz is not what a bundle holds"):
        datasets.load("mnist")


def publish(name, hashes, monkeypatch):
    """Change the hashes of a set in the catalogue."""
    items = zip(CATALOGUE[name].downloads, hashes, strict=True)
    downloads = tuple(item | {"digest": digest} for item, digest in items)
    monkeypatch.setitem(CATALOGUE, name, replace(CATALOGUE[name], downloads=downloads))


def cache_fashion(folder, monkeypatch):
    images = [RNG.integers(0, 256, (n, 28, 28), dtype="uint8") for n in (6, 3)]
    labels = [np.arange(n, dtype="uint8") for n in (6, 3)]
    files = []
    for x, y in zip(images, labels, strict=True):
        files += [gzip.compress(b"\0\0\x08\x03" + bytes(12) + x.tobytes())]
        files += [gzip.compress(b"\0\0\x08\x01" + bytes(4) + y.tobytes())]
    known = CATALOGUE["fashion_mnist"].downloads
    assert all(len(item["digest"]) == 32 for item in known)
    publish("fashion_mnist", [hashlib.md5(file).hexdigest() for file in files], monkeypatch)
    return images, labels, {item["file"]: f for item, f in zip(known, files, strict=True)}


def cache_cifar(folder, monkeypatch):
    images = [RNG.integers(0, 256, (n, 32, 32, 3), dtype="uint8") for n in (10, 4)]
    labels = [np.arange(n, dtype="int64") % 10 for n in (10, 4)]
    parts = {f"data_batch_{i + 1}": slice(2 * i, 2 * i + 2) for i in range(5)}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, part in [*parts.items(), ("test_batch", slice(None))]:
            test = int(name == "test_batch")
            flat = images[test][part].transpose(0, 3, 1, 2).reshape(-1, 3072)
            raw = pickle.dumps({b"data": flat, b"labels": labels[test][part].tolist()})
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(raw)
            archive.addfile(entry, io.BytesIO(raw))
    publish("cifar10", [hashlib.sha256(packed.getvalue()).hexdigest()], monkeypatch)
    return images, labels, {CATALOGUE["cifar10"].downloads[0]["file"]: packed.getvalue()}


@pytest.mark.parametrize("name, make", [("fashion_mnist", cache_fashion), ("cifar10", cache_cifar)])
def test_keras_cache_is_read_checked_and_copied(tmp_path, monkeypatch, name, make):
    images, labels, files = make(tmp_path, monkeypatch)
    for file, content in files.items():
        path = tmp_path / "keras" / "datasets" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def check():
        for split, x, y in zip(datasets.load(name, progress=False), images, labels, strict=True):
            np.testing.assert_array_equal(split.images, x.reshape(*x.shape[:3], -1))
            np.testing.assert_array_equal(evaluation.unseal(split.answers), y)

    check()
    written = datasets.copy_to_bundle(name, tmp_path / "new" / "bundle", progress=False)
    assert [written] == list((tmp_path / "new" / "bundle").iterdir())
    path.write_bytes(content[:-1])
    with pytest.raises(ValueError, match="not the file that was published: delete it"):
        datasets.load(name)
    monkeypatch.setenv("TFL_DATA_DIR", str(written.parent))
    check()
    assert datasets.copy_to_bundle(name, written.parent) == written  # onto itself: nothing lost
    check()


def test_copy_of_a_read_only_folder_can_be_changed(tmp_path, monkeypatch):
    place = photos(tmp_path / "a" / "cifar10", [f"{s}/{c}/1.png" for s in ("train", "test")
                                                for c in ("cat", "dog")])  # fmt: skip
    for path in [*place.rglob("*"), place]:
        path.chmod(0o555)
    monkeypatch.setenv("TFL_DATA_DIR", str(tmp_path / "a"))
    before = datasets.load("cifar10", progress=False)
    copied = datasets.copy_to_bundle("cifar10", tmp_path / "b")
    assert all(path.stat().st_mode & 0o200 for path in [copied, *copied.rglob("*")])
    monkeypatch.setenv("TFL_DATA_DIR", str(tmp_path / "b"))
    after = datasets.load("cifar10", progress=False)
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old.images, new.images)
    for name in ("digits", "drawn_streets", "imagenet"):
        with pytest.raises(ValueError, match="cannot be copied"):
            datasets.copy_to_bundle(name, tmp_path / "b")
