"""What a run writes: the table, the page and what it asks, the model."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tfl_helpers.datasets import write_whole
from tfl_helpers.sorting.asking import choose_questions, large_pictures
from tfl_helpers.sorting.corrections import MOST_FITTED, SAMPLED
from tfl_helpers.sorting.gallery import lay_out, write_gallery
from tfl_helpers.sorting.grouping import FEW, Groups
from tfl_helpers.sorting.store import SAID, Store
from tfl_helpers.sorting.table import write_table


def draw_page(
    folder: Path,
    out: Path,
    table: pd.DataFrame,
    looked: pd.DataFrame,
    found: Groups,
    store: Store,
    seed: int,
    progress: bool,
) -> None:
    """Write groups.csv and gallery.html."""
    from tfl_helpers.clustering import leading_components

    write_table(table, out / "groups.csv")
    shown, looks = table[table["group"] != ""], looked[looked["keep"]]
    how = {"title": folder.resolve().name, "progress": progress}
    place, said = shown["place"].to_numpy(), table["group"].where(table["corrected"].isin(SAID), "")
    if len(looks) >= FEW:
        rows = leading_components(found.z, random_state=seed, sample=SAMPLED)
        names, groups = (part[looks.index].to_numpy() for part in (said, table["group"]))
        asked = choose_questions(rows, names, groups, seed=seed)
        how["places"] = lay_out(rows, seed, asked.graph)[place]
        free = store.placed(shown["file"])["free"].eq(True).to_numpy()
        sizes = looks[["file", "width", "height"]].iloc[asked.order].itertuples(index=False)
        how["questions"] = asked.for_page(looks.index.to_numpy(), place, shown.index[free])
        how["large"] = large_pictures(folder, sizes, store.fact("range"))
    write_gallery(out / "gallery.html", table, store.pictures(shown["file"]), **how)


def write_model(out: Path, backbone: Any, found: Groups, seed: int, looks: Any) -> None:
    """Write model.keras: raw RGB images to probabilities of the groups, without this package."""
    from tfl_helpers import selflabel

    if not len(found.z):
        return
    some = np.random.default_rng(seed).permutation(len(found.z))[:MOST_FITTED]
    with write_whole(out / "model.keras") as part:
        z, p = found.z[some], found.p[some]
        selflabel.classifier(backbone, z, p, looks=looks, seed=seed).save(part)
