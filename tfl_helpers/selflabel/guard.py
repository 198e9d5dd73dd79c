"""The guard: whether a round made the groups worse, judged without answers."""

from typing import Any

import numpy as np
from scipy.stats import ttest_rel

from tfl_helpers.clustering import agreement, neighbour_agreement


class Guard:
    """Compares groups with those at the start, and with neighbours that training cannot change.

    These are `labels` (n,); rows of each image's `neighbours` (n, m) in the reference features;
    `anchors`, bool (n,), are images whose groups should not change.
    """

    least_size = 0.1  # a group that shrinks below this share of its first size has vanished
    least_anchored = 0.98  # share of the anchors that must keep their group
    most_fall = 2.0  # standard errors: a smaller fall of the score may be chance

    def __init__(self, labels: np.ndarray, neighbours: np.ndarray, anchors: np.ndarray) -> None:
        self.first, self.neighbours, self.anchors = labels, neighbours, anchors

    def measure(self, labels: np.ndarray, near: np.ndarray) -> dict[str, Any]:
        """Measure groups (n,); `near` (n, m) are neighbours in the features that made them."""
        sizes = np.bincount(labels, minlength=self.first.max() + 1).tolist()
        return {
            "agreement": agreement(labels, near),
            "score": agreement(labels, self.neighbours),
            "anchored": float(np.mean((labels == self.first)[self.anchors])),
            "smallest": min(sizes),
            "largest": max(sizes),
            "sizes": sizes,
        }

    def trouble(self, labels: np.ndarray, accepted: np.ndarray) -> str:
        """Say why groups (n,) are worse than those accepted last; "" if they are not."""
        first = np.bincount(self.first)
        sizes = np.bincount(labels, minlength=len(first))
        if len(lost := np.flatnonzero(sizes < self.least_size * first)):
            return "vanished: " + ", ".join(f"group {group}" for group in lost)
        left = np.mean((labels != self.first)[self.anchors])
        if 1 - left < self.least_anchored:
            return f"{left:.0%} of the anchors left their group"
        before, now = (neighbour_agreement(x, self.neighbours) for x in (accepted, labels))
        fall = ttest_rel(before, now).statistic  # image by image; nan where none changed
        return f"the score fell by {fall:.1f} standard errors" if fall > self.most_fall else ""
