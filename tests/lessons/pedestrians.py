"""Typical answers to the exercises of a notebook, and what its text may say unmeasured."""

from types import SimpleNamespace

import keras
import numpy as np

from tfl_helpers import clustering, pedestrians
from tfl_helpers.datasets import SealedAnswers

NOT_MEASURED = [
    "has 0.5 or more with a person",
    "0.41 times as wide as tall",
    "between 0.01 and 1 false positive per image",
    "about 0.95, and HOG about 0.68",
    "is multiplied by 0.5",
    "reaches 0.5 with two",
]


# 07-b: recall of boxes.


def found_by_loop(shared, scores, threshold):
    people = set()
    for box in range(len(scores)):
        if scores[box] > threshold and shared[box].max() >= 0.5:
            people.add(int(shared[box].argmax()))
    return len(people) / shared.shape[1]


def surest_takes_first(shared, scores, threshold):
    free = np.ones(shared.shape[1], bool)
    for box in np.argsort(-scores):
        fits = np.where(free, shared[box], 0)
        if scores[box] > threshold and fits.max() >= 0.5:
            free[fits.argmax()] = False
    return 1 - free.mean()


def counts_boxes(shared, scores, threshold):
    return np.sum(shared[scores > threshold].max(axis=1) >= 0.5) / shared.shape[1]


def cut_off_at_1(shared, scores, threshold):
    return min(counts_boxes(shared, scores, threshold), 1)


def precision(shared, scores, threshold):
    return np.mean(shared[scores > threshold][:-1].max(axis=1) >= 0.5)


def any_touch(shared, scores, threshold):
    return np.mean((shared[scores > threshold] > 0).any(axis=0))


def all_boxes(shared, scores, threshold):
    return np.mean((shared >= 0.5).any(axis=0))


def surer_boxes(shared, scores, threshold):
    return np.mean((shared[scores > 0.5] >= 0.5).any(axis=0))


def more_than_half(shared, scores, threshold):
    return np.mean((shared[scores > threshold] > 0.5).any(axis=0))


def how_many(shared, scores, threshold):
    return (shared[scores > threshold] >= 0.5).any(axis=0).sum()


# 07-c: twelve clumps, of which eight lie in pairs: eight groups mix people and background.

rng = np.random.default_rng(0)
corners = 10 * np.eye(12)[[0, 0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7]]
corners[1:8:2, 8] += 0.9
kinds = np.array([1, 0, 1, 0, 1, 0, 0, 0, 1, 1, 0, 0])


def clumps(n):
    return np.repeat(corners, n, axis=0) + 0.15 * rng.normal(size=(12 * n, 12)), kinds.repeat(n)


(z, _), (z_test, answers) = clumps(30), clumps(20)
inputs = keras.Input((12,))
backbone = keras.Model(inputs, keras.layers.Identity()(inputs))
order = [0, 1, 3, 2, 4, 5, 6, 7, 8, 9, 10, 11]  # of a tie the first name counts
looked = z[30 * np.array(order)]
says = [("background", "person")[kinds[clump]] for clump in order]


def measured(n_groups):
    model = clustering.NeighbourClustering(n_groups, random_state=0).fit(z)
    names = pedestrians.name_groups(model, z, looked, says)
    wanted = [names[group] == "person" for group in model.labels_]
    head = pedestrians.classifier(backbone, z, wanted).get_layer("log_odds")
    called = head(z_test).numpy()[:, 0] > 0
    return np.mean(answers[called] == 1), np.mean(called[answers == 1])


(PRECISION, RECALL), (_, RECALL_OF_TWELVE) = measured(8), measured(12)


# 07-d: non-maximum suppression.


def nms_by_striking(scores, overlap, most):
    left, kept = list(range(len(scores))), []
    while left:
        best = max(left, key=lambda i: scores[i])
        kept.append(best)
        left = [i for i in left if i != best and overlap[best, i] <= most]
    return kept


def nms_by_mask(scores, overlap, most):
    gone, kept = np.zeros(len(scores), bool), []
    for box in np.argsort(scores)[::-1]:
        if not gone[box]:
            kept.append(box)
            gone |= overlap[box] > most
    return np.array(kept)


def by_any_surer(scores, overlap, most):
    order = np.argsort(-scores)
    return [int(b) for i, b in enumerate(order) if all(overlap[b, o] <= most for o in order[:i])]


def least_sure_first(scores, overlap, most):
    return nms_by_striking(-scores, overlap, most)


def in_place_order(scores, overlap, most):
    return sorted(nms_by_striking(scores, overlap, most), reverse=True)


def at_least(scores, overlap, most):
    return nms_by_striking(scores, overlap, most - 1e-9)


def fixed(scores, overlap, most):
    return nms_by_striking(scores, overlap, 0.4)


def yes_or_no(scores, overlap, most):
    return np.isin(np.arange(len(scores)), nms_by_striking(scores, overlap, most))


def the_scores(scores, overlap, most):
    return scores[nms_by_striking(scores, overlap, most)]


# 07-e: an alarm budget.


def budget_by_sorting(scores, windows, alarms):
    return np.sort(scores)[::-1][round(len(scores) * alarms / windows)]


def budget_per_picture(scores, windows, alarms):
    return float(np.percentile(scores, 100 - 100 * alarms / windows))


def ignores_windows(scores, windows, alarms):
    return np.sort(scores)[-alarms - 1]


def share_of_scores(scores, windows, alarms):
    return np.quantile(scores, 1 - alarms / len(scores))


EXERCISES = {
    "07-a": {"answers": {"missed", "alarms", "both", "neither"}},
    "07-b": {
        "right": [found_by_loop, surest_takes_first],
        "wrong": [
            (counts_boxes, "three boxes around one person"),
            (cut_off_at_1, "only hides it"),
            (any_touch, "by which box"),
            (all_boxes, "by which box"),
            (surer_boxes, "does not look at it"),
            (more_than_half, "enough to count"),
            (how_many, "what share of all people"),
            (lambda *given: -1, "cannot be below 0"),
            (lambda shared, scores, threshold: shared.max(axis=0), "should have shape"),
        ],
    },
    "07-c": {
        "right": [(RECALL, "b"), (round(RECALL, 2), "b")],
        "wrong": [
            ((RECALL_OF_TWELVE, "b"), "with twelve groups"),
            ((PRECISION, "b"), "that is precision"),
            ((RECALL, "a"), "how many did it learn from"),
            ((RECALL, "c"), "the threshold is 0 both times"),
            ((100 * RECALL, "b"), "a share"),
            ((0.2, "b"), "another recall"),
            ((RECALL, "d"), "one of the letters"),
            (RECALL, "a recall and a letter"),
        ],
        "context": (
            backbone,
            z,
            z,
            z_test,
            SimpleNamespace(answers=SealedAnswers(answers)),
            looked,
            says,
            0,
        ),
    },
    "07-d": {
        "right": [nms_by_striking, nms_by_mask],
        "wrong": [
            (by_any_surer, "can't remove"),
            (lambda scores, overlap, most: np.argsort(-scores), "should it"),
            (lambda scores, overlap, most: [int(scores.argmax())], "however unsure"),
            (least_sure_first, "begin with it"),
            (in_place_order, "the surest first"),
            (at_least, "exactly so much"),
            (fixed, "with a larger `most`"),
            (yes_or_no, "yes or no for each box"),
            (the_scores, "no positions"),
        ],
    },
    "07-e": {
        "right": [budget_by_sorting, budget_per_picture],
        "wrong": [
            (ignores_windows, "where do you use `windows`"),
            (share_of_scores, "where do you use `windows`"),
            (lambda s, w, a: np.quantile(s, a / w), "which end"),
            (lambda s, w, a: 1 - a / w, "a share of windows"),
            (lambda s, w, a: s[-round(len(s) * a / w)], "in no order"),
            (lambda s, w, a: np.quantile(s, 0.99), "are above yours"),
            (lambda s, w, a: s.mean() + 2 * s.std(), "are above yours"),
            (lambda s, w, a: s[s > np.quantile(s, 1 - a / w)], "should have shape"),
        ],
    },
}
