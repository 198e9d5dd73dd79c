"""Street scenes: the Penn-Fudan archive, crops that nothing else tells apart, drawn scenes."""

import hashlib
import http.server
import importlib.util
import io
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score

from tfl_helpers import datasets, evaluation
from tfl_helpers.datasets import CATALOGUE, DatasetMissingError, SealedAnswers, SealedError, scenes
from tfl_helpers.datasets.scenes import Scene

TOOL = Path(__file__).resolve().parent.parent / "tools" / "draw_streets.py"


# --- an archive in the layout of Penn-Fudan ----------------------------------------------------

TEXT = """# Compatible with PASCAL Annotation Version 1.00
Image filename : "PennFudanPed/PNGImages/{name}.png"
Image size (X x Y x C) : {w} x {h} x 3
Database : "The Penn-Fudan-Pedestrian Database"
Objects with ground truth : {n} {{ {kinds} }}
# Note there may be some objects not included in the ground truth list for they are severe-occluded
# or have very small size.
# Top left pixel co-ordinates : (1, 1)
"""
PART = """# Details for pedestrian {i} ("PASpersonWalking")
Original label for object {i} "PASpersonWalking" : "PennFudanPed"
Bounding box for object {i} "PASpersonWalking" (Xmin, Ymin) - (Xmax, Ymax) : {box}
Pixel mask for object {i} "PASpersonWalking" : "PennFudanPed/PedMasks/{name}_mask.png"

"""


def annotation(name, shape, people):
    kinds = " ".join(['"PASpersonWalking"'] * len(people))
    text = TEXT.format(name=name, w=shape[1], h=shape[0], n=len(people), kinds=kinds)
    for i, (top, left, bottom, right) in enumerate(people, 1):
        box = f"({left + 1}, {top + 1}) - ({right}, {bottom})"  # counted from 1, the last one in
        text += PART.format(i=i, name=name, box=box)
    return text


def files(n=8):
    """Files of an archive: noise photos with a bright bar at each person's place."""
    rng, content = np.random.default_rng(0), {"PennFudanPed/readme.txt": b"a copy for tests"}
    for number in range(n):
        name = f"{('Fudan', 'Penn')[number % 2]}Ped{number + 1:05d}"
        pixels = rng.integers(0, 90, (240, 360, 3), dtype="uint8")
        mask = np.zeros((240, 360), "uint8")
        people = [(60, 30 + 10 * number, 180, 80 + 10 * number), (90, 200, 170, 232)][
            : 1 + number % 2
        ]
        for i, (top, left, bottom, right) in enumerate(people, 1):
            pixels[top:bottom, left:right] += 150
            mask[top:bottom, left:right] = i
        for folder, tail, array in (("PNGImages", "", pixels), ("PedMasks", "_mask", mask)):
            file = io.BytesIO()
            Image.fromarray(array).save(file, "PNG")
            content[f"PennFudanPed/{folder}/{name}{tail}.png"] = file.getvalue()
        content[f"PennFudanPed/Annotation/{name}.txt"] = annotation(
            name, (240, 360), people
        ).encode()
    return content


def packed(content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return file.getvalue()


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Serve an archive on localhost as Penn-Fudan's; returns a function that sets its content."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("TFL_OFFLINE", "0")
    monkeypatch.delenv("TFL_DATA_DIR", raising=False)
    (tmp_path / "web").mkdir()
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path / "web"))

        def log_message(self, *args):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def publish(content, digest=None):
        (tmp_path / "web" / "PennFudanPed.zip").write_bytes(content)
        url = f"http://127.0.0.1:{server.server_port}/PennFudanPed.zip"
        item = {"file": "PennFudanPed.zip", "url": url}
        item["digest"] = digest or hashlib.md5(content).hexdigest()
        known = replace(CATALOGUE["pedestrians"], downloads=(item,))
        monkeypatch.setitem(CATALOGUE, "pedestrians", known)
        return asked

    yield publish
    server.shutdown()
    server.server_close()


def test_the_archive_is_downloaded_once_checked_and_cut(served, tmp_path):
    asked = served(packed(files()))
    train, test = datasets.load("pedestrians", progress=False)
    again, _ = datasets.load("pedestrians", progress=False)
    assert len(asked) == 1 and (tmp_path / "keras/datasets/PennFudanPed.zip").exists()
    np.testing.assert_array_equal(train.images, again.images)
    assert train.images.shape[1:] == (128, 64, 3) and train.images.dtype == np.uint8
    assert len(train) + len(test) == 2 * 12  # 12 people in 8 photos, a background for each
    photos = [{name.split("/")[1][:-6] for name in part.names} for part in (train, test)]
    assert photos[0] and photos[1] and not photos[0] & photos[1]
    with pytest.raises(SealedError):
        np.asarray(train.answers)
    for part in (train, test):  # people are the bright ones: answers belong to their images
        bright = part.images[:, 40:90, 24:40].mean((1, 2, 3)) > 120
        np.testing.assert_array_equal(bright, evaluation.unseal(part.answers) == 1)
    assert datasets.available().set_index("data")["where"]["pedestrians"] == "the Keras cache"


def test_scenes_of_the_archive_keep_their_people_sealed(served, monkeypatch, tmp_path):
    served(packed(files()))
    train, test = datasets.load_scenes("pedestrians")
    assert len(train) == 6 and len(test) == 2 and train[0].image.shape == (240, 360, 3)
    with pytest.raises(SealedError):
        train[0].people[0]
    known = {scene.name: evaluation.unseal(scene.people) for scene in train + test}
    np.testing.assert_array_equal(known["FudanPed00001"], [[60, 30, 180, 80, -1, -1]])
    (tmp_path / "bundle/pedestrians").mkdir(parents=True)
    monkeypatch.setenv("TFL_DATA_DIR", str(tmp_path / "bundle"))
    with pytest.raises(DatasetMissingError, match="holds crops only, no whole photos"):
        datasets.load_scenes("pedestrians")
    with pytest.raises(ValueError, match="'cifar10' has no street scenes"):
        datasets.load_scenes("cifar10")


def test_what_has_another_hash_is_never_opened(served, tmp_path, monkeypatch):
    served(packed(files()), digest=CATALOGUE["pedestrians"].downloads[0]["digest"])
    monkeypatch.setattr(scenes, "read_penn_fudan", lambda content: pytest.fail("it was opened"))
    with pytest.raises(DatasetMissingError, match="not 5aaa3dee905cef73325923716e38fc6d"):
        datasets.load("pedestrians", progress=False)
    assert not any((tmp_path / "keras/datasets").iterdir())
    (tmp_path / "keras/datasets/PennFudanPed.zip").write_bytes(b"something else")
    with pytest.raises(ValueError, match="not the file that was published: delete it"):
        datasets.load("pedestrians", progress=False)


def test_a_bundle_can_be_made_of_it(served, tmp_path, monkeypatch):
    served(packed(files()))
    before = datasets.load("pedestrians", progress=False)
    datasets.copy_to_bundle("pedestrians", tmp_path / "bundle", progress=False)
    monkeypatch.setenv("TFL_DATA_DIR", str(tmp_path / "bundle"))
    monkeypatch.setenv("TFL_OFFLINE", "1")
    for old, new in zip(before, datasets.load("pedestrians"), strict=True):
        np.testing.assert_array_equal(old.images, new.images)


# --- crops -------------------------------------------------------------------------------------


def noise_scenes(n=40, people=4, seed=0):
    """Photos of noise with boxes around nothing: only the cutting could tell the classes apart.

    Like real photos they went through JPEG, which leaves a grid of 8 x 8 pixels.
    """
    rng, found = np.random.default_rng(seed), []
    for number in range(n):
        small = rng.integers(0, 256, (30, 45, 3), dtype="uint8")
        photo = Image.fromarray(small).resize((360, 240), Image.Resampling.BICUBIC)
        file = io.BytesIO()
        photo.save(file, "JPEG", quality=60)
        boxes = []
        for _ in range(people):
            tall = int(np.exp(rng.uniform(np.log(40), np.log(200))))
            top, left = rng.integers(0, 240 - tall), rng.integers(0, 360 - tall // 3)
            boxes.append((top, left, top + tall, left + tall // 3, -1, -1))
        found.append(Scene(f"noise-{number}", np.asarray(Image.open(file)), np.array(boxes)))
    return found


def clues(images):
    """What an unfair set would give away: borders, sharpness, levels, the grid of JPEG."""
    x = images.mean(3)
    down, across = np.abs(np.diff(x, axis=1)), np.abs(np.diff(x, axis=2))
    borders = [x[:, :4].std((1, 2)), x[:, -4:].std((1, 2)), x[:, :, :4].std((1, 2))]
    sharp = [down.mean((1, 2)), across.mean((1, 2)), np.abs(np.diff(x, 2, 1)).mean((1, 2))]
    grid = [down[:, i::8].mean((1, 2)) for i in range(8)]
    level = [x.mean((1, 2)), x.std((1, 2)), images.min((1, 2, 3)), images.max((1, 2, 3))]
    return np.stack([*borders, x[:, :, -4:].std((1, 2)), *sharp, *grid, *level], 1)


def test_crops_pair_sizes_and_background_touches_nobody():
    photos = noise_scenes()
    images, classes, windows = scenes.cut_crops(photos, seed=3)
    assert images.shape == (len(classes), 128, 64, 3) and classes.mean() == 0.5
    assert len(images) > 200
    sizes = windows[:, 3:] - windows[:, 1:3]
    for c in (0, 1):  # the very same sizes in both classes, so the same factor of resizing
        assert sorted(map(tuple, sizes[classes == c])) == sorted(map(tuple, sizes[classes == 0]))
    assert len(np.unique(sizes[:, 0])) > 50
    assert np.abs(sizes[:, 0] / 2 - sizes[:, 1]).max() <= 1
    for (place, top, left, bottom, right), c in zip(windows, classes, strict=True):
        assert min(top, left) >= 0 and bottom <= 240 and right <= 360  # no padded border
        boxes = photos[place].people[:, :4]
        over = (boxes[:, 0] < bottom) & (boxes[:, 2] > top)
        over &= (boxes[:, 1] < right) & (boxes[:, 3] > left)
        assert over.any() == (c == 1)
    again = scenes.cut_crops(photos, seed=3)
    assert all(np.array_equal(a, b) for a, b in zip((images, classes, windows), again, strict=True))
    assert not np.array_equal(scenes.cut_crops(photos, seed=4)[2], windows)


def test_around_nothing_no_clue_tells_the_classes_apart():
    images, classes, _ = scenes.cut_crops(noise_scenes(60))
    forest = RandomForestClassifier(100, random_state=0)
    found = cross_val_score(forest, clues(images), classes, cv=5)
    assert len(images) > 300 and 0.40 < found.mean() < 0.60, found.mean()
    unfair = images.copy()  # the test sees a clue: one class was saved once more
    for i in np.flatnonzero(classes == 1):
        file = io.BytesIO()
        Image.fromarray(images[i]).save(file, "JPEG", quality=50)
        unfair[i] = np.asarray(Image.open(file))
    assert cross_val_score(forest, clues(unfair), classes, cv=5).mean() > 0.9


def test_nobody_is_cut_out_without_a_background_of_the_same_size():
    full = Scene("full", np.zeros((100, 50, 3), "uint8"), np.array([[0, 0, 100, 50, -1, -1]]))
    with pytest.raises(ValueError, match="1 scenes with 1 people: no person could be cut out"):
        scenes.cut_crops([full])
    wide = Scene("wide", np.zeros((120, 200, 3), "uint8"))
    _, classes, windows = scenes.cut_crops([full, wide])  # another photo has room
    assert sorted(zip(classes, windows[:, 0], strict=True)) == [(0, 1), (1, 0)]


# --- drawn streets -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn():
    """Train and test scenes that are shipped, and what is known about them."""
    return datasets.load_scenes("drawn_streets")


@pytest.fixture(scope="module")
def tool():
    if not TOOL.is_file():
        pytest.skip("tools/ is part of the repository, not of the installed package")
    spec = importlib.util.spec_from_file_location("draw_streets", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_drawn_scenes_vary(drawn):
    people = np.concatenate([evaluation.unseal(s.people) for part in drawn for s in part])
    heights, visible, dark = people[:, 2] - people[:, 0], people[:, 4], people[:, 5]
    assert [len(part) for part in drawn] == [210, 90]
    assert all(1 <= len(s.people) <= 5 for part in drawn for s in part)
    assert heights.min() < 60 and heights.max() > 150  # far and near
    assert visible.min() >= 50 and (visible < 85).mean() > 0.1  # some are covered
    assert 0.05 < dark.mean() < 0.5
    nights = [evaluation.unseal(s.people)[0, 5] for s in drawn[0]]
    light = [
        np.mean([s.image.mean() for s, n in zip(drawn[0], nights, strict=True) if n == d])
        for d in (0, 1)
    ]
    assert light[1] < 0.6 * light[0]
    assert (people[:, :2] >= 0).all() and (people[:, 2:4] <= (320, 480)).all()


def test_drawn_scenes_are_those_that_the_tool_draws(drawn, tool):
    shipped = {s.name: s for part in drawn for s in part}
    for number in (0, 3, 123):
        scene = tool.draw_scene(number)
        np.testing.assert_array_equal(scene.people, evaluation.unseal(shipped[scene.name].people))
        np.testing.assert_array_equal(scene.image, shipped[scene.name].image)
    assert not np.array_equal(tool.draw_scene(3, seed=1).image, shipped["drawn-0003"].image)


def test_boxes_of_drawn_people_fit_them(tool):
    """Nobody in the picture, and the same street without: they differ inside the boxes alone."""
    pen = tool.Pen((400, 400))
    pen.box(0, 0, 400, 400, (200, 200, 200))
    empty = np.asarray(pen.picture).copy()
    pen.person = 1
    tool.draw_person(pen, np.random.default_rng(5), 200, 380, 300)
    differs = (np.asarray(pen.picture) != empty).any(2)
    left, top, right, bottom = pen.map.getbbox()
    assert differs[top:bottom, left:right].sum() == differs.sum() > 5000
    assert 270 < bottom - top < 330 and np.array_equal(np.asarray(pen.map) == 1, differs)


def test_the_drawn_set_is_balanced_sealed_and_split_by_scene():
    train, test = datasets.load("drawn_streets")
    assert train.images.shape == (1178, 128, 64, 3) and test.images.shape == (528, 128, 64, 3)
    assert repr(train).endswith("train images of drawn_streets>")
    assert train.class_names == ("background", "pedestrian")
    parts = [{name.split("/")[1][:-6] for name in part.names} for part in (train, test)]
    assert not parts[0] & parts[1]
    with pytest.raises(SealedError):
        train.answers[0]
    assert [evaluation.unseal(part.answers).mean() for part in (train, test)] == [0.5, 0.5]
    some, rest = datasets.load_scenes("drawn_streets", limit=2)
    assert len(some) == len(rest) == 2 and isinstance(some[0].people, SealedAnswers)
    assert some[0].name in parts[0] and rest[0].name in parts[1]
