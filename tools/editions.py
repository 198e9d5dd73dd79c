"""Editions of the notebooks, each made from the one that is edited: for students, teachers, walls.

python tools/notebooks.py edition student|solutions|teacher|slides|print [NN ...] --out DIR

No edition is ever edited by hand. Those for students and teachers are notebooks, slides and print
are pages that need nothing but a browser (slides also need reveal.js, see `slides_page`).
"""

import ast
import contextlib
import importlib.util
import io
import json
import re
import shutil
from pathlib import Path

import class_minutes
import grade_worker
import nbformat
from jinja2 import DictLoader
from nbconvert import SlidesExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from traitlets.config import Config

import notebooks

ROOT = notebooks.ROOT
TOOLS = ROOT / "tools"
QUESTIONS = ROOT / "docs" / "teaching" / "questions.md"
CHECK = re.compile(r'^(check|bet)\("(\d\d-[a-z])".*', re.MULTILINE | re.DOTALL)
UNSHOWN = re.compile(  # on a wall
    r"^## (?:Before you start|Settings)$.*?(?=^## |\Z)|^Run this cell.*?(?:\n\n|\Z)",
    re.MULTILINE | re.DOTALL,
)
AWAY = re.compile(r"\[([^\]]+)\]\(\.\./[^)]*\)")  # a link to a file of the repository


def tags(cell: NotebookNode) -> list[str]:
    """Tags of a cell; none for most."""
    return cell.metadata.get("tags", [])


def without_solutions(notebook: NotebookNode) -> NotebookNode:
    """Copy a notebook without the cells that show a solution, and without links that lead out."""
    notebook = nbformat.from_dict(notebook)
    notebook.cells = [cell for cell in notebook.cells if "solution" not in tags(cell)]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = AWAY.sub(r"\1", cell.source)
    return notebook


def student(notebook: NotebookNode, keep_outputs: bool = False) -> NotebookNode:
    """Leave exercises open; each becomes two cells, the answer's and, locked, the check's.

    They carry nbgrader's metadata, and the notebook that of Otter. nbgrader gives points unless
    a cell raises: run it with TFL_STRICT_EXERCISES=1, which makes a check raise what it says.
    """
    notebook, cells, names = without_solutions(notebook), [], []
    for cell in notebook.cells:
        if cell.cell_type == "code" and not keep_outputs:
            cell.outputs, cell.execution_count = [], None
        found = CHECK.search(cell.source) if "exercise" in tags(cell) else None
        if not found:
            cells.append(cell)
            continue
        name, last = found[2], new_code_cell(found[0], id=f"{cell.id}-check")
        last.metadata["nbgrader"] = _nbgrader(f"{name}-check", grade=True)
        if keep_outputs:
            last.outputs, last.execution_count = cell.outputs, cell.execution_count
            cell.outputs = []
        cell.source = cell.source[: found.start()].rstrip()
        cell.metadata["nbgrader"] = _nbgrader(name, grade=False)
        cells += [cell, last]
        names.append((found[1], name, found[0]))
    notebook.cells = cells
    tests = {name.replace("-", "_"): _otter(kind, name, call) for kind, name, call in names}
    notebook.metadata["otter"] = {"OK_FORMAT": True, "tests": tests}
    return notebook


def _nbgrader(name: str, grade: bool) -> NotebookNode:
    """Metadata of an answer, or of the cell that grades it."""
    about = {"grade": grade, "grade_id": name, "locked": grade, "solution": not grade}
    about |= {"task": False, "schema_version": 3} | ({"points": 1} if grade else {})
    return NotebookNode(about)


def _otter(kind: str, name: str, call: str) -> dict:
    """Test of an exercise as Otter keeps it: a doctest of what the check says, or a bet that is."""
    lines = [f"from tfl_helpers.lessons.exercises import {kind}", "import contextlib, io"]
    lines += ["said = io.StringIO()", f"with contextlib.redirect_stdout(said): {call}"]
    right = "Right: " if kind == "check" else "Noted: "
    code = "".join(f">>> {line}\n" for line in lines[:-1]) + f">>> {lines[-1]}\n... \n"
    code += f">>> said.getvalue().startswith({right!r})\nTrue"
    case = {"code": code, "hidden": False, "locked": False}
    suite = {"cases": [case], "scored": True, "setup": "", "teardown": "", "type": "doctest"}
    return {"name": name.replace("-", "_"), "points": 1, "suites": [suite]}


def solutions(notebook: NotebookNode) -> NotebookNode:
    """Fill in every exercise; what its open cell had printed goes."""
    notebook = notebooks.solved(notebook)
    for cell in notebook.cells:
        if "exercise" in tags(cell):
            cell.outputs, cell.execution_count = [], None
    return notebook


def discussion() -> dict[tuple[str, str], list[str]]:
    """Questions of docs/teaching/questions.md by notebook ("03") and section ("1", "start")."""
    found: dict[tuple[str, str], list[str]] = {}
    number = ""
    for line in QUESTIONS.read_text("utf-8").splitlines():
        if heading := re.match(r"## (\d\d) · ", line):
            number = heading[1]
        elif question := re.match(r"- (?:Section (\d+)|(Start|End)): (.*)", line):
            place = question[1] or question[2].lower()
            found.setdefault((number, place), []).append(question[3])
    return found


def typical(number: str) -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Look up, by exercise, what it shows, and typical wrong answers with the hint each one gets.

    The answers are those of tests/lessons, as they are written there; the hints are what the
    check says to them.
    """
    name = next((ROOT / "notebooks").glob(f"{number}_*.ipynb")).stem[3:]
    file = ROOT / "tests" / "lessons" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"lesson_{name}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    checks, bets = grade_worker.own_checks(name)
    found, written = {}, _written(file.read_text("utf-8"))
    for name, about in module.EXERCISES.items():
        if "wrong" not in about:
            shows, hints = bets.QUESTIONS[name]["shows"], bets.QUESTIONS[name]["hints"]
            found[name] = shows, [(f'"{answer}"', hint) for answer, hint in hints.items()]
            continue
        rows = []
        for (answer, _), text in zip(about["wrong"], written[name], strict=True):
            with contextlib.redirect_stdout(io.StringIO()) as said:
                checks.check(name, answer, *about.get("context", ()))
            rows.append((text, said.getvalue().strip().removeprefix("Not yet: ")))
        found[name] = checks.TEXTS[name]["shows"], rows
    return found


def _written(source: str) -> dict[str, list[str]]:
    """Source of the wrong answers to each exercise; of a function its name in words."""
    found = {}
    tables = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Dict)]
    for node in tables:
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and re.fullmatch(r"\d\d-[a-z]", str(key.value)):
                parts = {
                    one.value: more for one, more in zip(value.keys, value.values, strict=True)
                }
                answers = [one.elts[0] for one in getattr(parts.get("wrong"), "elts", [])]
                found[key.value] = [
                    answer.id.replace("_", " ")
                    if isinstance(answer, ast.Name)
                    else f"`{' '.join(ast.unparse(answer).split())}`"
                    for answer in answers
                ]
    return found


def teacher(notebook: NotebookNode) -> NotebookNode:
    """Add minutes, expected answers, typical mistakes with their hints, and what to ask a class."""
    notebook = nbformat.from_dict(notebook)
    number = notebook.cells[0].source[2:4]
    known, asked = typical(number), discussion()
    measured = json.loads(notebooks.MEASURED.read_text("utf-8"))
    seconds = [row["seconds"] for row in measured if row["name"].startswith(number)]
    minutes = class_minutes.minutes(notebook, *seconds)
    cells, place, name = [], "start", ""
    for cell in notebook.cells:
        parts = [cell.source]
        if cell.cell_type == "markdown" and "solution" not in tags(cell):
            parts = re.split(r"(?m)^(?=## )", AWAY.sub(r"\1", cell.source))
        for text in parts:
            heading = re.match(r"## (?:(\d+)\. |(Your turn|Summary))", text)
            if heading:
                cells += _ask(asked.get((number, place), [])) if place != "end" else []
                place = heading[1] or "end"
                if heading[1]:
                    note = _note(f"minutes: about {minutes[place]:.0f}")
                    text = text.replace("\n", f"\n\n{note}\n", 1)
            if text.strip():
                cells.append(NotebookNode(cell | {"source": text.rstrip("\n")}))
        if found := CHECK.search(cell.source) if "exercise" in tags(cell) else None:
            name = found[2]
        if "solution" in tags(cell):
            cells[-1].source = cell.source.replace("<details>", "<details open>")
            shows, mistakes = known[name]
            lines = [_note(f"exercise {name}, minutes: about {minutes[name[-1]]:.0f}"), ""]
            lines += [f"What it shows: {shows}", "", "| typical answer | what the reader is told |"]
            rows = [f"| {_cell(answer)} | {_cell(hint)} |" for answer, hint in mistakes]
            cells.append(new_markdown_cell("\n".join([*lines, "|---|---|", *rows])))
    cells += _ask(asked.get((number, "end"), []))
    notebook.cells = cells
    for place, cell in enumerate(notebook.cells):
        cell.id = f"teacher-{place:03d}"
    return notebook


def _note(text: str) -> str:
    return f"**For the teacher** · {text}"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _ask(questions: list[str]) -> list[NotebookNode]:
    if not questions:
        return []
    lines = [_note("ask the class:"), "", *(f"- {question}" for question in questions)]
    return [new_markdown_cell("\n".join(lines))]


def is_figure(cell: NotebookNode) -> bool:
    """Tell whether the output of a cell shows something to look at."""
    shown = "".join(o.get("data", {}).get("text/html", "") for o in cell.get("outputs", []))
    return bool(re.search("<figure|<iframe|<table", shown))


def slides(notebook: NotebookNode, words: int = 75, lines: int = 14) -> NotebookNode:
    """One idea a slide: a heading and what fits below it; each figure by itself, without its code.

    What a reader needs to start, settings, the code of figures and cells of more than `lines` lines
    are left out: a room reads none of it from a wall. Text of more than `words` words goes on on
    the next slide; a line or two share that of the figure they lead to.
    """
    notebook, cells = without_solutions(notebook), []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            source = UNSHOWN.sub("", cell.source)
            cells += [new_markdown_cell(text) for text in _portions(source, words)]
            continue
        if {"parameters", "jump-in"} & set(tags(cell)) and not is_figure(cell):
            continue
        long = len(cell.source.splitlines()) > lines
        if is_figure(cell) or (long and cell.outputs):
            cell.metadata["tags"] = [*tags(cell), "hide-code"]
        elif long:
            continue
        cells.append(cell)
    for place, cell in enumerate(cells):
        new = cell.cell_type == "markdown" and re.match("##? ", cell.source)
        before = cells[place - 1]
        short = before.cell_type == "markdown" and len(before.source.split()) <= 25
        goes_on = place and cell.cell_type == "code" and short and before.source[0] != "#"
        kind = "slide" if new else "-" if goes_on else "subslide"
        cell.metadata["slideshow"] = {"slide_type": kind}
        cell.id = f"slide-{place:03d}"
    notebook.cells = cells
    return notebook


def _portions(text: str, words: int) -> list[str]:
    """Part a text at headings, exercises and paragraphs, so that each part fits on a slide."""
    blocks = re.findall(r"(?s)(?:```.*?```|.)+?(?:\n\s*\n|\Z)", text)
    parts, size = [], 0
    for block in (block.strip() for block in blocks):
        length = len(block.split())
        starts = re.match(r"#{1,3} |\*\*Exercise", block)
        alone = parts and re.fullmatch(r"#{1,3} .*", parts[-1])
        if not parts or starts or (size + length > words and not alone):
            parts.append(block)
            size = 0
        else:
            parts[-1] += f"\n\n{block}"
        size += length
    return [part for part in parts if part]


def slides_page(notebook: NotebookNode, reveal: str | None = None) -> str:
    """Turn slides into a page; `reveal` is where reveal.js lies, by default where nbconvert has it.

    Without reveal.js (no network and no copy) the page still shows everything, as one long page.
    """
    config = Config()
    config.TagRemovePreprocessor.enabled = True
    config.TagRemovePreprocessor.remove_input_tags = {"hide-code"}
    exporter = SlidesExporter(
        config=config,
        extra_loaders=[
            DictLoader({"lesson.html.j2": (TOOLS / "slides.html.j2").read_text("utf-8")})
        ],
        template_file="lesson.html.j2",
        **({"reveal_url_prefix": reveal} if reveal else {}),
        reveal_theme="white",
    )
    about = {"metadata": {"name": notebooks.title(notebook)}}
    return exporter.from_notebook_node(notebook, about)[0]


def print_page(notebook: NotebookNode, solutions: bool = False) -> str:
    """Turn a notebook into a page for A4 and grey ink; solutions are left out, or all open."""
    notebook = nbformat.from_dict(notebook) if solutions else without_solutions(notebook)
    text = notebooks.page(notebook).replace("<details>", "<details open>")
    style = (TOOLS / "print.css").read_text("utf-8")
    return text.replace("</head>", f"<style>\n{style}</style></head>", 1)


def write(kind: str, names: list[str], out: Path, **options) -> int:
    """Write an edition of the series, or of those notebooks whose names begin with `names`."""
    out.mkdir(parents=True, exist_ok=True)
    reveal = options.get("reveal")
    if kind == "slides" and reveal and Path(reveal).is_dir():
        shutil.copytree(Path(reveal) / "dist", out / "reveal.js" / "dist", dirs_exist_ok=True)
        reveal = "reveal.js"
    for path in notebooks.series(names):
        notebook, target = nbformat.read(path, 4), out / path.name
        if kind in ("slides", "print"):
            target = out / f"{path.stem}.html"
            if kind == "slides":
                text = slides_page(slides(notebook), reveal)
            else:
                text = print_page(notebook, options.get("with_solutions", False))
            target.write_text(text, encoding="utf-8")
        else:
            make = {"student": student, "solutions": solutions, "teacher": teacher}[kind]
            more = {"keep_outputs": options.get("keep_outputs")} if kind == "student" else {}
            nbformat.write(make(notebook, **more), target)
        if kind == "solutions" and options.get("execute"):
            done = notebooks.execute(target, target)
            nbformat.write(notebooks.clean(nbformat.read(target, 4)), target)
            if done.error:
                print(f"{target}: FAILED  {done.error}")
                return 1
        print(target)
    return 0
