"""Work goes out to processes of their own, some of which die; what comes back is the same."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tfl_helpers
from tfl_helpers import __main__ as command
from tfl_helpers import cluster, features, sorting
from tfl_helpers.datasets import FolderImages
from tfl_helpers.sorting import reading

distributed = pytest.importorskip("distributed")
ROOT = Path(__file__).resolve().parents[1]
TRIM = "MALLOC_TRIM_THRESHOLD_"
KEPT_BEFORE = os.environ.get(TRIM)  # Dask sets it here, too, when it starts workers
IN_SMALL_BLOCKS = """
import sys
from tfl_helpers.__main__ import main
from tfl_helpers.sorting import reading
reading.BLOCK = 32
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def two():
    """A client of two workers."""
    with cluster.connected("local:2") as client:
        yield client


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(reading, "BLOCK", 32)


@pytest.fixture(scope="module")
def hundred(digit_files, tmp_path_factory):
    """A hundred digits; among each block's a broken file, a copy, and images of 16 bits."""
    folder = tmp_path_factory.mktemp("hundred")
    for number in range(100):
        shutil.copy(digit_files[0] / f"{number:04d}.png", folder)
    for number in range(0, 100, 10):
        whole = (folder / f"{number:04d}.png").read_bytes()
        (folder / f"{number:04d} cut.png").write_bytes(whole[: len(whole) // 2])
    for number in range(3):
        shutil.copy(folder / f"{number:04d}.png", folder / f"{99 - number:04d} copy.png")
        deep = np.arange(64, dtype="uint16").reshape(8, 8) ** 2 * (number + 5)
        Image.fromarray(deep).save(folder / f"deep {number}.png")
    return folder


@pytest.fixture(scope="module")
def alone(hundred, tmp_path_factory):
    """What sorting them in one process gives."""
    out = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK", 32)
        sort(hundred, out)
    return table_bytes(out)


def sort(folder, out, **options):
    given = {"backbone": "letters", "groups": 10, "progress": False}
    return sorting.sort_folder(folder, out, **given | options)


def table_bytes(out):
    return (out / "groups.csv").read_bytes()


class Patched(distributed.WorkerPlugin):
    """Lets workers, and those that replace them, do something before they look at a file."""

    name = "patched"

    def __init__(self, before):
        self.before = before

    def setup(self, worker):
        from tfl_helpers.datasets import cleaning

        look = self.look = cleaning.inspect_file

        def patched(path, *how):
            self.before(path.name)
            return look(path, *how)

        cleaning.inspect_file = patched

    def teardown(self, worker):
        from tfl_helpers.datasets import cleaning

        cleaning.inspect_file = self.look


@pytest.fixture
def patch(two):
    """Have the two workers do something before they look at a file, until the test's end."""
    yield lambda before: two.register_plugin(Patched(before))
    two.unregister_worker_plugin("patched")


def ends_at(name, mark=None):
    """A function that ends the process at a file of that name; only once, where there is a mark."""

    def before(file):
        if file == name and not (mark and mark.exists()):
            if mark:
                mark.touch()
            os._exit(1)

    return before


# --- the same, however many workers --------------------------------------------------------------


def test_groups_are_the_same_with_two_workers_and_with_one(hundred, alone, two, tmp_path):
    sort(hundred, tmp_path / "two", client=two)
    assert table_bytes(tmp_path / "two") == alone
    with cluster.connected("local:1") as one:
        sort(hundred, tmp_path / "one", client=one)
    assert table_bytes(tmp_path / "one") == alone
    table = sorting.read_table(tmp_path / "two" / "groups.csv").set_index("file")
    broken = table.index.str.contains("cut")
    assert table["problem"][broken].str.len().min() > 0 and broken.sum() == 10
    assert (table["group"][~broken] != "").all()


def test_workers_give_back_memory_no_sooner_than_this_process(two):
    """Dask would have them do so at once: that takes a third of what they do in a second."""
    assert set(two.run(os.environ.get, TRIM).values()) == {KEPT_BEFORE}


def test_a_second_run_reads_only_what_is_new(hundred, two, tmp_path, patch):
    folder = tmp_path / "in"
    shutil.copytree(hundred, folder)
    sort(folder, tmp_path / "out", client=two)
    seen = tmp_path / "seen"
    seen.mkdir()
    patch(lambda name: (seen / name).touch())
    shutil.move(folder / "0001.png", folder / "moved.png")
    sort(folder, tmp_path / "out", client=two)
    names = {path.name for path in seen.iterdir()}
    assert "moved.png" in names and "0002.png" not in names


def test_features_are_the_same(hundred, letters, two, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (1100, 8, 8, 3), "uint8")
    files = FolderImages(hundred, [f"{number:04d}.png" for number in range(100)])
    for images in (pixels, files, files[10:30]):
        here = features.extract(letters, images, cache=False, progress=False)
        there = features.extract(letters, images, cache=tmp_path, progress=False, client=two)
        assert np.array_equal(here, there)
    again = features.extract(letters, pixels, cache=tmp_path, progress=False, client=None)
    assert np.array_equal(again, features.extract(letters, pixels, cache=False, progress=False))


# --- what may happen -----------------------------------------------------------------------------


def test_a_worker_that_dies_costs_nothing(hundred, alone, two, tmp_path, patch):
    patch(ends_at("0040.png", tmp_path / "died"))
    sort(hundred, tmp_path / "out", client=two)
    assert (tmp_path / "died").exists()
    assert table_bytes(tmp_path / "out") == alone


@pytest.mark.slow
def test_a_file_that_ends_each_worker_is_found_and_named(hundred, alone, two, tmp_path, patch):
    patch(ends_at("0040.png"))
    sort(hundred, tmp_path / "out", client=two)
    table = sorting.read_table(tmp_path / "out" / "groups.csv").set_index("file")
    assert reading.DEADLY in table["problem"]["0040.png"] and not table["group"]["0040.png"]
    assert table["problem"].str.contains(reading.DEADLY).sum() == 1
    used = ~table.index.str.contains("cut") & (table.index != "0040.png")
    assert (table["group"][used] != "").all()


class DiesAtFirst(distributed.WorkerPlugin):
    """Ends the first two workers while they are sent what they shall do with blocks."""

    def __init__(self, marks):
        self.marks = marks

    def transition(self, key, start, finish, **_):
        number = len(os.listdir(self.marks))
        if key.startswith("work-") and finish == "executing" and number < 2:
            (self.marks / str(number)).touch()
            os._exit(1)


def test_a_worker_that_dies_before_it_is_given_its_block_blames_nobody(tmp_path):
    with cluster.connected("local:1") as client:
        client.register_plugin(DiesAtFirst(tmp_path))
        with cluster.spread(client, sum) as run:
            done = dict(run([(1, 2), (3,)], lambda block: block))
    assert len(os.listdir(tmp_path)) == 2 and done == {(1, 2): 3, (3,): 3}


@pytest.mark.slow
def test_workers_that_end_whatever_they_do_are_not_the_files_fault(monkeypatch):
    monkeypatch.setattr(cluster, "FUTILE", 2)
    told = pytest.raises(OSError, match="2 workers ended, whatever they had to do")
    with cluster.connected("local:1") as client, cluster.spread(client, os._exit) as run, told:
        list(run([(1, 2)], len))


@pytest.mark.slow
def test_a_slow_worker_is_waited_for(hundred, alone, two, tmp_path, patch, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 0.2)
    patch(lambda name: time.sleep(1.5 if name == "0040.png" else 0))
    sort(hundred, tmp_path / "out", client=two)
    assert table_bytes(tmp_path / "out") == alone


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs signals as Unix has them")
def test_a_client_that_is_killed_goes_on_from_there(digit_files, two, tmp_path, patch):
    folder, out = digit_files[0], tmp_path / "out"
    sort(folder, tmp_path / "whole")
    job = [sys.executable, "-c", IN_SMALL_BLOCKS, "sort", folder, "--out", out, "--groups=10"]
    job += ["--backbone=letters", "--cluster", two.scheduler.address]
    patch(lambda name: time.sleep(0.02))
    process = subprocess.Popen(job, cwd=ROOT, stderr=subprocess.PIPE)
    text = b""
    while b"64/400" not in text:
        text += process.stderr.read(1)
        assert process.poll() is None, text
    process.kill()
    process.wait()
    seen = tmp_path / "seen"
    seen.mkdir()
    patch(lambda name: (seen / name).touch())
    sort(folder, out, client=two)
    assert 0 < len(list(seen.iterdir())) <= 400 - 64
    assert table_bytes(out) == table_bytes(tmp_path / "whole")


@pytest.mark.slow
def test_a_scheduler_that_is_gone_is_told_and_nothing_is_lost(
    hundred, alone, two, tmp_path, monkeypatch
):
    def start(kind, *what):
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{kind}", *what, "--no-dashboard"],
            stderr=subprocess.DEVNULL,
        )

    where = tmp_path / "scheduler.json"
    scheduler = start("scheduler", "--host=127.0.0.1", "--port=0", "--scheduler-file", where)
    while not where.exists() or not where.read_text().strip().endswith("}"):  # it is written whole
        time.sleep(0.1)
    worker = start("worker", "--scheduler-file", where, "--nthreads=1", "--death-timeout=60")
    save = sorting.Store.save

    def saved(self, files):
        save(self, files)
        scheduler.kill()

    try:
        address = distributed.Client(scheduler_file=str(where), set_as_default=False)
        with cluster.connected(address.scheduler.address) as client, monkeypatch.context() as patch:
            patch.setattr(sorting.Store, "save", saved)
            with pytest.raises(OSError, match=r"cannot be reached. Nothing is lost: start it"):
                sort(hundred, tmp_path / "out", client=client)
    finally:
        scheduler.kill()
        worker.terminate()
        scheduler.wait()
        worker.wait()
    sort(hundred, tmp_path / "out", client=two)
    assert table_bytes(tmp_path / "out") == alone


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs signals as Unix has them")
def test_ctrl_c_leaves_one_line_and_what_was_read(digit_files, tmp_path):
    """As a terminal sends it: to the workers, too."""
    job = [sys.executable, "-c", IN_SMALL_BLOCKS, "sort", digit_files[0], "--out", tmp_path / "out"]
    job += ["--backbone=letters", "--cluster=local:1"]
    process = subprocess.Popen(job, cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True)
    text = b""
    while not re.search(rb" [1-9][0-9]*/400", text):
        text += process.stderr.read(1)
        assert process.poll() is None, text
    os.killpg(process.pid, signal.SIGINT)
    rest = process.communicate(timeout=120)[1].decode()
    assert process.returncode == 130
    assert "stopped; what was read is kept" in rest and "Traceback" not in rest


def test_workers_that_would_give_other_results_are_refused(hundred, two, tmp_path, monkeypatch):
    monkeypatch.setattr(tfl_helpers, "__version__", "0.0.1")
    with pytest.raises(ValueError, match=r"a worker has .*tfl_helpers.*not .*0\.0\.1"):
        sort(hundred, tmp_path / "out", client=two)


def test_a_folder_that_workers_do_not_see_is_told(hundred, two, tmp_path, patch):
    folder = tmp_path / "in"
    shutil.copytree(hundred, folder)
    patch(lambda name: shutil.rmtree(folder, ignore_errors=True))
    with pytest.raises(OSError, match="all workers of a cluster need to see it"):
        sort(folder, tmp_path / "out", client=two)


def test_what_runs_in_this_process_loads_no_dask():
    code = "import sys, tfl_helpers.sorting.pipeline as p; sys.exit('distributed' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_the_command_says_what_is_wrong_with_a_cluster(hundred, tmp_path, capsys, monkeypatch):
    job = ["sort", str(hundred), "--out", str(tmp_path / "out"), "--quiet", "--cluster"]
    for address, said in (("local:none", "a number of workers"), ("here", "no scheduler answers")):
        assert command.main([*job, address]) == 1
        assert said in capsys.readouterr().err
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda name: None)
    assert command.main([*job, "local"]) == 1
    assert 'pip install "tfl-helpers[cluster]"' in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
