"""A folder of images goes in, groups come out; whatever is in it, nothing is lost."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tfl_helpers import __main__ as command
from tfl_helpers import cleaning, datasets, evaluation, report, sorting
from tfl_helpers.sorting import sort_folder

ROOT = Path(__file__).resolve().parents[1]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs files as Linux has them")


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """400 digits as files, and their answers (sealed)."""
    folder = tmp_path_factory.mktemp("digits")
    train, _ = datasets.load("digits", limit=400)
    for number, pixels in enumerate(train.images):
        Image.fromarray(pixels[..., 0]).save(folder / f"{number:04d}.png")
    return folder, train.answers


@pytest.fixture(scope="session")
def sorted_digits(digits, tmp_path_factory):
    out = tmp_path_factory.mktemp("result")
    return out, sort(digits[0], out, groups=10)


@pytest.fixture
def messy(tmp_path):
    planted = cleaning.make_messy_folder(tmp_path / "messy")
    return tmp_path / "messy", planted


def sort(folder, out, **options):
    return sort_folder(folder, out, **{"backbone": "letters", "progress": False} | options)


def table_of(out):
    return report.read_table(out / "groups.csv").set_index("file")


def contents(folder):
    """Every file with its bytes and time of change: what must stay as it is."""
    return {
        path.relative_to(folder): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def accuracy(folder, answers, table):
    codes = pd.factorize(table["group"][[f"{i:04d}.png" for i in range(len(answers))]])[0]
    return evaluation.hungarian_accuracy(answers, codes)


# --- what comes out ------------------------------------------------------------------------------


def test_a_folder_of_digits_becomes_ten_real_groups(digits, sorted_digits):
    folder, answers = digits
    out, summary = sorted_digits
    table = table_of(out)
    assert sorted(path.name for path in out.iterdir()) == sorted([*sorting.RESULTS, sorting.STORE])
    assert list(table.index) == sorted(os.listdir(folder))
    assert accuracy(folder, answers, table) >= 0.9
    sizes = table["group"].value_counts()
    assert len(sizes) == 10 and sizes.min() >= 20 and sizes.max() <= 80, sizes
    assert summary == json.loads((out / "summary.json").read_text())
    assert summary["groups"] == sizes[list(summary["groups"])].to_dict()
    assert list(summary["groups"]) == [f"group {i}" for i in range(1, 11)]
    assert list(summary["groups"].values()) == sorted(sizes, reverse=True)
    assert summary["counts"]["sorted"] == 400 and summary["counts"]["left out"] == 0
    assert table["confidence"].between(0, 1).all() and 0 < table["unsure"].sum() < 80
    assert table["confidence"][table["unsure"]].mean() < table["confidence"].mean() - 0.1


def test_the_number_of_groups_is_guessed_with_a_range(digits, tmp_path):
    summary = sort(digits[0], tmp_path / "out")
    guess = summary["suggestion"]
    assert 8 <= guess["k"] == len(summary["groups"]) <= 12
    assert guess["low"] <= guess["k"] <= guess["high"]
    assert f"{guess['k']} is the best guess" in sorting.told(summary, tmp_path) or (
        guess["low"] == guess["high"]
    )


def test_the_model_sorts_new_images_alone(digits, sorted_digits, tmp_path):
    """In a fresh process, without this package, from raw RGB images of any size."""
    folder, _ = digits
    out, summary = sorted_digits
    code = (
        "import json, sys, keras, numpy as np\n"
        "from PIL import Image\n"
        "model = keras.saving.load_model(sys.argv[1], safe_mode=True)\n"
        "files = sorted(sys.argv[2:])\n"
        "x = np.stack([np.asarray(Image.open(f).convert('RGB').resize((24, 24))) for f in files])\n"
        "print(json.dumps(model.predict(x, verbose=0).argmax(1).tolist()))\n"
        "assert 'tfl_helpers' not in sys.modules\n"
    )
    files = [str(folder / f"{i:04d}.png") for i in range(100)]
    job = [sys.executable, "-I", "-c", code, str(out / "model.keras"), *files]
    said = subprocess.run(job, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    names = np.array(list(summary["groups"]))[json.loads(said)]
    table = table_of(out)
    sure = ~table["unsure"].iloc[:100].to_numpy()
    same = names == table["group"].iloc[:100]
    assert same[sure].mean() >= 0.95 and len(set(names)) == 10


def test_large_photos_are_shrunk_in_the_model_as_they_were_when_sorted(sorted_digits, digits):
    """A thousand pixels of fine stripes: without a filter the model would see other patterns."""
    model = keras.saving.load_model(sorted_digits[0] / "model.keras")
    rng = np.random.default_rng(0)
    photo = Image.open(digits[0] / "0007.png").convert("RGB").resize((1000, 1000))
    noisy = np.asarray(photo).astype(float) + rng.normal(0, 60, (1000, 1000, 1))
    noisy = noisy.clip(0, 255).astype("uint8")
    small = np.asarray(Image.fromarray(noisy).resize((24, 24), Image.Resampling.BILINEAR))
    one, other = (model.predict(x[None], verbose=0)[0] for x in (noisy, small))
    assert one.argmax() == other.argmax() and np.abs(one - other).max() < 0.05


def test_answers_in_folder_names_change_nothing(digits, sorted_digits, tmp_path):
    """The same images in one folder per true class, or under misleading names."""
    folder, answers = digits
    truth = evaluation.unseal(answers)
    for number, path in enumerate(sorted(folder.iterdir())):
        (tmp_path / "in" / f"c{truth[number]}").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "in" / f"c{truth[number]}" / path.name)
    sort(tmp_path / "in", tmp_path / "out", groups=10)
    nested = table_of(tmp_path / "out")
    nested.index = [name.split("/")[1] for name in nested.index]
    flat = table_of(sorted_digits[0])
    # Their order differs, and with it what is drawn at random; the groups do not follow the names.
    one = pd.factorize(nested["group"][flat.index])[0]
    assert abs(accuracy(folder, answers, nested) - accuracy(folder, answers, flat)) < 0.03
    assert len(set(one)) == 10


# --- again, more, corrected ----------------------------------------------------------------------


def test_a_second_run_reads_nothing_and_repeats_the_result(sorted_digits, digits, monkeypatch):
    out, summary = sorted_digits
    before = {name: (out / name).stat().st_mtime_ns for name in sorting.RESULTS}
    monkeypatch.setattr(cleaning, "look", lambda path: pytest.fail(f"{path} was read again"))
    assert sort(digits[0], out) == summary
    assert {name: (out / name).stat().st_mtime_ns for name in sorting.RESULTS} == before


def test_a_run_with_new_files_reads_these_alone_and_keeps_names(digits, tmp_path, monkeypatch):
    shutil.copytree(digits[0], tmp_path / "in")
    late = [tmp_path / "in" / f"{i:04d}.png" for i in range(0, 400, 20)]
    for path in late:
        path.rename(tmp_path / path.name)
    sort(tmp_path / "in", tmp_path / "out", groups=10)
    before, read = table_of(tmp_path / "out"), []
    for path in late:
        (tmp_path / path.name).rename(path)
    (tmp_path / "in" / "0001.png").unlink()
    look = cleaning.look
    monkeypatch.setattr(cleaning, "look", lambda path: read.append(Path(path)) or look(path))
    sort(tmp_path / "in", tmp_path / "out")
    after = table_of(tmp_path / "out")
    assert sorted(read) == sorted(late)
    assert len(after) == 399 and "0001.png" not in after.index
    shared = before.index.intersection(after.index)
    assert (before["group"][shared] == after["group"][shared]).mean() > 0.95


def test_a_changed_file_is_read_again(messy, tmp_path):
    folder, _ = messy
    sort(folder, tmp_path / "out", groups=2)
    assert not table_of(tmp_path / "out")["problem"]["temple/00.jpg"]
    (folder / "temple" / "00.jpg").write_bytes(b"")
    sort(folder, tmp_path / "out")
    assert table_of(tmp_path / "out")["problem"]["temple/00.jpg"] == cleaning.PROBLEMS["empty"]


def corrected(out, moves, names=(), path=None):
    """What the page exports: some images moved, some groups renamed."""
    table = report.read_table(out / "groups.csv")
    table["group"] = table["group"].replace(dict(names))
    table.loc[table["group"].isin(dict(names).values()), "corrected"] = "renamed"
    for file, group in dict(moves).items():
        table.loc[table["file"] == file, ["group", "corrected"]] = group, "moved"
    return report.write_table(table, path or out.parent / "groups_corrected.csv")


def test_corrections_hold_and_images_like_them_follow(digits, tmp_path):
    folder, answers = digits
    out = tmp_path / "out"
    sort(folder, out, groups=8)  # two groups too few: somebody has to make the others
    before, truth = table_of(out), evaluation.unseal(answers)
    named = {}
    for group, inside in before.groupby("group"):
        classes = truth[[int(file[:4]) for file in inside.index]]
        named[group] = f"the {np.bincount(classes).argmax()}s"
    rng, moves = np.random.default_rng(0), {}
    for digit in range(10):
        files = [f"{i:04d}.png" for i in np.flatnonzero(truth == digit)]
        wrong = [f for f in files if named[before["group"][f]] != f"the {digit}s"]
        moves |= {f: f"the {digit}s" for f in rng.permutation(wrong)[:6].tolist()}
    assert len(moves) >= 12
    sort(folder, out, corrections=corrected(out, moves, named.items()))
    after = table_of(out)
    assert set(after["group"]) == {f"the {d}s" for d in range(10)}
    assert (after["group"][list(moves)] == pd.Series(moves)).all()
    assert (after["corrected"][list(moves)] == "moved").all()
    others = [f for f in after.index if f not in moves]
    right = [f"the {d}s" for d in truth[[int(f[:4]) for f in others]]]
    was = (before["group"][others].map(named) == right).mean()
    now = (after["group"][others] == right).mean()
    assert now > was + 0.03 and now > 0.93, (was, now)
    # They still hold in the run after, which nobody corrects and which has a new image.
    shutil.copy(folder / "0000.png", tmp_path / "new.png")
    assert sort(folder, out)["groups"] == after["group"].value_counts()[
        list(sort(folder, out)["groups"])
    ].to_dict()
    assert (table_of(out)["group"][list(moves)] == pd.Series(moves)).all()


def test_new_names_alone_leave_the_groups_as_they_are(digits, tmp_path):
    out = tmp_path / "out"
    sort(digits[0], out, groups=10)
    before = table_of(out)
    table = corrected(out, {}, [("group 1", "zéro, or so"), ("group 2", "=2+2")])
    sort(digits[0], out, corrections=table)
    after = table_of(out)
    new = before["group"].replace({"group 1": "zéro, or so", "group 2": "=2+2"})
    pd.testing.assert_series_equal(after["group"], new)
    pd.testing.assert_series_equal(after["confidence"], before["confidence"])


def test_examples_name_groups_and_give_an_honest_estimate(digits, tmp_path):
    folder, answers = digits
    truth, out = evaluation.unseal(answers), tmp_path / "out"
    rows = [f"{i:04d}.png,digit {truth[i]}" for i in range(60)]
    (tmp_path / "examples.csv").write_text("file,name\n" + "\n".join(rows) + "\n")
    summary = sort(folder, out, groups=10, examples=tmp_path / "examples.csv")
    plain = sort(folder, tmp_path / "without", groups=10)
    table = table_of(out)
    right = np.array([f"digit {t}" for t in truth])
    names = table["group"].str.replace(r"^(digit \d) \d$", r"\1", regex=True)
    true_share = (names == right).mean()
    estimate = summary["estimate"]
    assert estimate["low"] <= true_share <= estimate["high"]
    assert estimate["right"] <= 60 and estimate["accuracy"] == round(estimate["right"] / 60, 3)
    assert list(summary["groups"].values()) == list(plain["groups"].values())  # names only
    # Examples that say nonsense are told so.
    noise = np.random.default_rng(0).permutation(truth[:60])
    rows = [f"{i:04d}.png,digit {noise[i]}" for i in range(60)]
    (tmp_path / "noise.csv").write_text("file,name\n" + "\n".join(rows) + "\n")
    estimate = sort(folder, tmp_path / "noise", groups=10, examples=tmp_path / "noise.csv")[
        "estimate"
    ]
    assert estimate["high"] < 0.5


def test_one_example_in_a_group_is_no_proof():
    table = pd.DataFrame({"file": list("abcd"), "group": ["g", "g", "h", ""]})
    names, estimate = sorting._take_names(table, {"a": "cat", "c": "dog", "d": "cow"})
    assert names == {"g": "cat", "h": "dog"}
    assert estimate["examples"] == 2 and estimate["right"] == 0
    names, estimate = sorting._take_names(table, {"a": "cat", "b": "cat", "c": "cat"})
    assert sorted(names.values()) == ["cat", "cat 2"] and estimate["right"] == 2
