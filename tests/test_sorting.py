"""A folder of images goes in, groups come out; whatever is in it, nothing is lost."""

import base64
import io
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from sklearn.base import BaseEstimator
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.datasets import load_sample_image
from sklearn.preprocessing import normalize

from tfl_helpers import __main__ as command
from tfl_helpers import clustering, datasets, evaluation, features, selection, sorting
from tfl_helpers.datasets import cleaning
from tfl_helpers.lessons.samples import make_messy_folder
from tfl_helpers.sorting.levels import join_groups, level_sizes

ROOT = Path(__file__).resolve().parents[1]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs files as Linux has them")


@pytest.fixture(scope="session")
def sorted_digits(digit_files, tmp_path_factory):
    out = tmp_path_factory.mktemp("result")
    return out, sort(digit_files[0], out, groups=10)


@pytest.fixture
def messy(tmp_path):
    planted = make_messy_folder(tmp_path / "messy")
    return tmp_path / "messy", planted


def sort(folder, out, **options):
    return sorting.sort_folder(folder, out, **{"backbone": "letters", "progress": False} | options)


def table_of(out):
    return sorting.read_table(out / "groups.csv").set_index("file")


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


def test_a_folder_of_digits_becomes_ten_real_groups(digit_files, sorted_digits):
    folder, answers = digit_files
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
    assert table["doubt"].between(0, 1).all() and table["unsure"].sum() in (40, 80)
    assert table["doubt"][table["unsure"]].min() > table["doubt"][~table["unsure"]].max()
    truth = pd.Series(evaluation.unseal(answers), [f"{i:04d}.png" for i in range(400)])
    frequent = table["group"].map(truth.groupby(table["group"]).agg(lambda kinds: kinds.mode()[0]))
    wrong = frequent != truth
    assert wrong[table["unsure"]].mean() > 5 * wrong[~table["unsure"]].mean()


@pytest.fixture(scope="module")
def counted_digits(digit_files, tmp_path_factory):
    """The same 400 digits, their number not given."""
    out = tmp_path_factory.mktemp("counted")
    return out, sort(digit_files[0], out)


def test_kinds_are_counted_and_shown_as_more_and_smaller_groups(digit_files, counted_digits):
    out, summary = counted_digits
    guess, said = summary["suggestion"], sorting.summary_text(summary, out)
    assert 8 <= guess["kinds"] <= 12 and guess["low"] <= guess["kinds"] <= guess["high"]
    assert [guess["low"], guess["high"]] == [f(guess["rules"].values()) for f in (min, max)]
    assert min(summary["groups"].values()) > 0 and summary["balance"] == "relaxed"
    assert len(summary["groups"]) == guess["shown"] == round((guess["kinds"] * 20) ** 0.5)
    assert f"about {guess['kinds']} kinds stand out" in said
    assert f"shown as {guess['shown']} small groups" in said
    groups = table_of(out)["group"]
    truth = evaluation.unseal(digit_files[1])[[int(file[:4]) for file in groups.index]]
    named = pd.Series(truth, groups.index).groupby(groups).agg(lambda kinds: kinds.mode()[0])
    assert (groups.map(named) == truth).mean() >= 0.93  # a name may be given twice
    assert groups.value_counts().max() <= 80


def test_levels_join_groups_and_stay_with_their_names(digit_files, counted_digits, tmp_path):
    out, summary = counted_digits
    table = table_of(out)
    kinds = summary["suggestion"]["kinds"]
    assert summary["levels"] == {"level_1": kinds, "level_2": -(-kinds // 2)}
    for fine, coarse in (("group", "level_1"), ("level_1", "level_2")):
        assert (table.groupby(fine)[coarse].nunique() == 1).all()
        largest = table.groupby(coarse)["group"].agg(lambda inside: inside.value_counts().index[0])
        assert (largest == largest.index).all()
    answers = digit_files[1]
    joined = pd.factorize(table["level_1"][[f"{i:04d}.png" for i in range(len(answers))]])[0]
    assert evaluation.hungarian_accuracy(answers, joined) >= 0.75
    # Named, the groups are the same, and so are the levels, by their new names.
    new = {group: f"kind {number}" for number, group in enumerate(summary["groups"])}
    shutil.copytree(out, tmp_path / "out")
    sort(digit_files[0], tmp_path / "out", corrections=corrected(tmp_path / "out", {}, new.items()))
    after = table_of(tmp_path / "out")
    for column in ("group", "level_1", "level_2"):
        assert (after[column] == table[column].map(new)).all()
    # A coarser level is taken by hand: the groups of one then have one name.
    by_hand = sorting.read_table(tmp_path / "out" / "groups.csv")
    sorting.write_table(by_hand.assign(group=by_hand["level_1"]), tmp_path / "coarse.csv")
    coarse = sort(digit_files[0], tmp_path / "out", corrections=tmp_path / "coarse.csv")
    assert set(coarse["groups"]) == set(after["level_1"])
    same = table_of(tmp_path / "out")["group"] == after["level_1"]
    assert same.mean() > 0.9


def test_groups_are_joined_by_their_links():
    z, codes = three_heaps(90)
    halves = 2 * codes + np.random.default_rng(0).integers(2, size=len(codes))
    joined = join_groups(z, halves, [3, 1])
    assert joined.shape == (2, 6) and len(set(joined[0])) == 3 and len(set(joined[1])) == 1
    assert (joined[0][::2] == joined[0][1::2]).all()  # both halves of each heap
    assert (join_groups(z, np.zeros(90, int), [1, 1]) == 0).all()
    assert level_sizes(1, None) == [1, 1] and level_sizes(9, {"kinds": 1}) == [5, 3]


def test_the_model_sorts_new_images_alone(digit_files, sorted_digits, tmp_path):
    """In a fresh process, without this package, from raw RGB images of any size."""
    folder, _ = digit_files
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


def test_the_model_gives_no_answer_for_images_that_were_scaled_before(sorted_digits, digits):
    model = keras.saving.load_model(sorted_digits[0] / "model.keras")
    raw = np.repeat(digits[0].images[:20], 3, axis=-1)
    p = model.predict(raw, verbose=0)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-4)
    assert len(set(p.argmax(axis=1))) > 5
    for wrong in (raw / 255, raw / 127.5 - 1, raw.astype("uint16") * 257, raw / raw.std() - 1):
        assert np.isnan(model.predict(wrong, verbose=0)).all()


def test_large_photos_are_shrunk_in_the_model_as_they_were_when_sorted(sorted_digits, digit_files):
    """A thousand pixels of fine stripes: without a filter the model would see other patterns."""
    model = keras.saving.load_model(sorted_digits[0] / "model.keras")
    rng = np.random.default_rng(0)
    photo = Image.open(digit_files[0] / "0007.png").convert("RGB").resize((1000, 1000))
    noisy = np.asarray(photo).astype(float) + rng.normal(0, 60, (1000, 1000, 1))
    noisy = noisy.clip(0, 255).astype("uint8")
    small = np.asarray(Image.fromarray(noisy).resize((24, 24), Image.Resampling.BILINEAR))
    one, other = (model.predict(x[None], verbose=0)[0] for x in (noisy, small))
    assert one.argmax() == other.argmax() and np.abs(one - other).max() < 0.05


@pytest.mark.slow
def test_several_networks_and_looks_are_kept_by_part_and_in_one_model(
    digit_files, sorted_digits, tmp_path, monkeypatch
):
    folder, answers = digit_files
    out = shutil.copytree(sorted_digits[0], tmp_path / "out")
    asked, make = [], features.extractor

    def counted(view, *options):
        compute = make(view, *options)
        return lambda pixels: asked.extend([view.name] * len(pixels)) or compute(pixels)

    monkeypatch.setattr(features, "extractor", counted)
    how = {"backbone": "letters+pixels", "looks": (1, 1.5), "groups": 10}
    with pytest.raises(ValueError, match="no such looks"):
        sort(folder, out, **how)
    how |= {"backbone": "letters:24+letters:32", "looks": (0.75, 1)}
    summary = sort(folder, out, **how)
    names = [f"letters_{size}x{size}" for size in (18, 24, 32)]  # 0.75 of 32 is 24, and known
    assert summary["settings"]["views"] == [[names[0], names[1]], [names[1], names[2]]]
    assert {name: asked.count(name) for name in names} == {
        names[0]: 400,
        names[1]: 0,
        names[2]: 400,
    }
    table = table_of(out)
    assert accuracy(folder, answers, table) >= 0.85
    model = keras.saving.load_model(out / "model.keras")
    read = [datasets.read_image(folder / file) for file in table.index]
    found = np.array(list(summary["groups"]))[model.predict(np.stack(read), verbose=0).argmax(1)]
    assert (found == table["group"]).mean() > 0.93


def test_answers_in_folder_names_change_nothing(digit_files, sorted_digits, tmp_path):
    """The same images in one folder per true class, or under misleading names."""
    folder, answers = digit_files
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


def test_a_second_run_reads_nothing_and_repeats_the_result(sorted_digits, digit_files, monkeypatch):
    out, summary = sorted_digits
    before = {name: (out / name).stat().st_mtime_ns for name in sorting.RESULTS}
    monkeypatch.setattr(
        cleaning, "inspect_file", lambda path, *_: pytest.fail(f"{path} is read again")
    )
    assert sort(digit_files[0], out) == summary
    assert {name: (out / name).stat().st_mtime_ns for name in sorting.RESULTS} == before


def test_features_of_many_images_are_read_part_by_part_and_give_the_same(
    digit_files, sorted_digits, counted_digits, tmp_path, monkeypatch
):
    monkeypatch.setattr(sorting.store, "AT_ONCE", 0)
    once, features_of = [], sorting.Store.features

    def watched(self, parts, names):
        once.append(len(names))
        return features_of(self, parts, names)

    monkeypatch.setattr(sorting.Store, "features", watched)
    for number, (out, _) in ((10, sorted_digits), (None, counted_digits)):
        sort(digit_files[0], tmp_path / str(number), groups=number)
        assert (out / "groups.csv").read_bytes() == (
            tmp_path / str(number) / "groups.csv"
        ).read_bytes()
    assert len(once) > 5


def test_groups_are_found_in_a_sample_and_the_others_are_placed(
    digit_files, sorted_digits, tmp_path, monkeypatch
):
    fitted = []

    class Watched(clustering.NeighbourClustering):
        def fit(self, z, y=None):
            fitted.append(len(z))
            return super().fit(z)

    known = {"neighbours": lambda k, seed: Watched(k, random_state=seed)}
    monkeypatch.setattr(sorting.grouping, "CLUSTERERS", known)
    summary = sort(digit_files[0], tmp_path, groups=10, sample=200)
    assert fitted == [200]
    sizes = table_of(tmp_path)["group"].value_counts()
    assert accuracy(*digit_files, table_of(tmp_path)) >= 0.85 and sizes.min() >= 15
    assert summary["counts"]["sorted"] == 400 and summary["groups"] == sizes.to_dict()
    assert "found in 200 images, drawn at random" in sorting.summary_text(summary, tmp_path)
    assert "drawn at random" not in sorting.summary_text(sorted_digits[1], tmp_path)
    with pytest.raises(ValueError, match=r"150 groups are wanted of 100 images: .* larger sample"):
        sort(digit_files[0], tmp_path, groups=150, sample=100)


def test_a_run_with_new_files_reads_these_alone_and_keeps_names(
    digit_files, sorted_digits, digits, tmp_path, monkeypatch
):
    folder, out, read = tmp_path / "in", tmp_path / "out", []
    shutil.copytree(digit_files[0], folder)
    shutil.copytree(sorted_digits[0], out)
    late = [folder / f"late {number:02d}.png" for number in range(20)]
    for path, pixels in zip(late, digits[1].images[:20], strict=True):
        Image.fromarray(pixels[..., 0]).save(path)
    (folder / "0001.png").unlink()
    before, inspect = table_of(out), cleaning.inspect_file
    monkeypatch.setattr(
        cleaning, "inspect_file", lambda path, *how: read.append(Path(path)) or inspect(path, *how)
    )
    sort(folder, out)
    after = table_of(out)
    assert sorted(read) == late
    assert len(after) == 419 and "0001.png" not in after.index
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
    table = sorting.read_table(out / "groups.csv")
    table["group"] = table["group"].replace(dict(names))
    table.loc[table["group"].isin(dict(names).values()), "corrected"] = "renamed"
    for file, group in dict(moves).items():
        table.loc[table["file"] == file, ["group", "corrected"]] = group, "moved"
    return sorting.write_table(table, path or out.parent / "groups_corrected.csv")


def test_corrections_hold_and_images_like_them_follow(digit_files, tmp_path):
    folder, answers = digit_files
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
    assert (
        sort(folder, out)["groups"]
        == after["group"].value_counts()[list(sort(folder, out)["groups"])].to_dict()
    )
    assert (table_of(out)["group"][list(moves)] == pd.Series(moves)).all()


def test_that_one_image_shows_several_kinds_tells_nothing_of_others(digit_files, tmp_path):
    folder, _ = digit_files
    out = tmp_path / "out"
    sort(folder, out, groups=8)
    before = table_of(out)
    file = before.index[0]
    table = sorting.read_table(corrected(out, {}))
    table.loc[table["file"] == file, ["group", "corrected"]] = "several kinds", "named"
    sort(folder, out, corrections=sorting.write_table(table, tmp_path / "c.csv"))
    after = table_of(out)["group"]
    assert after[after == "several kinds"].index.tolist() == [file]
    assert (after == before["group"]).sum() > 0.95 * len(after)
    z = np.eye(2)[np.arange(40) % 2] + np.random.default_rng(0).normal(0, 0.1, (40, 2))
    groups, said = np.array(["several kinds", *["one"] * 39], object), np.arange(40) == 0
    names, p = sorting.propagate_corrections(z, groups, said)
    assert np.array(names)[p.argmax(axis=1)].tolist() == groups.tolist()


def test_new_names_alone_leave_the_groups_as_they_are(digit_files, sorted_digits, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(sorted_digits[0], out)
    before = table_of(out)
    table = corrected(out, {}, [("group 1", "zéro, or so"), ("group 2", "=2+2")])
    sort(digit_files[0], out, corrections=table)
    after = table_of(out)
    new = before["group"].replace({"group 1": "zéro, or so", "group 2": "=2+2"})
    pd.testing.assert_series_equal(after["group"], new)
    pd.testing.assert_series_equal(after["doubt"], before["doubt"])


def test_examples_name_groups_and_give_an_honest_estimate(digit_files, sorted_digits, tmp_path):
    folder, answers = digit_files
    truth, out = evaluation.unseal(answers), tmp_path / "out"
    shutil.copytree(sorted_digits[0], out)
    rows = [f"{i:04d}.png,digit {truth[i]}" for i in range(60)]
    (tmp_path / "examples.csv").write_text("file,name\n" + "\n".join(rows) + "\n")
    summary, plain = sort(folder, out, examples=tmp_path / "examples.csv"), sorted_digits[1]
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
    examples = {f"{i:04d}.png": f"digit {noise[i]}" for i in range(60)}
    estimate = sorting.names_from_examples(sorting.read_table(out / "groups.csv"), examples)[1]
    assert estimate["high"] < 0.5


def test_one_example_in_a_group_is_no_proof():
    groups = ["group 1", "group 1", "group 2", ""]
    table = pd.DataFrame({"file": list("abcd"), "group": groups})
    names, estimate = sorting.names_from_examples(table, {"a": "cat", "c": "dog", "d": "cow"})
    assert names == {"group 1": "cat", "group 2": "dog"}
    assert estimate["examples"] == 2 and estimate["right"] == 0
    names, estimate = sorting.names_from_examples(table, {"a": "cat", "b": "cat", "c": "cat"})
    assert names == {"group 1": "cat", "group 2": "cat 2"} and estimate["right"] == 2
    table["group"] = ["group 1", "mine", "mine", "group 2"]  # a name that a person gave stays
    examples = {"a": "mine", "b": "cat", "d": "cow"}
    names, _ = sorting.names_from_examples(table, examples, taken=["group 1", "mine", "group 2"])
    assert names == {"group 2": "cow"}


def test_an_older_folder_opens_and_keeps_its_groups(few, tmp_path):
    """The earlier version kept thumbnails as JPEG, and another state."""
    out = tmp_path / "out"
    shutil.copytree(few[1], out)
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(file, "JPEG")
    with sqlite3.connect(out / sorting.STORE) as base:
        base.execute("UPDATE files SET picture = ?", (file.getvalue(),))
        base.execute("UPDATE facts SET value = '\"\"' WHERE key = 'state'")
        guess = json.dumps({"k": 3, "low": 2, "high": 4})
        base.execute("UPDATE facts SET value = ? WHERE key = 'suggestion'", (guess,))
    table = pd.read_csv(out / "groups.csv", dtype=str)
    table.drop(columns=["level_1", "level_2"]).to_csv(out / "groups.csv", index=False)
    moved = sorting.read_table(out / "groups.csv")["file"][0]
    summary = sort(few[0], out, corrections=corrected(out, {moved: "mine"}, [("group 1", "ones")]))
    assert "about 3 kinds stand out (2 to 4" in sorting.summary_text(summary, out)
    assert set(table_of(out)["level_1"]) < set(table_of(out)["group"])
    assert table_of(out)["group"][moved] == "mine" and "ones" in set(table_of(out)["group"])
    (line,) = set(re.findall("^[A-Za-z0-9+/]{90,}=*", (out / "gallery.html").read_text(), re.M))
    assert Image.open(io.BytesIO(base64.b64decode(line))).format == "WEBP"


# --- other clusterers ----------------------------------------------------------------------------


def three_heaps(n=60, noise=0):
    """Features of three groups of unequal size, and of images in none."""
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2], [n // 6, n // 3, n // 2])
    z = np.eye(8)[codes] + rng.normal(0, 0.02, (n, 8))
    z = np.concatenate([z, rng.normal(0, 1, (noise, 8))])
    return normalize(z).astype("float32"), codes


def test_a_clusterer_with_labels_alone_gives_probabilities_too():
    z, codes = three_heaps()
    _, p, doubt = sorting.cluster(KMeans(3, random_state=0), z)
    assert p.shape == (60, 3) and sorted(doubt)[-1] == 1 and np.quantile(doubt, 0.5) < 0.6
    assert p.sum(1) == pytest.approx(1) and (p.argmax(1) == 2 - codes).all()  # large ones first


def test_what_a_clusterer_leaves_in_no_group_is_most_doubtful():
    z, codes = three_heaps(noise=12)
    fitted, p, doubt = sorting.cluster(HDBSCAN(min_cluster_size=5, copy=True), z)
    assert p.shape == (72, 3) and (p[:60].argmax(1) == 2 - codes).all()
    assert (fitted.labels_ == -1).sum() > 3 and (doubt[fitted.labels_ == -1] == 1).all()
    assert (doubt[:60] == 1).sum() <= 1 and np.median(doubt[:60]) < 0.6
    _, p, doubt = sorting.cluster(HDBSCAN(min_cluster_size=70, copy=True), z)
    assert p.shape == (72, 1) and (doubt == 1).all()  # no group at all


def test_a_network_that_is_not_here_is_told_before_a_file_is_read(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"never read")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("TFL_OFFLINE", "1")
    command = r"prefetch --out DIR --backbone MobileNetV2:160 --backbone EfficientNetB0`.* 26 MB"
    with pytest.raises(FileNotFoundError, match=f"no file was read.*{command}"):
        both = {"backbone": "MobileNetV2+EfficientNetB0"}
        sorting.sort_folder(tmp_path / "photos", tmp_path / "out", **both)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "n, small, asked", [(600, False, True), (590, False, False), (600, True, False)]
)
def test_sizes_are_probed_only_where_groups_are_large_enough(monkeypatch, n, small, asked):
    looked = []

    def evidence(z, k, **how):
        looked.append(k)
        return pd.DataFrame(index=["linked"])

    monkeypatch.setattr(selection.balance, "balance_evidence", evidence)
    asked_for = sorting.grouping.Settings("", 10, "neighbours", 0, None, "keep")
    found = sorting.grouping.choose_balance(np.eye(n), 10, small, asked_for)
    assert (found, looked) == (("linked", [10]) if asked else ("relaxed", []))


def test_images_in_which_the_network_sees_nothing_are_told(tmp_path):
    """As MobileNetV2 does at 32 pixels: what its last activation cuts off is zero everywhere."""
    (folder := tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for number in range(40):
        dark = number < 15
        pixels = rng.integers(0, 100 if dark else 255, (16, 16, 3), "uint8")
        Image.fromarray(pixels).save(folder / f"{number}.png")
    layers = keras.layers.Rescaling(1 / 255, -0.4), keras.layers.ReLU()
    network = keras.Sequential([keras.Input((16, 16, 3)), *layers, keras.layers.Flatten()])
    network.save(tmp_path / "sees_bright.keras")
    summary = sort(folder, tmp_path / "out", backbone=str(tmp_path / "sees_bright.keras"), groups=2)
    assert summary["unseen"] == 15 / 40
    text = sorting.summary_text(summary, tmp_path / "out")
    assert "in 38% of the images the network sees nothing" in text and "--size" in text


def test_a_small_group_is_not_voted_away_by_its_neighbours():
    class Found(BaseEstimator):
        def fit(self, z):
            self.labels_ = np.array([5] * 3 + [2] * (len(z) - 3))
            return self

    z = np.random.default_rng(0).normal(size=(60, 4))
    _, p, _ = sorting.cluster(Found(), z)
    assert p.argmax(axis=1).tolist() == [1] * 3 + [0] * 57  # the larger group comes first
    assert p.sum(axis=1) == pytest.approx(1)


# --- copies, links -------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["copy", "link"])
def test_a_folder_per_group_follows_the_groups(messy, tmp_path, how):
    folder, _ = messy
    before, out = contents(folder), tmp_path / "out"
    sort(folder, out, groups=2, arrange=how)

    def arranged():
        return sorted(
            (path.relative_to(out / "sorted").parts[0], "/".join(path.parts[-2:]))
            for path in (out / "sorted").rglob("*")
            if path.is_file()
        )

    def wanted():
        table = table_of(out)
        table = table[table["group"] != ""]
        places = table["group"].where(~table["unsure"], "unsure")
        return sorted(zip(places, table.index, strict=True))

    assert arranged() == wanted() and len(wanted()) > 15
    some = next((out / "sorted" / "group 1").rglob("*.*"))
    assert some.is_symlink() == (how == "link")
    source = folder / "/".join(some.parts[-2:])
    assert some.read_bytes() == source.read_bytes()
    # A person gives a group a name that is no name of a folder: it must not lead out of `out`.
    (tmp_path / "evil").mkdir()
    file = next(f for f, g in table_of(out)["group"].items() if g == "group 1")
    moved = corrected(out, {file: "../../evil"}, [("group 1", "a/b:c"), ("group 2", "CON?\n")])
    sort(folder, out, corrections=moved, arrange=how)
    assert not list((tmp_path / "evil").iterdir())
    top = {path.name for path in (out / "sorted").iterdir()}
    assert top <= {"a_b_c", "CON_", "CON__", "_.._evil", "unsure"} and "_.._evil" in top
    assert contents(folder) == before


@pytest.mark.parametrize("how", ["copy", "link"])
def test_what_a_user_keeps_among_the_folders_stays(messy, tmp_path, how, capsys):
    """Own albums, own files, edited copies, a linked folder: none is removed or written over."""
    folder, out = messy[0], tmp_path / "out"
    sort(folder, out, groups=2, arrange=how)
    target, album = out / "sorted", tmp_path / "album"
    edited = next((target / "group 1").rglob("*.*"))
    edited.unlink()
    edited.write_bytes(b"edited by hand")
    album.mkdir()
    kept = [target / "my album" / "wedding.jpg", target / "group 1" / "notes.txt", edited]
    kept += [target / "group 2" / "README", album / "holiday.jpg"]
    for path in kept:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(path.read_bytes() if path.exists() else b"mine")
    (target / "linked").symlink_to(album)
    before = {path: path.read_bytes() for path in kept}
    renamed = corrected(out, {}, [("group 1", "ships"), ("group 2", "linked")])
    summary = sort(folder, out, corrections=renamed, arrange=how)
    assert {path: path.read_bytes() for path in kept} == before
    assert [path.name for path in album.iterdir()] == ["holiday.jpg"]
    assert edited.relative_to(out).as_posix() in summary["left_alone"]
    assert "left alone" in sorting.summary_text(summary, out)
    assert (target / "ships").is_dir()
    left = [path for path in (target / "group 1").rglob("*") if path.is_file()]
    assert sorted(left) == sorted([target / "group 1" / "notes.txt", edited])


def test_a_linked_folder_of_groups_is_refused(messy, tmp_path):
    folder, out, album = messy[0], tmp_path / "out", tmp_path / "album"
    sort(folder, out, groups=2)
    album.mkdir()
    (album / "holiday.jpg").write_bytes(b"mine")
    (out / "sorted").symlink_to(album)
    with pytest.raises(FileExistsError, match="link"):
        sort(folder, out, arrange="copy")
    assert [path.name for path in album.iterdir()] == ["holiday.jpg"]


def form(number, ticked):
    """A questionnaire of which only a tick differs from others."""
    image = Image.new("L", (300, 400), 255)
    draw = ImageDraw.Draw(image)
    for line in range(14):
        draw.line((20, 30 + line * 20, 280 - (line * 37) % 90, 30 + line * 20), 0, 4)
    for row, name in ((330, "yes"), (365, "no")):
        draw.rectangle((20, row, 44, row + 24), None, 0, 2)
        if name == ticked:
            draw.rectangle((24, row + 4, 40, row + 20), 0)
    draw.point((290, 5 + number), 0)
    return image


def test_images_that_differ_little_are_grouped_and_may_be_left_out(tmp_path):
    folder = tmp_path / "forms"
    folder.mkdir()
    for number in range(24):
        form(number, ("yes", "no")[number % 2]).save(folder / f"{number:02d}.png")
    kept = sort(folder, tmp_path / "kept", groups=2)
    assert kept["counts"]["near-duplicates"] > 8 and sum(kept["groups"].values()) == 24
    assert "--near-duplicates drop" in sorting.summary_text(kept, tmp_path)
    table = table_of(tmp_path / "kept")
    assert (table["doubt"] > 0).all()
    dropped = sort(folder, tmp_path / "dropped", groups=1, near_duplicates="drop")
    assert "--near-duplicates keep" in sorting.summary_text(dropped, tmp_path)
    with pytest.raises(ValueError, match="'keep' or 'drop'"):
        sort(folder, tmp_path / "no", near_duplicates="maybe")


@pytest.mark.parametrize("near", ["keep", "drop"])
def test_every_copy_in_a_chain_is_with_its_original(digit_files, tmp_path, near):
    """Copies of smaller versions, links that sort first: all go where the largest file goes."""
    folder = tmp_path / "chain"
    folder.mkdir()
    for number in range(12):
        shutil.copy(digit_files[0] / f"{number:04d}.png", folder)
    photo = Image.fromarray(load_sample_image("china.jpg"))
    photo.resize((400, 267)).save(folder / "photo.png")
    photo.resize((200, 133)).save(folder / "a small one.png")
    shutil.copy(folder / "a small one.png", folder / "b copy of the small one.png")
    shutil.copy(folder / "photo.png", folder / "copy of the photo.png")
    (folder / "a favourite.png").symlink_to("photo.png")
    sort(folder, tmp_path / "out", groups=2, near_duplicates=near)
    table = table_of(tmp_path / "out")
    ours = table[table.index.str.contains("photo|small|favourite")]
    assert ours["group"].nunique() == 1 and (ours["group"] != "").all() and len(ours) == 5
    originals = {
        "copy of the photo.png",
        "copy of the photo.png" if near == "drop" else "a small one.png",
    }
    assert set(ours["duplicate_of"]) == {"", *originals} and sum(ours["duplicate_of"] == "") == 1
    assert ours.loc["a favourite.png", "duplicate_of"] == "copy of the photo.png"


JUNK = ["@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg", "#recycle/b.png", "$RECYCLE.BIN/c.png", "Thumbs.db"]
JUNK += ["__MACOSX/._a.png", "Library.photoslibrary/resources/d.png", ".thumbnails/e.png"]


def test_what_systems_put_among_photos_is_passed_over_and_counted(digit_files, tmp_path):
    folder = tmp_path / "nas"
    for number, name in enumerate([*JUNK, "a.png", "album/Thumbs/b.png", "cvs/c.png", "d.png"]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(digit_files[0] / f"{number:04d}.png", folder / name)
    summary = sort(folder, tmp_path / "out", groups=1)
    assert list(table_of(tmp_path / "out").index) == [
        "a.png",
        "album/Thumbs/b.png",
        "cvs/c.png",
        "d.png",
    ]
    assert sorted(summary["passed_over"]) == sorted(
        {name.split("/")[0] for name in JUNK[:-1]} | {".thumbnails"}
    )
    assert "passed over: 7" in sorting.summary_text(summary, tmp_path)
    everything = sort(folder, tmp_path / "all", groups=1, all_files=True)
    assert everything["counts"]["files"] == 11 and not everything["passed_over"]


# --- bad input -----------------------------------------------------------------------------------


def test_a_messy_folder_costs_nothing_but_its_bad_files(messy, tmp_path):
    folder, planted = messy
    before = contents(folder)
    summary = sort(folder, tmp_path / "out", groups=2)
    assert contents(folder) == before
    table = table_of(tmp_path / "out")
    assert sorted(table.index) == sorted(planted)
    for file, codes in planted.items():
        codes = {code for code in codes.split(", ") if code}
        row = table.loc[file]
        bad = codes & set(cleaning.LEAVE_OUT) - {"duplicate", "near-duplicate"}
        assert (row["group"] == "") == bool(bad), file
        for code in codes - {"duplicate", "near-duplicate"}:
            assert cleaning.PROBLEMS[code] in row["problem"], file
        if codes & {"duplicate", "near-duplicate"}:
            first = table.loc[row["duplicate_of"]]
            assert row["group"] == first["group"] != "" and not row["problem"]
    assert summary["counts"]["left out"] == (table["group"] == "").sum() > 10
    assert set(table["group"]) == {"", "group 1", "group 2"}


@pytest.mark.photos
def test_photos_of_a_messy_folder_are_told_apart(messy, tmp_path, keras_home):
    folder, _planted = messy
    sorting.sort_folder(
        folder, tmp_path / "out", groups=2, progress=False
    )  # MobileNetV2, as by default
    table = table_of(tmp_path / "out")
    table = table[table["group"] != ""]
    subjects = pd.Series([name.split("/")[0] for name in table.index], index=table.index)
    counts = pd.crosstab(subjects, table["group"])
    assert counts.max(axis=1).sum() / counts.to_numpy().sum() >= 0.9, counts
    assert counts.sum().min() >= 8


NAMES = [
    "a b.png",
    "naïve Bäume 图.png",
    "two\nlines.png",
    "x" * 246 + ".png",
    "all after a dot. " + "y" * 235,
    "<img src=x onerror=alert(1)>.png",
    "'quotes\".png",
    "<!--<script>alert(1)<.png",
    "-rf.png",
    "=cmd|' '!A0.png",
    "a\\..\\up.png",
    "javascript:alert(1).png",
    "\u202egnp.exe.png",
    os.fsdecode(b"not utf-8 \xff\xfe.png"),
    "no suffix",
    "upper.PNG",
    "{{data}}.png",
]


@LINUX
def test_odd_names_and_odd_files_are_lines_of_the_table_and_no_more(digit_files, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        shutil.copy(digit_files[0] / f"{number:04d}.png", folder / name)
    (folder / "drawing.svg").write_text("<svg onload='alert(1)'/>")
    (folder / "page.jpg").write_text("<html><script>alert(1)</script></html>")
    (folder / "loop").symlink_to(folder)
    (folder / "a.png").symlink_to(folder / "b.png")
    (folder / "b.png").symlink_to(folder / "a.png")
    (folder / "nowhere.png").symlink_to(tmp_path / "missing")
    os.mkfifo(folder / "pipe.png")
    out = tmp_path / "out"
    sort(folder, out, groups=2, arrange="copy")
    table = table_of(out)
    odd = {"drawing.svg", "page.jpg", "a.png", "b.png", "nowhere.png", "pipe.png", "loop"}
    assert set(table.index) == {*NAMES, *odd} - {"loop"}
    assert (table["group"][NAMES] != "").all()
    assert (table["group"][sorted(odd - {"loop"})] == "").all()
    assert (table["problem"][sorted(odd - {"loop"})] != "").all()
    copied = {path.name for path in (out / "sorted").rglob("*") if path.is_file()}
    assert copied == set(NAMES)
    page = (out / "gallery.html").read_text("utf-8")
    assert "<img src=x" not in page and "<script>alert(1)" not in page and "onload='" not in page


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs permissions as Unix has them")
@pytest.mark.parametrize("closed", ["a file", "the results"])
def test_what_may_not_be_read_or_written_is_said(digit_files, sorted_digits, tmp_path, closed):
    folder, out = tmp_path / "in", tmp_path / "out"
    for path in (folder, out):
        path.mkdir()
        path.chmod(0o777)
    for number in range(8):
        shutil.copy(digit_files[0] / f"{number:04d}.png", folder)
    root = os.geteuid() == 0
    path = folder / "0003.png" if closed == "a file" else out
    path.chmod(0 if closed == "a file" else 0o555)
    here = os.getcwd()
    try:
        os.chdir(tmp_path)
        if root:  # who may read and write everything
            for inside in (tmp_path, *tmp_path.parents):
                if inside in Path(tempfile.gettempdir()).parents or not inside.name:
                    break
                if inside.stat().st_mode & 0o005 != 0o005:
                    inside.chmod(0o755)  # pytest's own folders are for their owner only
            os.seteuid(65534)
        if closed == "a file":
            sort("in", "out", groups=2)
        else:
            with pytest.raises(OSError, match="out"):
                sort("in", "out", groups=2)
    finally:
        if root:
            os.seteuid(0)
        os.chdir(here)
    if closed == "a file":
        table = table_of(out)
        assert "Permission denied" in table["problem"]["0003.png"]
        assert (table["group"] != "").sum() == 7
    else:
        assert not list(out.iterdir())


def test_a_folder_that_changes_meanwhile(digit_files, tmp_path, monkeypatch):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(30):
        shutil.copy(digit_files[0] / f"{number:04d}.png", folder)
    look = cleaning.inspect_file

    def meanwhile(path, *how):
        if path.name == "0004.png":
            path.unlink()  # before it is looked at
        row = look(path)
        if path.name == "0005.png":
            path.write_bytes(b"")  # after that, before it is read
        if path.name == "0006.png":
            shutil.copy(digit_files[0] / "0100.png", folder)
        return row

    monkeypatch.setattr(cleaning, "inspect_file", meanwhile)
    sort(folder, tmp_path / "out", groups=3)
    table = table_of(tmp_path / "out")
    assert len(table) == 30 and (table["group"] != "").sum() == 28
    assert table["problem"]["0004.png"] and table["problem"]["0005.png"]
    monkeypatch.undo()
    sort(folder, tmp_path / "out")
    table = table_of(tmp_path / "out")
    assert "0004.png" not in table.index and table["group"]["0100.png"]
    assert table["problem"]["0005.png"] == cleaning.PROBLEMS["empty"]


def test_results_never_go_where_they_could_do_harm(digit_files, messy, tmp_path):
    folder, _ = messy
    with pytest.raises(ValueError, match="lies in the folder"):
        sort(folder, folder / "groups")
    with pytest.raises(ValueError, match="lies in the folder"):
        sort(folder, folder)
    with pytest.raises(ValueError, match="choose a new folder"):
        sort(folder, folder.parent)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "groups.csv").write_text("precious")
    with pytest.raises(FileExistsError, match="no earlier run made"):
        sort(folder, tmp_path / "mine")
    with pytest.raises(FileExistsError, match="is a file"):
        sort(folder, tmp_path / "mine" / "groups.csv")
    assert (tmp_path / "mine" / "groups.csv").read_text() == "precious"


def test_wrong_arguments_are_told_before_anything_is_written(messy, tmp_path):
    folder, out = messy[0], tmp_path / "out"
    (tmp_path / "e.csv").write_text("file,name\nnowhere.png,cat\n")
    (tmp_path / "f.csv").write_text("a,b\n")
    (tmp_path / "empty").mkdir()
    for message, options in {
        "from 1, 'auto' or 'kinds', not 0": {"groups": 0},
        "from 1, 'auto' or 'kinds', not 'many'": {"groups": "many"},
        "arrange is": {"arrange": "move"},
        "sample is a whole number from 100, not 0": {"sample": 0},
        "sample is a whole number from 100, not '1e6'": {"sample": "1e6"},
        "no clusterer is called 'friends'; there are neighbours": {"clusterer": "friends"},
        "no backbone is called 'MobileNet7'": {"backbone": "MobileNet7"},
        "not in the folder, such as 'nowhere.png'": {"examples": tmp_path / "e.csv"},
        "columns file and name": {"examples": tmp_path / "f.csv"},
        "no earlier result": {"corrections": tmp_path / "e.csv"},
    }.items():
        with pytest.raises(ValueError, match=message):
            sort(folder, out, **options)
        assert not out.exists()
    with pytest.raises(ValueError, match="holds no file"):
        sort(tmp_path / "empty", out)
    with pytest.raises(NotADirectoryError):
        sort(tmp_path / "nowhere", out)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_too_few_images(digit_files, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "text.jpg").write_text("no image")
    with pytest.raises(ValueError, match="none of the 1 files"):
        sort(folder, tmp_path / "out")
    assert table_of(tmp_path / "out")["problem"]["text.jpg"] == cleaning.PROBLEMS["not-an-image"]
    for number in range(4):
        shutil.copy(digit_files[0] / f"{number:04d}.png", folder)
    with pytest.raises(ValueError, match="5 groups are wanted of 4 images"):
        sort(folder, tmp_path / "out", groups=5)
    first = sort(folder, tmp_path / "out")
    assert first["groups"] == {"group 1": 4} and first["suggestion"] is None
    assert "too few images to guess" in sorting.summary_text(first, tmp_path)
    assert sum(sort(folder, tmp_path / "out", groups=4)["groups"].values()) == 4
    for number in range(1, 4):  # all of them the same image
        shutil.copy(folder / "0000.png", folder / f"{number:04d}.png")
    summary = sort(folder, tmp_path / "two", groups=1)
    assert summary["counts"]["duplicates"] == 3 and summary["groups"] == {"group 1": 4}


def test_a_number_that_few_images_gave_does_not_bind_later_runs(digit_files, tmp_path):
    """A first try with a few images, then the whole folder: only then is a number guessed."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()

    def with_images(number):
        for i in range(number):
            shutil.copy(digit_files[0] / f"{i:04d}.png", folder)
        return sort(folder, out)

    assert len(with_images(16)["groups"]) == 1
    guessed = len(with_images(60)["groups"])
    assert guessed > 2
    assert len(with_images(70)["groups"]) == guessed  # not much more: the groups stay
    grown = with_images(400)
    assert len(grown["groups"]) == grown["suggestion"]["shown"] > guessed
    kinds = sort(folder, out, groups="kinds")
    assert 8 <= len(kinds["groups"]) == kinds["suggestion"]["kinds"] <= 12
    assert len(sort(folder, out, groups=4)["groups"]) == 4
    assert len(sort(folder, out)["groups"]) == 4  # what was asked for stays


def test_corrections_outlive_the_store(digit_files, sorted_digits, tmp_path):
    folder, out = digit_files[0], tmp_path / "out"
    shutil.copytree(sorted_digits[0], out)
    files = table_of(out).index[:3]
    moved = corrected(out, dict.fromkeys(files, "mine"), [("group 1", "ones")])
    sort(folder, out, corrections=moved)
    before = table_of(out)
    (out / sorting.STORE).unlink()
    sort(folder, out)
    after = table_of(out)
    assert (after["group"][files] == "mine").all() and (after["corrected"][files] == "moved").all()
    assert (after["group"] == before["group"]).mean() > 0.99


def test_two_runs_at_once_and_a_damaged_store(digit_files, messy, tmp_path):
    folder, out = messy[0], tmp_path / "out"
    sort(folder, out, groups=2)
    with sorting.Store.opened(out), pytest.raises(OSError, match="another run is using it"):
        sort(folder, out, groups=3)
    assert len(set(table_of(out)["group"]) - {""}) == 2
    (out / sorting.STORE).write_bytes(b"rubbish" * 1000)
    with pytest.raises(OSError, match=f"{sorting.STORE} is damaged: delete it"):
        sort(folder, out, groups=3)
    (out / sorting.STORE).unlink()
    (tmp_path / "again").mkdir()
    assert len(sort(folder, tmp_path / "again", groups=3)["groups"]) == 3


# --- stopped at any moment -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def few(digit_files, tmp_path_factory):
    """Twelve digits, too few for a map, and what sorting them gives."""
    folder, out = tmp_path_factory.mktemp("few"), tmp_path_factory.mktemp("few sorted")
    for number in range(12):
        shutil.copy(digit_files[0] / f"{number:04d}.png", folder)
    sort(folder, out, groups=3)
    return folder, out


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Run the command in a process of its own, forked from one that has loaded TensorFlow."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["tensorflow", "tfl_helpers.selflabel", "tfl_helpers.sorting"])

    def started(folder, out, *options, most=None):
        log = tmp_path_factory.mktemp("log") / "said.txt"
        job = ["sort", str(folder), "--out", str(out), "--backbone=letters", "--quiet", *options]
        process = server.Process(target=run, args=(job, log, most))
        process.start()
        return process, log

    return started


def run(job, log, most):
    """What such a process does: its words go to a file, and no file may grow beyond `most`."""
    import resource

    said = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(said, 1)
    os.dup2(said, 2)
    if most:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    sys.exit(command.main(job))


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs signals as Unix has them")
def test_killed_at_any_moment_it_goes_on_and_ends_the_same(few, start, tmp_path):
    """Killed as soon as each kind of file appears, a moment later too."""
    out, draw = tmp_path / "out", random.Random(0)

    def saved():
        with sqlite3.connect(out / sorting.STORE) as base:
            tables = base.execute("SELECT name FROM sqlite_master").fetchall()
            if ("features",) not in tables:  # killed before there was one
                return 0
            return base.execute("SELECT count(*) FROM features").fetchone()[0]

    known = 0
    for seen in (sorting.STORE, "*.part*", "groups.csv", "gallery.html", "model.keras"):
        new = set(out.glob(seen))
        process, _ = start(few[0], out, "--groups=3")
        while process.is_alive() and set(out.glob(seen)) <= new:
            time.sleep(0.002)
        time.sleep(draw.random() * 0.05)
        process.kill()
        process.join()
        before, known = known, saved()
        assert known >= before, "what was saved is gone"
        for path in out.glob("groups.csv"):
            assert len(sorting.read_table(path)) == 12  # whole, whenever it is there
    assert known == 12
    process, log = start(few[0], out, "--groups=3")
    process.join()
    assert process.exitcode == 0, log.read_text()
    assert not list(out.glob("*.part*"))
    assert (out / "groups.csv").read_bytes() == (few[1] / "groups.csv").read_bytes()


@pytest.mark.slow
@LINUX
def test_a_full_disk_costs_no_result(few, start, tmp_path):
    more, out = tmp_path / "in", tmp_path / "out"
    shutil.copytree(few[0], more)
    shutil.copytree(few[1], out)
    before, rng = contents(out), np.random.default_rng(0)
    for number in range(7):  # more than fits
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), "uint8")).save(more / f"n{number}.png")
    process, log = start(more, out, most=(out / sorting.STORE).stat().st_size + 5_000)
    process.join()
    text = log.read_text()
    assert process.exitcode == 1
    assert text.splitlines()[-1].startswith("error: ") and "Traceback" not in text, text
    after = contents(out)
    assert {k: v for k, v in after.items() if k.name in sorting.RESULTS} == {
        k: v for k, v in before.items() if k.name in sorting.RESULTS
    }
    sort(more, out)
    assert len(sorting.read_table(out / "groups.csv")) == 19


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs signals as Unix has them")
def test_ctrl_c_twice_leaves_one_line_and_what_was_read(tmp_path):
    folder, rng = tmp_path / "in", np.random.default_rng(0)
    folder.mkdir()
    for number in range(1000):
        pixels = rng.integers(0, 256, (8, 8), "uint8")
        Image.fromarray(pixels).resize((64, 64)).save(folder / f"{number}.png")
    job = [sys.executable, "-m", "tfl_helpers", "sort", str(folder), "--out", str(tmp_path / "out")]
    process = subprocess.Popen([*job, "--backbone", "letters"], cwd=ROOT, stderr=subprocess.PIPE)
    text = b""
    while b"256/1000" not in text:
        text += process.stderr.read(1)
        assert process.poll() is None, text
    process.send_signal(signal.SIGINT)
    time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 130
    assert "stopped; what was read is kept" in rest.splitlines()[-1]
    assert "Traceback" not in rest
    with sqlite3.connect(tmp_path / "out" / sorting.STORE) as base:
        assert base.execute("SELECT count(*) FROM features").fetchone()[0] >= 256


# --- anything at all -----------------------------------------------------------------------------

name = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=()), min_size=1, max_size=60
).filter(lambda text: text not in (".", "..") and not text.startswith("."))
content = st.one_of(
    st.binary(max_size=300),
    st.tuples(st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"]), st.randoms()),
)


def spoiled(kind, chance):
    """An image of that kind with some bytes changed, or cut."""
    import io

    image = Image.effect_noise((16, 16), chance.uniform(1, 90))
    image.save(written := io.BytesIO(), kind)
    data = bytearray(written.getvalue())
    for _ in range(chance.randrange(4)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data[: chance.randrange(len(data) // 2, len(data) + 1)])


@pytest.mark.slow
@LINUX
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(files=st.dictionaries(name, content, max_size=25))
def test_whatever_is_in_the_folder(digit_files, tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("fuzz") / "in"
    folder.mkdir()
    for number in range(6):
        shutil.copy(digit_files[0] / f"{number:04d}.png", folder)
    written = {f"{number:04d}.png" for number in range(6)}
    for file, data in files.items():
        try:
            raw = os.fsencode(file)
        except UnicodeEncodeError:
            continue  # no name of a file can hold it
        if len(raw) > 250 or os.fsdecode(raw) in written:
            continue
        path = os.path.join(os.fsencode(folder), raw)
        with open(path, "wb") as made:
            made.write(data if isinstance(data, bytes) else spoiled(*data))
        written.add(os.fsdecode(raw))
    before = contents(folder)
    sort(folder, folder.parent / "out", groups=2)
    table = table_of(folder.parent / "out")
    assert set(table.index) == written
    assert (table["group"][[f"{number:04d}.png" for number in range(6)]] != "").all()
    explained = (table["group"] != "") | (table["problem"] != "")
    assert explained.all(), table[~explained]
    assert contents(folder) == before


# --- the command line ----------------------------------------------------------------------------


def test_the_command_says_what_it_did_and_its_exit_status(digit_files, messy, tmp_path, capsys):
    folder, out = str(messy[0]), str(tmp_path / "out")
    assert command.main(["sort", folder, "--out", out, "--groups", "2", "--backbone=letters"]) == 0
    said = capsys.readouterr().out
    assert "sorted into 2 groups" in said and "gallery.html" in said
    assert command.main(["sort", folder + "x", "--out", out]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "is not a folder" in error
    for wrong in (["sort"], ["sort", folder], ["sort", folder, "--out", out, "--groups", "0"]):
        with pytest.raises(SystemExit) as stop:
            command.main(wrong)
        assert stop.value.code == 2
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        command.main(["sort", "--help"])
    said = capsys.readouterr().out
    assert stop.value.code == 0
    for word in ("gallery.html", "groups.csv", "model.keras", "Ctrl-C", "--corrections", "130"):
        assert word in said


def test_nothing_a_user_was_given_can_run_code():
    """No pickle from a folder or bundle, Keras files in safe mode, downloads by https and hash."""
    for path in (ROOT / "tfl_helpers").rglob("*.py"):
        text = path.read_text()
        assert "allow_pickle=True" not in text and "safe_mode=False" not in text, path.name
        assert "enable_unsafe" not in text and "joblib.load" not in text, path.name
        # CIFAR-10's own archive, opened once its hash is right; what workers and client exchange
        if path.stem not in ("sources", "cluster"):
            assert "pickle.load" not in text, path.name
    for known in datasets.CATALOGUE.values():
        for item in known.downloads:
            assert item["url"].startswith("https://") and len(item["digest"]) in (32, 64)
