"""The same everywhere: whatever starts a notebook or a command, and from wherever."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import nbformat
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from test_notebooks import SERIES, each, expect_right, read, tagged, tool

from tfl_helpers import __main__ as command
from tfl_helpers import process
from tfl_helpers.lessons.wheels import PLATFORMS

ROOT = Path(__file__).resolve().parents[1]
OURS = ("TFL_", "TF_", "OMP_", "KERAS_", "MALLOC_", "PYTEST_", "PYTHONPATH", "JUPYTER", "PIP_")


def bare(tmp_path, **more):
    """The environment of somebody who never heard of make."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return kept | {"TFL_CACHE_DIR": str(tmp_path / "cache"), "TFL_OFFLINE": "1"} | more


def run(arguments, tmp_path, **options):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=900, **options)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def nbconvert(python, path, folder, tmp_path, **more):
    """Execute a notebook as JupyterLab would; return its cells."""
    shutil.copy(path, folder / path.name)
    arguments = [python, "-m", "nbconvert", "--execute", "--to", "notebook", "--inplace"]
    run([*arguments, path.name], tmp_path, cwd=folder, env=bare(tmp_path, **more))
    return nbformat.read(folder / path.name, 4).cells


def streams(cells, name):
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return "".join(output.text for output in outputs if output.get("name") == name)


def key_result(cells):
    return re.search("^Key result: .*", streams(cells, "stdout"), re.MULTILINE)[0]


THREADS = "; import sklearn.cluster, threadpoolctl; print({lib['num_threads'] for lib in "
THREADS += "threadpoolctl.threadpool_info()})"


@pytest.mark.parametrize("before", ["", "import sklearn.cluster, numpy; "])
def test_threads_are_limited_whatever_was_imported_first(before, tmp_path):
    code = f"{before}import tfl_helpers{THREADS}"
    found = run([sys.executable, "-c", code], tmp_path, env=bare(tmp_path)).stdout
    assert found.strip() == "{1}"


def test_a_number_of_threads_that_was_asked_for_stays(tmp_path):
    code = f"import tfl_helpers{THREADS}"
    env = bare(tmp_path, OMP_NUM_THREADS="3", OPENBLAS_NUM_THREADS="3")
    found = run([sys.executable, "-c", code], tmp_path, env=env).stdout
    assert "3" in found and "1" not in found  # BLAS takes as many as there are cores


@pytest.mark.parametrize("asked", [None, "0"])
def test_tensorflow_computes_as_on_the_newest_processors_unless_asked_otherwise(asked, tmp_path):
    name = "TF_ENABLE_ONEDNN_OPTS"
    env = bare(tmp_path, **({} if asked is None else {name: asked}))
    code = f"import tfl_helpers, os; print(os.environ[{name!r}])"
    found = run([sys.executable, "-c", code], tmp_path, env=env).stdout
    assert found.strip() == (asked or "1")


def test_only_the_greeting_of_tensorflow_is_held_back(capfd):
    with process.without_greeting():
        os.write(2, b"I0000 00:00:17.5 12 port.cc:1] oneDNN is on\nE0000 00:00:17 1 x.cc] broken\n")
        print("Traceback: a real error", file=sys.stderr)
    lines = capfd.readouterr().err.splitlines()
    assert sorted(lines) == ["E0000 00:00:17 1 x.cc] broken", "Traceback: a real error"]


@pytest.mark.parametrize("arguments", [["check"], ["sort", "{photos}", "--out", "{out}"]])
def test_the_command_line_writes_no_line_of_tensorflow(arguments, tmp_path):
    photos = sixty_digits(tmp_path / "photos")
    filled = [part.format(photos=photos, out=tmp_path / "out") for part in arguments]
    filled += ["--backbone", "letters"] if "sort" in arguments else []
    done = run([sys.executable, "-m", "tfl_helpers", *filled], tmp_path, env=bare(tmp_path))
    lines = [line for line in re.split("[\r\n]", done.stderr) if line.strip()]
    assert all(re.search(r"\d+%|\d+/\d+|it/s|\d+image", line) for line in lines), done.stderr


def sixty_digits(folder):
    folder.mkdir()
    for number, digit in enumerate(load_digits().images[:60]):
        image = Image.fromarray((digit * 15).astype("uint8"))
        image.resize((24, 24)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory):
    """Python of a fresh environment with this package from its wheel, and the libraries of here."""
    folder = tmp_path_factory.mktemp("elsewhere")
    source = folder / "source"  # a build leaves files beside the sources
    ignored = shutil.ignore_patterns(".venv", ".git", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, ignore=ignored)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    flags = ["--quiet", "--no-deps", "--no-build-isolation"]
    run([*pip, "wheel", *flags, "--wheel-dir", folder, source], folder)
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    site = run([python, "-c", "import site; print(site.getsitepackages()[0])"], folder).stdout
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    Path(site.strip(), "libraries.pth").write_text("\n".join(libraries) + "\n")
    [wheel] = folder.glob("*.whl")
    run([*pip, "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel], folder)
    shutil.rmtree(source)
    where = run(
        [python, "-c", "import tfl_helpers; print(tfl_helpers.__file__)"],
        folder,
        cwd=folder,
        env=bare(folder),
    )
    assert str(folder) in where.stdout
    return python


def test_the_wheel_holds_what_it_needs(elsewhere, tmp_path):
    photos, out = sixty_digits(tmp_path / "photos"), tmp_path / "out"
    arguments = [elsewhere, "-m", "tfl_helpers", "sort", photos, "--out", out]
    done = run([*arguments, "--backbone", "letters"], tmp_path, cwd=tmp_path, env=bare(tmp_path))
    assert "60 files: 60 sorted" in done.stdout and (out / "gallery.html").exists()


@pytest.mark.slow
@pytest.mark.executes
@each
def test_a_notebook_runs_alone_from_an_empty_folder_and_is_right(path, elsewhere, tmp_path):
    """Solved, and as JupyterLab alone would: nothing that make sets, the package from its wheel."""
    for name in ("source", "alone"):
        (tmp_path / name).mkdir()
    nbformat.write(tool().solved(read(path)), tmp_path / "source" / path.name)
    strict = {"TFL_STRICT_EXERCISES": "1", "TFL_STRICT_CLAIMS": "1"}
    source = tmp_path / "source" / path.name
    cells = nbconvert(elsewhere, source, tmp_path / "alone", tmp_path, **strict)
    assert streams(cells, "stderr") == ""
    expect_right(path, cells)


@pytest.mark.short
@pytest.mark.executes
def test_the_first_notebook_runs_alone_from_an_empty_folder_and_quietly(elsewhere, tmp_path):
    (tmp_path / "alone").mkdir()
    cells = nbconvert(elsewhere, SERIES[0], tmp_path / "alone", tmp_path)
    assert streams(cells, "stderr") == ""
    assert key_result(cells)


def with_few_steps(path, tmp_path):
    """Write a copy of a notebook that trains for seconds only."""
    changed = read(path)
    tagged(changed, "parameters")[0].source += "\nSTEPS, ROUNDS, N_IMAGES = 16, 1, 400"
    (tmp_path / "source").mkdir()
    nbformat.write(changed, tmp_path / "source" / path.name)
    return tmp_path / "source" / path.name


@pytest.mark.slow
@pytest.mark.executes
def test_one_seed_is_one_result_whatever_starts_the_notebook(tmp_path):
    """The notebook that trains, once as make starts it and once as JupyterLab alone does."""
    path = next(p for p in SERIES if p.stem.endswith("self_labelling"))
    arguments = [sys.executable, "-m", "papermill", path, tmp_path / "made.ipynb", "-k", "python3"]
    small = ["-p", "STEPS", "16", "-p", "ROUNDS", "1", "-p", "N_IMAGES", "400"]
    run([*arguments, *small], tmp_path, cwd=path.parent, env=bare(tmp_path))
    made = nbformat.read(tmp_path / "made.ipynb", 4).cells
    (tmp_path / "alone").mkdir()
    few = with_few_steps(path, tmp_path)
    alone = nbconvert(sys.executable, few, tmp_path / "alone", tmp_path)
    assert key_result(made) == key_result(alone)
    assert streams(made, "stdout") == streams(alone, "stdout")


def test_wheels_for_a_class_without_a_network(tmp_path, monkeypatch, capfd):
    """The index is off: pip finds pinned packages (empty ones) in a folder, and no others."""
    index = tmp_path / "index"
    index.mkdir()
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if "==" in line:
            empty_wheel(index, *line.split("=="))
    for name in {"wheel"} | {name for _, names in PLATFORMS.values() for name in names}:
        empty_wheel(index, name, "1.0")
    for name, value in {
        "NO_INDEX": "1",
        "FIND_LINKS": str(index),
        "NO_BUILD_ISOLATION": "0",
    }.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    shutil.copytree(ROOT / "tfl_helpers", tmp_path / "project" / "tfl_helpers")
    for name in ("pyproject.toml", "constraints.txt", "README.md"):
        shutil.copy(ROOT / name, tmp_path / "project" / name)
    monkeypatch.chdir(tmp_path / "project")
    bundle = ["prefetch", "--out", str(tmp_path / "bundle"), "--wheels"]
    assert command.main(bundle) == 0
    assert "make run WHEELS=" in capfd.readouterr().out
    found = {path.name.split("-")[0].lower() for path in (tmp_path / "bundle/wheels").glob("*.whl")}
    assert (
        found >= {"tfl_helpers", "tensorflow", "jupyterlab", "setuptools"} and "pytest" not in found
    )
    assert command.main([*bundle, "windows:3.12"]) == 0
    next(index.glob("keras-*")).unlink()
    shutil.rmtree(tmp_path / "bundle")
    assert command.main(bundle) == 1
    assert "pip download failed" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("where", "asked", "words"), [(ROOT, "amiga", "linux"), (None, "here", "folder")]
)
def test_wheels_that_cannot_be_had(tmp_path, monkeypatch, capsys, where, asked, words):
    monkeypatch.chdir(where or tmp_path)
    assert command.main(["prefetch", "--out", str(tmp_path), "--wheels", asked]) == 1
    assert words in capsys.readouterr().err


def empty_wheel(folder, name, version):
    """A wheel of a package that holds nothing and needs nothing."""
    plain = re.sub(r"[-_.]+", "_", name)
    info = f"{plain}-{version}.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [
        f"{n},sha256={hashlib.sha256(t.encode()).hexdigest()},{len(t)}" for n, t in files.items()
    ]
    with zipfile.ZipFile(folder / f"{plain}-{version}-py3-none-any.whl", "w") as wheel:
        for file, text in {**files, f"{info}/RECORD": "\n".join(lines)}.items():
            wheel.writestr(file, text)
