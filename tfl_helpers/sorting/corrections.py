"""What a person says about the groups: corrections from the page, and examples with names."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tfl_helpers.datasets import write_whole
from tfl_helpers.sorting.following import SEVERAL_KINDS
from tfl_helpers.sorting.table import (
    CORRECTED,
    a_few,
    checked,
    numbered,
    plain_cell,
    read_cells,
    read_table,
    restored_cell,
)

MOST_FITTED, SAMPLED = 20_000, 10_000  # images that are learned from, and components found in
LEAST_FITTED = 100  # groups of fewer images would hang on the draw
JOINING, MOST_TURNS = 8, 8  # images that join one of a new group; turns of learning
TRUST = 30  # times that an image counts of which a person said where it belongs


def read_corrections(
    path: str | Path,
    before: pd.DataFrame | None = None,
    renamed: Mapping[str, str] | None = None,
    found: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Read what was corrected in the page, or by hand in groups.csv, as `read_table` does.

    `corrected` says what a person decided: this image was "moved" into its group or "confirmed" in
    it, "named" when it was asked about, or its whole group "renamed". With the table `before`,
    edits by hand are recognised, and so are names of groups that differ from one there by case or
    blanks: `attrs["one_name"]` says which was taken for which, `attrs["opened"]` which files lay in
    a group in which an image was named. Files were `renamed` since. The `group` that a file was
    `found` in says nothing, as a page has it that was drawn before others followed; nor does a copy
    (by its `digest`) of what has a mark.
    """
    table = read_table(path)
    if before is None:
        return table.assign(group=table["group"].map(one_spelling(table["group"])).astype(object))
    old = checked(before).set_index("file")["group"]
    spelling = one_spelling(table["group"], set(old))
    table.attrs["one_name"] = {n: s for n, s in spelling.items() if n != s}
    table["group"] = table["group"].map(spelling).astype(object)
    now = table["file"].map(renamed or {})
    table["file"] = table["file"].where(table["file"].isin(old.index) | now.isna(), now)
    table = table.drop_duplicates("file")
    unknown = table["file"][~table["file"].isin(old.index)]
    if len(unknown):
        raise ValueError(
            f"{path} holds files that are not in the table it should correct: {a_few(unknown)}. "
            "Give the corrections of this folder"
        )
    was = table["file"].map(old)
    lost = table["file"][(was != "") & (table["group"] == "")]
    if len(lost):
        raise ValueError(f"{path}: files without a group: {a_few(lost)}. Name one for each")
    by_hand = (table["corrected"] == "") & (table["group"] != was)
    if found is not None:
        by_hand &= table["group"] != table["file"].map(found["group"])
        digests = table["file"].map(found["digest"])  # what is said of one copy is said of all
        by_hand &= ~digests.isin(digests[table["corrected"].isin(CORRECTED[2:])])
    # A group of which every image got the same new name was renamed, not moved one by one
    together = table.groupby(was)["group"].transform("nunique") == 1
    table.loc[by_hand, "corrected"] = np.where(together[by_hand], "renamed", "moved")
    knew = table["file"].map(checked(before).set_index("file")["corrected"]) == "named"
    named = (table["corrected"] == "named") & (table["group"] != SEVERAL_KINDS) & ~knew
    table.attrs["opened"] = set(table["file"][was.isin(was[named])])
    return table


def one_spelling(names: Iterable[str], known: Collection[str] = ()) -> dict[str, str]:
    """Map names to the first that differs by case, blanks or Unicode form alone, a `known` one.

    Known names stay as they are, new ones are trimmed.
    """

    def plain(name: str) -> str:
        return " ".join(unicodedata.normalize("NFKC", name).casefold().split())

    first = {plain(name): name for name in sorted(known, reverse=True)}
    new = {name: " ".join(unicodedata.normalize("NFC", name).split()) for name in names}
    return {
        name: name if name in known else first.setdefault(plain(name), text)
        for name, text in new.items()
    }


def write_answers(placed: pd.DataFrame, path: Path) -> None:
    """Write what people said of images, from `Store.placed`, to a file that outlives a store."""
    answers = placed[placed["said"] != ""].reset_index()[["file", "group", "said", "digest"]]
    answers = answers.sort_values("file")
    for name in ("file", "group"):
        answers[name] = [plain_cell(text, name) for text in answers[name]]
    with write_whole(path) as part:
        answers.to_csv(part, index=False, encoding="utf-8", lineterminator="\n")


def read_answers(path: Path) -> pd.DataFrame:
    """Read a file that `write_answers` wrote; none is an empty table."""
    if not path.is_file():
        return pd.DataFrame(columns=["file", "group", "said", "digest"])
    answers = read_cells(path)
    if not {"file", "group", "said", "digest"} <= set(answers.columns):
        raise ValueError(f"{path} needs the columns file, group, said and digest")
    for name in ("file", "group"):
        answers[name] = [restored_cell(text, name) for text in answers[name]]
    bad = ~answers["digest"].str.fullmatch("[0-9a-f]{64}") | ~answers["said"].isin(CORRECTED[2:])
    if bad.any():
        line = bad.to_numpy().argmax()
        raise ValueError(f"{path}: line {line + 2} is no answer: {answers.iloc[line].tolist()}")
    return answers


def read_examples(path: str | Path, names: Collection[str]) -> dict[str, str]:
    """Read what some files of a folder show, from the columns file and name of a CSV file."""
    read = read_cells(path)
    if not {"file", "name"} <= set(read.columns):
        raise ValueError(f"{path} needs the columns file and name; it has {', '.join(read)}")
    unknown = sorted(set(read["file"]) - set(names))
    if unknown:
        raise ValueError(
            f"{path}: {len(unknown)} files are not in the folder, such as {unknown[0]!r}; give "
            "paths within the folder, with forward slashes"
        )
    read["name"] = read["name"].map(one_spelling(read["name"]))
    read = read[read["name"] != ""]
    twice = read["file"][read["file"].duplicated()]
    if len(twice):
        raise ValueError(f"{path}: {twice.iloc[0]!r} is there twice")
    return dict(zip(read["file"], read["name"], strict=True))


def names_from_examples(
    table: pd.DataFrame, examples: Mapping[str, str], taken: Collection[str] = ()
) -> tuple[dict[str, str], dict[str, Any]]:
    """Name groups by the vote of examples, and estimate how far the groups can be trusted.

    Only "group 1" and the like get a name, and none of `taken`. Returned with the new names are the
    number of `examples`; how many are `right`: in a group that the others name alike; and their
    share, `accuracy`, with Wilson's 95 % range, `low` to `high`.
    """
    from scipy.stats import binomtest

    inside = table[table["file"].isin(examples.keys()) & (table["group"] != "")]
    shown = list(zip(inside["group"], inside["file"].map(examples), strict=True))
    votes: dict[str, Counter] = {}
    for group, name in shown:
        votes.setdefault(group, Counter())[name] += 1

    def winner(counts: Counter) -> str:
        return min(counts, key=lambda name: (-counts[name], name), default="")

    names: dict[str, str] = {}
    for group in sorted(votes, key=lambda group: -votes[group].total()):
        given = set(names.values())
        names[group] = next(n for n in numbered(winner(votes[group])) if n not in given)
    new = {g: n for g, n in names.items() if re.fullmatch(r"group \d+", g) and n not in taken}
    if not shown:
        return new, {"examples": 0}
    right = sum(winner(votes[group] - Counter([name])) == name for group, name in shown)
    low, high = binomtest(right, len(shown)).proportion_ci(method="wilson")
    share = {"accuracy": right / len(shown), "low": low, "high": high}
    share = {key: round(float(value), 3) for key, value in share.items()}
    return new, {"examples": len(shown), "right": right, **share}


def propagate_corrections(
    z: np.ndarray, groups: Sequence[Any], corrected: np.ndarray, *, seed: int = 0
) -> tuple[list, np.ndarray]:
    """Let all images follow those that a person has put right.

    A linear classifier learns the groups, says them anew, learns these, and so on until they stay.
    An image of which a person said where it belongs counts thirty times and stays there. The images
    nearest to those of a group that a person has just begun join it at first; but that one shows
    several kinds tells nothing of others.

    Parameters
    ----------
    z, corrected : np.ndarray, (n, d) and bool (n,)
        Features, and of which images a person said where they belong.
    groups : sequence of n str or None
        Group of each image as corrected, None for a new image.
    seed : int
        Draws the images to learn from, where there are more than 20,000.

    Returns
    -------
    names, p : list, np.ndarray (n, len(names))
        Of the groups, and their probabilities.

    References
    ----------
    Self-training: Nigam et al. (2000). What it does for the others: results/sorting.json.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import normalize

    from tfl_helpers.clustering import leading_components

    codes, names = pd.factorize(np.array(groups, object), sort=True)
    said, free = codes[corrected], np.flatnonzero(~corrected)
    own, kinds = np.eye(len(names))[said], np.flatnonzero(names != SEVERAL_KINDS)
    if len(kinds) < 2:
        p = np.zeros((len(z), len(names)))
        p[:, kinds if len(kinds) else 0] = 1
        p[corrected] = own
        return list(names), p
    rows = normalize(leading_components(z, random_state=seed, sample=SAMPLED))
    joining = min(JOINING, len(free) // (2 * len(names)))  # of few images not all
    for group in set(said) & set(kinds) - set(codes[free]):
        for row in rows[corrected][said == group]:
            codes[free[np.argsort(-(rows[free] @ row))[:joining]]] = group
    order = np.random.default_rng(seed).permutation(len(z))
    order = order[np.argsort(~corrected[order], kind="stable")]  # corrected ones in any case
    teaches = np.isin(codes, kinds) | (~corrected & (codes >= 0))
    some = order[teaches[order]][:MOST_FITTED]
    for _ in range(MOST_TURNS):  # scikit-learn's SelfTrainingClassifier takes no label back
        linear = LogisticRegression(C=10, max_iter=500)
        linear.fit(rows[some], codes[some], np.where(corrected[some], TRUST, 1))
        p = np.zeros((len(z), len(names)))  # a group may have lost its last image
        p[:, linear.classes_] = linear.predict_proba(rows)
        p[corrected] = own
        before, codes = codes, p.argmax(1)
        if np.mean(before[some] != codes[some]) < 0.001 or len(set(codes[some])) == 1:
            break
    return list(names), p
