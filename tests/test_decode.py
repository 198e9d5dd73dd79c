"""Image files of other depths, sizes and kinds: what becomes of their values, and what is said."""

import io
import threading

import numpy as np
import psutil
import pytest
from PIL import Image, ImageDraw
from sklearn.datasets import load_sample_image

from tfl_helpers import datasets
from tfl_helpers.datasets import FolderImages, ImageReadError, cleaning, decode

GREY = np.asarray(Image.fromarray(load_sample_image("china.jpg")).convert("L").resize((60, 40)))
ONE = GREY.astype(float) / 255


@pytest.mark.parametrize(
    "change, white",
    [
        (lambda a: (a * 1023).round().astype("uint16"), 1023),  # 10 bits in 16, as cameras give
        (lambda a: (a * 4095).round().astype("uint16"), 4095),  # 12 bits: X-rays
        (lambda a: (a * 65535).round().astype("uint16"), 65535),
        (lambda a: (a * 255).round().astype("uint16"), 255),
        (lambda a: a.astype("float32"), 1),
        (lambda a: (a * 65535).astype("float32"), 65535),
        (lambda a: (a * 255).astype("float32"), 255),
        (lambda a: (a * 255).round().astype("int32"), 255),
        (lambda a: (a * 2**30).round().astype("int32"), 2**30 - 1),
    ],
)
def test_every_depth_shows_the_same_picture(tmp_path, change, white):
    Image.fromarray(change(ONE)).save(tmp_path / "x.tif")
    image = datasets.read_image(tmp_path / "x.tif")[..., 0]
    expected = change(ONE).astype(float) / white * 255
    np.testing.assert_allclose(image, expected, atol=1)
    row = cleaning.inspect_file(tmp_path / "x.tif")
    assert row["codes"] == ["16-bit"] and f"{white:,} white" in row["notes"][0]


def test_values_below_zero_keep_their_order(tmp_path):
    hounsfield = (ONE * 4000 - 1000).astype("int32")
    Image.fromarray(hounsfield).save(tmp_path / "ct.tif")
    image = datasets.read_image(tmp_path / "ct.tif")[..., 0].astype(float)
    assert decode.find_range([(hounsfield.min(), hounsfield.max())]) == (-1024, 4095)
    np.testing.assert_allclose(image, (hounsfield + 1024) / 5119 * 255, atol=1)
    Image.fromarray((ONE * 2 - 1).astype("float32")).save(tmp_path / "scaled.tif")
    scaled = datasets.read_image(tmp_path / "scaled.tif")[..., 0]
    np.testing.assert_allclose(scaled, ONE * 255, atol=1)


def test_what_is_no_number_is_black_and_costs_no_other_pixel(tmp_path):
    depth = ONE.astype("float32") * 500
    depth[:5], depth[5] = np.nan, np.inf
    Image.fromarray(depth).save(tmp_path / "depth.tif")
    image = datasets.read_image(tmp_path / "depth.tif")[..., 0]
    assert (image[:5] == 0).all() and (image[5] == 255).all()
    np.testing.assert_allclose(image[6:], depth[6:] / 511 * 255, atol=1)


def test_the_range_is_that_of_the_folder(tmp_path):
    """A dark image among bright ones stays dark: alone it would be taken for a bright one."""
    for name, top in (("bright.png", 1000), ("dark.png", 120)):
        Image.fromarray((ONE * top).astype("uint16")).save(tmp_path / name)
    images = FolderImages(tmp_path)
    assert images.value_range == (0, 1023) == images[[1]].value_range
    assert images[0].max() > 200 and images[1].max() == images[1:].read_all().max() < 32
    report = cleaning.inspect(tmp_path).set_index("file")
    assert (report["problem"] == "16-bit").all() and report["keep"].all()


@pytest.mark.parametrize("top, blank", [(0, True), (40, False), (900, False)])
def test_dark_is_not_plain(tmp_path, top, blank):
    """Of 16 bits, beside bright images: 40 of 65,535 are black to the eye, and still a picture."""
    Image.fromarray((ONE * top).round().astype("uint16")).save(tmp_path / "dark.png")
    Image.fromarray((ONE * 65535).round().astype("uint16")).save(tmp_path / "bright.png")
    report = cleaning.inspect(tmp_path).set_index("file")
    assert report["keep"].to_dict() == {"dark.png": not blank, "bright.png": True}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize("colour, ground", [("white", 0), ("#f4f4f4", 0), ("black", 255)])
def test_a_drawing_on_a_transparent_ground_can_be_seen(tmp_path, mode, colour, ground):
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    ImageDraw.Draw(image).ellipse((5, 5, 50, 50), outline=colour, width=5)
    image = image.quantize(8) if mode == "P" else image.convert(mode)
    image.save(tmp_path / "x.png")
    seen = datasets.read_image(tmp_path / "x.png").astype(int)
    assert np.ptp(seen) > 200 and abs(seen[0, 0] - ground).max() <= 2
    assert cleaning.inspect_file(tmp_path / "x.png")["codes"][-1] != "blank"
    Image.new("RGBA", (64, 64), (255, 255, 255, 0)).save(tmp_path / "nothing.png")
    assert "blank" in cleaning.inspect_file(tmp_path / "nothing.png")["codes"]


KINDS = {
    "a.HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
    "b.jxl": (b"\xff\x0a", "JPEG XL"),
    "c.CR3": (b"\0\0\0\x18ftypcrx ", "camera RAW"),
    "d.NEF": (b"MM\0*\0\0\0\x08", "camera RAW"),
    "e.raf": (b"FUJIFILMCCD-RAW 0201", "camera RAW"),
    "f.dcm": (b"\0" * 128 + b"DICM", "DICOM"),
    "g.pdf": (b"%PDF-1.7", "PDF"),
    "h.mp4": (b"\0\0\0\x18ftypisom", "video"),
    "i.mkv": (b"\x1aE\xdf\xa3", "video"),
}


@pytest.mark.parametrize("name", KINDS)
def test_kinds_that_are_not_read_are_named_with_a_way_out(tmp_path, name):
    start, kind = KINDS[name]
    (tmp_path / name).write_bytes(start + bytes(range(256)) * 9)
    row = cleaning.inspect_file(tmp_path / name)
    assert row["codes"] == ["not-an-image"] or row["codes"] == ["unreadable"]
    if row["codes"] == ["not-an-image"]:  # the extra `photos` tries to read its kinds
        assert row["notes"][0].startswith(kind if kind != "video" else "a video")
        assert "export" in row["notes"][0]
        with pytest.raises(ImageReadError, match=kind):
            datasets.read_image(tmp_path / name)


@pytest.mark.parametrize("plugin, name", [("pillow_heif", "x.heic"), ("pillow_jxl", "x.jxl")])
def test_the_extra_photos_reads_more_kinds(tmp_path, plugin, name):
    pytest.importorskip(plugin, reason="needs the extra photos")
    decode.open_image(io.BytesIO(png_of(GREY))).close()  # what is installed is known from now on
    Image.fromarray(GREY).convert("RGB").save(tmp_path / name)
    image = datasets.read_image(tmp_path / name)
    assert np.abs(image[..., 0].astype(int) - GREY).mean() < 6
    assert datasets.list_images(tmp_path) == [name]
    assert cleaning.inspect_file(tmp_path / name)["codes"] == []


def png_of(pixels):
    Image.fromarray(pixels).save(written := io.BytesIO(), "PNG")
    return written.getvalue()


def test_a_preview_in_a_raw_file_is_not_taken_for_the_photo(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "x.tif")
    (tmp_path / "x.tif").rename(tmp_path / "x.NEF")
    assert "camera RAW" in cleaning.inspect_file(tmp_path / "x.NEF")["notes"][0]


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 2}])
@pytest.mark.parametrize("missing, complete", [(0, True), (1, True), (2, True), (60, False)])
def test_a_jpeg_without_its_end_is_read_but_not_one_that_lacks_more(
    tmp_path, options, missing, complete
):
    photo = Image.fromarray(load_sample_image("flower.jpg"))
    photo.save(written := io.BytesIO(), "JPEG", **options)
    data = written.getvalue()
    (tmp_path / "x.jpg").write_bytes(data[: len(data) - missing])
    row = cleaning.inspect_file(tmp_path / "x.jpg")
    assert row["codes"] == ([] if complete else ["truncated"])
    if complete:
        np.testing.assert_array_equal(
            datasets.read_image(tmp_path / "x.jpg"), np.asarray(Image.open(written))
        )


# --- large images --------------------------------------------------------------------------------


def test_a_large_image_is_shrunk_in_strips_to_the_same_picture(tmp_path, monkeypatch):
    photo = Image.fromarray(load_sample_image("china.jpg"))
    made = {
        "rgb.png": photo,
        "palette.png": photo.quantize(64),
        "alpha.png": photo.convert("RGBA"),
        "deep.tif": Image.fromarray(np.asarray(photo.convert("L")).astype("uint16") * 257),
        "cmyk.tif": photo.convert("CMYK"),
    }
    turned = Image.Exif()
    turned[0x0112] = 6
    for name, image in made.items():
        image.save(tmp_path / name, **({"exif": turned} if name == "rgb.png" else {}))
    before = {name: datasets.read_image(tmp_path / name, (48, 64)) for name in made}
    monkeypatch.setattr(decode, "LARGE", 1000)
    for name, expected in before.items():
        image = datasets.read_image(tmp_path / name, (48, 64))
        assert image.shape == (48, 64, 3)
        assert np.abs(image.astype(int) - expected).mean() < 3, name


def test_more_than_the_limit_is_refused_with_the_way_to_read_it(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    for name in ("x.png", "x.tif", "progressive.jpg", "x.jpg"):
        options = {"progressive": True} if name.startswith("prog") else {}
        Image.fromarray(GREY).save(tmp_path / name, **options)
    for name in ("x.png", "x.tif", "progressive.jpg"):
        with pytest.raises(ImageReadError, match=r"megapixels.*--max-megapixels"):
            datasets.read_image(tmp_path / name)
        row = cleaning.inspect_file(tmp_path / name)
        assert row["codes"] == ["huge"] and "--max-megapixels" in row["notes"][0]
        with decode.at_most(1):
            assert datasets.read_image(tmp_path / name).shape == (40, 60, 3)
    assert Image.MAX_IMAGE_PIXELS == 300
    assert datasets.read_image(tmp_path / "x.jpg", (20, 30)).shape == (20, 30, 3)
    assert cleaning.inspect_file(tmp_path / "x.jpg")["codes"] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gfx100.jpg", "scan.png"])
def test_large_images_take_little_memory(tmp_path, name):
    """A photo of 280 megapixels as JPEG, a scan of 175 as PNG: read, in less than 1.2 GB more."""
    side = (17_000, 16_500) if name.endswith("jpg") else (14_000, 12_500)
    Image.fromarray(GREY).convert("RGB").resize(side, Image.Resampling.NEAREST).save(
        tmp_path / name, **({} if name.endswith("jpg") else {"compress_level": 1})
    )
    process, peak, stop = psutil.Process(), [0], threading.Event()
    before = process.memory_info().rss

    def watch():
        while not stop.wait(0.02):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    row, image = (
        cleaning.inspect_file(tmp_path / name),
        datasets.read_image(tmp_path / name, (128, 128)),
    )
    stop.set()
    watcher.join()
    assert (
        row["codes"] == []
        and np.abs(
            image.astype(int)
            - np.asarray(
                Image.fromarray(GREY).convert("RGB").resize((128, 128), Image.Resampling.BOX)
            )
        ).mean()
        < 8
    )
    assert peak[0] - before < 1.2e9, peak[0] - before
