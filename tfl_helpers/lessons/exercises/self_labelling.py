"""Exercises of notebook 05."""

from collections.abc import Callable

import numpy as np

from tfl_helpers.lessons.exercises.checks import checker, expect_close


@checker("05-a", "doubtful labels stand alone among their neighbours, and no answer is needed.")
def _neighbour_agreement(answer: Callable) -> None:
    labels, near = np.array([0, 0, 1, 1]), np.array([[1, 2], [0, 2], [3, 0], [2, 2]])
    hint = "compare the neighbours' labels with the image's own: labels[near] == labels[:, None]"
    expect_close(answer(labels, near), [0.5, 0.5, 0.5, 1.0], hint)


@checker("05-b", "a slow teacher forgets the student's last whims.")
def _moving_average(answer: Callable) -> None:
    teacher, student = [np.ones((2, 2)), np.zeros(3)], [np.zeros((2, 2)), np.ones(3)]
    got = list(answer(teacher, student, 0.9))
    expect_close(got[0], np.full((2, 2), 0.9), "keep the share `momentum` of the teacher")
    expect_close(got[1], np.full(3, 0.1), "add the share 1 - momentum of the student")


@checker("05-c", "sure and right costs nothing, sure and wrong costs much.")
def _cross_entropy(answer: Callable) -> None:
    labels, p = np.array([0, 1, 1]), np.array([[0.5, 0.5], [0.1, 0.9], [0.8, 0.2]])
    hint = "take each row's probability of its own label, then the mean of -np.log of these"
    expect_close(answer(labels, p), -np.log([0.5, 0.9, 0.2]).mean(), hint)
