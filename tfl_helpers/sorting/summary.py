"""What a run did: summary.json, and a few lines for people."""

import datetime
import importlib.metadata
import platform
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import tfl_helpers
from tfl_helpers.sorting.grouping import Groups, Settings, drawn
from tfl_helpers.sorting.table import LEVELS

MANY_UNSEEN = 0.02  # share of images in which a network that fits sees something
LIBRARIES = ("tensorflow", "keras", "scikit-learn", "umap-learn", "numpy", "pillow")


def summarise(
    folder: Path,
    settings: Settings,
    looked: pd.DataFrame,
    table: pd.DataFrame,
    found: Groups,
    seconds: dict[str, float],
) -> dict[str, Any]:
    """Sum up a run, as summary.json has it."""
    problems = looked["problem"].str.split(", ").explode().value_counts()
    sizes = table["group"].value_counts()
    z = found.z[drawn(len(found.z), settings.seed)[0]]
    return {
        "folder": str(folder.resolve()),
        "finished": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "settings": asdict(settings),
        "versions": {"tfl_helpers": tfl_helpers.__version__, "python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in LIBRARIES},
        "counts": {
            "files": len(table),
            "sorted": int((table["group"] != "").sum()),
            "unsure": int(table["unsure"].sum()),
            "duplicates": int(problems.get("duplicate", 0)),
            "near-duplicates": int(problems.get("near-duplicate", 0)),
            "left out": int((table["group"] == "").sum()),
        },
        "groups": {name: int(sizes.get(name, 0)) for name in found.names},
        "suggestion": found.suggestion,
        "found_in": settings.sample if found.is_new and len(found.z) > settings.sample else None,
        "levels": {name: int(table[name].replace("", None).nunique()) for name in LEVELS},
        "unseen": float(np.mean(~z.any(axis=1))) if len(z) else 0.0,  # all features are 0
        "too_few": found.guessed == 0,
        "balance": found.balance,
        "scores": found.scores,
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "estimate": found.estimate,
    }


def summary_text(summary: Mapping[str, Any], out: str | Path) -> str:
    """Say in a few lines what `sort_folder` did, from what it returned and its results' folder."""
    counts, guess, estimate = (summary[key] for key in ("counts", "suggestion", "estimate"))
    near, kept = counts.get("near-duplicates", 0), summary["settings"].get("near_duplicates")
    lines = [
        f"{counts['files']:,} files: {counts['sorted']:,} sorted into {len(summary['groups'])} "
        f"groups, {counts['unsure']:,} of them unsure; {counts['duplicates']:,} duplicates, "
        f"{near:,} near-duplicates; {counts['left out']:,} could not be used",
        "groups: " + ", ".join(f"{name} ({n:,})" for name, n in summary["groups"].items()),
    ]
    if guess:
        lines.append(_said_of_number(guess, len(summary["groups"])))
    if sample := summary.get("found_in"):
        lines.append(
            f"groups were found in {sample:,} images, drawn at random; the others are placed in "
            "them (--sample N)"
        )
    if (balance := summary.get("balance")) not in (None, "relaxed"):
        lines.append(f"groups are not drawn to equal size (--balance {balance})")
    if (unseen := summary.get("unseen", 0)) > MANY_UNSEEN:
        lines.append(
            f"in {unseen:.0%} of the images the network sees nothing, all features are 0, and they "
            "are one group to it: try a larger --size, or another --backbone"
        )
    if summary.get("too_few"):
        lines.append("too few images to guess a number of groups: say it (--groups K), or add some")
    if estimate and estimate["examples"]:
        lines.append(
            f"your examples: {estimate['right']} of {estimate['examples']} are in a group that the "
            f"others name alike; the true share lies between {estimate['low']:.0%} and "
            f"{estimate['high']:.0%}, if they were picked at random"
        )
    if names := summary.get("one_name"):
        lines.append(
            "taken for one name: " + ", ".join(f"{a!r} is {b!r}" for a, b in names.items())
        )
    if gone := counts.get("corrected, not here"):
        lines.append(f"corrected, but not in the folder: {gone:,}; what you said is kept")
    if near > counts["files"] / 3:
        how = "grouped like all others (--near-duplicates drop leaves them out)"
        how = how if kept == "keep" else "left out (--near-duplicates keep groups them)"
        lines.append(f"more than a third of the files look nearly like another; they are {how}")
    if passed := summary.get("passed_over"):
        lines.append(
            f"passed over: {len(passed):,} hidden or a system's own, such as {passed[0]} "
            "(--all-files takes them)"
        )
    if alone := summary.get("left_alone"):
        lines.append(
            f"left alone: {len(alone):,} files that you put there or changed, such as {alone[0]}"
        )
    if exported := summary.get("exported"):
        lines.append(
            f"exported to {Path(out) / 'export'}: {exported['images']:,} images as "
            f"{', '.join(exported['as'])}; {exported['left out']:,} files in no group are left out"
        )
    return "\n".join([*lines, f"look at them: {Path(out) / 'gallery.html'}"])


def _said_of_number(guess: Mapping[str, Any], n_groups: int) -> str:
    """Say what was seen of the number of kinds; earlier versions guessed one number, `k`."""
    kinds, low, high = guess.get("kinds", guess.get("k")), guess["low"], guess["high"]
    text = f"about {kinds} kinds stand out"
    if kinds == 1:
        text = "no kinds stand out, they look like one"
    elif high > low:
        text += f" ({low} to {high}, by the rule that is asked)"
    if n_groups == guess.get("shown", kinds) > kinds:
        text += (
            f"; shown as {n_groups} small groups, so that kinds that look alike come apart; names "
            "may be given twice (--groups kinds|N)"
        )
    return text
