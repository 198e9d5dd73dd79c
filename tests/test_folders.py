"""Folders that people rename, add to and correct; and hostile ones, drawn at random."""

import hashlib
import io
import os
import random
import shutil
import string
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from PIL import Image
from sklearn.datasets import load_sample_image
from test_sorting import contents, sort, table_of

from tfl_helpers import __main__ as command
from tfl_helpers import datasets, evaluation, features, sorting
from tfl_helpers.datasets import cleaning

PHOTOS = {kind: Image.fromarray(load_sample_image(f"{kind}.jpg")) for kind in ("china", "flower")}


def part(kind, rng, side=96):
    """A square of one of two photos."""
    photo = PHOTOS[kind]
    x, y = (rng.integers(0, size - 160) for size in photo.size)
    return photo.crop((x, y, x + 160, y + 160)).resize((side, side))


@pytest.fixture
def two_kinds(tmp_path):
    """A folder with 20 parts of each of two photos, in a subfolder each."""
    rng = np.random.default_rng(0)
    for number in range(20):
        for kind, year in (("china", "2023"), ("flower", "2024")):
            (tmp_path / "in" / year).mkdir(parents=True, exist_ok=True)
            part(kind, rng).save(tmp_path / "in" / year / f"{kind}{number:02d}.png")
    return tmp_path / "in"


def export(out, moves=(), rename=(), mark="moved", to="corrections.csv"):
    """Write what a person would export from the page: images moved, groups renamed."""
    table = sorting.read_table(out / "groups.csv").set_index("file")
    for old, new in dict(rename).items():
        inside = (table["group"] == old) & (table["corrected"] == "")
        table.loc[inside, "corrected"] = "renamed"
        table.loc[table["group"] == old, "group"] = new
    for file, group in dict(moves).items():
        table.loc[file, ["group", "corrected"]] = [group, mark]
    return sorting.write_table(table.reset_index(), out.parent / to)


def confirm_all(folder, out):
    table = table_of(out)
    return sort(folder, out, corrections=export(out, table["group"].items(), mark="confirmed"))


# --- a file is its bytes -------------------------------------------------------------------------


@pytest.mark.parametrize("names", [[("2024", "2024 summer")], [("2024", "a"), ("2023", "b")]])
def test_what_was_said_follows_renamed_folders(two_kinds, tmp_path, names):
    out = tmp_path / "out"
    sort(two_kinds, out, groups=2)
    confirm_all(two_kinds, out)
    before = table_of(out)
    for old, new in names:
        os.rename(two_kinds / old, two_kinds / new)
    summary = sort(two_kinds, out)
    after = table_of(out)
    for old, new in names:
        before = before.rename(index=lambda name: name.replace(f"{old}/", f"{new}/"))  # noqa: B023
    assert (after["corrected"] == "confirmed").all() and after["group"].nunique() == 2
    assert after["group"].to_dict() == before["group"].to_dict()
    assert summary["counts"]["corrected, not here"] == 0


def test_renamed_and_moved_files_keep_their_features_and_moved_results_go_on(
    two_kinds, tmp_path, monkeypatch
):
    out, there = tmp_path / "out", tmp_path / "there"
    before = sort(two_kinds, out, groups=2, arrange="link")
    shutil.move(out, there)
    with monkeypatch.context() as patch:
        patch.setattr(cleaning, "inspect_file", lambda path, *_: pytest.fail(f"{path} is read"))
        assert sort(two_kinds, there)["finished"] == before["finished"]
    extractor, computed = features.extractor, []

    def counting(*how):
        compute = extractor(*how)
        return lambda images: computed.append(len(images)) or compute(images)

    monkeypatch.setattr(features, "extractor", counting)
    groups = {Path(file).name: group for file, group in table_of(there)["group"].items()}
    moved = shutil.move(two_kinds, tmp_path / "moved")
    (moved / "2024").rename(moved / "summer")
    for number, path in enumerate(sorted((moved / "2023").iterdir())):
        os.utime(path, (number, number))  # as copying to another disk does
    after = sort(moved, there, arrange="link")
    assert computed == [] and after["groups"] == before["groups"]
    table = table_of(there)["group"]
    assert {Path(file).name: group for file, group in table.items()} == groups
    assert {Path(file).parts[0] for file in table.index} == {"2023", "summer"}
    links = [path for path in (there / "sorted").rglob("*.png")]
    assert len(links) == 40 and all(path.exists() for path in links)
    part("china", np.random.default_rng(9)).save(moved / "new.png")
    sort(moved, there)
    assert computed == [1] and len(table_of(there)) == 41


def test_names_and_groups_follow_a_renamed_folder_where_little_was_said(two_kinds, tmp_path):
    out = tmp_path / "out"
    sort(two_kinds, out, groups=2)
    file = table_of(out).index[5]
    names = {"group 1": "houses", "group 2": "flowers"}
    sort(two_kinds, out, corrections=export(out, {file: "mine"}, rename=names))
    before = table_of(out)["group"]
    os.rename(two_kinds / "2024", two_kinds / "b")
    sort(two_kinds, out)
    renamed = {name.replace("2024/", "b/"): group for name, group in before.items()}
    assert table_of(out)["group"].to_dict() == renamed and set(before) == {*names.values(), "mine"}


def test_names_from_examples_stay_when_a_folder_is_renamed(two_kinds, tmp_path):
    out, examples = tmp_path / "out", tmp_path / "e.csv"
    sort(two_kinds, out, groups=2)
    group = table_of(out)["group"]
    first, second = (group.index[group == name][0] for name in ("group 1", "group 2"))
    examples.write_text(f"file,name\n{first},houses\n{second},flowers\n")
    sort(two_kinds, out, examples=examples)
    os.rename(two_kinds / "2024", two_kinds / "b")
    sort(two_kinds, out)
    assert set(table_of(out)["group"]) == {"houses", "flowers"}


def test_what_is_gone_is_counted_and_kept(two_kinds, tmp_path):
    out, away = tmp_path / "out", tmp_path / "away"
    sort(two_kinds, out, groups=2)
    files = table_of(out).index
    said = {files[0]: "mine", files[1]: "mine", files[30]: "mine"}
    sort(two_kinds, out, corrections=export(out, said))
    shutil.move(two_kinds / files[0], away)
    summary = sort(two_kinds, out)
    assert summary["counts"]["corrected, not here"] == 1
    assert "corrected, but not in the folder: 1" in sorting.summary_text(summary, out)
    assert (table_of(out)["group"][[files[1], files[30]]] == "mine").all()
    shutil.move(away, two_kinds / "back again.png")
    assert sort(two_kinds, out)["counts"]["corrected, not here"] == 0
    back = table_of(out).loc["back again.png"]
    assert back["group"] == "mine" and back["corrected"] == "moved"


def test_a_name_that_another_image_takes_takes_no_answer_with_it(two_kinds, tmp_path):
    """Cameras count from IMG_0001 again: the answer stays with the image."""
    out = tmp_path / "out"
    sort(two_kinds, out, groups=2)
    confirm_all(two_kinds, out)
    one, other = two_kinds / "2023/china00.png", two_kinds / "2024/flower00.png"
    group = table_of(out)["group"]
    other.rename(tmp_path / "x")
    one.rename(other)
    (tmp_path / "x").rename(one)
    sort(two_kinds, out)
    after = table_of(out)["group"]
    assert after["2024/flower00.png"] == group["2023/china00.png"]
    assert after["2023/china00.png"] == group["2024/flower00.png"]


def test_corrections_exported_before_a_rename_still_apply(two_kinds, tmp_path):
    out = tmp_path / "out"
    sort(two_kinds, out, groups=2)
    exported = export(out, {"2024/flower03.png": "mine", "2023/china03.png": "mine"})
    os.rename(two_kinds / "2024", two_kinds / "renamed")
    sort(two_kinds, out)
    sort(two_kinds, out, corrections=exported)
    after = table_of(out)
    assert after.loc["renamed/flower03.png", ["group", "corrected"]].tolist() == ["mine", "moved"]


def test_another_folder_in_the_same_results_is_grouped_anew(two_kinds, digit_files, tmp_path):
    out = tmp_path / "out"
    sort(two_kinds, out, groups=2)
    confirm_all(two_kinds, out)
    summary = sort(digit_files[0], out)
    assert 10 <= len(summary["groups"]) <= 25 and max(summary["groups"].values()) < 100
    assert summary["counts"]["corrected, not here"] == 40
    sort(two_kinds, out)
    assert (table_of(out)["corrected"] == "confirmed").all()


def test_copies_go_together_and_a_contradiction_is_named(two_kinds, tmp_path):
    shutil.copy(two_kinds / "2023/china00.png", two_kinds / "copy.png")
    out = tmp_path / "out"
    sort(two_kinds, out, groups=2)
    sort(two_kinds, out, corrections=export(out, {"copy.png": "mine"}))
    assert (table_of(out)["group"][["copy.png", "2023/china00.png"]] == "mine").all()
    wrong = export(out, {"copy.png": "one", "2023/china00.png": "two"})
    with pytest.raises(ValueError, match="copies, but moved to different groups"):
        sort(two_kinds, out, corrections=wrong)
    assert (table_of(out)["group"][["copy.png", "2023/china00.png"]] == "mine").all()


def test_answers_outlive_store_and_names(two_kinds, tmp_path):
    """The store is deleted, as its error message advises, and a folder renamed in between."""
    out = tmp_path / "out"
    sort(two_kinds, out, groups=2)
    assert not (out / "answers.csv").exists()
    sort(two_kinds, out, corrections=export(out, {"2024/flower03.png": "=mine, ü"}))
    os.rename(two_kinds / "2024", two_kinds / "renamed")
    (out / sorting.STORE).unlink()
    sort(two_kinds, out)
    after = table_of(out).loc["renamed/flower03.png"]
    assert after["group"] == "=mine, ü" and after["corrected"] == "moved"
    (out / "groups.csv").unlink()
    (out / "summary.json").unlink()
    sort(two_kinds, out)  # known by any of its own files
    assert table_of(out).loc["renamed/flower03.png", "group"] == "=mine, ü"
    (out / sorting.STORE).unlink()
    (out / "answers.csv").write_text("file,group,said,digest\na,b,moved,xyz\n")
    with pytest.raises(ValueError, match=r"answers.csv: line 2 is no answer"):
        sort(two_kinds, out)


# --- what people say, and what is only guessed ---------------------------------------------------


@pytest.mark.parametrize("typo", ["{} ", " {}", "{}\u00a0", "upper", "NFD"])
def test_names_that_differ_by_case_blanks_or_form_are_one(two_kinds, tmp_path, typo):
    out = tmp_path / "out"
    sort(two_kinds, out, groups=2)
    names = {"group 1": "Häuser", "group 2": "flowers"}
    sort(two_kinds, out, corrections=export(out, rename=names))
    table = table_of(out)
    file = table.index[table["group"] == "flowers"][0]
    wrong = {"upper": "HÄUSER", "NFD": unicodedata.normalize("NFD", "Häuser")}
    said = wrong.get(typo, typo.format("Häuser"))
    summary = sort(two_kinds, out, corrections=export(out, {file: said}))
    assert f"taken for one name: {said!r} is 'Häuser'" in sorting.summary_text(summary, out)
    after = table_of(out)
    assert set(after["group"]) == {"Häuser", "flowers"} and after["group"][file] == "Häuser"
    assert (after["group"] != table["group"]).sum() <= 3


def test_a_new_kind_is_offered_as_a_new_group_and_doubt_stays(digits, tmp_path):
    """Zeros come into a folder of ones, fours and sixes that somebody has corrected."""
    train, _ = digits
    answers = evaluation.unseal(train.answers)
    of = {digit: np.flatnonzero(answers == digit)[:40] for digit in (0, 1, 4, 6)}
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()

    def add(digit, rows):
        for row in rows:
            Image.fromarray(train.images[row, ..., 0]).save(folder / f"{digit}-{row:04d}.png")

    for digit in (1, 4, 6):
        add(digit, of[digit][:30])
    sort(folder, out, groups=3)
    confirm_all(folder, out)
    add(0, of[0][:30])
    summary = sort(folder, out)
    table = table_of(out)
    zeros = table.index.str.startswith("0-")
    new = table["group"] == "new"
    assert new[zeros].mean() > 0.7 and not new[~zeros].any() and table["unsure"][new].all()
    assert summary["groups"]["new"] == new.sum()
    add(1, of[1][30:31])
    sort(folder, out)
    again = table_of(out)
    assert (again["unsure"][table.index] != table["unsure"]).sum() <= 2  # a tenth of one more
    assert again["unsure"][table.index[new]].all()
    with pytest.raises(ValueError, match="groups=9 cannot apply"):
        sort(folder, out, groups=9)
    sort(folder, out, corrections=export(out, rename={"new": "zeros"}))
    named = table_of(out)["group"]
    assert (named[table.index[new]] == "zeros").all() and "new" not in set(named)


def test_runs_without_news_change_nothing(two_kinds, tmp_path):
    """Neither a run of the same folder, nor one that must do all again, makes a guess surer."""
    out = tmp_path / "out"
    sort(two_kinds, out, groups=2)
    said = export(out, {table_of(out).index[3]: "mine", table_of(out).index[33]: "mine"})
    sort(two_kinds, out, corrections=said)
    before = contents(out)
    sort(two_kinds, out)
    assert contents(out) == before
    table = (out / "groups.csv").read_bytes()
    for _ in range(2):
        sort(two_kinds, out, corrections=said)
        assert (out / "groups.csv").read_bytes() == table


def test_going_back_to_earlier_corrections_is_news(two_kinds, tmp_path):
    out = tmp_path / "out"
    sort(two_kinds, out, groups=2)
    file = table_of(out).index[3]
    first, second = (export(out, {file: n}, to=f"{n}.csv") for n in ("one", "two"))
    for said, name in ((first, "one"), (second, "two"), (first, "one")):
        sort(two_kinds, out, corrections=said)
        assert table_of(out)["group"][file] == name


def test_an_interrupted_correction_is_not_forgotten(two_kinds, tmp_path, monkeypatch):
    out = tmp_path / "out"
    sort(two_kinds, out, groups=2)
    said = export(out, {"2024/flower03.png": "mine"})
    monkeypatch.setattr(
        cleaning, "report", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        sort(two_kinds, out, corrections=said)
    monkeypatch.undo()
    sort(two_kinds, out)
    assert table_of(out).loc["2024/flower03.png", "group"] == "mine"


# --- read, or said why not -----------------------------------------------------------------------


def test_depths_are_read_by_the_range_of_the_folder(tmp_path):
    """The same photos in 8 bits and in 10 of 16 come into the same groups."""
    rng, folders = np.random.default_rng(0), (tmp_path / "8", tmp_path / "10")
    for folder in folders:
        folder.mkdir()
    for number in range(12):
        for kind in PHOTOS:
            grey = np.asarray(part(kind, rng).convert("L"))
            Image.fromarray(grey).save(folders[0] / f"{kind}{number:02d}.png")
            deep = (grey / 255 * 1023).round().astype("uint16")
            Image.fromarray(deep).save(folders[1] / f"{kind}{number:02d}.png")
    for folder in folders:
        sort(folder, tmp_path / f"out {folder.name}", groups=2)
    plain, deep = (table_of(tmp_path / f"out {folder.name}") for folder in folders)
    assert (deep["problem"].str.contains("0 becomes black, 1,023 white")).all()
    pairs = pd.crosstab(plain["group"], deep["group"]).to_numpy()
    assert max(np.trace(pairs), np.trace(pairs[:, ::-1])) >= 23 and (pairs.sum(axis=1) >= 4).all()
    Image.fromarray(np.kron(np.eye(8), np.full((12, 12), 4000)).astype("uint16")).save(
        folders[1] / "brighter.png"
    )
    sort(folders[1], tmp_path / "out 10")
    assert (table_of(tmp_path / "out 10")["problem"].str.contains("4,095 white")).all()


def test_equal_pixels_are_copies_whatever_their_format(tmp_path):
    rng, folder = np.random.default_rng(0), tmp_path / "in"
    folder.mkdir()
    for number in range(6):
        part("china", rng).save(folder / f"{number}.png")
    Image.open(folder / "0.png").save(folder / "again.bmp")
    Image.open(folder / "1.png").save(folder / "tagged.png", compress_level=1)
    changed = np.array(Image.open(folder / "2.png"))
    changed[3, 3] ^= 1
    Image.fromarray(changed).save(folder / "one value.png")
    report = cleaning.inspect(folder).set_index("file")
    copies = report[report["problem"].str.contains("duplicate")]
    assert sorted(copies["problem"]) == ["duplicate", "duplicate", "near-duplicate"]
    assert {
        *copies[copies["problem"] == "duplicate"]["duplicate_of"],
        *copies[copies["problem"] == "duplicate"].index,
    } == {"0.png", "again.bmp", "1.png", "tagged.png"}


def test_a_size_that_no_memory_holds_is_refused(two_kinds, tmp_path):
    with pytest.raises(ValueError, match=r"needs about [\d,]+ GB for one image"):
        sort(two_kinds, tmp_path / "out", size=60_000)


@pytest.mark.parametrize("k", [2, 3])
def test_three_images_in_two_or_three_groups(two_kinds, tmp_path, k, capfd):
    for path in sorted(two_kinds.rglob("*.png")):
        if path.stem not in ("china00", "china01", "flower00"):
            path.unlink()
    summary = sort(two_kinds, tmp_path / "out", groups=k)
    assert sorted(summary["groups"].values()) == ([1, 2] if k == 2 else [1, 1, 1])
    assert "Warning" not in capfd.readouterr().err


def test_tables_as_spreadsheets_save_them(two_kinds, tmp_path):
    """Semicolons, empty rows at the end, a byte order mark: of examples as of corrections."""
    out = tmp_path / "out"
    sort(two_kinds, out, groups=2)
    (tmp_path / "e.csv").write_text(
        "\ufefffile;name\n2023/china00.png;House\n2023/china01.png;house \n;\n;\n", "utf-8"
    )
    sort(two_kinds, out, examples=tmp_path / "e.csv")
    assert "House" in set(table_of(out)["group"])
    text = export(out, {"2023/china05.png": "mine"}).read_text("utf-8").replace(",", ";")
    (tmp_path / "c.csv").write_text(text + ";" * text.split("\n")[0].count(";") + "\n", "utf-8")
    sort(two_kinds, out, corrections=tmp_path / "c.csv")
    assert table_of(out).loc["2023/china05.png", "group"] == "mine"


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_the_command_speaks_in_any_encoding(two_kinds, tmp_path, monkeypatch, encoding):
    """Windows, into a file: what the encoding lacks is escaped, nothing fails at the end."""
    for number, path in enumerate(sorted(two_kinds.rglob("*.png"))):
        path.unlink() if number % 4 else path.rename(path.with_name(f"{number} ж😀.png"))
    said = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", said)
    out = tmp_path / "ж"
    options = ["--out", str(out), "--groups", "2", "--quiet", "--backbone", "letters"]
    assert command.main(["sort", str(two_kinds), *options]) == 0
    said.flush()
    text = said.buffer.getvalue().decode(encoding)
    assert "10 sorted into 2 groups" in text and "gallery.html" in text
    assert ("ж" if encoding == "utf-8" else "\\u0436") in text


def test_empty_paths_are_no_folder(tmp_path, capsys):
    for arguments in (["", "--out", str(tmp_path)], [str(tmp_path), "--out", ""]):
        with pytest.raises(SystemExit):
            command.main(["sort", *arguments])
        assert "it is empty" in capsys.readouterr().err
    with pytest.raises(ValueError, match="is empty"):
        sorting.sort_folder("", tmp_path)
    with pytest.raises(ValueError, match="names no folder"):
        datasets.load("folder:")


@pytest.mark.parametrize("excluded", ["a.png", Path("a.png"), ["a.png"], "absolute"])
def test_what_is_excluded_is_left_out_or_an_error(tmp_path, excluded):
    for name in ("a.png", "b.png", "c.png"):
        Image.new("L", (9, 9), 99).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    excluded = str(tmp_path / "a.png") if excluded == "absolute" else excluded
    for name in (f"folder:{tmp_path}", tmp_path):
        parts = datasets.load(name, exclude=excluded)
        assert sorted(n for p in parts for n in p.names) == ["b.png", "c.png"]
    assert sum(map(len, datasets.load(tmp_path, exclude=["notes.txt"]))) == 3
    with pytest.raises(ValueError, match=r"no image is called 'a.pgn'; did you mean 'a.png'"):
        datasets.load(tmp_path, exclude="a.pgn")


# --- hostile folders, drawn at random ------------------------------------------------------------

NAMES = st.text(string.ascii_letters + " .-=+@'\"$&(),;é\u0301\u202e😀\\", min_size=1, max_size=12)
LIVES = ("images", "junk", "links")


def noise(seed, side=24):
    return np.random.default_rng(seed).integers(0, 256, (side, side), dtype="uint8")


def picture(seed):
    """An image unlike all others: large squares of grey."""
    return Image.fromarray(np.kron(noise(seed, 4), np.ones((6, 6), "uint8")))


def write(path, kind, seed):
    """Write a file of some kind; return whether it can be used as an image."""
    image = picture(seed)
    if kind == "deep":
        Image.fromarray(np.asarray(image).astype("uint16") * 4).save(path, "TIFF")
    elif kind == "clear":
        image.convert("LA").save(path, "PNG")
    elif kind == "cut":
        image.resize((64, 64)).save(path, "PNG")
        path.write_bytes(path.read_bytes()[:-40])
    elif kind == "text":
        path.write_text("no image")
    elif kind == "empty":
        path.touch()
    else:
        image.save(path, kind)


KINDS = ["PNG", "JPEG", "BMP", "TIFF", "WEBP", "deep", "clear", "cut", "text", "empty"]


class HostileFolder(RuleBasedStateMachine):
    """Somebody's folder, and what they do with it between runs."""

    @initialize(seed=st.integers(0, 10**6))
    def begin(self, seed):
        self.root = Path(TMP.mktemp("hostile"))
        self.folder, self.out = self.root / "in", self.root / "out"
        self.folder.mkdir()
        self.random, self.own, self.said, self.arranged = random.Random(seed), {}, {}, False
        for number in range(6):
            picture(seed + number).save(self.folder / f"{number}.png")

    def teardown(self):
        if hasattr(self, "root"):
            shutil.rmtree(self.root)

    def files(self):
        return sorted(p for p in self.folder.rglob("*") if p.is_file() and not p.is_symlink())

    def place(self, name):
        folders = [self.folder, *(p for p in self.folder.rglob("*") if p.is_dir())]
        path = self.random.choice(folders) / name.strip("/")
        usable = name.strip(". ") and not name.startswith(".")
        return path if usable and not os.path.lexists(path) else None

    @rule(name=NAMES, kind=st.sampled_from(KINDS), seed=st.integers(0, 10**6))
    def add_a_file(self, name, kind, seed):
        if path := self.place(name):
            write(path, kind, seed)

    @rule(name=NAMES)
    def add_a_folder(self, name):
        if path := self.place(name):
            path.mkdir()

    @rule(name=NAMES, link=st.booleans())
    def add_a_copy_or_a_link(self, name, link):
        if (files := self.files()) and (path := self.place(name)):
            source = self.random.choice(files)
            path.symlink_to(source) if link else shutil.copy(source, path)

    @rule(name=NAMES)
    def rename_a_file(self, name):
        if (files := self.files()) and (path := self.place(name)):
            self.random.choice(files).rename(path)

    @rule(name=NAMES)
    def rename_a_folder(self, name):
        folders = sorted(p for p in self.folder.iterdir() if p.is_dir() and not p.is_symlink())
        if folders and name.strip(". ") and not name.startswith("."):
            target = self.folder / name
            if not os.path.lexists(target):
                self.random.choice(folders).rename(target)

    @precondition(lambda self: len(self.files()) > 8)
    @rule()
    def delete_a_file(self):
        self.random.choice(self.files()).unlink()

    @precondition(lambda self: self.out.is_dir())
    @rule(name=NAMES, changed=st.booleans())
    def keep_something_among_the_results(self, name, changed):
        folder = self.out / "sorted"
        copies = sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
        if changed and copies:
            path = self.random.choice(copies)
        elif name.strip(". "):
            path = folder / "album" / name
        else:
            return
        if path.is_dir() or path.is_symlink():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"mine {self.random.random()}")
        self.own[path] = path.read_bytes()

    @precondition(lambda self: (self.out / "groups.csv").is_file())
    @rule()
    def delete_the_store(self):
        (self.out / sorting.STORE).unlink(missing_ok=True)

    @rule(arrange=st.sampled_from([None, "copy", "link"]))
    def run(self, arrange):
        self.sort(arrange=arrange)

    @precondition(lambda self: (self.out / sorting.STORE).is_file())
    @rule(
        name=st.sampled_from(["cats", "dogs", "Cats ", "=x"]),
        mark=st.sampled_from(["moved", "confirmed"]),
    )
    def correct(self, name, mark):
        self.sort()
        table = sorting.read_table(self.out / "groups.csv")
        table = table[table["group"] != ""].set_index("file")
        chosen = self.random.sample(sorted(table.index), min(2, len(table)))
        chosen = [file for file in chosen if not (self.folder / file).is_symlink()]
        digests = {file: digest_of(self.folder / file) for file in table.index}
        chosen = [f for f in chosen if list(digests.values()).count(digests[f]) == 1]
        moves = {file: name if mark == "moved" else table["group"][file] for file in chosen}
        for file, group in moves.items():
            self.said[digests[file]] = group.strip().casefold()
        self.sort(corrections=export(self.out, moves, mark=mark))

    @rule()
    def be_interrupted(self):
        before, cleaning.report = cleaning.report, stop
        try:
            self.sort()
        except KeyboardInterrupt:
            pass
        finally:
            cleaning.report = before

    def sort(self, **options):
        before = contents(self.folder)
        groups = None if (self.out / "groups.csv").is_file() else 2
        sort(self.folder, self.out, groups=groups, **options)
        assert contents(self.folder) == before
        self.check_the_table()
        table = (self.out / "groups.csv").read_bytes()
        sort(self.folder, self.out)
        assert (self.out / "groups.csv").read_bytes() == table

    def check_the_table(self):
        table = table_of(self.out)
        assert list(table.index) == datasets.list_files(self.folder)
        explained = (
            (table["group"] != "") | (table["problem"] != "") | (table["duplicate_of"] != "")
        )
        assert explained.all(), table[~explained]
        readable = [p for p in self.files() if p.relative_to(self.folder).as_posix() in table.index]
        for path in readable:
            try:
                fine = np.ptp(np.asarray(Image.open(path).convert("L"))) > 30
            except Exception:
                continue
            if fine:
                assert table["group"][path.relative_to(self.folder).as_posix()] != "", path
        for file in table.index[table["group"] != ""]:
            if name := self.said.get(digest_of(self.folder / file)):
                assert table["group"][file].casefold() == name, file

    @invariant()
    def nothing_of_the_user_is_lost(self):
        for path, content in getattr(self, "own", {}).items():
            assert path.read_bytes() == content, path


def digest_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stop(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs files as Linux has them")
def test_hostile_folders(tmp_path_factory):
    """HOSTILE sets the number of examples: `make hostile` draws thousands."""
    global TMP
    TMP = tmp_path_factory
    machine = HostileFolder.TestCase
    machine.settings = settings(
        max_examples=int(os.environ.get("HOSTILE", "20")),
        stateful_step_count=8,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.reuse, Phase.generate],  # to shrink one takes longer than to read it
        print_blob=True,
    )
    machine().runTest()
