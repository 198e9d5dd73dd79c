"""How long a class needs: minutes a section and plans, reckoned from the notebooks.

python tools/class_minutes.py   writes the tables of docs/teaching/guide.md, and puts right the
                                places in docs/teaching/glossary.md where sections have moved

Nobody timed a class. Text is counted at half the speed of silent reading, since it is read with
thought; code, figures and each kind of exercise have minutes of their own (below), and running is
counted twice, since several kernels share a machine or a room shares its patience.
"""

import json
import math
import re
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
GUIDE = ROOT / "docs" / "teaching" / "guide.md"
MEASURED = ROOT / "tfl_helpers" / "results" / "notebooks.json"
GLOSSARY = GUIDE.with_name("glossary.md")
ENTRY = re.compile(
    r"^- \*\*(?P<name>.+?)\*\*(?: \((?P<also>[^)]*)\))?: (?P<text>.*) "
    r"\[(?P<number>\d\d), (?P<place>[^\]]+)\]\((?P<link>[^)]+)\)$",
    re.MULTILINE,
)
PLACE = re.compile(r"(?<=<!-- minutes -->\n).*?(?=<!-- end of minutes -->)", re.DOTALL)

START = re.compile(r"## (\d+)\. |\*\*Exercise \d\d-([a-z])|## (?:Your turn|Summary)")

WORDS = 120  # a minute; silent reading of easy text is about twice as fast (Brysbaert 2019)
LINES = 15  # of code, a minute
FIGURE = 0.75  # minutes to look at one
EXERCISES = {"write": 6, "find-the-fault": 5, "change-a-setting": 5, "predict": 2}  # minutes
RUNNING = 2  # times the recorded seconds

# What a lesson takes up: a notebook and its sections; "start" is what stands before section 1.
PLANS: dict[str, list[tuple[str, dict[str, str]]]] = {
    "One afternoon": [
        ("The whole method, tried", {"00": "start 1 2 3 a b"}),
        ("From folder to features", {"01": "start 2 6"}),
        ("Groups, and what they are worth", {"03": "start 1 2 3 a"}),
        ("A folder of one's own; harm", {"08": "start 3 6", "07": "8"}),
    ],
    "Four lessons": [
        ("Transfer", {"00": "start 1 2 3 a b d", "01": "start 2 5 6"}),
        ("Features and groups", {"02": "start 1 2 3 6", "03": "start 1 3 5 a"}),
        ("Neighbours, doubt, how good it is", {"04": "start 1 4 5 a", "06": "start 1 2"}),
        ("In use", {"08": "start 3 6 7", "07": "start 3 5 8"}),
    ],
    "Nine lessons": [
        ("Start, preprocessing", {"00": "start 1 2 3 a", "01": "start 1 2 5 6 a d"}),
        ("The frozen backbone", {"02": "all"}),
        ("Clustering", {"03": "all"}),
        ("Neighbours", {"04": "all"}),
        ("Self-labelling", {"05": "start 1 2 3 5 6 a b d"}),
        ("Evaluation", {"06": "start 1 2 3 4 a b"}),
        ("Pedestrians, harm", {"07": "start 1 2 3 4 5 8 a b"}),
        ("Your own images", {"08": "all"}),
        ("From a laptop to a cluster", {"09": "all"}),
    ],
}


def sections(notebook: NotebookNode) -> dict[str, list[NotebookNode]]:
    """Part a notebook at its second headings: number or "start", and "a", "b", … of the exercises.

    A text cell that holds such a heading is cut there. Solutions are left out.
    """
    parts: dict[str, list[NotebookNode]] = {"start": []}
    current = "start"
    for cell in notebook.cells:
        if "solution" in cell.metadata.get("tags", []):
            continue
        if cell.cell_type != "markdown":
            parts[current].append(cell)
            continue
        for text in re.split(r"(?m)^(?=## |\*\*Exercise \d\d-[a-z])", cell.source):
            if found := START.match(text):
                current = found[1] or found[2] or "end"
            parts.setdefault(current, []).append(NotebookNode(cell | {"source": text}))
    return parts


def minutes(notebook: NotebookNode, seconds: float = 0) -> dict[str, float]:
    """Minutes of each section; `seconds`: how long the notebook runs, shared by its code cells."""
    parts = sections(notebook)
    code = sum(cell.cell_type == "code" for cells in parts.values() for cell in cells)
    found = {}
    for name, cells in parts.items():
        text = " ".join(cell.source for cell in cells if cell.cell_type == "markdown")
        total = len(re.sub(r"```.*?```", "", text, flags=re.DOTALL).split()) / WORDS
        for cell in (cell for cell in cells if cell.cell_type == "code"):
            tags = cell.metadata.get("tags", [])
            total += len(cell.source.splitlines()) / LINES + RUNNING * seconds / 60 / code
            total += sum(EXERCISES.get(tag, 0) for tag in tags)
            shown = [output.get("data", {}) for output in cell.outputs]
            total += FIGURE * sum("<figure" in data.get("text/html", "") for data in shown)
        found[name] = total
    return found


def series() -> dict[str, dict[str, float]]:
    """Minutes by notebook ("00" …) and section."""
    measured = {row["name"]: row["seconds"] for row in json.loads(MEASURED.read_text("utf-8"))}
    return {
        path.stem[:2]: minutes(nbformat.read(path, 4), measured.get(path.stem, 0))
        for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    }


def whole(number: float) -> int:
    """Round up to five minutes."""
    return 5 * math.ceil(number / 5)


def lesson(plan: dict[str, str], found: dict[str, dict[str, float]]) -> int:
    """Minutes of one lesson of a plan."""
    total = 0.0
    for number, names in plan.items():
        wanted = found[number] if names == "all" else names.split()
        total += sum(found[number][name] for name in wanted)
    return whole(total)


def tables() -> str:
    """Write the tables of the guide: each notebook, then each plan."""
    found = series()
    lines = ["| notebook | minutes | of them for exercises |", "|---|---|---|"]
    for number, parts in found.items():
        exercises = sum(value for name, value in parts.items() if re.fullmatch("[a-z]", name))
        total = sum(parts.values())
        lines.append(f"| {number} | {whole(total)} | {whole(exercises)} |")
    for title, plan in PLANS.items():
        lines += ["", f"### {title}", "", "| lesson | sections (letters: exercises) | minutes |"]
        lines.append("|---|---|---|")
        for name, parts in plan:
            shown = "; ".join(f"{n}: {', '.join(what.split())}" for n, what in parts.items())
            lines.append(f"| {name} | {shown} | {lesson(parts, found)} |")
    return "\n" + "\n".join(lines) + "\n\n"


def texts(number: str) -> dict[str, str]:
    """Text of each section of a notebook in one line, by its name in the glossary."""
    path = next((ROOT / "notebooks").glob(f"{number}_*.ipynb"))
    found = {}
    for name, cells in sections(nbformat.read(path, 4)).items():
        shown = f"section {name}" if name.isdigit() else name
        shown = f"exercise {number}-{name}" if re.fullmatch("[a-z]", name) else shown
        words = " ".join(cell.source for cell in cells if cell.cell_type == "markdown")
        found[shown] = " ".join(words.split())
    return found


def forms(entry: re.Match) -> list[str]:
    """Forms of a term of the glossary, in small letters."""
    return [entry["name"].lower(), *re.split(", ", (entry["also"] or entry["name"]).lower())]


def moved(entry: re.Match) -> str:
    """Put right the place of an entry: the first section that has the term, bold if any is."""
    parts = {place: text.lower() for place, text in texts(entry["number"]).items()}
    if any(form in parts.get(entry["place"], "") for form in forms(entry)):
        return entry[0]
    wanted = [f"**{form}" for form in forms(entry)] + forms(entry)
    hits = [place for form in wanted for place, text in parts.items() if form in text]
    return entry[0].replace(f", {entry['place']}]", f", {(hits or [entry['place']])[0]}]")


def main() -> int:
    """Write tables and places anew."""
    text = GUIDE.read_text("utf-8")
    GUIDE.write_text(PLACE.sub(lambda _: tables(), text), "utf-8")
    GLOSSARY.write_text(ENTRY.sub(moved, GLOSSARY.read_text("utf-8")), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
