"""Exercises of notebook 07."""

from collections.abc import Callable

import numpy as np

from tfl_helpers.lessons.exercises.checks import checker, expect, expect_close, expect_shape


@checker("07-a", "half of it is the field's line between found and missed.")
def _intersection_over_union(answer: Callable) -> None:
    hint = "shared area by the area that at least one covers: both areas minus the shared one"
    expect_close(answer((0, 0, 10, 10), (0, 0, 10, 10)), 1, "a box shares all with itself: 1")
    expect_close(answer((0, 0, 4, 4), (6, 6, 9, 9)), 0, "boxes apart share nothing: clip at 0")
    expect_close(answer((0, 0, 4, 4), (6, 0, 9, 4)), 0, "apart in one direction is apart: 0")
    expect_close(answer((0, 0, 10, 10), (5, 0, 15, 20)), 50 / 250, hint)


@checker("07-b", "the higher the threshold, the fewer false alarms, and the more people missed.")
def _precision_and_recall(answer: Callable) -> None:
    scores = np.array([2.0, 1.0, -1.0, 0.5, -2.0])
    person = np.array([True, False, True, True, False])
    got = answer(scores, person, 0.0)
    expect(isinstance(got, tuple) and len(got) == 2, "return two numbers: precision, recall")
    expect_close(got[0], 2 / 3, "precision: of those called a person, the share that are")
    expect_close(got[1], 2 / 3, "recall: of the people, the share that were called so")
    expect_close(answer(scores, person, 1.5), (1, 1 / 3), "count scores above the threshold only")


@checker("07-c", "the surest box speaks for those around it; far ones stay.")
def _non_maximum_suppression(answer: Callable) -> None:
    overlap = np.array([[1, 0.6, 0, 0.2], [0.6, 1, 0.5, 0], [0, 0.5, 1, 0], [0.2, 0, 0, 1]])
    got = list(answer(np.array([0.7, 0.9, 0.8, 0.1]), overlap, 0.4))
    expect(1 in got, "the surest box of all is always kept")
    expect(not {0, 2} & set(got), "a box that overlaps a kept, surer one by more than `most` goes")
    expect(3 in got, "a box that overlaps no kept one stays, however unsure")
    got = list(answer(np.array([0.9, 0.8, 0.7, 0.1]), overlap, 0.4))
    expect(got == [0, 2, 3], "box 1 went, so it can't remove box 2; list them from the surest")


@checker("07-d", "a promise about false alarms, kept without one label.")
def _alarm_budget(answer: Callable) -> None:
    scores = np.arange(1000)[::-1] / 10
    hint = "sort the background's scores: so many of all windows may lie above the threshold"
    for windows, alarms in ((1000, 10), (500, 1)):
        got = answer(scores, windows, alarms)
        expect_shape(got, (), "the threshold")
        expect(abs(np.mean(scores > got) * windows - alarms) < 1, hint)
