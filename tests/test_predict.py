"""New images beside a sorted folder: their groups, unknown kinds, what is most like one."""

import os
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tfl_helpers import __main__ as command
from tfl_helpers import datasets, evaluation, sorting
from tfl_helpers.sorting.predict import FAR, most_like, predict_folder


@pytest.fixture(scope="module")
def place(digits, tmp_path_factory):
    """300 digits from 0 to 6, sorted; and new ones of all kinds, with files that are no images."""
    root, (train, test) = tmp_path_factory.mktemp("predict"), digits
    (root / "in").mkdir()
    (root / "new" / "a").mkdir(parents=True)
    y = evaluation.unseal(train.answers)
    known = np.flatnonzero(y < 7)[:300]
    for i in known:
        Image.fromarray(train.images[i][..., 0]).save(root / "in" / f"{i:04d}.png")
    truth = pd.Series(evaluation.unseal(test.answers)[:200], [f"a/{i:04d}.png" for i in range(200)])
    for file, pixels in zip(truth.index, test.images, strict=False):
        Image.fromarray(pixels[..., 0]).save(root / "new" / file)
    (root / "new" / "broken.png").write_bytes(b"\x89PNG\r\n broken")
    (root / "new" / "=notes.txt").write_text("notes")
    sorting.sort_folder(root / "in", root / "out", groups=9, backbone="letters", progress=False)
    return root, truth, pd.Series(y[known], [f"{i:04d}.png" for i in known])


def kind_of(out, truth):
    """The digit that most images of each group show."""
    table = sorting.read_table(out / "groups.csv").set_index("file")
    return truth.groupby(table["group"][truth.index]).agg(lambda kinds: kinds.mode()[0])


def test_new_images_get_groups_and_unknown_kinds_are_unsure(place):
    root, truth, sorted_truth = place
    before = {path: path.stat().st_mtime_ns for path in (root / "new").rglob("*")}
    table = predict_folder(root / "new", root / "out" / "model.keras", progress=False)
    assert {path: path.stat().st_mtime_ns for path in (root / "new").rglob("*")} == before
    assert list(table.columns) == ["file", "group", "score", "doubt", "unsure", "problem"]
    assert table["file"].tolist() == datasets.list_files(root / "new")
    table = table.set_index("file")
    known, unknown = truth.index[truth < 7], truth.index[truth >= 7]
    guess = table["group"][known].map(kind_of(root / "out", sorted_truth))
    assert (guess == truth[known]).mean() >= 0.9
    assert table["unsure"][unknown].mean() >= 0.5 > 0.3 >= table["unsure"][known].mean()
    far = table["problem"].str.endswith(FAR)
    assert table["unsure"][far].all() and far[unknown].mean() > 3 * far[known].mean()
    assert table["score"][truth.index].between(1 / 9, 1).all()
    assert table["doubt"][truth.index].between(0, 1).all()
    bad = table.loc[["=notes.txt", "broken.png"]]
    assert (
        (bad["group"] == "").all()
        and bad["problem"].str.len().min() > 10
        and not bad["unsure"].any()
    )


def test_a_model_alone_says_so_and_the_groups_are_the_same(place, tmp_path, capsys):
    root, _, _ = place
    shutil.copyfile(root / "out" / "model.keras", tmp_path / "m.keras")
    with_names = predict_folder(root / "new", root / "out" / "model.keras", progress=False)
    options = ["predict", str(root / "new"), "--model", str(tmp_path / "m.keras"), "--quiet"]
    assert command.main([*options, "--out", str(tmp_path / "p.csv")]) == 0
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and "no summary.json" in said.err
    assert "202 files: 200 in groups" in said.out and "2 could not be used" in said.out
    table = pd.read_csv(tmp_path / "p.csv", keep_default_na=False)
    assert "./=notes.txt" in set(table["file"])
    pairs = set(zip(table["group"], with_names["group"], strict=True))
    assert len(pairs) == 10 == len({number for number, _ in pairs})
    sure = with_names["score"] >= 2 / 3
    assert ((table["unsure"] == "False") | (table["unsure"] == False))[sure].all()  # noqa: E712
    shutil.copyfile(root / "out" / "summary.json", tmp_path / "summary.json")
    again = predict_folder(root / "new", tmp_path / "m.keras", progress=False)
    assert again["group"].equals(with_names["group"]) and "work.sqlite" in again.attrs["lacks"]


def test_what_a_person_said_holds_for_the_same_bytes(place, tmp_path):
    root, _, _ = place
    out, new = tmp_path / "out", tmp_path / "new"
    shutil.copytree(root / "out", out)
    new.mkdir()
    table = sorting.read_table(out / "groups.csv")
    file, group = table["file"][5], next(g for g in table["group"] if g != table["group"][5])
    table.loc[5, ["group", "corrected"]] = group, "moved"
    said = sorting.write_table(table, tmp_path / "said.csv")
    sorting.sort_folder(root / "in", out, backbone="letters", corrections=said, progress=False)
    shutil.copyfile(root / "in" / file, new / "again.png")
    (row,) = predict_folder(new, out / "model.keras", progress=False).itertuples()
    assert (row.group, row.doubt, row.unsure, row.problem) == (group, 0, False, "")


def test_wrong_paths_are_clear_errors(place, tmp_path, capsys):
    root, _, _ = place
    model = str(root / "out" / "model.keras")
    new = str(root / "new")
    (tmp_path / "no.keras").write_bytes(b"no model")
    for options, says in (
        (["predict", new, "--model", model, "--out", f"{new}/p.csv"], "only read"),
        (["predict", new + "x", "--model", model], "not a folder"),
        (["predict", new, "--model", str(tmp_path / "none.keras")], "no file"),
        (["predict", new, "--model", str(tmp_path / "no.keras")], "no model that sort wrote"),
        (["like", f"{new}/broken.png", "--in", str(root / "out")], "cannot be used"),
        (["like", f"{new}/a/0000.png", "--in", new], "no summary.json"),
    ):
        assert command.main(options) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ") and says in error, options
    assert not os.path.exists(f"{new}/p.csv")


def test_the_most_like_are_of_the_same_kind(place, tmp_path, monkeypatch, capsys):
    root, truth, sorted_truth = place
    moved = tmp_path / "moved"
    shutil.copytree(root / "out", moved)
    shares = []
    for file in truth.index[truth < 7][:6]:
        table = most_like(root / "new" / file, moved, n=5)
        assert table["similarity"].is_monotonic_decreasing and len(table) == 5
        shares.append((sorted_truth[table["file"]] == truth[file]).mean())
    assert np.mean(shares) >= 0.9
    monkeypatch.setattr("keras.saving.load_model", lambda *_: pytest.fail("needs no network"))
    file = sorted_truth.index[3]
    assert command.main(["like", str(root / "in" / file), "--in", str(moved)]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 21 and lines[0].split() == ["similarity", "file", "group"]
    assert lines[1].split()[:2] == ["1.000", file]
    with pytest.raises(ValueError, match="n=0"):
        most_like(root / "in" / file, moved, n=0)
