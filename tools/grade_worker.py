"""Run one handed-in notebook in this process, and check its exercises; `grade.py` starts it.

The job comes on standard input, reports go to what was standard output; a hand-in sees neither.
The checks are a copy that was imported before the first cell ran and is not in `sys.modules`, so
that nothing the notebook redefines reaches them.
"""

import ast
import contextlib
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from types import ModuleType

EXERCISES = "tfl_helpers.lessons.exercises"


def limit(memory: float, cpu: float) -> None:
    """Set the limits that the system offers: memory, processor time, size of a file; no core."""
    try:
        import resource
    except ImportError:  # Windows: `grade.py` watches time and memory
        return
    data = int(memory * 1e9)
    wanted = {"RLIMIT_DATA": data, "RLIMIT_CPU": int(cpu * (os.cpu_count() or 1)) + 60}
    wanted |= {"RLIMIT_FSIZE": int(1e9), "RLIMIT_CORE": 0}
    for name, value in wanted.items():
        with contextlib.suppress(ValueError, OSError, AttributeError):
            resource.setrlimit(getattr(resource, name), (value, value))


def own_checks(lesson: str) -> tuple[ModuleType, ModuleType]:
    """Import the checks of one notebook for this file alone: modules `checks` and `bets`."""
    import tfl_helpers.lessons as lessons

    before = {name: sys.modules.pop(name) for name in [*sys.modules] if name.startswith(EXERCISES)}
    shown = lessons.__dict__.pop("exercises", None)
    package = ModuleType(EXERCISES)  # in place of the real one, which imports all notebooks'
    package.__path__ = [os.path.join(lessons.__path__[0], "exercises")]
    sys.modules[EXERCISES] = package
    checks = importlib.import_module(f"{EXERCISES}.checks")
    bets = importlib.import_module(f"{EXERCISES}.bets")
    importlib.import_module(f"{EXERCISES}.{lesson}")
    for name in [name for name in sys.modules if name.startswith(EXERCISES)]:
        del sys.modules[name]
    sys.modules.update(before)
    lessons.__dict__.pop("exercises", None)
    if shown:
        lessons.exercises = shown
    return checks, bets


def too_long(signum: int, frame: object) -> None:
    """Stop what takes too long, again and again if it will not be stopped."""
    raise TimeoutError("this took too long")


@contextlib.contextmanager
def alarm(seconds: float):
    """Raise `TimeoutError` in what takes longer; where there is no alarm, `grade.py` ends it."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class Grader:
    """Checks exercises with what a notebook has defined, and reports each."""

    def __init__(self, job: dict, report: Callable[[dict], None]):
        self.job, self.report, self.said = job, report, []
        self.checks, self.bets = own_checks(job["lesson"])
        for module in (self.checks, self.bets):  # what a hand-in prints is no verdict
            module.print = lambda text, *more, **options: self.said.append(str(text))
        self.best: dict[str, dict] = {}

    def verdict(self, call: ast.Call, names: dict) -> str:
        """Call the check with the values that its arguments have in the notebook."""
        self.said.clear()
        try:
            with alarm(self.job["cell_seconds"]):
                code = [compile(ast.Expression(one), "<check>", "eval") for one in call.args]
                values = [eval(one, names) for one in code]
                function = self.checks.check if call.func.id == "check" else self.bets.bet
                function(*values)
        except NameError as error:
            return f"Not yet: {error}"
        except BaseException as error:  # a hand-in may raise anything, SystemExit too
            return f"Not yet: {type(error).__name__}: {error}"
        return self.said[-1] if self.said else "Not yet: nothing was checked"

    def look(self, name: str, names: dict, seconds: float = 0.0) -> None:
        """Check one exercise; a right answer stays right."""
        if self.best.get(name, {}).get("right"):
            return
        start = time.perf_counter()
        call = ast.parse(self.job["exercises"][name], mode="eval").body
        said = self.verdict(call, names)
        right = said.startswith(("Right: ", "Noted: "))
        hint = "" if right else said.removeprefix("Not yet: ")[:300]
        seconds = round(self.best.get(name, {}).get("seconds", seconds), 2)
        row = {"exercise": name, "right": int(right), "hint": hint}
        row["seconds"] = round(seconds + time.perf_counter() - start, 2)
        self.best[name] = row
        self.report(row)

    def lost_bets(self) -> None:
        """Add, to bets that were settled and lost, what to think of."""
        table = self.bets.bets()
        for name, answer, right in zip(table.exercise, table.answer, table.right, strict=True):
            if right is False and name in self.best:
                self.best[name]["hint"] = self.bets.QUESTIONS[name]["hints"].get(answer, "")[:300]
                self.report(self.best[name])


def main() -> None:
    """Run all cells, look at an exercise after each cell that names it, and at all at the end."""
    job = json.loads(sys.stdin.buffer.read())
    channel = os.dup(1)
    silent = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(silent, number)

    def report(row: dict) -> None:
        os.write(channel, f"\n{job['nonce']}{json.dumps(row)}\n".encode())

    limit(job["memory"], job["cpu"])
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    grader = Grader(job, report)
    for number, source in enumerate(job["cells"], start=1):
        report({"cell": number})
        start = time.perf_counter()
        with contextlib.suppress(BaseException), alarm(job["cell_seconds"]):
            shell.run_cell(source, store_history=False)
        for name in job["exercises"]:
            if f'"{name}"' in source or f"'{name}'" in source:
                grader.look(name, shell.user_ns, time.perf_counter() - start)
    for name in job["exercises"]:
        grader.look(name, shell.user_ns)
    grader.lost_bets()
    report({"done": True})


if __name__ == "__main__":
    main()
    os._exit(0)  # threads that a hand-in has started do not hold it up
