"""Find groups: how many, which image is in which and how doubtful, and what they are called."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning

from tfl_helpers.sorting.corrections import MOST_FITTED, SAMPLED, propagate_corrections
from tfl_helpers.sorting.following import follow
from tfl_helpers.sorting.store import Rows, Store
from tfl_helpers.sorting.table import numbered

AT_ONCE = 10_000  # rows that are predicted at a time: a copy of all would cost much memory
FEW, GROWN = 20, 2  # images with which a number can be guessed; times as many ask for a new guess
EACH = 60  # images a group, of which fewer say nothing of how its size should be drawn
MOSTLY, SEVERAL = 0.5, 5  # share of known images in the same folder; far ones that make a group


def _neighbours(n_groups: int, seed: int) -> Any:
    from tfl_helpers.clustering import NeighbourClustering

    return NeighbourClustering(n_groups, random_state=seed)


# Any that follows scikit-learn's conventions may be added, see `cluster`.
CLUSTERERS: dict[str, Callable[[int, int], Any]] = {"neighbours": _neighbours}


@dataclass(frozen=True)
class Settings:
    """What a run was asked for, see `sort_folder`."""

    backbone: str
    groups: int | str | None
    clusterer: str
    seed: int
    arrange: str | None
    near_duplicates: str
    balance: str = "auto"
    views: Sequence[Sequence[str]] = ()  # names of what is computed, by part of backbone
    export: Sequence[str] = ()
    sample: int = MOST_FITTED


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of the images that were used."""

    z: np.ndarray | Rows  # float32 (n, d), rows of length one
    p: np.ndarray  # (n, k) probabilities
    doubt: np.ndarray  # (n,) share of the images that are no more doubtful
    names: list[str]  # of the k groups, in the order of the columns of p
    suggestion: dict[str, Any] | None = None  # from `suggest_number`
    is_new: bool = True  # not those of corrections
    guessed: int | None = None  # images that their number was guessed with; 0: too few for that
    scores: dict[str, float] = field(default_factory=dict)
    estimate: dict[str, Any] | None = None  # from `names_from_examples`
    balance: str | None = None  # of a clusterer that has one

    @property
    def labels(self) -> np.ndarray:
        """Number of each image's group (n,)."""
        return self.p.argmax(1)

    @property
    def unsure(self) -> np.ndarray:
        """Whether each image is among the most doubtful, a tenth or a fifth: bool (n,)."""
        from tfl_helpers.clustering import CLEAR, share_flagged

        return self.doubt > 1 - share_flagged(self.p.max(axis=1, initial=0) < CLEAR)


def find_groups(store: Store, used: list[str], settings: Settings, copies: int = 0) -> Groups:
    """Find groups of images, or let those follow that a person has corrected.

    The number of `copies` that were left out is for a message alone.
    """
    if not used:
        return Groups(np.zeros((0, 1), "float32"), np.zeros((0, 1)), np.zeros(0), [])
    z = store.unit_features(settings.views, used)
    k, seed, suggestion = settings.groups, settings.seed, store.fact("suggestion")
    guessed = store.fact("guessed") if k is None else None
    before = store.placed(used)
    corrected, known = store.fact("corrected"), before["group"].notna().to_numpy()
    said = ~before["said"].isin(("",)).to_numpy() & known
    if corrected and known.mean() >= MOSTLY:
        if k is not None and k != store.fact("groups"):
            raise ValueError(
                f"groups={k} cannot apply: the {store.fact('groups')} groups were corrected, and "
                "are what was said. Leave it out, or choose a new folder for the results"
            )
        names, p = _led(z, before, before["group"].where(known, None).to_numpy(), seed)
        doubt = np.where(far := far_from(z, known), 1, rank_by_doubt(z, p.argmax(1), seed))
        p, names = with_new_group(p, far, (~known).sum(), names)
        return Groups(z, p, doubt, names, suggestion, is_new=False)
    other = known.any() and known.mean() < MOSTLY  # another folder, or one that has grown much
    grown = guessed is not None and (len(z) >= GROWN * guessed or other)
    k = k or (None if grown or corrected else store.fact("groups"))
    k = k or (suggestion or {}).get("asked", "auto")  # as before
    if k in ("auto", "kinds"):
        different = z[drawn(len(z), seed)[0]].var(axis=0).sum() > 1e-12
        guessed = len(z) if len(z) >= FEW and different else 0
        suggestion = suggest_number(z, seed) | {"asked": k} if guessed else None
        k = suggestion["shown" if k == "auto" else "kinds"] if guessed else 1
    if k > (most := min(len(z), settings.sample)):
        raise ValueError(
            f"{k} groups are wanted of {most:,} images: ask for fewer"
            + (", or for a larger sample" if most < len(z) else "")
            + (f" ({copies:,} more are copies)" if copies else "")
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # groups that stay empty are seen
        clusterer = CLUSTERERS[settings.clusterer](k, seed)
        if hasattr(clusterer, "balance"):
            small = suggestion is not None and suggestion.get("kinds", k) < k
            clusterer.set_params(balance=choose_balance(z, k, small, settings))
        fitted, p, doubt = cluster(clusterer, z, seed, settings.sample)
    steady = getattr(fitted, "stability_", None)
    scores = {} if steady is None else {"stability": round(steady, 3)}
    names = kept_names(p, before["group"].where(known, None))
    if said.any():  # what was said holds here, too
        groups = np.where(said, before["group"], np.array(names, object)[p.argmax(1)])
        names, p = _led(z, before, groups, seed)
        doubt = rank_by_doubt(z, p.argmax(1), seed)
    balance = getattr(fitted, "balance", None)
    return Groups(z, p, doubt, names, suggestion, True, guessed, scores, balance=balance)


def _led(
    z: np.ndarray, before: pd.DataFrame, groups: np.ndarray, seed: int
) -> tuple[list, np.ndarray]:
    """Let images follow what people said of others; return names of groups and probabilities.

    `before` is `Store.placed` of each image, `groups` (n,) their groups, None for a new one. Where
    names were given to some of a group, the others follow these; elsewhere those moved.
    """
    from tfl_helpers.clustering import leading_components

    said = ~before["said"].isin(("",)).to_numpy() & before["group"].notna().to_numpy()
    free = before["free"].eq(True).to_numpy() & ~said
    if not free.any():
        return propagate_corrections(z, groups, said, seed=seed)
    if before["said"].eq("moved").any():  # that one is right where it is moves no other
        names, p = propagate_corrections(z, groups, said, seed=seed)
        stay = free | said | (groups == None)  # noqa: E711  of each element
        groups = np.where(stay, groups, np.array(names, object)[p.argmax(1)])
    rows = leading_components(z, random_state=seed, sample=SAMPLED)
    return follow(rows, groups, said, free, seed=seed)


def far_from(z: np.ndarray, known: np.ndarray, usual: float = 0.99) -> np.ndarray:
    """Say which rows of z (n, d) are farther from the `known` ones than these from one another.

    That is: their mean distance from the nearest five, seen from the mean, is above 99 % of theirs,
    or what is `usual`.
    The leading components would not do: in what is new may be what the known ones lack.
    """
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import normalize

    far = np.zeros(len(z), bool)
    if known.all():
        return far
    centre, some = z[known].mean(axis=0), np.flatnonzero(known)[:MOST_FITTED]
    search = NearestNeighbors(n_neighbors=min(5, len(some) - 1)).fit(normalize(z[some] - centre))
    most = np.quantile(search.kneighbors()[0].mean(axis=1), usual)
    for rows in np.array_split(np.flatnonzero(~known), -(-(~known).sum() // AT_ONCE)):
        far[rows] = search.kneighbors(normalize(z[rows] - centre))[0].mean(axis=1) > most
    return far


def with_new_group(
    p: np.ndarray, far: np.ndarray, new: int, names: list[str]
) -> tuple[np.ndarray, list[str]]:
    """Offer a group of their own to images far from all groups, if they are several of the new."""
    if far.sum() < max(SEVERAL, 0.03 * new):  # one in a hundred is far by chance
        return p, names
    p = np.column_stack([np.where(far[:, None], 0.49 * p, p), np.where(far, 0.51, 0)])
    return p, [*names, next(name for name in numbered("new") if name not in names)]


def cluster(
    clusterer: Any, z: np.ndarray, seed: int = 0, sample: int = MOST_FITTED
) -> tuple[Any, np.ndarray, np.ndarray]:
    """Fit a clusterer to a sample of features (n, d), and ask it for all that it can say of them.

    It needs `fit` and `labels_`, of which -1 is none. Without `predict_proba` the 15 nearest images
    vote; without `doubt` the groups are ranked as any (`clustering.Doubt`), -1 first. Returned are
    the clusterer, probabilities (n, k), large groups first, and doubt (n,).
    """
    from sklearn.neighbors import KNeighborsClassifier

    some, rest = drawn(len(z), seed, sample)
    labels = clusterer.fit(z[some]).labels_
    inside = labels >= 0 if (labels >= 0).any() else labels == -1  # if there is none, all are one
    votes = clusterer
    if not hasattr(clusterer, "predict_proba"):
        votes = KNeighborsClassifier(min(15, inside.sum())).fit(z[some][inside], labels[inside])

    parts = [slice(i, i + AT_ONCE) for i in range(0, len(z), AT_ONCE)]
    p = np.empty((len(z), votes.predict_proba(z[:1]).shape[1]), "float32")
    for part in parts:  # in place: of a million images and 100 groups these are 0.4 GB
        p[part] = votes.predict_proba(z[part])
    # Neighbours vote small groups away: what was found holds
    own = np.searchsorted(getattr(votes, "classes_", np.arange(p.shape[1])), labels)
    lost = inside & (p[some].argmax(axis=1) != own)
    p[some[lost]] = 0.49 * p[some[lost]] + 0.51 * np.eye(p.shape[1])[own[lost]]
    if hasattr(clusterer, "doubt"):
        doubt = np.zeros(len(z))
        doubt[some] = clusterer.doubt_
        for rows in rest:
            doubt[rows] = clusterer.doubt(z[rows])
    else:
        doubt = rank_by_doubt(z, p.argmax(1), seed)
        doubt[some[labels < 0]] = 1
    large_first = np.argsort(-np.bincount(p.argmax(1), minlength=p.shape[1]), kind="stable")
    for part in parts:
        p[part] = p[part][:, large_first]
    return clusterer, p, doubt


def drawn(n: int, seed: int, sample: int = MOST_FITTED) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draw the rows to learn from, a sample of n; the others come in parts."""
    order = np.random.default_rng(seed).permutation(n)
    rest = np.sort(order[sample:])
    parts = [rest[i : i + AT_ONCE] for i in range(0, len(rest), AT_ONCE)]
    return np.sort(order[:sample]), parts


def rank_by_doubt(z: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """Rank images with features z (n, d) by how likely their group (n,) is wrong: float (n,)."""
    from sklearn.preprocessing import normalize

    from tfl_helpers.clustering import Doubt, leading_components

    rows = normalize(leading_components(z, random_state=seed, sample=SAMPLED))
    (some, rest), doubt = drawn(len(z), seed), np.zeros(len(z))
    ranking = Doubt(rows[some], groups[some], random_state=seed)
    doubt[some] = ranking.known_
    for part in rest:
        doubt[part] = ranking.of(rows[part], groups[part])
    return doubt


def choose_balance(z: np.ndarray, k: int, small: bool, settings: Settings) -> str:
    """Say how the sizes of k groups are drawn: as asked for, else as a probe finds best.

    Of `small` groups, parts of kinds, no size is known that they should have; nor can it be probed
    where the images that are looked at are few for so many groups.
    """
    from tfl_helpers.selection.balance import MOST, balance_evidence

    if settings.balance != "auto":
        return settings.balance
    if small or not 2 <= k <= min(len(z), MOST) // EACH:
        return "relaxed"
    return str(balance_evidence(z, k, random_state=settings.seed).index[0])


def suggest_number(z: np.ndarray, seed: int) -> dict[str, Any]:
    """Estimate how many `kinds` there are, from `low` to `high`, what each of the `rules` says.

    And how many groups are `shown`: the root of kinds times the root of images. A mixed group has
    to be taken apart image by image, and two of one kind are joined by a name: of the numbers that
    were tried it takes the fewest clicks (results/groups.json).
    """
    from tfl_helpers.selection import estimate_n_clusters

    found = estimate_n_clusters(z, random_state=seed)
    kinds = found.suggestion
    shown = max(kinds, round(np.sqrt(kinds * np.sqrt(len(z)))))
    ends = {"low": found.low, "high": found.high, "rules": found.preferred}
    return {"kinds": kinds, "shown": shown, **ends}


def kept_names(p: np.ndarray, earlier: Sequence[str | None]) -> list[str]:
    """Name groups as an earlier run did where they share most images, else by number."""
    from tfl_helpers.clustering import match

    labels, k = p.argmax(1), p.shape[1]
    codes, known = pd.factorize(np.array(earlier, object))
    shared = np.zeros((k, len(known)), int)
    np.add.at(shared, (labels[codes >= 0], codes[codes >= 0]), 1)
    free = (f"group {i}" for i in range(1, 2 * k + len(known) + 1) if f"group {i}" not in known)
    return [
        known[name] if name >= 0 and shared[group, name] else next(free)
        for group, name in enumerate(match(shared, spare=-1))
    ]
