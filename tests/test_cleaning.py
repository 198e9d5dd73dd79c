"""What is wrong with a set of images: every planted problem is found, and nothing is touched."""

import io
import os
import threading
import time
import tracemalloc
import warnings
from collections.abc import Sequence
from pathlib import Path

import imagehash
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFile, ImageOps
from sklearn.datasets import load_sample_image

from tfl_helpers import datasets
from tfl_helpers.datasets import cleaning, duplicates, quality
from tfl_helpers.lessons.samples import make_messy_folder

COLUMNS = ["file", "width", "height", "mode", "bytes", "problem", "detail", "duplicate_of", "keep"]


@pytest.fixture(scope="module")
def messy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("messy")
    return folder, make_messy_folder(folder), cleaning.inspect(folder)


@pytest.fixture(scope="module")
def parts() -> list[Image.Image]:
    """66 parts of two photos, none nearly like another."""
    photos = [Image.fromarray(load_sample_image(f"{name}.jpg")) for name in ("china", "flower")]
    places = [(x, y) for x in range(0, 441, 44) for y in (60, 143, 226)]
    return [photo.crop((x, y, x + 200, y + 200)) for photo in photos for x, y in places]


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    image.save(file := io.BytesIO(), kind, **options)
    return file.getvalue()


def problems(report: pd.DataFrame) -> dict[str, str]:
    return dict(zip(report["file"], report["problem"], strict=True))


def state(folder: Path) -> dict:
    return {
        path.relative_to(folder): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_every_planted_problem_is_found_and_no_good_image_is_blamed(messy):
    _, planted, report = messy
    assert problems(report) == planted
    found = {code for problem in planted.values() for code in problem.split(", ")}
    assert found == {"", *cleaning.PROBLEMS}
    assert sum(problem == "" for problem in planted.values()) >= 12
    assert list(report.columns) == COLUMNS
    assert list(report["file"]) == sorted(planted)


def test_the_report_says_what_to_keep_and_why(messy):
    folder, _, report = messy
    rows = report.set_index("file")
    advice = {row.problem.split(", ")[0]: row.keep for row in report.itertuples()}
    assert {code for code, keep in advice.items() if not keep} == set(cleaning.LEAVE_OUT)
    assert rows.loc["flower/copy of 01.jpg", "duplicate_of"] == "flower/01.jpg"
    assert rows.loc["temple/05_darker.png", "duplicate_of"] == "temple/05.png"
    assert all(bool(row.detail) == bool(row.problem) for row in report.itertuples())
    assert "header" in rows.loc["temple/damaged.png", "detail"]
    assert rows["bytes"].to_dict() == {f: (folder / f).stat().st_size for f in rows.index}
    assert rows.loc["temple/print.jpg", "mode"] == "CMYK"
    assert str(report["width"].dtype) == "Int64" and pd.isna(rows.loc["flower/text.jpg", "width"])
    for file in report.loc[report["keep"], "file"]:  # also the one stored sideways
        image = datasets.read_image(folder / file)
        assert image.shape[:2] == (rows.loc[file, "height"], rows.loc[file, "width"])
    assert (
        rows.loc["temple/sideways.jpg", "width"] == 200 != rows.loc["temple/00.jpg", "height"] / 2
    )


def test_nothing_in_the_folder_changes_and_nothing_is_printed(messy, recwarn, capfd):
    before = state(messy[0])
    cleaning.inspect(messy[0])
    assert state(messy[0]) == before
    assert not recwarn.list
    assert capfd.readouterr() == ("", "")


def test_warnings_are_as_the_user_set_them_afterwards(messy):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cleaning.inspect(messy[0])
        with pytest.raises(UserWarning):
            warnings.warn("still an error", stacklevel=1)


def test_load_follows_the_advice(messy):
    folder, planted, report = messy
    unwanted = set(report.loc[~report["keep"], "file"])
    train, test = datasets.load(f"folder:{folder}", exclude=unwanted)
    names = [*train.names, *test.names]
    assert sorted(names) == sorted(set(planted) - unwanted)
    assert train.class_names == ("flower", "temple")
    for part in (train, test):
        assert all(image.ndim == 3 for image in part.images)
    again = cleaning.inspect(train)
    assert list(again["file"]) == train.names and again["keep"].all()


def test_only_an_empty_folder_is_made_messy(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not an empty folder"):
        make_messy_folder(tmp_path)
    with pytest.raises(FileExistsError, match="not an empty folder"):
        make_messy_folder(tmp_path / "mine.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_odd_names_links_and_hidden_files(tmp_path, parts):
    names = ["two\nlines.png", "ärger 写真 🙂.png", "<b>&amp;.png", "-rf.png", "x" * 246 + ".png"]
    if os.name == "posix":
        names.append(os.fsdecode(b"not utf-8 \xff.png"))
    try:
        for name, part in zip(names, parts[::7], strict=False):
            part.save(tmp_path / name, "PNG")
    except OSError as error:
        pytest.skip(f"this disk does not take such names: {error}")
    (tmp_path / "in" / "side").mkdir(parents=True)
    (tmp_path / "in" / "side" / "up").symlink_to(tmp_path)  # a loop of folders
    (tmp_path / "nowhere.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    (tmp_path / ".git").mkdir()
    for hidden in (".hidden.png", ".git/config"):
        (tmp_path / hidden).write_bytes(b"passed over")
    report = cleaning.inspect(tmp_path)
    assert problems(report) == dict.fromkeys(names, "") | {
        "nowhere.png": "unreadable",
        "self.png": "unreadable",
    }
    assert set(report.loc[report["keep"], "file"]) == set(names)
    assert set(datasets.list_images(tmp_path)) == set(report["file"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes among its files")
def test_a_pipe_is_reported_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    result = []
    thread = threading.Thread(target=lambda: result.append(cleaning.inspect(tmp_path)), daemon=True)
    thread.start()
    thread.join(30)
    assert result, "inspect waits for the pipe"
    assert problems(result[0]) == {"pipe.jpg": "unreadable"}
    assert "pipe" in result[0].loc[0, "detail"]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs permissions as Unix has them")
def test_what_may_not_be_read_is_reported(tmp_path, parts):
    cleaning.inspect(np.zeros((1, 8, 8, 1), "uint8"))  # imports all it needs
    parts[0].save(tmp_path / "open.png")
    parts[9].save(tmp_path / "closed.png")
    (tmp_path / "shut").mkdir()
    (tmp_path / "closed.png").chmod(0)
    (tmp_path / "shut").chmod(0)
    here, root = os.getcwd(), os.geteuid() == 0
    try:
        os.chdir(tmp_path)
        if root:  # who may read everything
            tmp_path.chmod(0o755)
            os.seteuid(65534)
        report = cleaning.inspect(".")
    finally:
        if root:
            os.seteuid(0)
        os.chdir(here)
        (tmp_path / "shut").chmod(0o755)
    assert problems(report) == {"closed.png": "unreadable", "open.png": "", "shut": "unreadable"}
    assert "Permission denied" in report.loc[0, "detail"]


def test_a_huge_image_is_never_decoded(tmp_path, parts, monkeypatch, recwarn):
    parts[0].save(tmp_path / "a.png")  # 40,000 pixels
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda *args: pytest.fail("decoded"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    report = cleaning.inspect(tmp_path)
    assert problems(report) == {"a.png": "huge"} and not report["keep"].any()
    assert not recwarn.list
    monkeypatch.undo()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert problems(cleaning.inspect(tmp_path)) == {"a.png": ""}


def test_half_a_file_is_never_kept(tmp_path, parts):
    kinds = ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"]
    contents = {kind: encoded(parts[3], kind) for kind in kinds}
    contents["progressive"] = encoded(parts[3], "JPEG", progressive=True)
    for kind, content in contents.items():
        for share in (0.02, 0.3, 0.9):
            part = content[: int(share * len(content))]
            (tmp_path / f"{kind}_{share}.img").write_bytes(part)
    report = cleaning.inspect(tmp_path)
    assert len(report) == 21 and not report["keep"].any()
    common = report["file"].str.match("(JPEG|PNG|prog).*(0.3|0.9)")
    assert set(report.loc[common, "problem"]) == {"truncated"} and common.sum() == 6


def test_an_image_with_another_ending_is_fine_but_load_passes_it_over(tmp_path, parts):
    parts[0].save(tmp_path / "scan", "PNG")
    row = cleaning.inspect(tmp_path).loc[0]
    assert row["keep"] and row["problem"] == "" and "passed over by load" in row["detail"]


def test_copies_are_found_and_point_at_the_first(tmp_path, parts):
    for i, part in enumerate(parts[::2]):
        part.save(tmp_path / f"{i:02d}_a.png")
        part.save(tmp_path / f"{i:02d}_b.jpg", quality=60)
        part.resize((90, 90)).save(tmp_path / f"{i:02d}_c.png")
        part.point(lambda value: round(0.9 * value)).save(tmp_path / f"{i:02d}_d.webp")
        ImageOps.mirror(part).save(tmp_path / f"{i:02d}_e.png")
    report = cleaning.inspect(tmp_path)
    kind = report["file"].str[3]
    near = report["problem"] == "near-duplicate"
    assert set(report["problem"]) == {"", "near-duplicate"}
    assert not near[kind.isin(["a", "e"])].any()  # originals and mirrored ones
    for letter in "bcd":  # what is missed are blurred backgrounds with hardly anything to see
        assert near[kind == letter].mean() >= 0.85
    assert (report.loc[near, "duplicate_of"] == report.loc[near, "file"].str[:3] + "a.png").all()
    assert not cleaning.inspect(tmp_path, near_duplicate_distance=0)["keep"].all()


def test_of_a_series_that_changes_slowly_more_than_the_first_stays(parts):
    first = np.asarray(parts[40]).astype(float) * 0.6 + 10
    series = np.stack([first + 15 * step for step in range(5)]).round().astype("uint8")
    report = cleaning.inspect(series)
    assert report["keep"].tolist() == [True, False, True, False, True]
    assert report["duplicate_of"].tolist() == ["", "0", "", "2", ""]


def test_a_transparent_colour_is_seen_and_a_preview_is_no_animation(tmp_path, parts):
    parts[0].quantize(16).save(tmp_path / "logo.png", transparency=3)
    preview = {"save_all": True, "append_images": [parts[9].resize((50, 50))]}
    parts[9].save(tmp_path / "phone.jpg", "MPO", **preview)
    assert problems(cleaning.inspect(tmp_path)) == {"logo.png": "alpha, palette", "phone.jpg": ""}


@pytest.mark.parametrize("progress", [True, False])
def test_a_bar_shows_where_it_takes_long(progress, monkeypatch, capfd):
    def slow(image, phash=imagehash.phash):
        time.sleep(0.4)
        return phash(image)

    monkeypatch.setattr(imagehash, "phash", slow)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    cleaning.inspect(np.zeros((4, 8, 8, 1), "uint8"), progress=progress)
    assert ("looking" in capfd.readouterr().err) == progress


def test_what_only_looks_alike_from_afar_is_no_near_duplicate():
    rng, images = np.random.default_rng(0), []
    for _ in range(30):  # skies: the same gradient, a little noise
        sky = np.linspace((100, 150, 210), (180, 205, 235), 120)[:, None] + rng.normal(
            0, 4, (120, 120, 3)
        )
        images.append(np.clip(sky, 0, 255).astype("uint8"))
    for _ in range(30):  # discs of different grey in one place
        disc = Image.new("RGB", (120, 120), "white")
        ImageDraw.Draw(disc).ellipse((20, 20, 99, 99), fill=(int(rng.integers(0, 200)),) * 3)
        images.append(np.asarray(disc))
    greys = [int(image[60, 60, 0]) for image in images[30:]]
    report = cleaning.inspect(np.stack(images))
    assert report["keep"][:30].all()
    discs = report[30:][report["problem"][30:] != ""]
    for row in discs.itertuples():  # only those of nearly the same grey
        assert abs(greys[int(row.file) - 30] - greys[int(row.duplicate_of) - 30]) <= 60


def test_arrays_and_sets_are_inspected_in_their_own_order(digits):
    train, _ = digits
    pixels = train.images.copy()
    pixels[5], pixels[7:9] = pixels[2], 40
    report = cleaning.inspect(pixels)
    found = report[report["problem"] != ""]
    assert dict(zip(found["file"], found["problem"], strict=True)) == {
        "5": "duplicate",
        "7": "blank",
        "8": "duplicate, blank",
    }
    assert report.loc[5, "duplicate_of"] == "2"
    assert list(report["file"]) == [str(i) for i in range(len(pixels))]
    assert report.loc[0, ["width", "height", "mode", "bytes"]].tolist() == [8, 8, "L", 64]
    named = cleaning.inspect(train)  # handwriting, as it is: nothing is wrong with it
    assert list(named["file"]) == train.names and (named["problem"] == "").all()
    assert (cleaning.inspect(pixels[:3, :7])["problem"] == "tiny").all()


def test_five_thousand_images_take_seconds():
    images = np.random.default_rng(0).integers(0, 256, (5000, 32, 32, 3), "uint8")
    start = time.process_time()
    report = cleaning.inspect(images, progress=False)
    assert time.process_time() - start < 10
    assert report["keep"].all()


def test_nothing_to_inspect(tmp_path):
    for report in (cleaning.inspect(tmp_path), cleaning.inspect(np.zeros((0, 8, 8, 3), "uint8"))):
        assert list(report.columns) == COLUMNS and len(report) == 0
        assert list(report.loc[~report["keep"], "file"]) == []


def test_what_is_no_set_of_images_is_refused(tmp_path):
    with pytest.raises(NotADirectoryError, match="check the path"):
        cleaning.inspect(tmp_path / "none")
    with pytest.raises(TypeError, match="not int"):
        cleaning.inspect(5)
    for array in (np.zeros((2, 8, 8)), np.zeros((2, 8, 8), "uint8"), [1, 2]):
        with pytest.raises(ValueError, match="uint8"):
            cleaning.inspect(array)
    for distance in (-1, 32):
        with pytest.raises(ValueError, match="0 to 31"):
            cleaning.inspect(tmp_path, near_duplicate_distance=distance)


SMALL = Image.fromarray(load_sample_image("flower.jpg")).crop((250, 150, 290, 180))
KINDS = ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"]
WHOLE = st.sampled_from([encoded(SMALL, kind) for kind in KINDS])
CHANGES = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=8)


def changed(content: bytes, cut: float, changes: list[tuple[int, int]]) -> bytes:
    content = bytearray(content[: int(cut * len(content))])
    for place, value in changes:
        if place < len(content):
            content[place] = value
    return bytes(content)


CONTENT = st.one_of(st.binary(max_size=200), st.builds(changed, WHOLE, st.floats(0, 1), CHANGES))
LETTER = st.characters(exclude_characters="/\0", exclude_categories=("Cs",))
NAME = st.text(LETTER, min_size=1, max_size=40).filter(lambda name: not name.startswith("."))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(NAME, CONTENT, max_size=12))
def test_whatever_is_in_a_folder_it_is_a_row_of_the_report(tmp_path_factory, files):
    folder, written = tmp_path_factory.mktemp("any"), set()
    for name, content in files.items():
        try:
            (folder / name).write_bytes(content)
        except OSError:  # the name is too long for this disk
            continue
        written.add(name)
    report = cleaning.inspect(folder)
    assert list(report["file"]) == sorted(path.name for path in folder.iterdir())
    assert len(report) <= len(written)
    for row in report.itertuples():
        assert set(row.problem.split(", ")) <= {"", *cleaning.PROBLEMS, *quality.MARKS}
        if row.keep:
            assert datasets.read_image(folder / row.file).shape == (row.height, row.width, 3)


@pytest.mark.photos
@pytest.mark.parametrize("name, limit, most", [("cifar10", 5000, 2), ("pedestrians", None, 20)])
def test_real_photos_have_few_near_duplicates_and_those_are_real(photo_bundle, name, limit, most):
    photos, _ = datasets.load(name, limit=limit, progress=False)
    report = cleaning.inspect(photos, progress=False)
    place = {file: i for i, file in enumerate(report["file"])}
    near = report[report["problem"] == "near-duplicate"]
    assert len(near) <= most
    for row in near.itertuples():  # compared pixel by pixel, at full size
        pair = [photos.images[place[file]].ravel() for file in (row.file, row.duplicate_of)]
        assert np.corrcoef(pair)[0, 1] > 0.95


@pytest.mark.parametrize("distance", [0, 3, 6, 20, 31])
def test_of_many_hashes_all_that_are_alike_are_found(distance):
    """As by comparing each with all before it that stay; their thumbnails are the same here."""
    rng = np.random.default_rng(distance)
    few = rng.integers(0, 2**64, 40, "uint64")  # each several times, with bits changed
    changes = [rng.choice(64, rng.integers(0, 12), replace=False) for _ in range(400)]
    changed = [sum(1 << int(bit) for bit in bits) for bits in changes]
    hashes = rng.choice(few, 400) ^ np.array(changed, "uint64")
    want, stays = {}, []
    for i, one in enumerate(hashes.tolist()):
        alike = [j for j in stays if (one ^ int(hashes[j])).bit_count() <= distance]
        if alike:
            want[i] = alike[0]
        else:
            stays.append(i)
    small = np.arange(300, dtype="uint8").reshape(1, 3, 100)
    found = duplicates.find_near_duplicates(hashes, lambda some: small[[0] * len(some)], distance)
    assert found == want and len(want) > 5


class Photos(Sequence):
    """What is known of many photos, each made when it is looked at."""

    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if not 0 <= i < self.n:
            raise IndexError(i)
        rng = np.random.default_rng(i)
        row = {"codes": [], "notes": [], "link": False, "bytes": 90_000 + i, "mode": "RGB"}
        row |= {"width": 640, "height": 480, "looks": rng.random(4).round(3).tolist()}
        return row | {"digest": rng.bytes(32), "hash": int.from_bytes(rng.bytes(8))}


def test_of_a_million_files_a_report_takes_less_than_a_gigabyte():
    n = 5_000
    names, small = [f"{i:08d}.jpg" for i in range(n)], np.zeros((1, 3, 256), "uint8")
    tracemalloc.start()
    report = cleaning.report(names, Photos(n), small=lambda some: small[[0] * len(some)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / n < 900 and report["keep"].all() and list(report["file"]) == names
