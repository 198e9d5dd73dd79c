"""The page in a notebook: in a frame, without anywidget, and in JupyterLab, linked with Python."""

import ast
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import nbformat
import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from nbformat.v4 import new_code_cell, new_notebook
from test_asking import KINDS, answers, asked_of, one_group
from test_gallery import BROWSER, ODD_NAMES, a_table, chromium, pictures, places
from test_sorting import corrected, sort, table_of

from tfl_helpers import evaluation, sorting
from tfl_helpers.sorting import widget

BROWSES = pytest.mark.skipif(not BROWSER, reason="needs Chromium")
HEARS = pytest.mark.skipif(not find_spec("anywidget"), reason="needs anywidget")
ROOT = Path(__file__).resolve().parents[1]
PAGE = "iframe[title^='The gallery page']"
__all__ = ["chromium"]  # a fixture


def a_run(folder, table):
    """The table and the page of a run in which every group is asked about."""
    folder.mkdir(exist_ok=True)
    sorting.write_table(table, folder / "groups.csv")
    how = asked_of(table) | {"places": places(table), "progress": False}
    sorting.write_gallery(folder / "gallery.html", table, pictures(table), **how)
    return folder


def shown(results):
    data, metadata = DisplayFormatter().format(results)
    assert not any("widget" in kind for kind in data)
    return data, metadata


class Tags(HTMLParser):
    """All tags of an output, and the page in its frame."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.page = [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.page = dict(attributes).get("srcdoc", self.page)


def test_a_page_is_framed_whole():
    text = "<!DOCTYPE html><p class='a'>&amp; \"so\" — 'on'</p>"
    data, metadata = widget.framed(text, 300, "Below <it>", "One 'line' & more")
    found = Tags(data["text/html"])
    assert found.tags == ["figure", "iframe", "figcaption"] and found.page == text
    assert "height: 300px" in data["text/html"] and "Below &lt;it&gt;" in data["text/html"]
    assert data["text/plain"] == "[figure: One 'line' & more]"
    assert metadata == {"needs_background": "light"}


def test_no_name_of_a_file_or_group_breaks_out_of_the_frame(tmp_path):
    table = a_table(90, ODD_NAMES[:4]).assign(problem="' srcdoc='x'></iframe><script>")
    table.loc[: len(ODD_NAMES) - 1, "file"] = ODD_NAMES
    results = sorting.Results(a_run(tmp_path, table))
    found = Tags(shown(results)[0]["text/html"])
    assert found.tags == ["figure", "iframe", "figcaption"]
    assert found.page == (tmp_path / "gallery.html").read_text("utf-8")
    assert results.labels["file"].tolist() == table["file"][table["group"] != ""].tolist()


def test_without_anywidget_it_is_the_page_and_the_table_of_the_run(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    results = sorting.Results(a_run(tmp_path, a_table()))
    data, _ = shown(results)
    assert "<iframe" in data["text/html"] and "No page above?" in data["text/html"]
    assert results.link is None and results.save() is None
    assert results.labels["group"].value_counts().to_dict() == {"ants": 30, "bees": 30, "cats": 30}
    assert list(results.labels) == ["file", "group", "unsure", "corrected"]


def test_of_a_large_page_only_a_line_is_shown(tmp_path):
    a_run(tmp_path, a_table())
    data, _ = shown(sorting.Results(tmp_path, largest=0.01))
    assert list(data) == ["text/plain"] and "largest=1" in data["text/plain"]


@HEARS
def test_what_the_page_sends_is_a_table_and_goes_on(digit_files, tmp_path):
    out = tmp_path / "out"
    sort(digit_files[0], out, groups=8)
    results = sorting.Results(out)
    files = results.labels["file"].tolist()
    moves = {file: "= odd, ones" for file in files[:9]}
    said = corrected(out, moves, {"group 1": "first"}.items(), tmp_path / "c.csv").read_text(
        "utf-8"
    )
    results.link.set_state({"said": {"answers": said, "labels": said}})  # as a front-end does
    assert results.labels["group"][:9].tolist() == ["= odd, ones"] * 9
    path = results.save()
    assert path == out / "groups_corrected.csv" and path.read_text("utf-8") == said
    sort(digit_files[0], out, corrections=path)
    after = sorting.Results(out)
    assert after.save() is None and after.link is not results.link
    marks = after.labels.set_index("file")["corrected"]
    assert (marks[files[:9]] == "moved").all() and "first" in set(after.labels["group"])


@HEARS
@BROWSES
@pytest.mark.browser
def test_labels_are_what_sort_then_writes(chromium, digit_files, tmp_path):
    folder, sealed = digit_files
    kinds, out = np.array(KINDS, object)[evaluation.unseal(sealed)], tmp_path / "out"
    sort(folder, out)
    results, page = sorting.Results(out), chromium.new_page()
    page.goto((out / "gallery.html").as_uri())
    answers(page, kinds, 10)
    sent = page.evaluate("({ answers: csv(), labels: csv(nameOf) })")
    page.close()
    results.link.set_state({"said": sent})
    labels = results.labels.set_index("file")
    assert (labels["corrected"] == "named").sum() == 10
    assert labels["group"].isin(kinds).mean() > 0.5  # others followed
    sort(folder, out, corrections=results.save())
    assert table_of(out)["group"].to_dict() == labels["group"].to_dict()


NOTEBOOK = """<!doctype html><body><script type="module">
const said = [], model = { get: () => %s, set: (_, what) => said.push(what), save_changes() {} };
%s
Object.assign(window, { said, listen: () => { window.stop = link.initialize({ model }); } });
</script></body>"""


@BROWSES
@pytest.mark.browser
@pytest.mark.parametrize("first", ["page", "widget"])
def test_a_frame_and_the_widget_find_each_other_whichever_is_first(chromium, tmp_path, first):
    """The widget's script in a window of its own, with a model that only takes down what is set."""
    folder = a_run(tmp_path, one_group())
    output = shown(sorting.Results(folder))[0]["text/html"]
    key = re.search('"key": ("[0-9a-f]{16}")', (folder / "gallery.html").read_text("utf-8"))[1]
    script = Path(widget.__file__).with_suffix(".js").read_text("utf-8")
    script = script.replace("export default", "const link =")
    (tmp_path / "notebook.html").write_text(NOTEBOOK % (key, script), "utf-8")
    context = chromium.new_context(offline=True)
    page = context.new_page()
    page.goto((tmp_path / "notebook.html").as_uri())

    def draw():
        page.evaluate("html => { document.body.innerHTML = html; }", output)
        page.frame_locator(PAGE).locator("html[data-ready]").wait_for(state="attached")

    steps = [draw, lambda: page.evaluate("listen()")]
    for step in steps if first == "page" else reversed(steps):
        step()
    page.wait_for_function("said.length === 1")
    frame = page.frame_locator(PAGE)
    frame.locator("#given").fill("ants")
    frame.locator("#given").press("Enter")
    page.wait_for_function("said.length === 2")
    assert frame.locator("#kept").inner_text() == "Handed to the notebook: 1 name."
    draw()  # the cell is run again: the page has kept what was said, and says it again
    page.wait_for_function("said.length === 3")
    before, after, again = page.evaluate("said.map(({ labels }) => labels.split(',ants,').length)")
    assert before == 1 and after == again > 2
    page.evaluate("stop()")
    frame.locator("#given").fill("bees")
    frame.locator("#given").press("Enter")
    assert frame.locator("#bar").inner_text().startswith("2 images named")
    assert page.evaluate("said.length") == 3
    context.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab of its own, in a temporary folder: the folder, and its address."""
    folder, own = tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("jupyter")
    places = "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"
    places += "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR"
    found = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {name: str(own / name) for name in places} | {"PYTHONPATH": found}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [f"--port={port}", "--ip=127.0.0.1", "--no-browser", "--allow-root"]
    options += [f"--ServerApp.root_dir={folder}", "--IdentityProvider.token=only-here"]
    command = [sys.executable, "-m", "jupyterlab", *options]
    with (own / "log").open("w") as log:
        server = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}/{{}}?token=only-here"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(address.format("api/status")).close()
                break
            except OSError:
                assert server.poll() is None, (own / "log").read_text()
                time.sleep(0.5)
        yield folder, address
    finally:
        server.terminate()
        server.wait()


CELLS = [
    'from tfl_helpers import sorting\nresults = sorting.Results("run")\nresults',
    "print(results.labels.group.value_counts().to_dict())\nprint(results.save())",
]


def run_cell(page, number):
    """Run a cell as somebody does, and wait until it has done: what it shows."""
    from playwright.sync_api import expect

    cell = page.locator(".jp-Notebook .jp-CodeCell").nth(number)
    cell.locator(".jp-InputArea-editor").click()
    before = cell.locator(".jp-InputPrompt").inner_text()
    page.keyboard.press("Shift+Enter")
    done = re.compile(rf"\[(?!{re.escape(before.strip('[]:'))}\])\d+\]")
    expect(cell.locator(".jp-InputPrompt")).to_have_text(done, timeout=60_000)
    return cell.locator(".jp-OutputArea-output")


@HEARS
@BROWSES
@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(not find_spec("jupyterlab"), reason="needs JupyterLab")
def test_in_jupyterlab_answers_reach_the_next_cell(lab, chromium):
    from playwright.sync_api import expect

    folder, address = lab
    a_run(folder / "run", one_group())
    notebook = new_notebook(cells=[new_code_cell(source) for source in CELLS])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "", "language": "python"}
    nbformat.write(notebook, folder / "try.ipynb")
    page = chromium.new_context(viewport={"width": 1280, "height": 1000}).new_page()
    page.goto(address.format("lab/tree/try.ipynb"))
    run_cell(page, 0)
    frame = page.frame_locator(PAGE)
    frame.locator("html[data-ready]").wait_for(state="attached")
    assert run_cell(page, 1).inner_text().splitlines() == ["{'group 1': 90}", "None"]
    frame.locator("#asked").click()
    for kind in ("ants", "bees"):
        page.keyboard.type(kind)
        page.keyboard.press("Enter")
    expect(frame.locator("#kept")).to_have_text("Handed to the notebook: 2 names.")
    now = frame.locator("body").evaluate("() => state.names.map((n, g) => [n, lists[g].size])")
    said = run_cell(page, 1).inner_text().splitlines()
    assert ast.literal_eval(said[0]) == {name: size for name, size in now if size}
    assert said[0].count("s'") == 2 and said[1] == "run/groups_corrected.csv"
    table = sorting.read_table(folder / "run" / "groups_corrected.csv")
    assert (table["corrected"] == "named").sum() == 2
    run_cell(page, 0)  # shown again, by a new object: the page has kept what was said
    expect(frame.locator("#kept")).to_have_text("Handed to the notebook: 2 names.")
    assert run_cell(page, 1).inner_text().splitlines() == said
    page.keyboard.press("Control+s")
    expect(page.locator(".jp-mod-dirty")).to_have_count(0)
    page.context.close()
    outputs = nbformat.read(folder / "try.ipynb", 4).cells[0].outputs
    assert [set(output.data) for output in outputs] == [{"text/html", "text/plain"}]
