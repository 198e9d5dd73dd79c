"""Images at an address are sorted like those in a folder; who may read them is nowhere told."""

import shutil
import sys

import pandas as pd
import pytest

from tfl_helpers import __main__ as command
from tfl_helpers import sorting
from tfl_helpers.datasets import cleaning

fsspec = pytest.importorskip("fsspec")
SECRET = "s3cr3t-k3y-nobody-may-see"


def sort(folder, out, **options):
    given = {"backbone": "letters", "groups": 3, "progress": False}
    return sorting.sort_folder(folder, out, **given | options)


def table_of(out):
    return sorting.read_table(out / "groups.csv").set_index("file")


@pytest.fixture(scope="module")
def thirty(digit_files, tmp_path_factory):
    """Thirty digits, some in an inner folder, and what is no image or passed over."""
    folder = tmp_path_factory.mktemp("thirty")
    (folder / "inner").mkdir()
    (folder / "@eaDir").mkdir()
    for number in range(30):
        place = folder / "inner" if number % 3 else folder
        shutil.copy(digit_files[0] / f"{number:04d}.png", place / f"ä {number:04d}.png")
    (folder / "notes.txt").write_text("no image")
    (folder / "empty.jpg").touch()
    shutil.copy(digit_files[0] / "0000.png", folder / "@eaDir" / "small.png")
    return folder


@pytest.fixture
def memory(thirty):
    """The address of a copy in this process's memory."""
    there = fsspec.filesystem("memory")
    there.put(str(thirty), "/bucket", recursive=True)
    yield "memory://bucket"
    there.rm("/bucket", recursive=True)


@pytest.fixture
def bucket(thirty, monkeypatch):
    """The address of a copy on an S3 server on this machine, which asks for a key."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    there = fsspec.filesystem("s3")
    there.mkdir("photos")
    there.put(str(thirty), "photos/mine", recursive=True)
    yield "s3://photos/mine"
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    server.stop()


def same(one, other):
    pd.testing.assert_frame_equal(table_of(one), table_of(other))


def test_an_address_is_sorted_like_a_folder(memory, thirty, tmp_path):
    summary = sort(memory, tmp_path / "there", arrange="copy", export="coco")
    here = sort(thirty, tmp_path / "here")
    same(tmp_path / "there", tmp_path / "here")
    assert summary["folder"] == memory
    assert summary["passed_over"] == here["passed_over"] == ["@eaDir"]
    table = table_of(tmp_path / "there")
    assert table["problem"]["empty.jpg"] == cleaning.PROBLEMS["empty"]
    assert len([p for p in (tmp_path / "there" / "sorted").rglob("*.png")]) == 30


def test_a_second_run_fetches_what_is_new_or_changed(memory, digit_files, tmp_path, monkeypatch):
    sort(memory, tmp_path / "out")
    read, inspect = [], cleaning.inspect_file
    monkeypatch.setattr(
        cleaning, "inspect_file", lambda p, *how: read.append(p) or inspect(p, *how)
    )
    sort(memory, tmp_path / "out")
    assert len(read) == 2, "what could not be used is looked at again, and nothing else"
    there, read[:] = fsspec.filesystem("memory"), []
    there.pipe("/bucket/new.png", (digit_files[0] / "0100.png").read_bytes())
    there.pipe("/bucket/ä 0003.png", (digit_files[0] / "0101.png").read_bytes())
    sort(memory, tmp_path / "out")
    assert len(read) == 4
    assert table_of(tmp_path / "out")["group"]["new.png"]
    assert not any(path.exists() for path in read), "a copy is left"


def test_a_file_that_cannot_be_fetched_is_a_line_of_the_table(memory, tmp_path, monkeypatch):
    there = fsspec.filesystem("memory")
    fetch = type(there).open

    def fails(self, path, *how, **more):
        if path.endswith("0003.png"):
            raise ConnectionError("the line is\ncut")
        return fetch(self, path, *how, **more)

    monkeypatch.setattr(type(there), "open", fails)
    sort(memory, tmp_path / "out")
    table = table_of(tmp_path / "out")
    assert "the line is cut" in table["problem"]["ä 0003.png"]
    assert (table["group"] != "").sum() == 29


def test_wrong_addresses_are_told(memory, tmp_path, capsys, monkeypatch):
    out = str(tmp_path / "out")
    for address, said in (
        ("nowhere://bucket", "pip install"),
        ("memory://none", "holds no file"),
        (f"sftp://me:{SECRET}@host/photos", "a password in an address"),
    ):
        assert command.main(["sort", address, "--out", out]) == 1
        told = capsys.readouterr().err
        assert said in told and SECRET not in told and told.startswith("error: ")
    with pytest.raises(ValueError, match="only copies"):
        sort(memory, tmp_path / "out", arrange="link")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(ValueError, match=r"tfl-helpers\[cluster\]"):
        sort(memory, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_bucket_is_read_by_workers_and_its_key_stands_nowhere(bucket, thirty, tmp_path, capfd):
    pytest.importorskip("distributed")
    job = ["sort", bucket, "--out", str(tmp_path / "there"), "--backbone=letters", "--groups=3"]
    assert command.main([*job, "--cluster=local:1"]) == 0
    sort(thirty, tmp_path / "here")
    same(tmp_path / "there", tmp_path / "here")
    said = capfd.readouterr()
    assert SECRET not in said.out + said.err and "AKIAEXAMPLE" not in said.out + said.err
    for path in (tmp_path / "there").iterdir():
        assert SECRET.encode() not in path.read_bytes(), path.name
        assert b"AKIAEXAMPLE" not in path.read_bytes(), path.name
    assert command.main(["sort", "s3://none", "--out", str(tmp_path / "none")]) == 1
    said = capfd.readouterr()
    assert "cannot be listed" in said.err and SECRET not in said.err
