"""Groups without labels, from features.

- `graph`: nearest neighbours, their graph, its spectrum, random walks on it
- `assignment`: balanced assignment of images to groups, matching of group numbers, votes
- `scores`: how well groups fit together, without labels
- `neighbours`: `NeighbourClustering`, which puts these parts together
- `view_head`: a network trained on pairs of changed copies
"""

from tfl_helpers.clustering.assignment import (
    BALANCES,
    balanced_kmeans,
    consensus,
    match,
    sinkhorn,
)
from tfl_helpers.clustering.graph import (
    Spectrum,
    leading_components,
    nearest,
    neighbour_graph,
    spectral_embedding,
    spectrum,
    walk_length,
    walk_spectrum,
)
from tfl_helpers.clustering.neighbours import NeighbourClustering
from tfl_helpers.clustering.scores import NOT_GROUPED, agreement, neighbour_agreement, stability
from tfl_helpers.clustering.view_head import view_head

__all__ = [
    "BALANCES",
    "NOT_GROUPED",
    "NeighbourClustering",
    "Spectrum",
    "agreement",
    "balanced_kmeans",
    "consensus",
    "leading_components",
    "match",
    "nearest",
    "neighbour_agreement",
    "neighbour_graph",
    "sinkhorn",
    "spectral_embedding",
    "spectrum",
    "stability",
    "view_head",
    "walk_length",
    "walk_spectrum",
]


# transition
def __getattr__(name):  # noqa: D103
    if name in ("estimate_n_clusters", "balance_evidence"):
        from tfl_helpers import selection

        return getattr(selection, name)
    raise AttributeError(name)
