"""`tools/notebooks.py` runs, cleans and shows notebooks; `python -m tfl_helpers` makes bundles."""

import importlib.util
import os
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tfl_helpers import __main__ as command
from tfl_helpers import datasets
from tfl_helpers.lessons.machine import machine

ROOT = Path(__file__).resolve().parents[1]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)


@pytest.fixture
def tool(monkeypatch):
    path = ROOT / "tools" / "notebooks.py"
    if not path.is_file():
        pytest.skip("tools/ is part of the repository, not of the installed package")
    spec = importlib.util.spec_from_file_location("notebooks", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def cell(source, *tags):
    made = new_code_cell(source)
    made.metadata["tags"] = list(tags)
    return made


@pytest.fixture
def small_series(tool, tmp_path, monkeypatch):
    """Two notebooks, the second of which fails for the profile "bad"."""
    (tmp_path / "in").mkdir()
    paths = []
    for number, source in enumerate(["x = 1", "assert PROFILE != 'bad', 'no such images'"]):
        settings = 'PROFILE = "digits"  # or "mnist", "bad"'
        cells = [cell(settings, "parameters"), cell(source)]
        cells.append(cell("print(f'Key result: {PROFILE}')", "key-result"))
        paths.append(tmp_path / "in" / f"{number:02d}_small.ipynb")
        kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
        nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), paths[-1])
    monkeypatch.setattr(tool, "series", lambda names=None: paths)
    return paths


@pytest.mark.slow
def test_run_gives_a_line_a_page_and_an_exit_status(tool, small_series, tmp_path, capsys):
    assert tool.run("mnist", tmp_path / "build") == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.match(r"00_small +[\d.]+ s +\d+ MB  mnist$", lines[0]) and "2 of 2" in lines[2]
    assert tool.run("bad", tmp_path / "build") == 1
    lines = capsys.readouterr().out.splitlines()
    assert "FAILED  AssertionError: no such images" in lines[1] and "1 of 2" in lines[2]
    index = (tmp_path / "build" / "index.html").read_text()
    assert index.count("_small.html") == 2 and "FAILED: AssertionError" in index
    assert (tmp_path / "build" / "01_small.html").exists()


def test_clean_takes_out_the_machine_and_keeps_the_lesson(tool):
    made = cell("x")
    made.execution_count = 1
    made.metadata["papermill"] = {"duration": 1.0}
    stream = nbformat.v4.new_output
    made.outputs = [
        stream(
            "stream", name="stdout", text=f"{Path.home()}{os.sep}photos and {ROOT}{os.sep}build"
        ),
        stream("stream", name="stderr", text="UserWarning: look here\n"),
        stream("display_data", data={tool.WIDGET: {}, "text/plain": "0%"}),
        stream("display_data", data={"text/html": '<table id="T_a1b2c">'}),
    ]
    book = tool.clean(new_notebook(cells=[made, new_markdown_cell("text")]))
    out = book.cells[0].outputs
    assert [o.get("text", o.get("data", {}).get("text/html")) for o in out] == [
        "~/photos and ./build",
        "UserWarning: look here\n",
        '<table id="T_00000">',
    ]
    assert book.cells[0].metadata == {} and book.cells[0].execution_count == 1


def test_a_page_has_its_heading_as_title_and_leads_to_other_pages(tool):
    book = new_notebook(cells=[new_markdown_cell("# 07 · Cars\n\n[next](08_x.ipynb#end)")])
    book.cells.append(cell("# Parameters\nPROFILE = 'mnist'", "injected-parameters"))
    shown = tool.page(book)
    assert "<title>07 · Cars</title>" in shown and 'href="08_x.html#end"' in shown
    assert "PROFILE" not in shown


def test_solved_refuses_an_exercise_without_a_solution(tool):
    book = new_notebook(cells=[cell("answer = ...\n\ncheck('00-a', answer)", "exercise")])
    with pytest.raises(ValueError, match="without a solution"):
        tool.solved(book)
    book.cells.append(new_markdown_cell("<details>\n\n```python\nanswer = 1\n```\n\n</details>"))
    assert tool.solved(book).cells[0].source == "answer = 1\n\ncheck('00-a', answer)"


@pytest.mark.browser
@pytest.mark.slow
def test_pages_in_a_browser_without_a_network(tool, tmp_path):
    """The index leads to each page; every figure is there and nothing is asked of a network."""
    from playwright.sync_api import sync_playwright

    if not BROWSER:
        pytest.skip("needs Chromium")
    runs = []
    for path in tool.series():
        text = tool.page(nbformat.read(path, 4))
        (tmp_path / f"{path.stem}.html").write_text(text, encoding="utf8")
        runs.append(tool.Run(path.stem, 10.0, 900, "a key result"))
    (tmp_path / "index.html").write_text(tool.index_page("digits", runs), encoding="utf8")
    asked = []
    with sync_playwright() as player:
        chromium = player.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1000, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        page.goto((tmp_path / "index.html").as_uri())
        assert page.locator("tbody tr").count() == len(runs)
        for run in runs:
            page.goto((tmp_path / "index.html").as_uri())
            page.get_by_role("link", name=run.name).click()
            page.wait_for_url(f"**/{run.name}.html")  # and until it is loaded
            images = page.locator("figure img")
            assert images.count() >= 2
            shown = images.evaluate_all("all => all.map(i => [i.alt.length, i.naturalWidth])")
            assert all(alt > 15 and width > 20 for alt, width in shown), run.name
            if run.name.startswith("03"):
                canvas = page.frame_locator("figure iframe").locator("canvas")
                canvas.first.wait_for(timeout=20_000)
        chromium.close()
    assert not [url for url in asked if not url.startswith(("file:", "data:", "about:"))]


def test_machine_says_what_is_ready():
    table = machine().set_index("what")
    assert (table.state[["Python", "embedded backbone", "data: digits"]] == "ready").all()
    assert set(table.state) <= {"ready", "on request", "missing"}
    assert table.detail.str.len().gt(0).all()


def test_what_the_series_does_without_is_on_request(tmp_path, monkeypatch):
    monkeypatch.setenv("TFL_OFFLINE", "1")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("TFL_DATA_DIR", raising=False)
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind: [])
    state = machine().set_index("what").state
    wanted = ["GPU", "network", "ImageNet weights", "data: mnist", "data: cifar10"]
    assert (state[wanted] == "on request").all()


def test_too_little_memory_and_a_bundle_that_is_not_there_are_missing(tmp_path, monkeypatch):
    little = SimpleNamespace(available=4e8)
    monkeypatch.setenv("TFL_OFFLINE", "1")
    monkeypatch.setattr("psutil.virtual_memory", lambda: little)
    monkeypatch.setenv("TFL_DATA_DIR", str(tmp_path / "usb stick"))
    table = machine().set_index("what")
    assert table.index[table.state == "missing"].tolist() == ["memory", "data"]
    assert "0.4 GB free" in table.detail["memory"] and "usb stick" in table.detail["data"]


def test_machine_does_not_touch_the_network_when_told_so(monkeypatch):
    def refuse(*args, **options):
        raise AssertionError("the network was tried")

    monkeypatch.setenv("TFL_OFFLINE", "1")
    monkeypatch.setattr("socket.create_connection", refuse)
    assert machine().set_index("what").state["network"] == "on request"


@pytest.mark.photos
@pytest.mark.slow
def test_a_bundle_can_be_made_and_used(tmp_path, photo_bundle, keras_home, monkeypatch, capsys):
    arguments = ["prefetch", "--out", str(tmp_path), "mnist", "--backbone", "MobileNetV2:96"]
    assert command.main(arguments) == 0
    assert "TFL_DATA_DIR=" in capsys.readouterr().out
    original = datasets.load("mnist", limit=50)[0].images
    monkeypatch.setenv("TFL_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    np.testing.assert_array_equal(datasets.load("mnist", limit=50)[0].images, original)
    from tfl_helpers import backbones

    assert backbones.load("MobileNetV2", size=96).output_shape == (None, 1280)
    with pytest.raises(backbones.WeightsMissingError, match="prefetch"):
        backbones.load("MobileNetV2", size=128)


def test_prefetch_says_what_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TFL_OFFLINE", "1")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "empty"))
    monkeypatch.delenv("TFL_DATA_DIR", raising=False)
    assert command.main(["prefetch", "--out", str(tmp_path / "out"), "mnist"]) == 1
    assert "Three ways to get it" in capsys.readouterr().err
    assert command.main(["prefetch", "--out", str(tmp_path / "out"), "--backbone", "VGG99"]) == 1
    assert "VGG16" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command.main(["prefetch", "--out", str(tmp_path / "out")])
    assert "nothing to fetch" in capsys.readouterr().err
