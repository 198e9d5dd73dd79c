"""Groups without labels, from features.

`graph` has nearest neighbours, their graph and random walks on it; `assignment` says which image
goes to which group; `scores` how well groups fit together; `doubt` which images may be in a wrong
one. `neighbours` puts these together in `NeighbourClustering`. `pair_heads` trains a network on
pairs of changed copies. `naming` spreads a few names over the graph.
"""

from tfl_helpers.clustering.assignment import (
    BALANCES,
    balanced_kmeans,
    consensus,
    group_places,
    linked,
    match,
    sinkhorn,
)
from tfl_helpers.clustering.doubt import CLEAR, Doubt, share_flagged
from tfl_helpers.clustering.graph import (
    Spectrum,
    leading_components,
    nearest,
    neighbour_graph,
    spectral_embedding,
    spectrum,
    walk_length,
    walk_places,
    walk_spectrum,
)
from tfl_helpers.clustering.naming import learn_names, questions, spread_names
from tfl_helpers.clustering.neighbours import NeighbourClustering
from tfl_helpers.clustering.pair_heads import view_head
from tfl_helpers.clustering.scores import NOT_GROUPED, agreement, neighbour_agreement, stability
