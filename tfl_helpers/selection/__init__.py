"""Choose without labels, and keep every result. Nothing here takes answers.

- `number`: how many groups there may be, and of which sizes
- `search`: rank representations and methods
- `record`: a table of all runs
"""

from tfl_helpers.selection.number import GroupNumber, balance_evidence, estimate_n_clusters
from tfl_helpers.selection.record import read_record, record
from tfl_helpers.selection.search import judged_by_others, search, seeded

__all__ = [
    "GroupNumber",
    "balance_evidence",
    "estimate_n_clusters",
    "judged_by_others",
    "read_record",
    "record",
    "search",
    "seeded",
]
