"""Build the site: every notebook, the teaching kit, the API and the results, to read offline.

python tools/site_pages.py [--out build/site]      (make site)

The pages' sources are copies in a folder that is laid out like the repository, so links between
notebooks, texts and results hold. Nothing is executed; a warning of Sphinx is an error, and so is a
link from page to page that leads nowhere. Links that lead outside are listed in external_links.txt.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import index
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("README.md", "CONTRIBUTING.md", "LICENSE", "environment.yml", "docs", "notebooks")
COPIED += ("tfl_helpers/results", "tfl_helpers/backbones/letters.md")
CONF = '''"""Settings of the site; `tools/site_pages.py` wrote this file."""

project = "Image recognition without labels, by transfer"
html_title = project
extensions = ["myst_nb", "sphinx.ext.autodoc", "numpydoc"]
exclude_patterns = ["_build"]
nb_execution_mode = "off"
nb_merge_streams = True
myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath"]
numpydoc_show_class_members = False
autodoc_member_order = "bysource"
html_theme = "furo"
html_copy_source = False


def setup(app):
    """A bar in a docstring is a bar: no substitution is meant."""
    def plain(app, what, name, obj, options, lines):
        lines[:] = [line.replace("|", "\\\\|") for line in lines]

    app.connect("autodoc-process-docstring", plain, priority=900)
'''
START = """# Image recognition without labels, by transfer

```{toctree}
:maxdepth: 1
:caption: Begin

README
docs/start
docs/sort
docs/results
docs/article
CONTRIBUTING
```

```{toctree}
:maxdepth: 1
:caption: The series

NOTEBOOKS
```

```{toctree}
:maxdepth: 1
:caption: Teaching

TEACHING
```

```{toctree}
:maxdepth: 1
:caption: Reference

API
docs/where_taught
tfl_helpers/results/README
tfl_helpers/results/scoreboard
tfl_helpers/backbones/letters
```
"""


def members() -> dict[str, list[str]]:
    """Public names of the package by the module that a user imports them from."""
    found: dict[str, list[str]] = {}
    for name in sorted(index.public_names()):
        module, _, member = name.rpartition(".")
        found.setdefault(f"tfl_helpers.{module}", []).append(member)
    return found


def assemble(source: Path) -> None:
    """Lay out the sources of the site in a folder of its own."""
    shutil.rmtree(source, ignore_errors=True)
    for name in COPIED:
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            unwanted = shutil.ignore_patterns(".ipynb_checkpoints", "*.toml")
            shutil.copytree(ROOT / name, target, ignore=unwanted)
        else:
            shutil.copy(ROOT / name, target)
    (source / "api").mkdir()
    for name, names in members().items():
        text = f"{name}\n{'=' * len(name)}\n\n.. automodule:: {name}\n"
        text += f"   :members: {', '.join(names)}\n"
        if (ROOT / name.replace(".", "/")).is_dir():  # a folder offers what its modules define
            text += "   :imported-members:\n"
        (source / "api" / f"{name}.rst").write_text(text, "utf-8")
    page = source / "CONTRIBUTING.md"  # GitHub draws its picture, Sphinx shows what it says
    page.write_text(page.read_text("utf-8").replace("```mermaid", "```text"), "utf-8")
    lists = {
        "NOTEBOOKS": sorted((source / "notebooks").glob("*.ipynb")),
        "TEACHING": sorted((source / "docs" / "teaching").glob("*.md")),
        "API": sorted((source / "api").glob("*.rst")),
    }
    text = START
    for place, paths in lists.items():
        names = [path.relative_to(source).as_posix() for path in paths]
        text = text.replace(place, "\n".join(names), 1)
    (source / "index.md").write_text(text, "utf-8")
    (source / "conf.py").write_text(CONF, "utf-8")


def mend(page: Path) -> None:
    """Add what screen readers and keyboards need: the level of captions, a way to scroll code."""
    text = page.read_text("utf-8")
    text = text.replace('role="heading"><span', 'role="heading" aria-level="2"><span')
    page.write_text(text.replace("<pre>", "<pre tabindex=0>"), "utf-8")


def check_links(out: Path) -> tuple[list[str], set[str]]:
    """List links between pages that lead nowhere, "PAGE: LINK", and all that lead outside."""
    pages = {
        path: BeautifulSoup(path.read_text("utf-8"), "html.parser") for path in out.rglob("*.html")
    }
    places = {path: {tag["id"] for tag in page.find_all(id=True)} for path, page in pages.items()}
    broken, outside = [], set()
    for path, page in pages.items():
        targets = [tag.get("href") or tag.get("src") for tag in page.find_all(["a", "img", "link"])]
        for target in filter(None, targets):
            if (parts := urlsplit(target)).scheme or parts.netloc:
                outside |= {target} if parts.scheme.startswith("http") else set()
                continue
            to = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            place = unquote(parts.fragment)
            if not to.exists() or (place and place not in places.get(to, {place})):
                broken.append(f"{path.relative_to(out)}: {target}")
    return broken, outside


def main() -> int:
    """Read the command line and build."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "site")
    options = parser.parse_args()
    source = options.out.with_name(f"{options.out.name}_source")
    assemble(source)
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q"]
    more = {"TF_CPP_MIN_LOG_LEVEL": "3", "TFL_OFFLINE": "1"}
    built = subprocess.run([*command, source, options.out], env=os.environ | more).returncode
    for page in options.out.rglob("*.html"):
        mend(page)
    broken, outside = check_links(options.out.resolve())
    (options.out / "external_links.txt").write_text("\n".join(sorted(outside)) + "\n", "utf-8")
    print(f"{len(outside)} links lead outside: {options.out / 'external_links.txt'}")
    for link in broken:
        print(f"leads nowhere: {link}", file=sys.stderr)
    return built or bool(broken)


if __name__ == "__main__":
    sys.exit(main())
