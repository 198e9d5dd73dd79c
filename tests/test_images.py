"""Image files of every kind: folders, reading, batches, and downloads that break off."""

import hashlib
import http.server
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfl_helpers import datasets, evaluation
from tfl_helpers.datasets import CATALOGUE, DatasetMissingError, FolderImages, ImageReadError

RED, SIZE = (200, 30, 60), (24, 32)  # height, width


def photos(root, names, size=SIZE, mode="RGB"):
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), dtype="uint8")
        Image.fromarray(pixels).convert(mode).save(path)
    return root


def names_of(split):
    return sorted(split.names)


# --- folders -----------------------------------------------------------------------------------


def test_folder_with_subfolders_has_sealed_classes(tmp_path):
    files = [f"{c}/{i} ü.png" for c in ("cat", "dog", "owl") for i in range(4)]
    photos(tmp_path, [*files, "cat/.hidden.png", ".git/x.png"])
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    train, test = datasets.load(f"folder:{tmp_path}", test_size=0.25, seed=3)
    assert (len(train), len(test)) == (9, 3) and sorted(train.names + test.names) == files
    assert train.class_names == ("cat", "dog", "owl")
    for split in (train, test):
        expected = [split.class_names.index(name.split("/")[0]) for name in split.names]
        assert evaluation.unseal(split.answers).tolist() == expected
    assert datasets.load(f"folder:{tmp_path}", test_size=0.25, seed=4)[0].names != train.names
    assert datasets.load(f"folder:{tmp_path}", test_size=0.25, seed=3)[0].names == train.names
    fewer = datasets.load(f"folder:{tmp_path}", exclude=train.names[:2], test_size=0.25, seed=3)[0]
    assert fewer.names == train.names[2:] == fewer.images.files


@pytest.mark.parametrize("names", [["a.png", "b.png", "c.JPG"], ["only/a.png", "only/b.png"],
                                   ["x/a.png", "y/b.png", "c.png"]])  # fmt: skip
def test_folder_without_classes_has_no_answers(tmp_path, names):
    train, test = datasets.load(f"folder:{photos(tmp_path, names)}")
    assert train.answers is None and test.class_names == ()
    assert train.take([0]).answers is None


def test_folder_keeps_its_own_split(tmp_path):
    files = [f"{s}/{c}/{i}.png" for s in ("train", "test") for c in ("a", "b") for i in (1, 2)]
    train, test = datasets.load(f"folder:{photos(tmp_path, files)}", test_size=0.9)
    assert names_of(train) == files[:4] and names_of(test) == sorted(files[4:])
    assert train.class_names == ("a", "b")
    flat = [f"{s}/{i}.png" for s in ("train", "test") for i in (1, 2)]
    train, _ = datasets.load(f"folder:{photos(tmp_path / 'flat', flat)}")
    assert names_of(train) == flat[:2] and train.answers is None


def test_folder_is_not_read_before_it_is_looked_at(tmp_path):
    photos(tmp_path, [f"{i}.png" for i in range(6)])
    (tmp_path / "0.png").write_bytes(b"broken")
    whole = FolderImages(tmp_path)
    assert len(whole) == 6 and whole[1:].files == whole[[1, 2, 3, 4, 5]].files
    assert whole[np.arange(6) > 3].files == ["4.png", "5.png"] and whole[-1].shape == (*SIZE, 3)
    datasets.load(f"folder:{tmp_path}")
    with pytest.raises(ImageReadError, match=r"0\.png.*exclude="):
        whole[0]


def test_home_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(photos(tmp_path, ["p/1.png", "p/2.png"])))
    assert len(FolderImages("~/p")) == 2 and FolderImages("~/p")[0].shape == (*SIZE, 3)
    assert len(datasets.load("folder:~/p")[0]) == 1


def test_bad_folders_say_what_is_wrong(tmp_path):
    photos(tmp_path / "one", ["1.png"])
    with pytest.raises(ValueError, match=r"holds 1 images \(\.avif"):
        datasets.load(f"folder:{tmp_path / 'one'}")
    with pytest.raises(NotADirectoryError, match="check the path"):
        datasets.load(f"folder:{tmp_path / 'none'}")
    photos(tmp_path / "one", ["2.png"])
    for share in (0, 1, 20):
        with pytest.raises(ValueError, match="between 0 and 1"):
            datasets.load(f"folder:{tmp_path / 'one'}", test_size=share)
    (tmp_path / "one" / "loop").symlink_to(tmp_path / "one")
    assert datasets.list_images(tmp_path / "one") == ["1.png", "2.png"]


# --- reading -----------------------------------------------------------------------------------


def sample(kind, path):
    """Write an image that is red on its left and white on its right; return what shall be read."""
    height, width = SIZE
    pixels = np.full((height, width, 3), 255, "uint8")
    pixels[:, : width // 2] = RED
    image, options, name = Image.fromarray(pixels), {}, "x.png"
    if kind == "transparent":
        alpha = np.full(SIZE, 255, "uint8")
        alpha[:, width // 2 :] = 0
        black = pixels * (alpha > 0)[..., None]
        image = Image.fromarray(np.dstack([black, alpha]))
    elif kind == "palette":
        image = image.quantize(4)
    elif kind == "palette, transparent":
        image = Image.fromarray(np.where(pixels == 255, 0, pixels)).quantize(4)
        options = {"transparency": image.getpixel((width - 1, 0))}
    elif kind in ("16-bit", "grey", "bilevel"):
        grey = np.where(pixels[..., 0] == 255, 255, 0).astype("uint16")
        pixels = np.repeat(grey[..., None], 3, 2).astype("uint8")
        image = Image.fromarray(grey * 257 if kind == "16-bit" else grey.astype("uint8"))
        image = image.convert("1") if kind == "bilevel" else image
    elif kind == "cmyk":
        image, name = image.convert("CMYK"), "x.tif"
    elif kind == "rotated":
        exif = Image.Exif()
        exif[0x0112] = 6  # the camera was held upright
        image, options, name = image.rotate(90, expand=True), {"exif": exif}, "x.png"
    elif kind == "animated":
        other = Image.fromarray(255 - pixels)
        options, name = {"save_all": True, "append_images": [other], "lossless": True}, "x.webp"
    image.save(path / name, **options)
    return path / name, pixels


@pytest.mark.parametrize(
    "kind",
    ["plain", "transparent", "palette", "palette, transparent", "16-bit", "grey", "bilevel",
     "cmyk", "rotated", "animated"],
)  # fmt: skip
def test_every_mode_becomes_upright_rgb(tmp_path, kind):
    path, expected = sample(kind, tmp_path)
    image = datasets.read_image(path)
    assert image.dtype == np.uint8 and image.shape == (*SIZE, 3)
    np.testing.assert_allclose(image.astype(int), expected, atol=2)
    small = datasets.read_image(path, (12, 8))
    assert small.shape == (12, 8, 3)
    np.testing.assert_allclose(small[:, 0].astype(int), expected[:12, 0], atol=2)


def test_large_jpeg_is_resized_at_reduced_decoding(tmp_path):
    ramp = np.linspace(0, 255, 1600).astype("uint8")
    Image.fromarray(np.repeat(np.repeat(ramp[None, :, None], 1200, 0), 3, 2)).save(
        tmp_path / "x.jpg"
    )
    image = datasets.read_image(tmp_path / "x.jpg", (30, 40))
    assert image.shape == (30, 40, 3)
    np.testing.assert_allclose(image[15, :, 0].astype(int), ramp[20::40], atol=4)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "bmp", "tif", "webp"])
def test_broken_files_are_named(tmp_path, suffix):
    path = photos(tmp_path, [f"x.{suffix}"]) / f"x.{suffix}"
    whole = path.read_bytes()
    for damage in (b"", b"hello", whole[:20], whole[: len(whole) // 2]):
        path.write_bytes(damage)
        with pytest.raises(ImageReadError, match=rf"cannot read .*x\.{suffix}"):
            datasets.read_image(path)
    rng = np.random.default_rng(0)
    for _ in range(60):  # any damage ends in an image or in that one error
        damaged = bytearray(whole)
        for place in rng.integers(0, min(len(whole), 200), 5):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            image = datasets.read_image(path)
        except ImageReadError as error:
            assert path.name in str(error)
        else:
            assert image.dtype == np.uint8 and image.shape[2:] == (3,)


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    path = photos(tmp_path, ["x.png"]) / "x.png"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    with pytest.raises(ImageReadError, match="megapixels"):
        datasets.read_image(path)


# --- batches -----------------------------------------------------------------------------------


def all_of(data):
    parts = list(data.as_numpy_iterator())
    return [len(part) for part in parts], np.concatenate(parts)


@pytest.mark.parametrize("there, wanted", [(1, 1), (1, 3), (3, 3), (3, 1)])
def test_batches_keep_order_values_and_change_channels(there, wanted):
    images = np.random.default_rng(0).integers(0, 256, (10, 6, 7, there), dtype="uint8")
    data = datasets.batches(images, channels=wanted, batch_size=4)
    lengths, values = all_of(data)
    assert lengths == [4, 4, 2] and values.dtype == np.float32 and values.shape[3] == wanted
    expected = images.astype("float32")
    if wanted < there:
        expected = images @ np.array([[0.2989], [0.587], [0.114]])
    np.testing.assert_allclose(values, np.broadcast_to(expected, values.shape), atol=0.05)
    assert values.max() > 150 and all_of(data)[0] == lengths  # and a second time


def test_batches_resize_arrays_and_folders_alike(tmp_path):
    images = FolderImages(photos(tmp_path, ["1.png", "2.png", "3.png"]))
    array = np.stack([images[i] for i in range(3)])
    np.testing.assert_array_equal(all_of(datasets.batches(images))[1], array)
    lazy, ready = (
        all_of(datasets.batches(x, size=(48, 64), batch_size=2)) for x in (images, array)
    )
    assert lazy[0] == ready[0] == [2, 1] and lazy[1].shape == (3, 48, 64, 3)
    np.testing.assert_allclose(lazy[1], ready[1], atol=1)  # a file's pixels are whole numbers
    train, _ = datasets.load("digits", limit=5)
    small = datasets.batches(train, size=(16, 16))
    assert all_of(small)[1].shape == (5, 16, 16, 3)
    assert small.element_spec.shape[1:] == (16, 16, 3)  # known before: layers that draw ask for it


def test_batches_refuse_what_makes_no_sense(tmp_path):
    for shape in ((5, 8, 8), (5, 8, 8, 2), (8, 8, 3)):
        with pytest.raises(ValueError, match=r"shape \(n, h, w, 1 or 3\)"):
            datasets.batches(np.zeros(shape, "uint8"))
    with pytest.raises(ValueError, match="channels must be"):
        datasets.batches(np.zeros((5, 8, 8, 3), "uint8"), channels=2)
    mixed = photos(photos(tmp_path, ["a.png"]), ["b.png"], size=(9, 9))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"a\.png is 24 x 32.*b\.png is 9 x 9"):
        all_of(datasets.batches(FolderImages(mixed)))
    assert all_of(datasets.batches(FolderImages(mixed), size=(5, 6)))[1].shape == (2, 5, 6, 3)
    (mixed / "b.png").write_bytes(b"broken")
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"ImageReadError: cannot read .*b\.png"
    ):
        all_of(datasets.batches(FolderImages(mixed), size=(5, 6)))


# --- downloads ---------------------------------------------------------------------------------

CONTENT = np.random.default_rng(0).bytes(700_000)
SHA, MD5 = hashlib.sha256(CONTENT).hexdigest(), hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def server():
    """Serve CONTENT on this machine; some addresses break off half-way, others do not exist."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.close_connection = True
            found = self.path in ("/whole", "/cut", "/chunked-cut", "/unsized")
            self.send_response(200 if found else 404)
            if self.path == "/chunked-cut":
                self.send_header("Transfer-Encoding", "chunked")
            elif self.path != "/unsized":
                self.send_header("Content-Length", str(len(CONTENT)) if found else "0")
            self.end_headers()
            if self.path == "/chunked-cut":
                self.wfile.write(b"2000\r\n" + CONTENT[:100])
            elif found:
                self.wfile.write(CONTENT[: len(CONTENT) // 2 if self.path == "/cut" else None])

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("digest", [SHA, MD5, None])
@pytest.mark.parametrize("page", ["whole", "unsized"])
def test_download_is_whole_and_readable_by_others(tmp_path, server, digest, page, capsys):
    target = tmp_path / "a" / "b" / "file.bin"
    datasets.download(f"{server}/{page}", target, digest, progress=False)
    assert target.read_bytes() == CONTENT and list(target.parent.iterdir()) == [target]
    (tmp_path / "plain").touch()
    assert target.stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert capsys.readouterr().err == ""
    datasets.download(f"{server}/{page}", target, digest)
    assert "file.bin" in capsys.readouterr().err


@pytest.mark.parametrize("page, digest, message", [
    ("whole", "0" * 64, "has hash"), ("cut", None, "350000 bytes read, 350000 more"),
    ("cut", SHA, "350000 bytes read"), ("chunked-cut", None, "broken"), ("nothing", SHA, "404"),
])  # fmt: skip
def test_bad_download_leaves_nothing_and_the_next_try_works(
    tmp_path, server, page, digest, message
):
    target = tmp_path / "file.bin"
    with pytest.raises(OSError, match=message):
        datasets.download(f"{server}/{page}", target, digest, progress=False)
    assert not list(tmp_path.iterdir())
    datasets.download(f"{server}/whole", target, SHA, progress=False)
    assert target.read_bytes() == CONTENT


def test_several_downloads_at_once_do_no_harm(tmp_path, server):
    target = tmp_path / "file.bin"
    with ThreadPoolExecutor(4) as pool:
        tries = [pool.submit(datasets.download, f"{server}/whole", target, SHA, progress=False)
                 for _ in range(4)]  # fmt: skip
    assert all(one.result() is None for one in tries)
    assert target.read_bytes() == CONTENT and list(tmp_path.iterdir()) == [target]


def test_a_set_is_downloaded_into_the_keras_cache_once(tmp_path, server, monkeypatch):
    monkeypatch.delenv("TFL_DATA_DIR", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("TFL_OFFLINE", "0")
    packed, images = io.BytesIO(), np.zeros((3, 28, 28), "uint8")
    np.savez(packed, x_train=images, y_train=[1, 2, 3], x_test=images, y_test=[1, 2, 3])
    monkeypatch.setattr("test_images.CONTENT", packed.getvalue())
    digest, known = hashlib.sha256(packed.getvalue()).hexdigest(), CATALOGUE["mnist"]

    def publish(page):
        item = known.downloads[0] | {"url": f"{server}/{page}", "digest": digest}
        monkeypatch.setitem(CATALOGUE, "mnist", replace(known, downloads=(item,)))

    publish("whole")
    assert len(datasets.load("mnist", progress=False)[0]) == 3
    publish("nothing")
    assert len(datasets.load("mnist", progress=False)[0]) == 3
    (tmp_path / "datasets" / "mnist.npz").unlink()
    with pytest.raises(DatasetMissingError, match=r"Three ways.*404"):
        datasets.load("mnist", progress=False)
