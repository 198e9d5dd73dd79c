"""Results for other tools: complete, in their formats, safe on every system, and only ours."""

import importlib.util
import io
import json
import os
import shutil
import unicodedata
from contextlib import redirect_stdout
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from pathvalidate import is_valid_filename
from PIL import Image

from tfl_helpers import __main__ as command
from tfl_helpers import sorting
from tfl_helpers.sorting.arrange import safe_names

ODD = ["=1+1.png", "Größe, é.png", "a b/con.png", "A B/con.png"]
NAMES = {"group 1": "CON", "group 2": "=cmd|x", "group 3": "a/b: c?"}


def sort(folder, out, **options):
    return sorting.sort_folder(folder, out, backbone="letters", progress=False, **options)


def said(out, names):
    """What the page exports: groups that got names."""
    table = sorting.read_table(out / "groups.csv")
    table["group"] = table["group"].replace(names)
    table.loc[table["group"].isin(names.values()), "corrected"] = "renamed"
    return sorting.write_table(table, out.parent / "said.csv")


@pytest.fixture(scope="module")
def first(digits, tmp_path_factory):
    """Forty digits, some of odd names, a copy and a broken file, sorted, three groups named."""
    root = tmp_path_factory.mktemp("export")
    folder, out = root / "in", root / "out"
    for name in [*ODD, *(f"{i:02d}.png" for i in range(36))]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    for name, pixels in zip(
        [*ODD, *(f"{i:02d}.png" for i in range(36))], digits[0].images, strict=False
    ):
        Image.fromarray(pixels[..., 0]).resize((16, 24)).save(folder / name)
    shutil.copyfile(folder / "07.png", folder / "copy.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    sort(folder, out, groups=4)
    sort(folder, out, corrections=said(out, NAMES))
    table = sorting.read_table(out / "groups.csv")
    table.loc[table["file"] == "03.png", "group"] = "several kinds"  # is no label
    sorting.write_table(table, out / "groups.csv")
    return folder, out


@pytest.fixture
def sorted_few(first, tmp_path):
    shutil.copytree(first[1], tmp_path / "out")
    return first[0], tmp_path / "out"


def files(folder):
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def contents(folder):
    return {
        name: ((folder / name).read_bytes(), (folder / name).stat().st_mtime_ns)
        for name in files(folder)
    }


def test_every_kind_is_written_without_sorting_again_and_says_what_is_left_out(
    sorted_few, monkeypatch
):
    folder, out = sorted_few
    before, results = (
        contents(folder),
        {n: (out / n).read_bytes() for n in ("groups.csv", "model.keras")},
    )
    monkeypatch.setattr(sorting.pipeline, "find_groups", lambda *_: pytest.fail("sorted again"))
    summary = sort(folder, out, export=["csv,coco", "imagefolder", "labelstudio"])
    assert summary["exported"] == {
        "as": ["csv", "coco", "imagefolder", "labelstudio"],
        "images": 41,
        "left out": 1,
    }
    assert json.loads((out / "summary.json").read_text()) == summary
    assert "41 images as csv, coco, imagefolder, labelstudio; 1 files" in sorting.summary_text(
        summary, out
    )
    names = {"labels.csv", "coco.json", "labelstudio.json", "labelstudio.xml", "imagefolder"}
    assert {path.name for path in (out / "export").iterdir()} == names
    assert contents(folder) == before  # never moved, never changed
    assert results == {name: (out / name).read_bytes() for name in results}


def test_a_folder_per_label_has_names_that_every_system_takes(sorted_few):
    folder, out = sorted_few
    sort(folder, out, export="imagefolder")
    place = out / "export" / "imagefolder"
    table = sorting.read_table(out / "groups.csv").set_index("file")["group"]
    rest = (set(table) - set(NAMES.values()) - {"", "several kinds"}).pop()
    assert {path.name for path in place.iterdir()} == {"CON_", "=cmd_x", "a_b_ c_", rest}
    made = {(place / name).read_bytes(): name for name in files(place)}
    folders = {"CON": "CON_", "=cmd|x": "=cmd_x", "a/b: c?": "a_b_ c_", rest: rest}
    for file, group in table.items():
        if group in folders and file != "copy.png":
            assert made[(folder / file).read_bytes()].startswith(folders[group] + "/"), file
    exported = [name.split("/")[1] for name in files(place)]
    assert len(exported) == 40  # not the broken one, and not that of several kinds
    assert len({name.casefold() for name in exported}) == 40
    assert {"A B_con.png", "a b_con 2.png", "=1+1.png"} < set(exported)


def test_names_are_safe_and_stay_apart_on_systems_that_fold_them():
    odd = [
        "..",
        "...",
        "",
        "NUL",
        "nul.",
        "com1.txt",
        "a\x00b",
        "x\udcff",
        "é",
        "e\u0301",
        "ß",
        "SS",
    ]
    made = safe_names([*odd, "a/../b", "日" * 200, "unsure", "Unsure "], taken=["unsure"])
    assert len({unicodedata.normalize("NFD", name).casefold() for name in made.values()}) == len(
        made
    )
    for name in made.values():
        name.encode()
        assert is_valid_filename(name, platform="universal") and name == name.strip(" .")
    assert made["NUL"] == "NUL_" and made["unsure"] == "unsure 2" and made["a/../b"] == "a_.._b"
    files = safe_names(
        ["a/1.jpg", "a_1.JPG", "a/1.jpeg", "aux.png", f"x/{'y' * 300}.png"], suffixes=True
    )
    assert list(files.values())[:4] == ["a_1.jpg", "a_1 2.JPG", "a_1.jpeg", "aux_.png"]
    assert files[f"x/{'y' * 300}.png"] == "y" * 180 + ".png"


def test_links_where_folders_are_arranged_by_links(sorted_few):
    folder, out = sorted_few
    summary = sort(folder, out, export="imagefolder", arrange="link")
    links = [path for path in (out / "export").rglob("*.png")]
    assert len(links) == 40 and all(path.is_symlink() for path in links)
    assert {path.resolve().parent for path in links} >= {folder.resolve()}
    assert summary["left_alone"] == [] and (out / "sorted" / "unsure").is_dir()


def test_the_plain_table_is_read_by_pandas_and_no_cell_is_a_formula(sorted_few):
    folder, out = sorted_few
    sort(folder, out, export="csv")
    table = pd.read_csv(out / "export" / "labels.csv", keep_default_na=False)
    columns = ["file", "label", "group", "level_1", "level_2", "duplicate_of", "doubt", "unsure"]
    assert list(table.columns) == [*columns, "width", "height"]
    assert not table["file"].str.match(r"[=+\-@]").any() and "./=1+1.png" in set(table["file"])
    assert not table["label"].str.match(r"[=+\-@]").any() and "'=cmd|x" in set(table["label"])
    whole = sorting.read_table(out / "groups.csv").set_index("file")
    plain = table.set_index(table["file"].str.removeprefix("./"))
    assert sorted(plain.index) == sorted(whole.index[whole["group"] != ""])
    assert plain.loc["03.png", ["label", "group"]].tolist() == ["", "several kinds"]
    assert plain.loc["copy.png", "duplicate_of"] == "07.png"
    assert (plain["width"] == 16).all() and (plain["height"] == 24).all()
    assert np.allclose(plain["doubt"], whole["doubt"][plain.index])


def test_coco_is_complete_and_read_by_its_own_library(sorted_few):
    folder, out = sorted_few
    sort(folder, out, export="coco")
    found = json.loads((out / "export" / "coco.json").read_text())
    names = {kind["id"]: kind["name"] for kind in found["categories"]}
    images = {image["id"]: image for image in found["images"]}
    table = sorting.read_table(out / "groups.csv").set_index("file")["group"]
    assert sorted(names) == [1, 2, 3, 4] and set(NAMES.values()) < set(names.values())
    assert len(images) == 41 and len(found["annotations"]) == 40
    for box in found["annotations"]:
        image = images[box["image_id"]]
        with Image.open(folder / image["file_name"]) as opened:
            assert opened.size == (image["width"], image["height"])
        assert box["bbox"] == [0, 0, 16, 24] and box["area"] == 16 * 24 and box["iscrowd"] == 0
        assert table[image["file_name"]] == names[box["category_id"]]
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    with redirect_stdout(io.StringIO()):
        read = coco.COCO(str(out / "export" / "coco.json"))
    (number,) = read.getCatIds(catNms=["CON"])
    shown = {image["file_name"] for image in read.loadImgs(read.getImgIds(catIds=[number]))}
    assert shown == set(table.index[table == "CON"])


def test_label_studio_gets_tasks_with_guesses_that_fit_its_view(sorted_few):
    folder, out = sorted_few
    sort(folder, out, export="labelstudio")
    tasks = json.loads((out / "export" / "labelstudio.json").read_text())
    view = ElementTree.parse(out / "export" / "labelstudio.xml").getroot()
    (image,), (choices,) = view.iter("Image"), view.iter("Choices")
    known = [choice.get("value") for choice in choices]
    table = sorting.read_table(out / "groups.csv").set_index("file")
    assert len(tasks) == 41
    for task in tasks:
        path = task["data"][image.get("value")[1:]].removeprefix("/data/local-files/?d=")
        file = unquote(path).removeprefix("in/")
        (guess,) = task["predictions"]
        assert (folder / file).is_file() and task["data"]["file"] == file
        assert guess["score"] == pytest.approx(1 - table["doubt"][file], abs=1e-4)
        if file == "03.png":
            assert guess["result"] == []
            continue
        (result,) = guess["result"]
        assert result["from_name"] == choices.get("name") and result["type"] == "choices"
        assert result["to_name"] == choices.get("toName") == image.get("name")
        assert (
            result["value"]["choices"] == [table["group"][file]] and table["group"][file] in known
        )


def test_parquet_holds_features_too(sorted_few):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    folder, out = sorted_few
    sort(folder, out, export="parquet")
    table = pd.read_parquet(out / "export" / "labels.parquet").set_index("file")
    assert {"label", "unsure", "doubt", "width", "duplicate_of", "level_2"} < set(table.columns)
    z = np.stack(table["features"])
    assert z.shape[0] == 41 and np.isfinite(z).all()
    places = table[["x", "y"]].to_numpy()
    assert np.isfinite(places).all()
    apart = table.loc["copy.png", ["x", "y"]] - table.loc["07.png", ["x", "y"]]
    assert np.hypot(*apart) < 0.3 * places.std()
    assert np.array_equal(table["features"]["copy.png"], table["features"]["07.png"])
    assert "=1+1.png" in table.index and table["label"]["03.png"] == ""


def test_without_pyarrow_one_line_names_the_extra(sorted_few, monkeypatch, capsys):
    folder, out = sorted_few
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *_: None if name == "pyarrow" else find(name, *_)
    )
    options = ["sort", str(folder), "--out", str(out), "--backbone=letters", "--quiet"]
    assert command.main([*options, "--export", "csv", "--export", "parquet"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "tfl-helpers[parquet]" in error
    assert command.main([*options, "--export", "yaml"]) == 1
    assert "imagefolder, csv, coco, labelstudio, parquet, not yaml" in capsys.readouterr().err
    assert not (out / "export").exists()


def test_a_run_replaces_its_own_exports_and_leaves_all_others(sorted_few):
    folder, out = sorted_few
    sort(folder, out, export="imagefolder,csv,coco")
    place = out / "export"
    mine = place / "imagefolder" / "CON_" / "mine.jpg"
    mine.write_bytes(b"mine")
    (place / "notes.txt").write_bytes(b"mine")
    (place / "labels.csv").write_bytes(b"edited")
    coco = (place / "coco.json").read_bytes()
    summary = sort(folder, out, corrections=said(out, {"CON": "ships"}), export="imagefolder,csv")
    assert summary["left_alone"] == ["export/labels.csv"]
    assert (place / "labels.csv").read_bytes() == b"edited"
    assert mine.read_bytes() == b"mine" and (place / "notes.txt").read_bytes() == b"mine"
    assert os.listdir(place / "imagefolder" / "CON_") == ["mine.jpg"]
    assert (place / "imagefolder" / "ships").is_dir()
    assert (place / "coco.json").read_bytes() == coco  # not asked for: as it was
    before = contents(place / "imagefolder")
    sort(folder, out, export="coco")
    assert b"ships" in (place / "coco.json").read_bytes()
    assert contents(place / "imagefolder") == before
    assert sort(folder, out)["exported"] is None
    album = out.parent / "album"
    shutil.move(place, album)
    place.symlink_to(album)
    with pytest.raises(FileExistsError, match="export is a link"):
        sort(folder, out, export="csv")
