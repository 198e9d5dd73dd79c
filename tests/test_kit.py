"""The teacher's kit: what a class hands in harms nothing; glossary, quiz and plans hold together.

Hand-ins are judged by checks that they cannot redefine.
"""

import csv
import importlib.util
import json
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(
    not (ROOT / "tools").is_dir(), reason="tools/ is part of the repository"
)


ALARM = hasattr(signal, "setitimer")  # Windows has none: there a notebook is stopped as a whole
KIT = ROOT / "docs" / "teaching"
SERIES = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


A = "def nearest_image(z, centre):\n    return ((z - centre) ** 2).sum(1).argmin()"
C = "def accuracy(true, predicted):\n    return (true == predicted).mean()"
D = """def share_right(a, b, c, d):
    names = {g: max(set(b[a == g]), key=list(b[a == g]).count) for g in set(c)}
    return sum(names[g] == t for g, t in zip(c, d)) / len(d)"""
CHECK_A, CHECK_C = 'check("00-a", nearest_image)', 'check("00-c", accuracy)'
BET = 'guess, confidence = "same", 0.7\nbet("00-b", guess, confidence)'
NO_CHECK = "check = bet = lambda *given: None  # what it is here does not matter"

# Five cells each: whose notebook, and what it does.
HAND_INS = {
    "solved": [
        NO_CHECK,
        f"{A}\n{CHECK_A}",
        BET,
        f"{C}\n{CHECK_C}",
        f"{D}\ncheck('00-d', share_right)",
    ],
    "half": [
        NO_CHECK,
        f"def nearest_image(z, centre):\n    return ((z - centre) ** 2).sum(1).argmax()\n{CHECK_A}",
        "guess, confidence = ..., ...\nbet('00-b', guess, confidence)",
        f"{C}\n{CHECK_C}",
        "accuracy = 'written over later'",
    ],
    "a loop": [
        f"{A}\n{CHECK_A}",
        f"while True:\n    pass\n{CHECK_C}",
        f"{C}\n{CHECK_C}",
        "def share_right(a, b, c, d):\n    while True: pass",
        "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass",
    ],
    "deletes": [
        "import shutil, pathlib, os",
        "for place in (HERE, '..', '.', os.environ['HOME']):\n"
        "    shutil.rmtree(place, ignore_errors=True)",
        "pathlib.Path(HERE, 'was_here').write_text('x')",
        f"{A}\n{CHECK_A}",
        f"{C}\n{CHECK_C}",
    ],
    "redefines": [
        "def check(*given):\n    print('Right: all of it')",
        "import tfl_helpers.lessons as lessons, sys, builtins\nsys.modules['tfl_helpers.lessons."
        "exercises.checks'] = lessons\nbuiltins.print = check",
        f"def nearest_image(z, centre):\n    print('Right: yes')\n    return 'Right: '\n{CHECK_A}",
        f"accuracy = lambda true, said: 'Right: '\n{CHECK_C}",
        "print('Right: 00-d')",
    ],
    "prints": [
        f"{A}\n{CHECK_A}",
        "line = 'x' * 10**6",
        "while True:\n    print(line)",
        "import sys\nsys.stdout.write(line * 1000)",
        f"{C}\n{CHECK_C}",
    ],
    "crashes": [f"{A}\n{CHECK_A}", "import os", "os._exit(3)", f"{C}\n{CHECK_C}", "1"],
    "eats": [
        f"{A}\n{CHECK_A}",
        "all = []",
        "while True:\n    all.append(bytearray(10**8))",
    ],
    "no notebook": None,
}


def write(path, cells):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=[new_code_cell(source) for source in cells]), path)


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Rows of grades.csv by (who, exercise), the page, and the folder that was graded."""
    folder, out = tmp_path_factory.mktemp("handed_in"), tmp_path_factory.mktemp("out")
    for who, cells in HAND_INS.items():
        if cells is None:
            (folder / who).mkdir()
            (folder / who / "00_start_here.ipynb").write_text("an essay")
        else:
            harmful = [source.replace("HERE", repr(str(folder))) for source in cells]
            write(folder / who / "00_start_here.ipynb", harmful)
    limits = {"seconds": 30, "cell_seconds": 2, "memory": 1.0, "jobs": 3}
    assert load("grade").grade(folder, out, **limits) == 0
    with (out / "grades.csv").open(newline="") as file:
        rows = {(row["who"], row["exercise"]): row for row in csv.DictReader(file)}
    return rows, (out / "class.html").read_text(), folder


def right(graded, who):
    """Letters of the exercises that somebody has right."""
    rows = {name[-1]: row for (one, name), row in graded[0].items() if one == who}
    return "".join(name for name, row in rows.items() if row["right"] == "1")


def test_every_hand_in_has_a_row_for_each_exercise(graded):
    names = [f"00-{letter}" for letter in "abcde"]
    assert list(graded[0]) == [(who, name) for who in sorted(HAND_INS) for name in names]
    assert list(graded[0]["solved", "00-a"]) == list(load("grade").COLUMNS)


def test_what_is_solved_is_right_and_what_is_open_is_not(graded):
    assert right(graded, "solved") == "abcd"
    assert "'share'" in graded[0]["solved", "00-e"]["hint"]


def test_half_gets_half_with_hints_and_a_name_used_again_does_no_harm(graded):
    assert right(graded, "half") == "c"
    assert "farthest away" in graded[0]["half", "00-a"]["hint"]
    assert graded[0]["half", "00-b"]["hint"].startswith("Your turn")


def test_a_bet_counts_also_where_it_was_lost_and_the_hint_says_what_to_think_of(tmp_path):
    given = "from tfl_helpers.lessons.exercises import bet, settle"  # takes seconds
    write(tmp_path / "in" / "00_start_here.ipynb", [given, BET, "settle('00-b', 'below')"])
    assert load("grade").grade(tmp_path / "in", tmp_path / "out", cell_seconds=60) == 0
    with (tmp_path / "out" / "grades.csv").open(newline="") as file:
        row = {row["exercise"]: row for row in csv.DictReader(file)}["00-b"]
    assert row["right"] == "1" and "each pixel is a number" in row["hint"]


def test_one_that_loops_for_ever_keeps_what_it_had(graded):
    assert right(graded, "a loop") == ("ac" if ALARM else "a")
    hint = graded[0]["a loop", "00-e"]["hint"]
    assert hint == f"stopped after 30 seconds in code cell {5 if ALARM else 2}"


def test_one_that_deletes_harms_nobody(graded):
    assert right(graded, "deletes") == "ac"
    if not load("grade").sandbox():
        pytest.skip("this machine cannot keep a process from writing elsewhere")
    assert sorted(path.name for path in graded[2].iterdir()) == sorted(HAND_INS)
    assert all((graded[2] / who / "00_start_here.ipynb").is_file() for who in HAND_INS)


def test_one_that_redefines_check_gets_nothing(graded):
    assert right(graded, "redefines") == ""


def test_one_that_prints_without_end_goes_on(graded):
    assert right(graded, "prints") == ("ac" if ALARM else "a")


def test_one_that_crashes_keeps_what_it_had(graded):
    assert right(graded, "crashes") == "a"
    assert graded[0]["crashes", "00-c"]["hint"] == "the process ended in code cell 3"


def test_one_that_eats_memory_is_stopped(graded):
    assert right(graded, "eats") == "a"


def test_what_is_no_notebook_says_so(graded):
    assert right(graded, "no notebook") == ""
    assert "is no notebook" in graded[0]["no notebook", "00-a"]["hint"]


def test_the_page_says_what_was_hard(graded):
    page = graded[1]
    assert (
        page.count("<h1") == 1 and "farthest away" in page and f"{len(HAND_INS)} notebooks" in page
    )
    places = [page.index(f"<th scope=row>{name}</th>") for name in ("00-e", "00-c", "00-a")]
    assert places == sorted(places)  # the hardest first
    assert "<script" not in page


def test_whose_notebook_and_which_is_found_without_a_folder_for_each(tmp_path):
    write(tmp_path / "ada_00_start_here.ipynb", ["pass"])
    write(tmp_path / "final (2).ipynb", [f"{A}\n{CHECK_A}"])
    write(tmp_path / ".ipynb_checkpoints" / "x.ipynb", ["pass"])
    found = load("grade").hand_ins(tmp_path)
    assert [(one.who, one.number) for one in found] == [("ada", "00"), ("final (2)", "00")]


def test_every_exercise_of_the_series_has_a_call(tmp_path):
    grade = load("grade")
    paths = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    for path in paths:
        tagged = json.loads(path.read_text())["cells"]
        count = sum("exercise" in cell["metadata"].get("tags", []) for cell in tagged)
        assert len(grade.exercises(path.stem[:2])) == count


# What is bold in the notebooks to be stressed, and is no term.
STRESSED = """
a caution · a part of a person is no person · above
a window at a random place shows background
all · another number · answers to · before · below · brightness · change a setting
classifier · contrast
do neighbours share a group? · every · fairness · find the fault · good uses · halves
how large groups are · mean · miss rate against false positives per image
no answers at all · nowhere
on the train part · other · predict · privacy · safety · score · sharpness · sizes of the groups
ships · surest · surprising · the default is drawn · what is frozen · what may change
which setting shall we take?
whose labels? · why it fails there · write
"""


def bold(path):
    """What the text of a notebook has in bold, in small letters."""
    cells = nbformat.read(path, 4).cells
    words = " ".join(
        " ".join(re.sub("(?s)```.*?```|`[^`\n]*`", "", cell.source).split())
        for cell in cells
        if cell.cell_type == "markdown" and "solution" not in cell.metadata.get("tags", [])
    )
    found = (term.lower().strip(".:") for term in re.findall(r"\*\*(.+?)\*\*", words))
    return {t for t in found if not re.match("exercise|time and memory|next$|the question", t)}


@pytest.fixture(scope="module")
def entries():
    minutes = load("class_minutes")
    return minutes, list(minutes.ENTRY.finditer((KIT / "glossary.md").read_text()))


@pytest.mark.parametrize("path", SERIES, ids=lambda path: path.stem)
def test_the_glossary_has_every_term_that_a_notebook_introduces(path, entries):
    minutes, found = entries
    known = {form for entry in found for form in minutes.forms(entry)}
    stressed = {" ".join(words.split()) for words in re.split(r"[·\n]", STRESSED)}
    assert not bold(path) - known - stressed


def test_what_is_no_term_is_still_in_a_notebook():
    stressed = {" ".join(words.split()) for words in re.split(r"[·\n]", STRESSED)} - {""}
    assert not stressed - set().union(*(bold(path) for path in SERIES))


def test_each_entry_of_the_glossary_leads_to_where_its_term_is(entries):
    minutes, found = entries
    lines = (KIT / "glossary.md").read_text().splitlines()
    assert len(found) == sum(line.startswith("- **") for line in lines) > 90
    names = [entry["name"].lower() for entry in found]
    assert names == sorted(set(names))
    places = {path.stem[:2]: minutes.texts(path.stem[:2]) for path in SERIES}
    for entry in found:
        words = places[entry["number"]].get(entry["place"], "").lower()
        assert any(form in words for form in minutes.forms(entry)), (
            f"{entry['name']} is not in {entry['place']}: python tools/class_minutes.py"
        )
        assert (KIT / entry["link"]).resolve().stem[:2] == entry["number"]


def test_each_question_of_the_quiz_has_one_right_choice_and_reasons():
    quiz, minutes = load("quiz"), load("class_minutes")
    questions = quiz.read()
    numbers = [question["notebook"] for question in questions]
    assert numbers == [path.stem[:2] for path in SERIES for _ in range(3)]
    places = {path.stem[:2]: minutes.sections(nbformat.read(path, 4)) for path in SERIES}
    letters = []
    for question in questions:
        choices = question["choices"]
        assert question["section"] in places[question["notebook"]], question["question"]
        assert len(choices) >= 3 and len({choice["text"] for choice in choices}) == len(choices)
        assert sum(choice["right"] for choice in choices) == 1
        assert all(len(choice["because"].split()) >= 5 for choice in choices)
        letters.append("abcd"[[choice["right"] for choice in choices].index(True)])
    counts = [letters.count(letter) for letter in "abc"]
    assert min(counts) >= len(questions) / 5, f"the right letters are {letters}"
    longest = [max(q["choices"], key=lambda c: len(c["text"]))["right"] for q in questions]
    assert sum(longest) <= len(questions) / 2, "the longest choice gives itself away"


def test_the_quiz_prints_questions_first_and_answers_at_the_end(tmp_path):
    quiz = load("quiz")
    assert quiz.main(["03", "07", "--out", str(tmp_path / "quiz.html")]) == 0
    page = (tmp_path / "quiz.html").read_text()
    assert page.count('class="question"') == 6 and page.count("<h1>") == 1
    questions, key = page.split('<div class="key">')
    assert key.count("Right.") == 6 and questions.count("<details>") == 6
    assert "notebook 03, section 5" in page and "details { display: none; }" in page
    with pytest.raises(SystemExit, match="no question"):
        quiz.main(["42", "--out", str(tmp_path / "none.html")])


@pytest.mark.parametrize("page", sorted(KIT.glob("*.md")), ids=lambda path: path.stem)
def test_links_of_the_kit_lead_somewhere(page):
    text = page.read_text()
    assert len(re.findall("^# ", text, re.MULTILINE)) == 1
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", text):
        if "://" in target:
            continue
        file = page.parent / target if target else page
        assert file.exists(), target
        if anchor:
            titles = re.findall("^#+ (.*)", file.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", t).lower().replace(" ", "-") for t in titles}


@pytest.mark.parametrize("name", ["guide", "method", "harm", "questions", "glossary"])
def test_the_kit_types_no_measured_number(name):
    text = re.sub(
        r"(?s)```.*?```|`[^`]*`|<!-- minutes -->.*?<!-- end of minutes -->",
        "",
        (KIT / f"{name}.md").read_text(),
    )
    assert not re.search(r"\d\s?%|\b0\.\d{2,}|\d ?(?:GB|MB|seconds)\b", text)


def test_what_many_kernels_take_is_as_recorded():
    rows = json.loads((ROOT / "tfl_helpers" / "results" / "classroom.json").read_text())
    rows = {(r["kernels"], r["cache"]): r for r in rows if r["notebook"] == "00_start_here"}
    text = (ROOT / "docs" / "results.md").read_text()
    shown = re.findall(r"^\| (one|six|twelve) \| (.*) \|$", text, re.M)
    for (name, cells), n in zip(shown, (1, 6, 12), strict=True):
        empty, made = rows[n, "empty"], rows.get((n, "made beforehand"))
        wanted = [str(empty["seconds"]), str(made["seconds"]) if made else "-"]
        assert cells.split(" | ") == [*wanted, f"{empty['mb'] / 1000:.2f}"], name
        assert empty["fair"] < 1.1 and (not made or made["seconds"] < 2 / 3 * empty["seconds"])


def test_the_plans_are_up_to_date_and_fit_into_lessons():
    minutes = load("class_minutes")
    shown = minutes.PLACE.search((KIT / "guide.md").read_text())[0]
    assert shown == minutes.tables(), "python tools/class_minutes.py makes it anew"
    found = minutes.series()
    assert sum(minutes.lesson(plan, found) for _, plan in minutes.PLANS["One afternoon"]) <= 180
    for title in ("Four lessons", "Nine lessons"):
        lengths = [minutes.lesson(plan, found) for _, plan in minutes.PLANS[title]]
        assert len(lengths) == {"F": 4, "N": 9}[title[0]] and max(lengths) <= 90


def test_minutes_count_text_code_figures_exercises_and_running():
    minutes = load("class_minutes")
    figure = nbformat.v4.new_output("display_data", data={"text/html": "<figure></figure>"})
    code = new_code_cell("x = 1\n" * 30, outputs=[figure])
    exercise = new_code_cell("...", metadata={"tags": ["exercise", "write"]})
    words = nbformat.v4.new_markdown_cell("# Title\n\n## 1. One\n\n" + "word " * 237)
    task = nbformat.v4.new_markdown_cell("## Your turn\n\n**Exercise 00-a.** Do it.")
    found = minutes.minutes(new_notebook(cells=[words, code, task, exercise]), seconds=60)
    assert found["1"] == pytest.approx(240 / 120 + 30 / 15 + 0.75 + 1)
    assert found["a"] == pytest.approx(4 / 120 + 1 / 15 + 6 + 1)


def test_the_site_holds_every_page_and_its_packages_are_pinned(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    site = load("site_pages")
    site.assemble(tmp_path / "source")
    start = (tmp_path / "source" / "index.md").read_text().splitlines()
    for path in [*SERIES, *KIT.glob("*.md")]:
        assert str(path.relative_to(ROOT)) in start
    api = [line for line in start if line.startswith("api/")]
    assert "api/tfl_helpers.clustering.rst" in api and len(api) >= 12
    page = (tmp_path / "source" / "api" / "tfl_helpers.clustering.rst").read_text()
    assert "NeighbourClustering" in page and ":imported-members:" in page
    compile((tmp_path / "source" / "conf.py").read_text(), "conf.py", "exec")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert {
        re.match(r"[\w-]+", name)[0] for name in extras["optional-dependencies"]["site"]
    } <= pinned


def test_links_of_the_site_that_lead_nowhere_are_found(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    site = load("site_pages")
    (tmp_path / "a b.html").write_text('<h1 id="top">A</h1><a href="https://example.org/x">x</a>')
    links = ["a%20b.html#top", "a%20b.html#gone", "gone.html", "#here", "#nowhere", "mailto:a@b.c"]
    text = "".join(f'<a href="{link}">x</a>' for link in links)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "b.html").write_text(f'<p id="here">{text}<img src="../no.png"></p>')
    broken, outside = site.check_links(tmp_path)
    assert outside == {"https://example.org/x"}
    assert {line.removeprefix("in/b.html: ") for line in broken} == {
        "a%20b.html#top",  # it is one folder up
        "a%20b.html#gone",
        "gone.html",
        "#nowhere",
        "../no.png",
    }


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    pytest.importorskip("sphinx", reason="needs the packages of `make site`")
    command = [sys.executable, str(ROOT / "tools" / "site_pages.py"), "--out", str(tmp_path / "s")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert (tmp_path / "s" / "notebooks" / "08_your_own_images.html").is_file()
