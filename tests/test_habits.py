"""What people do with a notebook: a cell twice or stopped, any order, settings changed half-way.

The exercises are solved, but where sections are run out of their order: a solution may need what an
earlier section found. HABITS="03 05" asks for other notebooks than the quick ones: all take long.
"""

import ast
import os
import re
import signal

import pytest
from jupyter_client.manager import start_new_kernel
from test_notebooks import SERIES, cache, code, read, tagged, tool

ASKED = os.environ.get("HABITS", "00 02 08").split()
MEANT = [path for path in SERIES if path.stem[:2] in ASKED]
WITH_WORKERS = [path for path in SERIES if path.stem[:2] == "09" and path not in MEANT]
each = pytest.mark.parametrize("path", MEANT, ids=lambda path: path.stem)
pytestmark = [pytest.mark.slow, pytest.mark.executes]
# A kernel that was restarted has no other names than these
MARK = "_start = {}; _start.update(globals())"
RESTART = "[globals().pop(_n) for _n in set(globals()) - set(_start)]; globals().update(_start)"
# An interrupt between two cells meets the kernel itself, which then may answer nothing ever after;
# so what sends it is an alarm that the cell sets and takes away. Workers get it, as from Jupyter.
ALARM = """import os, signal
signal.signal(signal.SIGALRM, lambda *_: os.killpg(0, signal.SIGINT))
signal.setitimer(signal.ITIMER_REAL, 0.5)
{}
_off = signal.setitimer(signal.ITIMER_REAL, 0)"""
__all__ = ["cache"]  # a fixture


@pytest.fixture
def run(cache, monkeypatch):
    """Function that runs the sources of cells in this order in a kernel of its own."""
    monkeypatch.setenv("TFL_CACHE_DIR", str(cache))
    monkeypatch.setenv("TFL_OFFLINE", "1")

    def runs(path, sources):
        manager, client = start_new_kernel(kernel_name="python3", cwd=str(path.parent))
        try:
            for source in sources:
                answer = reply(client, client.execute(source))
                assert answer["status"] == "ok", f"{answer['evalue']}\n{source}"
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)

    return runs


def few_steps(source):
    """The settings cell of a notebook that trains, with few steps; other cells as they are."""
    return re.sub(r"^STEPS = (\d+|None)", "STEPS = 8", source, flags=re.MULTILINE)


def reply(client, message, seconds=300):
    """What a kernel answers to a message, once it has done what was asked."""
    while True:
        found = client.get_shell_msg(timeout=seconds)
        if found["parent_header"].get("msg_id") == message:
            return found["content"]


def short(notebook, tmp_path):
    """A notebook that trains for few steps, and records what it found elsewhere."""
    for cell in code(notebook):
        runs = f"RUNS = {(tmp_path / 'runs.jsonl').as_posix()!r}"
        cell.source = re.sub("^RUNS = .*", runs, few_steps(cell.source), flags=re.MULTILINE)
    return notebook


def start_and_sections(notebook):
    """Settings and jump-in cell; of each section the sources of its code cells."""
    start = [tagged(notebook, tag)[0] for tag in ("parameters", "jump-in")]
    sections = [[]]
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and re.search("^## ", cell.source, re.MULTILINE):
            sections.append([])
        elif cell.cell_type == "code" and cell not in start:
            sections[-1].append(cell.source)
    return [cell.source for cell in start], [section for section in sections if section]


@each
def test_each_cell_twice(path, run, tmp_path, monkeypatch):
    """What was measured holds the second time, too."""
    monkeypatch.setenv("TFL_STRICT_EXERCISES", "1")
    cells = code(short(tool().solved(read(path)), tmp_path))
    if not any("STEPS = 8" in cell.source for cell in cells):  # what trained little is not good
        monkeypatch.setenv("TFL_STRICT_CLAIMS", "1")
    run(path, [cell.source for cell in cells for _ in range(2)])


@each
def test_sections_from_the_last_to_the_first(path, run, tmp_path):
    start, sections = start_and_sections(short(read(path), tmp_path))
    assert len(sections) >= 4
    run(path, [*start, *(source for section in reversed(sections) for source in section)])


@each
def test_one_section_after_the_kernel_was_restarted(path, run, tmp_path):
    """The last first, so that no section finds files that one before it writes."""
    start, sections = start_and_sections(short(read(path), tmp_path))
    alone = [source for section in reversed(sections) for source in (RESTART, *section)]
    run(path, [*start, MARK, *alone])


@each
def test_settings_changed_half_way(path, run, tmp_path, monkeypatch):
    monkeypatch.setenv("TFL_STRICT_EXERCISES", "1")
    notebook = short(tool().solved(read(path)), tmp_path)
    sources = [cell.source for cell in code(notebook)]
    settings = tagged(notebook, "parameters")[0].source
    changed = re.sub(r"^SEED = \d+", "SEED = 7", settings, flags=re.MULTILINE)
    changed = re.sub(r"^N_IMAGES = \d+", "N_IMAGES = 400", changed, flags=re.MULTILINE)
    assert "SEED = 7" in changed
    middle = len(sources) // 2
    run(path, [*sources[:middle], changed, *sources[middle:]])


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="no alarm on Windows")
@pytest.mark.parametrize("path", [*MEANT, *WITH_WORKERS], ids=lambda path: path.stem)
def test_a_cell_that_was_interrupted_runs_again(path, tmp_path, monkeypatch):
    """Each code cell is stopped half a second after its start, and then run again.

    All imports are done before: a library may not survive to be stopped while it loads.
    """
    for name, value in {"CACHE_DIR": tmp_path / "cache", "OFFLINE": "1"}.items():
        monkeypatch.setenv(f"TFL_{name}", str(value))
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(path.parent))
    try:
        stopped, cells = 0, code(read(path))
        nodes = ast.walk(ast.parse("\n".join(cell.source for cell in cells)))
        lines = [ast.unparse(n) for n in nodes if isinstance(n, ast.Import | ast.ImportFrom)]
        lines.sort(key=lambda line: "tfl_helpers" not in line)
        assert reply(client, client.execute("\n".join(lines)))["status"] == "ok"
        for cell in cells:
            source = few_steps(cell.source)
            alarmed, quietly = ALARM.format(source), {"store_history": False}
            first = reply(client, client.execute(alarmed, **quietly, stop_on_error=False))
            # Compiled code that is interrupted may call it an error of its own.
            stops = ("KeyboardInterrupt", "SystemError")
            assert first["status"] == "ok" or first["ename"] in stops, first
            stopped += first["status"] != "ok"
            again = reply(client, client.execute(source, **quietly))
            assert again["status"] == "ok", (source, again)
        assert stopped >= 2, "no cell takes long enough to be interrupted"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
