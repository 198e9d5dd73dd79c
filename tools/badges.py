"""Put Colab and Binder badges into README.md, for the repository that the git remote names.

python tools/badges.py        (make badges)
"""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
PLACE = re.compile(r"(?<=<!-- badges -->\n).*?(?=<!-- end of badges -->)", re.DOTALL)
FIRST = "notebooks/00_start_here.ipynb"


def repository(address: str) -> str:
    """Owner and name of a repository on GitHub, from any form of its address."""
    found = re.search(r"github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?$", address.strip())
    if not found:
        raise ValueError(f"no address of a repository on GitHub: {address.strip() or 'none'}")
    return found[1]


def badges(name: str) -> str:
    """Lines of Markdown: the badges, and what a notebook that is opened alone needs first."""
    colab = f"https://colab.research.google.com/github/{name}/blob/main/{FIRST}"
    binder = f"https://mybinder.org/v2/gh/{name}/HEAD?labpath={FIRST.replace('/', '%2F')}"
    return (
        f"[![Open the first notebook in Google Colab]"
        f"(https://colab.research.google.com/assets/colab-badge.svg)]({colab})\n"
        f"[![Launch the series on Binder](https://mybinder.org/badge_logo.svg)]({binder})\n\n"
        f"In Colab, run `%pip install git+https://github.com/{name}` in a cell before the first.\n"
    )


def main() -> int:
    """Read the address of the remote `origin` and write the README."""
    command = ["git", "-C", str(README.parent), "remote", "get-url", "origin"]
    address = subprocess.run(command, capture_output=True, text=True).stdout
    try:
        name = repository(address)
    except ValueError as error:
        print(f"error: {error}; set it with: git remote add origin ADDRESS", file=sys.stderr)
        return 1
    text = README.read_text("utf-8")
    README.write_text(PLACE.sub(lambda _: badges(name), text), encoding="utf-8")
    print(f"badges of {name} are in README.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
