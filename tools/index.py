"""Write docs/where_taught.md: which sections of which notebooks use each public name.

python tools/index.py
"""

import ast
import functools
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tfl_helpers"
PAGE = ROOT / "docs" / "where_taught.md"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
HEAD = """# Where each name is taught

Made by `python tools/index.py` from the code cells of the notebooks. Behind each notebook stand its
sections; *start* is the cell that it begins with, *exercises* the section "Your turn".

| name | used in |
|---|---|
"""


@functools.cache
def public_names() -> set[str]:
    """Functions, classes and constants that the package offers, such as "datasets.load"."""
    modules = {path.stem: path for path in PACKAGE.glob("[!_]*.py")}
    modules |= {path.parent.name: path for path in PACKAGE.glob("[!_]*/__init__.py")}
    modules |= {f"lessons.{path.stem}": path for path in PACKAGE.glob("lessons/[!_]*.py")}
    modules["datasets.cleaning"] = PACKAGE / "datasets" / "cleaning.py"  # used as a module
    return {f"{module}.{name}" for module, path in modules.items() for name in _offered(path)}


def _offered(path: Path) -> list[str]:
    """Names that a folder's `__init__` imports, or a module's functions, classes and constants."""
    names = []
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom) and path.stem == "__init__":
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            names += [node.targets[0].id] if node.targets[0].id.isupper() else []
    return [name for name in names if not name.startswith("_")]


def used_names(source: str, imported: dict[str, str]) -> set[str]:
    """Names of the package that a code cell uses; what it imports is added to `imported`."""
    nodes = list(ast.walk(ast.parse(source)))
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("tfl_helpers."):
            for alias in node.names:
                name = f"{node.module}.{alias.name}".removeprefix("tfl_helpers.")
                imported[alias.asname or alias.name] = name
    used = {imported.get(node.id) for node in nodes if isinstance(node, ast.Name)} & public_names()
    for node in nodes:
        module = imported.get(getattr(node.value, "id", "")) if hasattr(node, "attr") else None
        used |= {f"{module}.{node.attr}"} if module else set()
    return used


def sections(path: Path) -> Iterator[tuple[str, str]]:
    """Section and source of each code cell of a notebook."""
    section = "start"
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "code":
            yield section, cell.source
        elif found := re.findall(r"^## (?:(\d+)\. |(Your turn))?", cell.source, re.MULTILINE):
            number, turn = found[-1]
            section = number or ("exercises" if turn else "start")


def places() -> dict[str, dict[str, list[str]]]:
    """Name to notebook ("03") to sections that use it."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in NOTEBOOKS:
        imported: dict[str, str] = {}
        for section, source in sections(path):
            for name in used_names(source, imported):
                found[name][path.stem[:2]].append(section)
    return found


def page() -> str:
    """Text of the page."""
    found, rows, rest = places(), [], []
    for name in sorted(public_names(), key=lambda name: (name.lower(), name)):
        if name in found:
            used = found[name].items()
            where = [f"[{number}]: {', '.join(dict.fromkeys(inside))}" for number, inside in used]
            rows.append(f"| `{name}` | {' · '.join(where)} |\n")
        elif not name.split(".")[-1].isupper():
            rest.append(f"`{name}`")
    links = [f"[{path.stem[:2]}]: ../notebooks/{path.name}\n" for path in NOTEBOOKS]
    return f"{HEAD}{''.join(rows)}\nIn no notebook: {', '.join(rest)}.\n\n{''.join(links)}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)} written")
