"""How many people a detector misses, against how many false alarms it gives."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from keras.utils import bounding_boxes
from numpy.typing import ArrayLike

from tfl_helpers.datasets import SealedAnswers
from tfl_helpers.evaluation import unseal
from tfl_helpers.pedestrians.detector import person_boxes


def match_boxes(
    people: Sequence[SealedAnswers | ArrayLike],
    boxes: Sequence[np.ndarray],
    scores: Sequence[np.ndarray],
    *,
    aspect: float | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Match detected boxes with the people in each scene, the surest box first.

    A box is right if it shares at least half (intersection over union) with a person that no surer
    box has taken; of several it takes the one it shares most with: the rule of PASCAL VOC.

    Parameters
    ----------
    people : sequence, one per scene, of SealedAnswers or int arrays (n, 4 or 6)
        `Scene.people`: top, left, bottom, right, and perhaps percent visible and dark.
    boxes, scores : sequences, one per scene, of float arrays (m, 4) and (m,)
        Detected: top, left, bottom, right; the larger the score, the surer.
    aspect : float
        Width by height that the people's boxes are set to first (the field takes 0.41, so that
        swinging arms do not matter; None: their own).

    Returns
    -------
    found, missed : pandas.DataFrame
        A row per box: `scene`, `score`, `right`. A row per person: `scene`, `height` (pixels),
        `visible` and `dark` (-1: not known), `score` of the box that found it (NaN: none did).
    """
    if not len(people) == len(boxes) == len(scores) or not len(people):
        counts = f"{len(people)} scenes, boxes for {len(boxes)}, scores for {len(scores)}"
        raise ValueError(f"{counts}: give one array per scene")
    found, missed = [], []
    for scene, (known, b, s) in enumerate(zip(people, boxes, scores, strict=True)):
        known = unseal(known) if isinstance(known, SealedAnswers) else np.asarray(known)
        known = known if known.size else np.zeros((0, 6), int)
        b, s = np.asarray(b, float).reshape(-1, 4), np.asarray(s, float)
        if len(b) != len(s):
            raise ValueError(f"scene {scene}: {len(b)} boxes and {len(s)} scores")
        wanted = known[:, :4].astype(float)
        wanted = wanted if aspect is None else person_boxes(wanted, filled=1, aspect=aspect)
        shared = np.asarray(bounding_boxes.compute_iou(b, wanted, "yxyx"))
        taken = np.full(len(known), np.nan)
        for row in np.argsort(-s, kind="stable"):
            free = np.where(np.isnan(taken), shared[row], -1.0)
            right = bool(len(free)) and free.max() >= 0.5
            if right:
                taken[free.argmax()] = s[row]
            found.append((scene, s[row], right))
        facts = known[:, 4:6] if known.shape[1] >= 6 else np.full((len(known), 2), -1)
        for person, (visible, dark), score in zip(known, facts, taken, strict=True):
            missed.append((scene, person[2] - person[0], visible, dark, score))
    return (
        pd.DataFrame(found, columns=["scene", "score", "right"]).astype({"right": bool}),
        pd.DataFrame(missed, columns=["scene", "height", "visible", "dark", "score"]),
    )


def miss_rate_curve(found: pd.DataFrame, n_people: int, n_scenes: int) -> pd.DataFrame:
    """Compute the miss rate against false alarms per image, for every threshold.

    A row for no box at all, then one per score of `found`, from `match_boxes`: `threshold` (the
    score), `fppi` (false positives per image), `miss_rate` (share of the people without a box).

    References
    ----------
    Dollar et al. (2012), Pedestrian detection: an evaluation of the state of the art.

    Examples
    --------
    >>> found = pd.DataFrame({"score": [3.0, 2.0], "right": [True, False]})
    >>> miss_rate_curve(found, n_people=2, n_scenes=1).miss_rate.tolist()
    [1.0, 0.5, 0.5]
    """
    if n_people < 1 or n_scenes < 1:
        raise ValueError(f"{n_people} people in {n_scenes} scenes: at least one of each is needed")
    per_score = found.groupby("score").right.agg(["sum", "size"]).sort_index(ascending=False)
    right, boxes = per_score["sum"].cumsum(), per_score["size"].cumsum()
    points = {
        "threshold": [np.inf, *per_score.index],
        "fppi": [0.0, *(boxes - right) / n_scenes],
        "miss_rate": [1.0, *1 - right / n_people],
    }
    return pd.DataFrame(points)


def log_average_miss_rate(curve: pd.DataFrame) -> float:
    """Sum up a `miss_rate_curve` in the field's one number: 0 is perfect, 1 finds nobody.

    The geometric mean of the lowest miss rates reached with no more false positives per image than
    each of nine numbers from 0.01 to 1, evenly spaced on a log scale.

    Examples
    --------
    >>> round(log_average_miss_rate(pd.DataFrame({"fppi": [0, 0.5], "miss_rate": [1, 0.5]})), 2)
    0.86
    """
    places = np.logspace(-2, 0, 9)
    reached = [curve.miss_rate[curve.fppi <= place].min() for place in places]
    return float(np.exp(np.mean(np.log(np.maximum(reached, 1e-10)))))
