"""Print the quiz: a page of questions for a class, with answers on a page of their own.

python tools/quiz.py [NN ...] --out quiz.html

The questions lie in docs/teaching/quiz.json: three for each notebook, and for each choice why it
is right or wrong. On the page answers can be unfolded one by one, or printed at the end.
"""

import argparse
import html
import json
import re
import sys
from pathlib import Path

QUIZ = Path(__file__).resolve().parents[1] / "docs" / "teaching" / "quiz.json"
STYLE = """:root { color-scheme: light dark; }
body { font: 12pt/1.45 system-ui, sans-serif; max-width: 46rem; }
body { margin: 2rem auto; padding: 0 1rem; }
li { margin: .2rem 0; } .question { break-inside: avoid; margin: 1.2rem 0; }
.key { break-before: page; } summary { cursor: pointer; }
@page { size: A4; margin: 18mm; }
@media print { details { display: none; } body { margin: 0; color: black; background: white; } }
@media screen { .key { display: none; } }"""


def read(names: list[str] | None = None) -> list[dict]:
    """Questions of the notebooks whose numbers are given; all by default."""
    questions = json.loads(QUIZ.read_text("utf-8"))
    return [one for one in questions if not names or one["notebook"] in names]


def text(plain: str) -> str:
    """Escape a text; what stands between asterisks is emphasised."""
    return re.sub(r"\*(.+?)\*", r"<em>\1</em>", html.escape(plain))


def reasons(question: dict) -> str:
    """List why each choice is right or wrong."""
    return "".join(
        f"<li>{'<strong>Right.</strong> ' if one['right'] else 'Not this one. '}"
        f"{text(one['because'])}</li>"
        for one in question["choices"]
    )


def page(questions: list[dict]) -> str:
    """Write the page: questions with choices, then, for print, the answers."""
    asked, key = [], []
    for place, question in enumerate(questions, start=1):
        where = f"notebook {question['notebook']}, " + (
            f"section {question['section']}" if question["section"] != "start" else "the start"
        )
        choices = "".join(f"<li>{text(one['text'])}</li>" for one in question["choices"])
        asked.append(
            f'<div class="question"><p><strong>{place}.</strong> {text(question["question"])} '
            f'<small>({where})</small></p><ol type="a">{choices}</ol><details>'
            f'<summary>Answer</summary><ol type="a">{reasons(question)}</ol></details></div>'
        )
        key.append(f'<p><strong>{place}.</strong></p><ol type="a">{reasons(question)}</ol>')
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Quiz</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>\n{STYLE}\n</style></head><body><h1>Quiz</h1>\n"
        "<p>One choice is right in each.</p>\n"
        + "\n".join(asked)
        + '\n<div class="key"><h2>Answers</h2>\n'
        + "\n".join(key)
        + "</div></body></html>\n"
    )


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="such as 02; all by default")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    questions = read(options.names)
    if not questions:
        raise SystemExit(f"no question on {', '.join(options.names)}")
    options.out.write_text(page(questions), encoding="utf-8")
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
