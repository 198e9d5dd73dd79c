"""Editions are made from the notebooks, hold what they promise, and can be read by everybody."""

import doctest
import itertools
import re
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
SERIES = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
pytestmark = pytest.mark.skipif(not SERIES, reason="the notebooks are part of the repository")
each = pytest.mark.parametrize("path", SERIES, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def editions():
    sys.path.insert(0, str(ROOT / "tools"))
    import editions

    sys.path.remove(str(ROOT / "tools"))
    return editions


def read(path):
    return nbformat.read(path, 4)


def tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def text(notebook, kind):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == kind)


@each
def test_student_has_open_exercises_and_no_solution(editions, path):
    made, source = editions.student(read(path)), read(path)
    nbformat.validate(made)
    assert not tagged(made, "solution") and "<details>" not in text(made, "markdown")
    assert all("..." in cell.source for cell in tagged(made, "exercise"))
    assert not [cell for cell in made.cells if cell.get("outputs")]
    for cell in tagged(editions.solutions(source), "exercise"):
        solution = re.split(r"\n(?:check|bet)\(", cell.source)[0].strip()
        assert solution not in text(made, "code"), "a solution was left in"
    assert "](../" not in text(made, "markdown"), "a link that only the repository has"


@each
def test_student_grades_itself_in_nbgrader_and_otter(editions, path):
    made = editions.student(read(path))
    about = [cell.metadata.nbgrader for cell in made.cells if "nbgrader" in cell.metadata]
    names = [one.grade_id for one in about]
    exercises = [f"{path.stem[:2]}-{letter}" for letter in "abcdefgh"][: len(about) // 2]
    assert names == [name for one in exercises for name in (one, f"{one}-check")]
    for one in about:
        is_check = one.grade_id.endswith("-check")
        assert one.locked == one.grade == is_check and one.solution != is_check
        assert one.schema_version == 3 and one.get("points") == (1 if is_check else None)
    tests = made.metadata.otter["tests"]
    assert list(tests) == [name.replace("-", "_") for name in exercises]
    for name, test in tests.items():
        examples = doctest.DocTestParser().get_examples(test["suites"][0]["cases"][0]["code"])
        assert name.replace("_", "-") in examples[-2].source and examples[-1].want == "True\n"


def test_outputs_are_kept_on_demand(editions):
    made, source = editions.student(read(SERIES[0]), keep_outputs=True), read(SERIES[0])
    counts = [sum(len(cell.get("outputs", [])) for cell in book.cells) for book in (made, source)]
    assert counts[0] == counts[1] > 10


@each
def test_solutions_are_filled_in(editions, path):
    made = editions.solutions(read(path))
    nbformat.validate(made)
    assert not [cell for cell in tagged(made, "exercise") if "..." in cell.source]
    assert not [cell for cell in tagged(made, "exercise") if cell.outputs]
    assert len(made.cells) == len(read(path).cells)


def test_teacher_sees_answers_mistakes_minutes_and_questions(editions):
    made = editions.teacher(read(SERIES[0]))
    nbformat.validate(made)
    notes = [cell.source for cell in made.cells if "**For the teacher**" in cell.source]
    shown = "\n".join(notes)
    assert "this is the image that is farthest away" in shown  # the hint, not the words of a test
    assert "`lambda z, c: distances(z, c).argmax()`" in shown
    assert "a prototype shows at a glance" in shown
    assert re.search(
        r"## 3\. How good is it\?\n\n\*\*For the teacher\*\* · minutes: about \d", shown
    )
    asked = editions.discussion()
    mine = [question for (number, _), some in asked.items() for question in some if number == "00"]
    assert len(mine) >= 3 and all(shown.count(question) == 1 for question in mine)
    assert text(made, "markdown").count("<details open>") == len(
        tagged(read(SERIES[0]), "exercise")
    )


@each
def test_questions_belong_to_sections_that_exist(editions, path):
    asked = {place for number, place in editions.discussion() if number == path.stem[:2]}
    assert asked <= set(editions.class_minutes.sections(read(path))) and len(asked) >= 3


@each
def test_slides_hold_one_idea_each(editions, path):
    made = editions.slides(read(path))
    nbformat.validate(made)
    for cell in made.cells:
        assert cell.metadata.slideshow.slide_type in ("slide", "subslide", "-")
        if cell.cell_type == "markdown":
            assert len(re.findall("^#{1,3} ", cell.source, re.MULTILINE)) <= 1
            plain = re.sub(r"(?s)```.*?```|^\|.*?$", "", cell.source, flags=re.MULTILINE)
            assert len(plain.split()) <= 170, cell.source
        elif not editions.is_figure(cell) and "hide-code" not in cell.metadata.get("tags", []):
            assert len(cell.source.splitlines()) <= 14
    plain = text(made, "markdown")
    assert "## Settings" not in plain and "## Before you start" not in plain
    assert "## Summary" in plain and "**Exercise" in plain
    figures = [cell for cell in read(path).cells if editions.is_figure(cell)]
    kept = [cell for cell in made.cells if editions.is_figure(cell)]
    assert len(kept) == len(figures) > 0
    assert all("hide-code" in cell.metadata.tags for cell in kept)


def test_a_page_of_slides_takes_reveal_from_where_it_is_told(editions, tmp_path):
    (tmp_path / "package" / "dist").mkdir(parents=True)
    (tmp_path / "package" / "dist" / "reveal.js").write_text("// here")
    reveal = str(tmp_path / "package")
    assert editions.write("slides", ["00"], tmp_path / "out", reveal=reveal) == 0
    page = (tmp_path / "out" / "00_start_here.html").read_text()
    assert (tmp_path / "out" / "reveal.js" / "dist" / "reveal.js").is_file()
    assert 'src="reveal.js/dist/reveal.js"' in page and page.count("<h1") == 1
    asked = re.findall(r'(?:src|href)="(https?:[^"]+)"', page)
    assert not asked, "it needs a network"
    assert "from tfl_helpers import backbones" not in page and page.count("<figure") >= 4


def test_print_is_one_page_for_grey_ink_with_or_without_solutions(editions):
    book = read(SERIES[0])
    plain, full = editions.print_page(book), editions.print_page(book, solutions=True)
    assert "<details" not in plain and full.count("<details open>") == 5
    assert "size: A4" in plain and "grayscale" in plain
    assert plain.count("<h1") == 1 and '<html lang="en"' in plain
    assert re.search(r"<title>00 · Start here", plain)
    levels = [int(level) for level in re.findall(r"<h([1-6])", plain)]
    assert levels[0] == 1 and all(b - a <= 1 for a, b in itertools.pairwise(levels))


@each
def test_headings_are_in_order(path):
    levels = [0]
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            plain = re.sub("(?s)```.*?```", "", cell.source)
            levels += [len(marks) for marks in re.findall("^(#{1,6}) ", plain, re.MULTILINE)]
        for output in cell.get("outputs", []):
            assert not re.search("<h[1-6]", output.get("data", {}).get("text/html", "")[:3000])
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


@each
def test_frames_have_a_title_tables_a_head_and_links_say_where_they_lead(path):
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            links = re.findall(r"(?<!!)\[([^\]]+)\]\(", cell.source)
            assert not {"here", "link", "this"} & {link.lower() for link in links}
        for output in cell.get("outputs", []):
            page = re.sub(
                "srcdoc=(?:'[^']*'|\"[^\"]*\")", "", output.get("data", {}).get("text/html", "")
            )
            assert all("title=" in frame for frame in re.findall("<iframe[^>]*>", page))
            assert all("alt=" in image for image in re.findall("<img[^>]*>", page))
            assert page.count("<table") <= page.count("<th")


@each
def test_sections_are_numbered_without_a_gap(path):
    numbers = re.findall(r"^## (\d+)\. ", text(read(path), "markdown"), re.MULTILINE)
    assert numbers == [str(n) for n in range(1, len(numbers) + 1)]


def test_the_command_line_writes_editions_and_grades(editions, tmp_path, monkeypatch, capsys):
    main = editions.notebooks.main
    assert main(["edition", "student", "00", "03", "--out", str(tmp_path / "class")]) == 0
    names = sorted(path.name for path in (tmp_path / "class").iterdir())
    assert names == ["00_start_here.ipynb", "03_clustering.ipynb"]
    assert "03_clustering.ipynb" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no notebook in"):
        main(["grade", str(tmp_path / "class" / "none"), "--out", str(tmp_path / "grades")])
    with pytest.raises(SystemExit, match="no notebook is called"):
        main(["edition", "print", "42", "--out", str(tmp_path)])


def test_solutions_are_executed_on_demand_and_a_failure_is_said(editions, tmp_path, monkeypatch):
    runs = []

    def execute(path, out):
        runs.append(path.name)
        return editions.notebooks.Run(path.stem, 1.0, 1, "", error="" if len(runs) == 1 else "no")

    monkeypatch.setattr(editions.notebooks, "execute", execute)
    assert editions.write("solutions", ["00"], tmp_path) == 0 and not runs
    assert editions.write("solutions", ["00"], tmp_path, execute=True) == 0
    assert editions.write("solutions", ["00"], tmp_path, execute=True) == 1
    assert runs == ["00_start_here.ipynb"] * 2
