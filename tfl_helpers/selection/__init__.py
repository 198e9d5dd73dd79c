"""Choose without labels, and keep every result. Nothing here takes answers.

`number` says how many groups there may be; `balance` whether of equal size; `search` ranks
representations and methods; `record` keeps a table of all runs.
"""

from tfl_helpers.selection.balance import balance_evidence
from tfl_helpers.selection.number import GroupNumber, estimate_n_clusters
from tfl_helpers.selection.record import read_record, record
from tfl_helpers.selection.search import judged_by_others, search, seeded
