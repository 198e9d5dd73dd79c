"""The table and the page of a run: what they show, and what the page asks."""

from pathlib import Path

import pandas as pd

from tfl_helpers.sorting.asking import choose_questions, large_pictures
from tfl_helpers.sorting.corrections import SAMPLED
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
        free = store.placed()["free"].reindex(shown["file"].map(store.digests())).eq(True)
        sizes = looks[["file", "width", "height"]].iloc[asked.order].itertuples(index=False)
        how["questions"] = asked.for_page(looks.index.to_numpy(), place, shown.index[free])
        how["large"] = large_pictures(folder, sizes, store.fact("range"))
    write_gallery(out / "gallery.html", table, store.pictures(shown["file"]), **how)
