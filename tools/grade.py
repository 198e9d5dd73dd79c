"""Grade a folder of handed-in notebooks: each in a process of its own that can do little harm.

python tools/notebooks.py grade FOLDER --out OUT

FOLDER holds notebooks, or a folder for each person. OUT gets `grades.csv`, a row for each exercise,
and `class.html`, what the class found hard. A hand-in has limits of time, memory and file size, a
scratch folder, none of this machine's environment, and what it prints is thrown away. On Linux it
also has no network and may write to its scratch folder only (`unshare`); where that is not to be
had, grade as a user who may do no harm, or in a container. This stops accidents and simple tricks;
whoever wants to deceive a checker in their own process can, so look at what is too good.
"""

import ast
import csv
import html
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nbformat
import psutil

ROOT = Path(__file__).resolve().parents[1]
WORKER = Path(__file__).with_name("grade_worker.py")
COLUMNS = ("who", "notebook", "exercise", "right", "hint", "seconds")
KEPT = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "TFL_DATA_DIR", "KERAS_HOME")  # of the environment
KEPT += ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "OMP_NUM_THREADS")
CALL = re.compile(r'\b(?:check|bet)\(\s*["\'](\d\d)-[a-z]["\']')
NAMESPACES = ["unshare", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child"]
READ_ONLY = """mount --bind "$1" "$1" && mount -o remount,bind,ro / || exit 1
while read -r device place more; do
  case "$place" in "$1" | / | /dev* | /proc* | /sys*) ;;
  *) mount -o remount,bind,ro "$place" 2>/dev/null ;; esac
done < /proc/self/mounts
shift && exec "$@"
"""


@dataclass
class Limits:
    """What one hand-in may take: seconds, seconds of one cell, GB of memory."""

    seconds: float = 600
    cell_seconds: float = 180
    memory: float = 4


@dataclass
class HandIn:
    """One notebook: whose, which (such as "03"), and its content as it was read at the start."""

    who: str
    number: str
    file: str
    content: bytes


@cache
def original(number: str) -> Path | None:
    """Find the notebook of the series that has a number; None if there is none."""
    return next((ROOT / "notebooks").glob(f"{number}_*.ipynb"), None) if number else None


@cache
def exercises(number: str) -> dict[str, str]:
    """Exercises of a notebook of the series, and the call that checks each."""
    path, found = original(number), {}
    for cell in nbformat.read(path, 4).cells if path else []:
        if "exercise" in cell.metadata.get("tags", []):
            call = ast.parse(cell.source).body[-1].value
            found[call.args[0].value] = ast.unparse(call)
    return found


def hand_ins(folder: Path) -> list[HandIn]:
    """Read all notebooks of a folder at once, so that none can change another."""
    found = []
    for path in sorted(folder.rglob("*.ipynb")):
        if ".ipynb_checkpoints" in path.parts:
            continue
        content = path.read_bytes()
        inside = path.relative_to(folder)
        numbers = Counter(CALL.findall(content.decode("utf-8", "replace").replace('\\"', '"')))
        in_name = re.search(r"(?<!\d)(\d\d)_[a-z]", path.name)
        number = numbers.most_common(1)[0][0] if numbers else in_name[1] if in_name else ""
        who = inside.parts[0] if len(inside.parts) > 1 else re.sub(r"_?\d\d_\w*$", "", path.stem)
        found.append(HandIn(who or path.stem, number, str(inside), content))
    return found


@cache
def sandbox() -> bool:
    """Tell whether this machine can take the network and the disk away from a process."""
    if not sys.platform.startswith("linux"):
        return False
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory() as outside:
        trial = [*_inside(Path(scratch)), "touch", f"{scratch}/may", f"{outside}/may_not"]
        try:
            done = subprocess.run(trial, capture_output=True, timeout=20).returncode
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done == 1 and os.listdir(scratch) == ["may"] and not os.listdir(outside)


def _inside(scratch: Path) -> list[str]:
    return [*NAMESPACES, "--mount-proc", "sh", "-c", READ_ONLY, "sh", str(scratch)]


def environment(scratch: Path) -> dict[str, str]:
    """Variables of a hand-in: paths that lead into its scratch folder, and no network."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    home = {name: str(scratch) for name in ("HOME", "USERPROFILE", "TMPDIR", "TEMP", "IPYTHONDIR")}
    nowhere = {f"{kind}_proxy": "http://127.0.0.1:9" for kind in ("http", "https", "all")}
    ours = {"PYTHONPATH": str(ROOT), "TFL_CACHE_DIR": str(scratch / "cache"), "TFL_OFFLINE": "1"}
    ours |= {"MPLBACKEND": "agg", "HF_HUB_OFFLINE": "1", "PIP_NO_INDEX": "1"}
    return kept | home | nowhere | ours | {"PYTHONDONTWRITEBYTECODE": "1"}


def stop(process: psutil.Popen) -> None:
    """End a process and all that it has started."""
    try:
        family = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        family = [process]
    for one in family:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()


def watch(process: psutil.Popen, limits: Limits) -> str:
    """Wait for a process to end; end it where it takes too much, and say why."""
    end = time.monotonic() + limits.seconds
    while process.poll() is None:
        used = 0
        try:
            for one in [process, *process.children(recursive=True)]:
                used += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
        late = time.monotonic() > end
        if late or used > limits.memory * 1e9:
            stop(process)
            return (
                f"stopped after {limits.seconds:g} seconds"
                if late
                else f"stopped: it took more than {limits.memory:g} GB of memory"
            )
        time.sleep(0.05)
    return ""


def run(hand_in: HandIn, limits: Limits) -> list[dict]:
    """Run one hand-in and return a row for each exercise."""
    wanted = exercises(hand_in.number)
    about = {"who": hand_in.who, "notebook": hand_in.number}
    try:
        book = nbformat.reads(hand_in.content.decode("utf-8"), 4)
        cells = [cell.source for cell in book.cells if cell.cell_type == "code"]
    except Exception as error:  # anything may be handed in
        reason = f"is no notebook: {type(error).__name__}"
        rows = [{"exercise": name, "hint": reason} for name in wanted or [""]]
        return [about | {"right": 0, "seconds": 0.0} | row for row in rows]
    if not wanted:
        return [about | {"exercise": "", "right": 0, "hint": "no exercise found", "seconds": 0.0}]
    nonce = secrets.token_hex(16)
    job = {"nonce": nonce, "cells": cells, "exercises": wanted}
    job["lesson"] = original(hand_in.number).stem[3:]
    job |= {"cell_seconds": limits.cell_seconds, "memory": limits.memory, "cpu": limits.seconds}
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place,
        tempfile.TemporaryFile() as said,  # has no name that a hand-in could find
    ):
        scratch = Path(place)
        (scratch / "work").mkdir()
        (scratch / "work" / Path(hand_in.file).name).write_bytes(hand_in.content)
        command = [*_inside(scratch), sys.executable] if sandbox() else [sys.executable]
        process = psutil.Popen(
            [*command, str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=subprocess.DEVNULL,
            cwd=scratch / "work",
            env=environment(scratch),
            start_new_session=True,
        )
        try:
            process.stdin.write(json.dumps(job).encode())
            process.stdin.close()
        except OSError:  # it is over already: the rows will say so
            pass
        trouble = watch(process, limits)
        said.seek(0)
        lines = said.read(2_000_000).decode("utf-8", "replace").splitlines()
    return rows_of(hand_in, wanted, reports(lines, nonce), trouble)


def reports(lines: list[str], nonce: str) -> list[dict]:
    """Read what the worker reported: lines that begin with its secret."""
    found = []
    for line in lines:
        if line.startswith(nonce):
            try:
                found.append(json.loads(line.removeprefix(nonce)))
            except ValueError:  # cut off in the middle
                continue
    return found


def rows_of(hand_in: HandIn, wanted: dict, said: list[dict], trouble: str) -> list[dict]:
    """Put together what is known of each exercise; the last report of one counts."""
    known = {one["exercise"]: one for one in said if "exercise" in one}
    cell = max((one["cell"] for one in said if "cell" in one), default=0)
    if not trouble and not any(one.get("done") for one in said):
        trouble = "the process ended" if cell else "the process did not start"
    missing = f"{trouble} in code cell {cell}" if trouble else "not in the notebook"
    rows = []
    for name in wanted:
        row = {"right": 0, "hint": missing, "seconds": 0.0} | known.get(name, {})
        rows.append({"who": hand_in.who, "notebook": hand_in.number, "exercise": name} | row)
    return [{column: row[column] for column in COLUMNS} for row in rows]


def class_page(rows: list[dict], protected: bool) -> str:
    """Say which exercises the class found hard, and which hints came up most often."""
    lines = []
    for number, name in sorted({(row["notebook"], row["exercise"]) for row in rows}):
        mine = [row for row in rows if row["exercise"] == name and row["notebook"] == number]
        right = sum(row["right"] for row in mine)
        hints = Counter(row["hint"] for row in mine if row["hint"] and not row["right"])
        shown = "".join(
            f"<li>{html.escape(hint)} <b>({count})</b></li>" for hint, count in hints.most_common(3)
        )
        share = right / len(mine)
        lines.append(
            (
                share,
                f"<tr><th scope=row>{html.escape(name or number or 'unknown')}</th>"
                f"<td>{right} of {len(mine)}</td>"
                f"<td><meter min=0 max=1 value={share:.3f}>{share:.0%}</meter> {share:.0%}</td>"
                f"<td><ul>{shown}</ul></td></tr>",
            )
        )
    table = "\n".join(line for _, line in sorted(lines))
    guard = (
        "no network, and only a scratch folder to write to"
        if protected
        else ("no protection against a hand-in that writes elsewhere or uses the network")
    )
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>What the class found hard</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; }}
body {{ padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; }} ul {{ margin: 0; padding-left: 1.2rem; }}
th, td {{ text-align: left; vertical-align: top; padding: .4rem .8rem; }}
th, td {{ border-bottom: 1px solid #8886; }}
</style></head><body>
<h1>What the class found hard</h1>
<p>{len({(row["who"], row["notebook"]) for row in rows})} notebooks, the hardest exercises first.
A bet counts when it is made, right or not. They ran with {guard}.</p>
<table><thead><tr><th scope=col>exercise</th><th scope=col>right</th><th scope=col>share</th>
<th scope=col>most frequent hints</th></tr></thead><tbody>
{table}</tbody></table></body></html>
"""


def grade(
    folder: Path,
    out: Path,
    seconds: float = 600,
    cell_seconds: float = 180,
    memory: float = 4,
    jobs: int = 1,
) -> int:
    """Grade all notebooks of a folder; a line for each, and the two files."""
    found, limits = hand_ins(folder), Limits(seconds, cell_seconds, memory)
    if not found:
        raise SystemExit(f"no notebook in {folder}")
    if not sandbox():
        print(
            "This machine takes neither network nor disk away from a hand-in: "
            "docs/teaching/guide.md says what that means."
        )
    rows: list[dict] = []
    with ThreadPoolExecutor(jobs) as pool:
        for hand_in, more in zip(found, pool.map(lambda one: run(one, limits), found), strict=True):
            rows += more
            right = sum(row["right"] for row in more)
            print(f"{hand_in.file}: {right} of {len(more)} right", flush=True)
    out.mkdir(parents=True, exist_ok=True)
    with (out / "grades.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    (out / "class.html").write_text(class_page(rows, sandbox()), encoding="utf-8")
    print(f"see {out / 'grades.csv'} and {out / 'class.html'}")
    return 0
