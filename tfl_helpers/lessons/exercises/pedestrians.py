"""Exercises of notebook 07."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tfl_helpers import clustering, evaluation, pedestrians
from tfl_helpers.lessons.exercises.bets import question
from tfl_helpers.lessons.exercises.checks import checker, expect, expect_shape, is_close

question(
    "07-a",
    {
        "missed": "you expect that people vanish in the dark; here they stood out as before: what "
        "did this backbone learn from?",
        "alarms": "you expect that shadows look like people; but weak edges look like nothing to a "
        "network that learned from strokes: which side does a crop fall to that shows it nothing?",
        "both": "you expect a muddle in both directions; but a dark crop has weaker edges, people "
        "and background alike: do they not all move the same way?",
        "neither": "you expect that only shapes count, as for an eye that gets used to the dark; "
        "but pixels are multiplied inside a network, and nobody told it to get used to anything.",
    },
    "with weak edges the scores fall, and what falls below the threshold is silently background.",
)


@checker("07-b", "people are counted, and each once, however many boxes stand around somebody.")
def _recall_of_boxes(answer: Callable) -> None:
    shared = np.zeros((7, 4))
    shared[[0, 1, 2], 0] = 0.9, 0.7, 0.6  # three boxes for one person
    shared[3, 1] = 0.4  # beside somebody
    shared[4, 2] = 0.8
    shared[5, 3] = 0.9  # right, but unsure
    scores = np.array([2.0, 1.5, 1.2, 1.0, 0.9, -1.0, 0.3])
    got = answer(shared.copy(), scores.copy(), 0.5)
    expect_shape(got, (), "recall")
    expect(got >= 0, "recall is a share: it cannot be below 0")
    expect(not is_close(got, 2), "two are found: what share of all people is that?")
    expect(not is_close(got, 4 / 5), "that is how many boxes are right (precision): who is found?")
    expect(not is_close(got, 2 / 5), "found people by boxes: recall asks about all people")
    hint = "three boxes around one person are counted as three people, as before"
    expect(not is_close(got, 4 / 4), f"{hint}; cutting a share off at 1 only hides it")
    expect(not is_close(got, 5 / 4), hint)
    expect(not is_close(got, 3 / 4), "somebody counts as found who should not: by which box?")
    expect(not is_close(got, 1 / 2) or is_close(answer(shared, scores, -2.0), 3 / 4), _UNSURE)
    expect(
        is_close(got, 1 / 2), "look at each person: is there a box that is sure enough and fits?"
    )
    nobody = answer(shared, scores, 9.0)
    expect(is_close(nobody, 0), "no box is above this threshold: then nobody is found")
    both = np.array([[0.5, 0.1]])
    expect(is_close(answer(both, np.ones(1), 0.0), 1 / 2), "0.5 is enough to count as found")


_UNSURE = "with a lower threshold one more person is found: yours does not look at it"


@checker("07-c", "a name is given to the whole group: what is mixed in comes along, on both sides.")
def _eight_groups(
    answer: tuple,
    backbone: keras.Model,
    z: np.ndarray,
    raw: np.ndarray,
    raw_test: np.ndarray,
    test: Any,
    z_seen: np.ndarray,
    words: Sequence[str],
    seed: int,
) -> None:
    expect(len(words), "the authors did not look at these images; try it with the drawn streets")
    expect(isinstance(answer, tuple) and len(answer) == 2, "give a recall and a letter")
    value, why = answer
    person = evaluation.unseal(test.answers) == 1

    def measure(n_groups: int) -> tuple[float, float]:
        model = clustering.NeighbourClustering(n_groups, random_state=seed).fit(z)
        names = pedestrians.name_groups(model, z, z_seen, words)
        wanted = [names[group] == "person" for group in model.labels_]
        head = pedestrians.classifier(backbone, raw, wanted).get_layer("log_odds")
        called = head(raw_test).numpy()[:, 0] > 0
        return np.mean(person[called]), np.mean(called[person])

    expect(0 <= value <= 1, "recall is a share, from 0 to 1")
    (precision, recall), (_, before) = measure(8), measure(12)
    far = abs(value - recall) > 0.01
    expect(not far or abs(value - precision) > 0.002, "that is precision: who was asked about?")
    hint = "that is recall with twelve groups: were the jump-in cell and both sections run again?"
    expect(not far or abs(value - before) > 0.002, hint)
    hint = "another recall comes out; is `mine` empty, and the seed the one of the settings?"
    expect(not far, hint)
    expect(why in ("a", "b", "c"), "say why with one of the letters a, b, c")
    expect(why != "a", "the same crops are there, in fewer groups: how many did it learn from?")
    expect(why != "c", "the threshold is 0 both times; what is it that was named differently?")


@checker("07-d", "the surest box speaks for those around it; far ones stay.")
def _non_maximum_suppression(answer: Callable) -> None:
    overlap = np.array([[1, 0.6, 0, 0.2], [0.6, 1, 0.5, 0], [0, 0.5, 1, 0], [0.2, 0, 0, 1]])
    scores = np.array([0.7, 0.9, 0.8, 0.1])
    got = answer(scores.copy(), overlap.copy(), 0.4)
    expect(np.ndim(got) == 1, "give back a list of positions, one for each box that is kept")
    mask = np.asarray(got).dtype == bool or (len(got) == 4 and set(got) <= {0, 1})
    expect(not mask, "this says yes or no for each box: give the positions of those that stay")
    got = list(got)
    expect(set(got) <= {0, 1, 2, 3}, "these are no positions: boxes are numbered from 0")
    expect(1 in got, "the surest box of all is always kept: do you begin with it?")
    hint = "a box stays that overlaps a kept, surer one by more than `most`: should it?"
    expect(not {0, 2} & set(got), hint)
    expect(3 in got, "a box that overlaps no kept one stays, however unsure")
    expect(got == [1, 3], "each box is kept once, the surest first")
    got = list(answer(np.array([0.9, 0.8, 0.7, 0.1]), overlap, 0.4))
    expect(2 in got, "box 1 went because of box 0, so it can't remove box 2: who may remove?")
    expect(got == [0, 2, 3], "each box is kept once, the surest first")
    hint = "with a larger `most` more boxes stay, also those that overlap by exactly so much"
    expect(sorted(answer(scores, overlap, 0.5)) == [1, 2, 3], hint)


@checker("07-e", "a promise about false alarms, kept without one label.")
def _alarm_budget(answer: Callable) -> None:
    scores = np.random.default_rng(0).permutation(4000) / 10  # of many pictures, in no order
    for windows, alarms in ((500, 5), (1000, 2), (200, 8)):
        got = answer(scores.copy(), windows, alarms)
        expect_shape(got, (), "the threshold")
        above, wanted = np.sum(scores > got), alarms / windows * len(scores)
        hint = "that is a share of windows; asked is the score that so many are above"
        expect(
            not is_close(got, alarms / windows) and not is_close(got, 1 - alarms / windows), hint
        )
        hint = "so many alarms in all these scores together: they are of many pictures, and the "
        expect(abs(above - alarms) > 1, hint + "budget is for one: where do you use `windows`?")
        hint = "that many stay below, and all the others give an alarm: which end is background's?"
        expect(abs(len(scores) - above - wanted) > 1.5, hint)
        hint = "the windows come in no order: so many of the first or last say nothing about all"
        ends = (int(wanted), int(alarms)), (-int(wanted), -int(alarms))
        expect(got not in scores[list(sum(ends, ()))] or abs(above - wanted) < 2, hint)
        hint = f"with {alarms} alarms for {windows} windows, {wanted:.0f} of these {len(scores)} "
        expect(abs(above - wanted) < 2, hint + f"scores may be above; {above} are above yours")
