"""What the notebooks' text says of results is written or held by a cell that measured it.

Text cells hold no measured number and no comparison: such a sentence is output, an f-string in a
title or in `claim`. What sounds like one but is a definition, an instruction or common knowledge
stands in `NOT_MEASURED` of the notebook's file in `tests/lessons`.
"""

import importlib.util
import re
from pathlib import Path

import nbformat
import pytest

from tfl_helpers.lessons.claims import claim

ROOT = Path(__file__).resolve().parents[1]
SERIES = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
pytestmark = pytest.mark.skipif(not SERIES, reason="the notebooks are part of the repository")

NUMBER = r"(?<![\w.])(?:\d[\d,.]*\s?(?:%|per ?cent|points?\b|times\b|seconds?\b|minutes?\b)|0\.\d+)"
WORDS = (
    r"(?:half|twice|two thirds|a (?:third|quarter|point)|(?:two|three|five|ten) (?:times|points))"
)
COMPARED = (
    r"(?:more|less|fewer|better|worse|larger|smaller|faster|slower|higher|lower|nearer|farther"
    r"|harder|easier|cheaper|earlier|later) than|most|best|worst|always|never"
    r"|(?:nearly|almost|about) (?:all|none|every|nothing|as good|the same)"
)
CLAIM = re.compile(rf"{NUMBER}|\b(?:{WORDS}|{COMPARED})\b", re.IGNORECASE)
PLAIN = re.compile(
    r"```.*?```|`[^`]*`|\]\([^)]*\)|<details>.*?</details>|^\*\*Time and memory:.*?$",
    re.DOTALL | re.MULTILINE,
)


def lesson(path):
    """The file of `tests/lessons` about a notebook."""
    file = ROOT / "tests" / "lessons" / f"{path.stem[3:]}.py"
    spec = importlib.util.spec_from_file_location(f"lesson_{path.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text(path):
    """What the text cells say, in one line, without code and links."""
    cells = [c for c in nbformat.read(path, 4).cells if c.cell_type == "markdown"]
    plain = [
        PLAIN.sub(" ", c.source) for c in cells if "solution" not in c.metadata.get("tags", [])
    ]
    return " ".join(" \n ".join(plain).split())


def unheld(words, allowed):
    """Claims in a text that stand outside the allowed phrases, with what surrounds them."""
    for phrase in allowed:
        words = words.replace(phrase, "…")
    return [words[max(m.start() - 50, 0) : m.end() + 30] for m in CLAIM.finditer(words)]


@pytest.mark.parametrize("path", SERIES, ids=lambda path: path.stem)
def test_text_claims_nothing_that_no_cell_holds(path):
    allowed, words = lesson(path).NOT_MEASURED, text(path)
    assert not unheld(words, allowed)
    assert all(phrase in words for phrase in allowed), "an exception for what is gone"
    assert len(allowed) <= 20 and all(len(phrase.split()) <= 12 for phrase in allowed)


@pytest.mark.parametrize(
    "sentence",
    [
        "accuracy rises to 0.97",
        "40 % of the errors",
        "most mistakes are there",
        "ours is better than k-means",
        "it is ten times quicker",
        "nearly all of them",
        "The best row is ours",
    ],
)
def test_a_claim_is_found(sentence):
    assert unheld(f"Look: {sentence}.", [])
    assert not unheld(f"Look: {sentence}.", [sentence])


def test_what_is_no_claim_is_left_alone():
    assert not unheld("Notebook 03 has 9 cells; 10 groups of 8 x 8 pixels, and images come.", [])


def test_a_claim_that_does_not_hold_says_so(capsys, monkeypatch):
    claim(True, "**2** is more than 1")
    claim(False, "1 is more than 2")
    printed = capsys.readouterr().out
    assert printed.count("Markdown") == 2
    monkeypatch.setenv("TFL_STRICT_CLAIMS", "1")
    with pytest.raises(AssertionError, match="1 is more than 2"):
        claim(False, "1 is more than 2")
