"""The project's own papers agree with each other."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def split(requirement):
    """'Name>=1.2' to ('name', '>=1.2')."""
    name, bound = re.match(r"([A-Za-z0-9_.-]+)(.*)", requirement.replace(" ", "")).groups()
    return name.lower().replace("_", "-"), bound


def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def number(version):
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def test_environment_yml_lists_what_pyproject_lists():
    text = (ROOT / "environment.yml").read_text()
    inside = re.findall(r"^      - ([a-z].*)$", text, re.MULTILINE)
    wanted = {split(r) for r in PROJECT["dependencies"] + EXTRAS["notebooks"]}
    assert {split(line) for line in inside} == wanted
    assert f"python{PROJECT['requires-python']}" in text.replace(" ", "")


def test_constraints_pin_every_dependency_within_its_bounds():
    pinned = {split(name)[0]: version for name, version in pins().items()}
    for requirement in PROJECT["dependencies"] + EXTRAS["notebooks"] + EXTRAS["test"]:
        name, bound = split(requirement)
        sign, limit = re.match(r"(>=|<)(.*)", bound).groups()
        low, high = number(limit), number(pinned[name])
        assert high >= low if sign == ">=" else high < low, requirement


def test_constraints_hold_neither_hosts_nor_hashes_nor_this_project():
    text = (ROOT / "constraints.txt").read_text()
    assert not re.search(r"://|--|sha256|@", text)
    assert "tfl" not in text
    assert pins(), "nothing is pinned"


def test_importing_the_package_is_quick_and_loads_no_tensorflow():
    code = (
        "import sys, tfl_helpers; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


# Public only because other modules of the package use them.
INSIDE = {"bar", "download", "offline", "keras_home", "weights_file"}
ORDER = ["streets", "datasets", "cleaning", "backbones", "features", "clustering", "selflabel"]
ORDER += ["detection", "evaluation", "tuning", "report", "_store", "sorting"]


@pytest.mark.parametrize("module", ORDER)
def test_a_module_imports_only_modules_to_its_left(module):
    source = (ROOT / "tfl_helpers" / f"{module}.py").read_text()
    used = set(re.findall(r"from tfl_helpers\.(\w+) import", source))
    for names in re.findall(r"from tfl_helpers import ([\w, ]+)", source):
        used |= {name.strip() for name in names.split(",")}
    assert used <= {*ORDER[: ORDER.index(module)], "letters"}


def test_every_public_docstring_says_where_it_is_taught():
    import ast

    for path in sorted((ROOT / "tfl_helpers").glob("*.py")):
        if path.stem == "letters" or path.stem.startswith("_"):
            continue
        for node in ast.parse(path.read_text()).body:
            public = isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
            if public and node.name not in INSIDE:
                text = " ".join((ast.get_docstring(node) or "").split())
                assert re.search(r"[Tt]aught in notebook \d\d", text), f"{path.stem}.{node.name}"


def test_readme_links_lead_somewhere():
    for page in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#\s]+)", (ROOT / page).read_text()):
            if "://" not in target:
                assert (ROOT / target).exists(), f"{page}: {target}"


def test_numbers_in_the_readme_are_the_recorded_ones():
    recorded = json.loads((ROOT / "docs" / "results" / "comparison.json").read_text())
    rows = {(row["data"], row["representation"]): row for row in recorded}
    lines = re.findall(r"^\| `(\w+)`: .*", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert set(lines) == {row["data"] for row in recorded}
    for line in re.findall(r"^\| `\w+`: .*\|$", (ROOT / "README.md").read_text(), re.MULTILINE):
        about, network, *numbers = [part.strip(" |*") for part in line.strip("| ").split(" | ")]
        data = re.match(r"`(\w+)`", about)[1]
        names = ["chance, random groups", "pixels", network, f"{network}, supervised"]
        for name, number in zip(names, numbers, strict=True):
            row = rows[data, name]
            sd = "" if row["accuracy_sd"] is None else f" ± {row['accuracy_sd']:.3f}"
            assert number == f"{row['accuracy']:.3f}{sd}", (data, name)


def test_the_project_s_own_rows_in_the_readme_are_those_of_the_scoreboard():
    rows = json.loads((ROOT / "docs" / "results" / "scoreboard.json").read_text())
    shown = {
        (row["data"], row["method"]): f"{row['accuracy_mean']:.3f} ± {row['accuracy_sd']:.3f}"
        for row in rows
    }
    text = (ROOT / "README.md").read_text()
    lines = re.findall(r"^\| `(\w+)`(?: \([^|]*\))? \|(.*)\|$", text, re.MULTILINE)
    assert {data for data, _ in lines} == {data for data, method in shown if method == "ours"}
    for data, cells in lines:
        names = "ours", "ours, self-labelled", "ours, changed copies"
        for name, cell in zip(names, cells.split("|"), strict=True):
            assert cell.strip(" *") == shown.get((data, name), ""), (data, name)
