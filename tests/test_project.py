"""The project's own papers agree with each other."""

import ast
import graphlib
import importlib.util
import itertools
import json
import re
import shlex
import subprocess
import sys
import tomllib
from itertools import product
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results.md"
DOCS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
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
    wanted = {split(r) for r in PROJECT["dependencies"] + EXTRAS["notebooks"] + EXTRAS["cluster"]}
    assert {split(line) for line in inside} == wanted
    assert f"python{PROJECT['requires-python']}" in text.replace(" ", "")


def workflow():
    yaml = YAML(typ="safe")
    return yaml.load(ROOT / ".github" / "workflows" / "test.yml")["jobs"]["test"]


def test_the_workflow_follows_the_published_schema_and_names_the_pythons_of_the_project():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    file = ROOT / ".github" / "workflows" / "test.yml"
    subprocess.run([*command, "vendor.github-workflows", file], check=True)
    matrix = workflow()["strategy"]["matrix"]
    assert {name.split("-")[0] for name in matrix["os"]} == {"ubuntu", "windows", "macos"}
    listed = re.findall(r"3\.\d+", (ROOT / "README.md").read_text().split("## Start")[1])
    assert set(matrix["python"]) <= set(listed)
    assert "<3.14" in PROJECT["requires-python"] and ">=3.11" in PROJECT["requires-python"]


def test_the_workflow_runs_commands_that_exist():
    """Its steps, as far as one system shows: pip and pytest without doing what takes long."""
    lines = [line for step in workflow()["steps"] for line in step.get("run", "").splitlines()]
    assert any("--nbval-lax" in line for line in lines)
    trial = {"pip install": "--dry-run --no-build-isolation --no-index --quiet"}
    trial |= {"-m pytest": "--collect-only -qq -p no:cacheprovider"}
    for line in lines:
        more = next((flags for name, flags in trial.items() if name in line), "")
        words = shlex.split(f"{line} {more}".replace("-n 2", "-n 0"))
        tool = Path(sys.executable).with_name(words[0])
        words[0] = sys.executable if words[0] == "python" else str(tool)
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"


def test_a_container_installs_what_the_readme_and_the_workflow_do():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    installs = [step["run"] for step in workflow()["steps"] if step.get("name") == "Install"]
    assert [container["postCreateCommand"].replace("'", '"')] == installs
    assert re.search(r"python:3\.1[123]", container["image"])
    binder = (ROOT / "environment.yml").read_text()  # Binder reads this one
    assert "- -c constraints.txt" in binder and "- -e ." in binder


def test_badges_name_the_repository_of_the_remote():
    spec = importlib.util.spec_from_file_location("badges", ROOT / "tools" / "badges.py")
    badges = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(badges)
    for address in (
        "git@github.com:me/tfl.git",
        "https://github.com/me/tfl",
        "https://github.com/me/tfl.git\n",
    ):
        assert badges.repository(address) == "me/tfl"
    for address in ("", "/srv/git/tfl", "https://example.org/me/tfl"):
        with pytest.raises(ValueError, match="GitHub"):
            badges.repository(address)
    text = (ROOT / "README.md").read_text()
    filled = badges.PLACE.sub(lambda _: badges.badges("me/tfl"), text)
    assert filled.count("me/tfl") == 3 and "OWNER" not in text


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


@pytest.mark.parametrize("module", ["tfl_helpers", "tfl_helpers.datasets", "tfl_helpers.sorting"])
def test_importing_loads_no_tensorflow(module):
    code = f"import sys, {module}; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


PACKAGE = ROOT / "tfl_helpers"
INIT = (PACKAGE / "__init__.py").read_text()


def module_name(path):
    """tfl_helpers/datasets/sets.py to ("datasets", "sets"); a folder's own to ("datasets",)."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return tuple(part for part in parts if part != "__init__")


FILES = [path for path in PACKAGE.rglob("*.py") if "_old" not in path.parts]
MODULES = {module_name(path): path for path in sorted(FILES) if path != PACKAGE / "__init__.py"}


def imports(name):
    """Modules of the package that a module imports, anywhere in its code."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute here"
            found |= {(*node.module.split("."), alias.name) for alias in node.names}
    inside = {path[1:] for path in found if path[0] == "tfl_helpers"} - {(), ("__version__",)}
    return {path if path in MODULES else path[:-1] for path in inside}


def order_in_docstring():
    """Steps of the method from left to right; those that share a place in one tuple."""
    lines = re.findall(r"^    (\S.*)$", ast.get_docstring(ast.parse(INIT)), re.MULTILINE)
    return [tuple(step.strip().split(", ")) for step in " ".join(lines).split("->")]


def test_the_picture_of_the_modules_is_the_order_in_the_docstring():
    steps = order_in_docstring()
    wanted = {pair for left, right in itertools.pairwise(steps) for pair in product(left, right)}
    picture = re.search("```mermaid\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    lines = [line.strip().split(" --> ") for line in picture[1].splitlines()[1:]]
    drawn = [pair for line in lines for pair in itertools.pairwise(line)]
    assert set(drawn) == wanted and len(drawn) == len(wanted)
    assert {name for step in steps for name in step} == {name[0] for name in MODULES}


@pytest.mark.parametrize("name", MODULES, ids=".".join)
def test_a_module_imports_only_what_stands_to_its_left(name):
    place = {part: number for number, step in enumerate(order_in_docstring()) for part in step}
    for used in imports(name):
        assert used[0] == name[0] or place[used[0]] < place[name[0]], used


@pytest.mark.parametrize("folder", sorted({name[0] for name in MODULES if len(name) > 1}))
def test_modules_of_a_folder_do_not_import_each_other_in_circles(folder):
    graph = {name: imports(name) - {name} for name in MODULES if name[0] == folder}
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("name", MODULES, ids=".".join)
def test_nothing_private_of_a_library_is_used(name):
    source = MODULES[name].read_text()
    assert not re.search(r"unittest|tensorflow\.python|keras\.src", source)


@pytest.mark.parametrize("path", sorted((ROOT / "tests").glob("*.py")), ids=lambda path: path.stem)
def test_tests_use_no_private_name_of_the_package(path):
    ours, private = set(), re.compile(r"_(?!_)\w+|.*\._(?!_)\w+")
    nodes = list(ast.walk(ast.parse(path.read_text())))
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                name = f"{getattr(node, 'module', None) or ''}.{alias.name}".strip(".")
                if name.startswith("tfl_helpers"):
                    assert not private.fullmatch(name), name
                    ours.add((alias.asname or alias.name).split(".")[0])
    for node in nodes:
        if isinstance(node, ast.Attribute) and ast.unparse(node.value).split(".")[0] in ours:
            assert not private.fullmatch(node.attr), f"line {node.lineno}: {node.attr}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("setattr"):
            for given in node.args[:2]:
                text = given.value if isinstance(given, ast.Constant) else ""
                assert not private.fullmatch(str(text)), f"line {node.lineno}: {text}"


def test_notebooks_use_public_names_and_the_table_of_them_is_up_to_date():
    spec = importlib.util.spec_from_file_location("index", ROOT / "tools" / "index.py")
    index = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(index)
    assert not set(index.places()) - index.public_names()
    assert index.PAGE.read_text() == index.page(), "python tools/index.py makes it anew"


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", *DOCS])
def test_links_and_paths_lead_somewhere(page):
    text = (ROOT / page).read_text()
    targets = [t for t in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in t]
    targets += re.findall(r"`([\w/]+/[\w.]*)`", text) if page == "CONTRIBUTING.md" else []
    for target in targets:
        from_here = (ROOT / page).parent / target
        assert from_here.exists() or (PACKAGE / target).exists(), target


def test_numbers_in_the_readme_are_recorded():
    text, recorded = (ROOT / "README.md").read_text(), set()
    for name in ("names", "scoreboard"):
        for row in json.loads((PACKAGE / "results" / f"{name}.json").read_text()):
            if str(row.get("way", "ours")).startswith("ours"):
                recorded.add(f"{row['accuracy_mean']:.3f} ± {row['accuracy_sd']:.3f}")
    shown = re.findall(r"\d\.\d{3} ± \d\.\d{3}", " ".join(text.split()))
    assert len(shown) == 6 and set(shown) <= recorded
    few = json.loads((PACKAGE / "results" / "sorting.json").read_text())["few"]
    assert "About a minute" in text and few["files"] == 600 and few["seconds"] < 75


def test_numbers_on_the_page_of_results_are_the_recorded_ones():
    recorded = json.loads((ROOT / "tfl_helpers" / "results" / "comparison.json").read_text())
    rows = {(row["data"], row["representation"]): row for row in recorded}
    lines = re.findall(r"^\| `(\w+)`: .*", RESULTS.read_text(), re.MULTILINE)
    assert set(lines) == {row["data"] for row in recorded}
    for line in re.findall(r"^\| `\w+`: .*\|$", RESULTS.read_text(), re.MULTILINE):
        about, network, *numbers = [part.strip(" |*") for part in line.strip("| ").split(" | ")]
        data = re.match(r"`(\w+)`", about)[1]
        names = ["chance, random groups", "pixels", network, f"{network}, supervised"]
        for name, number in zip(names, numbers, strict=True):
            row = rows[data, name]
            sd = "" if row["accuracy_sd"] is None else f" ± {row['accuracy_sd']:.3f}"
            assert number == f"{row['accuracy']:.3f}{sd}", (data, name)


def test_what_names_are_worth_is_recorded():
    rows = json.loads((ROOT / "tfl_helpers" / "results" / "names.json").read_text())
    wanted = [("random, regression", 20), ("ours, learned", 20), ("ours, learned", 50)]
    recorded = {}
    for row in rows:
        if (row["way"], row["clicks"]) in [*wanted, ("review", 200)]:
            cell = f"{row['accuracy_mean']:.3f} ± {row['accuracy_sd']:.3f}"
            recorded.setdefault(row["data"], {})[row["way"], row["clicks"]] = cell
    table = RESULTS.read_text().split("What a name is worth")[1].split("\n\n")[1]
    lines = [line.split(" | ")[1:] for line in table.splitlines()[2:]]
    shown = [[cell.strip(" *|") for cell in line] for line in lines]
    assert sorted(shown) == sorted(
        [cells[way] for way in [*wanted, ("review", 200)]] for cells in recorded.values()
    )


def test_what_a_cluster_costs_is_recorded():
    kept = json.loads((PACKAGE / "results" / "cluster.json").read_text())
    text, speed = RESULTS.read_text().split("## Many images")[1].split("\n## ")[0], kept["speed"]
    shown = [line.strip("| ").split(" | ") for line in re.findall(r"^\| \d.*", text, re.MULTILINE)]
    small, large = sorted(kept["sizes"]["rows"], key=lambda row: row["images"])
    wanted = []
    for row in (small, large):
        numbers = row["images"], row["reading_s"], row["seconds"], sum(row["megabytes"].values())
        peaks = [f"{row['peak_gb'][role]:.1f}" for role in ("client", "worker")]
        wanted.append([f"{n:,.0f}" for n in numbers[:3]] + peaks + [f"{numbers[3]:,.0f}"])
    for row in kept["samples"]["rows"]:
        (mean, sd), seconds = row["accuracy"], row["seconds"][0]
        wanted.append([f"{row['sample']:,}", f"{mean:.3f} ± {sd:.3f}", f"{seconds:.0f}"])
    assert shown == wanted
    rates = speed["workers_2"], speed["in_process"], kept["blocks"]["empty_blocks_per_s"]
    said = re.findall(r"(\d+) photos a second|cores (\d+)|at (\d+) a second", text)
    assert ["".join(groups) for groups in said] == [f"{rate:.0f}" for rate in rates]
    more = (1e6 - large["images"]) / (large["images"] - small["images"])
    hours = (large["seconds"] + more * (large["seconds"] - small["seconds"])) / 3600
    client = [row["peak_gb"]["client"] for row in (small, large)]
    memory = client[1] + more * (client[1] - client[0])
    assert f"{hours:.1f} hours and {memory:.1f} GB" in " ".join(text.split())


def test_the_project_s_own_rows_are_those_of_the_scoreboard():
    rows = json.loads((ROOT / "tfl_helpers" / "results" / "scoreboard.json").read_text())
    shown = {
        (row["data"], row["method"]): f"{row['accuracy_mean']:.3f} ± {row['accuracy_sd']:.3f}"
        for row in rows
    }
    lines = re.findall(r"^\| `(\w+)`( \([^|]*\))? \|(.*)\|$", RESULTS.read_text(), re.MULTILINE)
    assert {data for data, *_ in lines} == {data for data, method in shown if method == "ours"}
    assert sum("two networks" in note for _, note, _ in lines) == 1
    for data, note, cells in lines:
        ours = "ours, two networks" if "two networks" in note else "ours"
        names = ours, f"{ours}, self-labelled", f"{ours}, changed copies"
        for name, cell in zip(names, cells.split("|"), strict=True):
            assert cell.strip(" *") == shown.get((data, name), ""), (data, name)
