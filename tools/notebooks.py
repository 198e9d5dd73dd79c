"""Execute the notebook series headless; make its committed outputs, pages, editions; grade.

python tools/notebooks.py run [--profile cifar10]   executed copies, pages, index in build/
python tools/notebooks.py refresh [NAME ...]         the committed outputs, time and memory
python tools/notebooks.py edition student --out DIR  or solutions, teacher, slides, print
python tools/notebooks.py grade FOLDER --out OUT     what a class handed in
"""

import argparse
import contextlib
import html
import json
import math
import os
import re
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import nbformat
import papermill
import psutil
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
MEASURED = ROOT / "tfl_helpers" / "results" / "notebooks.json"
TIME_LINE = re.compile(r"^\*\*Time and memory:\*\*.*$", re.MULTILINE)
WIDGET = "application/vnd.jupyter.widget-view+json"


@contextlib.contextmanager
def quiet_stderr(log: Path):
    """Send what kernels and TensorFlow write to stderr into a file."""
    saved = os.dup(2)
    with log.open("a") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)


@dataclass
class Run:
    """One execution: seconds, peak memory of the kernel in MB, key result, error if any."""

    name: str
    seconds: float
    peak_mb: int
    key_result: str
    error: str = ""


def series(names: list[str] | None = None) -> list[Path]:
    """Return the notebooks in order; those whose name begins with one of `names` if given."""
    found = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    chosen = [path for path in found if not names or path.stem.startswith(tuple(names))]
    if not chosen:
        raise SystemExit(
            f"no notebook is called {', '.join(names or [])}: {[p.stem for p in found]}"
        )
    return chosen


@contextlib.contextmanager
def peak_memory():
    """Follow the child processes' resident memory; yields a list whose last item is the peak."""
    peak, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            total = 0
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    total += child.memory_info().rss
            peak.append(max(peak[-1], total))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def execute(path: Path, out: Path, parameters: dict | None = None) -> Run:
    """Execute a notebook in a fresh kernel into `out`, in the folder of the series."""
    out.parent.mkdir(parents=True, exist_ok=True)
    start, error = time.perf_counter(), ""
    with peak_memory() as peak, quiet_stderr(out.parent / "stderr.log"):
        try:
            papermill.execute_notebook(
                str(path),
                str(out),
                parameters=parameters or {},
                kernel_name="python3",
                cwd=str(ROOT / "notebooks"),
                progress_bar=False,
            )
        except PapermillExecutionError as failed:
            error = f"{failed.ename}: {failed.evalue}"
    notebook = nbformat.read(out, 4)
    text = "".join(
        output.get("text", "")
        for cell in notebook.cells
        if "key-result" in cell.metadata.get("tags", [])
        for output in cell.get("outputs", [])
    )
    key = re.search(r"^Key result: (.*)$", text, re.MULTILINE)
    seconds = round(time.perf_counter() - start, 1)
    return Run(path.stem, seconds, round(peak[-1] / 1e6), key[1] if key else "", error)


def clean(notebook: NotebookNode) -> NotebookNode:
    """Take out what differs by machine or run and teaches nothing."""
    notebook.metadata = NotebookNode(
        kernelspec={
            "display_name": "Python 3 (ipykernel)",
            "language": "python",
            "name": "python3",
        },
        language_info={"name": "python"},
    )
    for number, cell in enumerate(notebook.cells):
        tags = cell.metadata.get("tags", [])
        cell.metadata = NotebookNode(tags=tags) if tags else NotebookNode()
        cell.id = f"cell-{number:02d}"
        if cell.cell_type != "code":
            continue
        kept = []
        for output in cell.outputs:
            if WIDGET in output.get("data", {}):
                continue  # progress bars that are done
            if "text/html" in output.get("data", {}):  # pandas draws a new id for each styled table
                text = output.data["text/html"]
                output.data["text/html"] = re.sub(r"T_[0-9a-f]{5}\b", f"T_{number:05d}", text)
            kept.append(output)
        cell.outputs = kept
    text = nbformat.writes(notebook)
    for place, name in ((ROOT, "."), (Path(tempfile.gettempdir()), "<tmp>"), (Path.home(), "~")):
        if str(place) != "/":
            text = text.replace(f"{place}{os.sep}", f"{name}/").replace(f'{place}"', f'{name}"')
    return nbformat.reads(text, 4)


def title(notebook: NotebookNode) -> str:
    """Heading of a notebook, such as "03 · Clustering: from features to groups"."""
    return notebook.cells[0].source.partition("\n")[0].lstrip("# ")


def page(notebook: NotebookNode) -> str:
    """Turn an executed notebook into a page that needs no network; links lead to other pages."""
    notebook = nbformat.from_dict(notebook)
    is_injected = [
        "injected-parameters" in cell.metadata.get("tags", []) for cell in notebook.cells
    ]
    notebook.cells = [c for c, extra in zip(notebook.cells, is_injected, strict=True) if not extra]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"\]\((\d\d_\w+)\.ipynb", r"](\1.html", cell.source)
    exporter = HTMLExporter(
        mathjax_url="",
        require_js_url="",
        jquery_url="",
        html_manager_semver_range="",
        widget_renderer_url="",
    )
    return exporter.from_notebook_node(notebook, {"metadata": {"name": title(notebook)}})[0]


def takes(notebook: NotebookNode, profile: str) -> bool:
    """Tell whether a notebook names this profile, or its kind ("folder:"), in its settings."""
    tags = [cell.metadata.get("tags", []) for cell in notebook.cells]
    settings = next(
        c.source for c, t in zip(notebook.cells, tags, strict=True) if "parameters" in t
    )
    line = next(line for line in settings.splitlines() if line.startswith("PROFILE = "))
    return f'"{profile}"' in line or (":" in profile and f'"{profile.split(":")[0]}:' in line)


def run(profile: str, build: Path = BUILD) -> int:
    """Execute the series in order; one line and one page each; 0 if all went through."""
    runs = []
    for path in series():
        out = build / "notebooks" / path.name
        fits = takes(nbformat.read(path, 4), profile)
        done = execute(path, out, {"PROFILE": profile} if fits else {})
        runs.append(done)
        notebook = clean(nbformat.read(out, 4))
        nbformat.write(notebook, out)
        (build / f"{path.stem}.html").write_text(page(notebook), encoding="utf-8")
        if not fits:
            done.key_result += f" (on its own default: it has no profile {profile})"
        state = f"FAILED  {done.error}" if done.error else done.key_result
        print(f"{done.name:<22}{done.seconds:>6.1f} s {done.peak_mb:>6} MB  {state}", flush=True)
    index = build / "index.html"
    index.write_text(index_page(profile, runs), encoding="utf-8")
    failed = sum(bool(done.error) for done in runs)
    print(
        f"{len(runs) - failed} of {len(runs)} notebooks went through; see {os.path.relpath(index)}"
    )
    return min(failed, 1)


def index_page(profile: str, runs: list[Run]) -> str:
    """List the executed notebooks with their results."""
    rows = "".join(
        f'<tr><td><a href="{done.name}.html">{done.name}</a></td>'
        f'<td class="n">{done.seconds:.0f} s</td><td class="n">{done.peak_mb:,} MB</td>'
        f"<td>{html.escape('FAILED: ' + done.error if done.error else done.key_result)}</td></tr>\n"
        for done in runs
    )
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Image recognition without labels</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; }}
body {{ padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: .4rem .8rem; border-bottom: 1px solid #8886; }}
th, td {{ vertical-align: top; }}
.n {{ text-align: right; white-space: nowrap; }}
</style></head><body>
<h1>Image recognition without labels, by transfer</h1>
<p>The series as it ran on this machine, profile <strong>{html.escape(profile)}</strong>,
{time.strftime("%Y-%m-%d %H:%M")}.</p>
<table><thead><tr><th>notebook</th><th class="n">time</th><th class="n">peak memory</th>
<th>key result</th></tr></thead><tbody>
{rows}</tbody></table></body></html>
"""


def refresh(names: list[str], measure: bool = True) -> int:
    """Execute the committed notebooks anew, without and with cached features, and measure.

    Without `measure` they are executed once, and time and memory stay as they were measured: on a
    busy or a slow machine.
    """
    measured = (
        {row["name"]: row for row in json.loads(MEASURED.read_text())} if MEASURED.exists() else {}
    )
    for path in series(names):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["TFL_CACHE_DIR"] = str(Path(folder) / "cache")
            first = execute(path, Path(folder) / "first.ipynb")
            again = execute(path, Path(folder) / "again.ipynb") if measure else first
            if first.error or again.error:
                print(f"{path.stem}: FAILED, left as it was: {first.error or again.error}")
                return 1
            notebook = clean(nbformat.read(Path(folder) / "first.ipynb", 4))
        if measure or path.stem not in measured:
            row = asdict(first) | {"seconds_cached": again.seconds, "cores": os.cpu_count()}
            unwanted = "key_result", "error"
            measured[path.stem] = {key: row[key] for key in row if key not in unwanted}
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = TIME_LINE.sub(time_line(measured[path.stem]), cell.source)
        nbformat.write(notebook, path)
        print(
            f"{path.stem}: {first.seconds} s, {first.peak_mb} MB"
            + (f", cached {again.seconds} s" if measure else ", outputs only"),
            flush=True,
        )
    MEASURED.parent.mkdir(parents=True, exist_ok=True)
    MEASURED.write_text(json.dumps([measured[name] for name in sorted(measured)], indent=1) + "\n")
    return 0


def time_line(row: dict) -> str:
    """Say what a notebook takes, rounded up, as its second cell does."""
    seconds, cached = (5 * math.ceil(row[key] / 5) for key in ("seconds", "seconds_cached"))
    return (
        f"**Time and memory:** about {seconds} seconds the first time, {cached} once its features "
        f"are cached, and {math.ceil(row['peak_mb'] / 100) / 10:.1f} GB, on {row['cores']} cores."
    )


def solved(notebook: NotebookNode) -> NotebookNode:
    """Put the solution shown below each exercise in the place of its stub."""
    notebook = nbformat.from_dict(notebook)
    cells = notebook.cells
    for place, cell in enumerate(cells):
        if "exercise" not in cell.metadata.get("tags", []):
            continue
        below = next(
            (c.source for c in cells[place + 1 : place + 3] if c.cell_type == "markdown"), ""
        )
        code = re.search(r"```python\n(.*?)```", below, re.DOTALL)
        check = re.search(r"^(check|bet)\(.*", cell.source, re.MULTILINE | re.DOTALL)
        if not code or not check:
            raise ValueError(f"exercise without a solution or a check: {cell.source[:60]!r}")
        cell.source = code[1] + "\n" + check[0]
    return notebook


def main(arguments: list[str] | None = None) -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("run", help="execute the series into build/")
    one.add_argument("--profile", default="digits", help="digits, mnist, cifar10, folder:PATH, …")
    one = commands.add_parser("refresh", help="make the committed outputs anew")
    one.add_argument("names", nargs="*", help="such as 02; all by default")
    one.add_argument("--outputs-only", action="store_true", help="do not measure")
    one = commands.add_parser("edition", help="notebooks for students or teachers, slides, print")
    one.add_argument("kind", choices=["student", "solutions", "teacher", "slides", "print"])
    one.add_argument("names", nargs="*", help="such as 02; all by default")
    one.add_argument("--out", type=Path, required=True, help="folder to write to")
    one.add_argument("--keep-outputs", action="store_true", help="student: leave the outputs in")
    one.add_argument("--execute", action="store_true", help="solutions: run them")
    one.add_argument("--reveal", help="slides: folder of the npm package reveal.js, or an address")
    one.add_argument("--with-solutions", action="store_true", help="print: solutions, unfolded")
    one = commands.add_parser("grade", help="run and check what a class handed in")
    one.add_argument("folder", type=Path, help="notebooks; a folder for each person, or none")
    one.add_argument("--out", type=Path, required=True, help="gets grades.csv and class.html")
    one.add_argument("--seconds", type=float, default=600, help="at most, for a notebook")
    one.add_argument("--cell-seconds", type=float, default=180, help="at most, for a cell")
    one.add_argument("--memory", type=float, default=4, help="at most, in GB")
    one.add_argument("--jobs", type=int, default=1, help="how many at once")
    options = vars(parser.parse_args(arguments))
    command = options.pop("command")
    if command == "run":
        return run(options["profile"])
    if command == "refresh":
        return refresh(options["names"], measure=not options["outputs_only"])
    sys.path.insert(0, str(Path(__file__).parent))  # they import this file as a module
    if command == "edition":
        import editions

        return editions.write(**options)
    import grade

    return grade.grade(**options)


if __name__ == "__main__":
    sys.exit(main())
