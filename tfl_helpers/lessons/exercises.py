"""The checks behind the "Your turn" cells of the notebooks.

An exercise left as it is stops nothing, so Run All goes through: it is a stub while it is or
returns None or `...`, or raises `NotImplementedError`. A checker is a plain function that gets the
answer (and whatever else the cell passes on), and calls `expect` for each thing that has to hold.
"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import entropy
from sklearn.metrics import adjusted_rand_score

_CHECKERS: dict[str, tuple[Callable[..., None], str]] = {}  # with what a right answer teaches


class _Hint(Exception):
    """The answer is not right yet; the message helps."""


def check(name: str, answer: Any, *context: Any) -> None:
    """Say in one line whether the answer to an exercise is right, or give a hint.

    Parameters
    ----------
    name : str
        The exercise, such as "03-a".
    answer, *context : object
        The function or the value that was asked for, and what it takes to judge it.

    Raises
    ------
    AssertionError
        It is wrong or unfinished, and TFL_STRICT_EXERCISES=1 is set: so solutions are tested.

    Examples
    --------
    >>> check("00-c", lambda true, predicted: np.mean(true == predicted))
    Right: a share of right ones; on images that were kept aside it is an honest number.
    """
    if name not in _CHECKERS:
        raise KeyError(f"no exercise {name!r}; there are: {', '.join(sorted(_CHECKERS))}")
    function, shows = _CHECKERS[name]
    cause = None
    try:
        _finished(answer)
        if function.__annotations__["answer"] is Callable:
            expect(callable(answer), f"a function is asked for, this is {type(answer).__name__}")
            function(lambda *given: _finished(answer(*given)), *context)
        else:
            function(answer, *context)
        print(f"Right: {shows}")
        return
    except NotImplementedError:
        verdict = f"Your turn: exercise {name} is waiting for you."
    except _Hint as hint:
        verdict = f"Not yet: {hint}"
    except Exception as error:  # a learner's code may fail in any way, and must not stop Run All
        cause = error
        first_line = str(error).strip().partition("\n")[0]
        verdict = f"Not yet: trying it stopped with {type(error).__name__}: {first_line}"
    if os.environ.get("TFL_STRICT_EXERCISES") == "1":
        raise AssertionError(f"exercise {name}: {verdict}") from cause
    print(verdict)


def _finished(result: Any) -> Any:
    """Return a result; stop if it is that of a stub."""
    if result is None or result is ...:
        raise NotImplementedError
    return result


def checker(name: str, shows: str) -> Callable:
    """Register a checker; its first parameter is `answer: Callable` if a function is asked for."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        if name in _CHECKERS:
            raise ValueError(f"two checkers are called {name!r}")
        _CHECKERS[name] = function, shows
        return function

    return register


def expect(condition: Any, hint: str) -> None:
    """Stop with the hint unless the condition holds."""
    if not condition:
        raise _Hint(hint)


def expect_shape(got: Any, shape: tuple[int, ...], what: str = "the result") -> None:
    """Stop unless an array has this shape."""
    expect(np.shape(got) == shape, f"{what} should have shape {shape}, not {np.shape(got)}")


def expect_close(got: Any, wanted: Any, hint: str) -> None:
    """Stop with the hint unless numbers agree, shapes first; NaN is never close."""
    expect_shape(got, np.shape(wanted))
    expect(np.allclose(np.asarray(got, float), wanted, rtol=1e-4, atol=1e-4), hint)


@checker("00-a", "well above an equal share means one group swallows others; here it doesn't.")
def _largest_share(answer: float, groups: np.ndarray) -> None:
    expect_shape(answer, (), "the share")
    expect(0 <= answer <= 1, "a share lies between 0 and 1: divide by the number of images")
    share = np.bincount(groups).max() / len(groups)
    expect_close(answer, share, "count the images of each group (np.bincount), take the largest")


@checker("00-b", "a prototype shows at a glance what a group is about.")
def _nearest_image(answer: Callable) -> None:
    z = np.random.default_rng(0).normal(size=(50, 4))
    for row in (7, 31):
        got = answer(z, z[row] + 0.001)
        expect_shape(got, (), "the position")
        expect(got == row, "take the row with the smallest distance: np.linalg.norm(..., axis=1)")


@checker("00-c", "a share of right ones; on images that were kept aside it is an honest number.")
def _accuracy(answer: Callable) -> None:
    expect_close(answer(np.array([1, 2, 3, 4]), np.array([1, 2, 0, 0])), 0.5, "count the agreeing")
    expect_close(answer(np.array([0, 0, 5]), np.array([0, 0, 5])), 1.0, "equal arrays give 1")


@checker("01-a", "one scaling, in one place; done twice it would turn every image black.")
def _to_minus_one_to_one(answer: Callable) -> None:
    got = answer(np.array([[0, 51, 255]], "uint8"))
    expect(np.asarray(got).dtype == np.float32, "the result should be float32: .astype('float32')")
    expect_close(got, [[-1, -0.6, 1]], "0 becomes -1 and 255 becomes 1: divide by half of 255")


@checker("01-b", "three equal channels are still grey, but a photo network now takes them.")
def _grey_to_rgb(answer: Callable) -> None:
    images = np.arange(2 * 4 * 5, dtype="uint8").reshape(2, 4, 5, 1)
    got = answer(images)
    expect_close(got, images + np.zeros((1, 1, 1, 3)), "each channel is a copy of the grey one")
    expect(np.asarray(got).dtype == np.uint8, "the type should stay uint8")


@checker("01-c", "nobody is in both parts, and everybody gets the same split.")
def _split(answer: Callable) -> None:
    result = answer(100, 20, 0)
    expect(isinstance(result, tuple) and len(result) == 2, "return two arrays: train, test")
    train, test = (np.asarray(part) for part in result)
    expect_shape(test, (20,), "test")
    expect_shape(train, (80,), "train")
    everyone = {*train.tolist(), *test.tolist()}
    expect(everyone == set(range(100)), "every position belongs in exactly one part")
    expect(np.array_equal(answer(100, 20, 0)[1], test), "the same seed should give the same split")
    expect(not np.array_equal(answer(100, 20, 1)[1], test), "another seed, another split")
    expect(not np.array_equal(np.sort(test), np.arange(20)), "draw at random, not the first ones")


@checker("01-d", "a dictionary finds exact copies in one pass; near ones need a perceptual hash.")
def _first_copies(answer: Callable) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 3, 3, 1)).astype("uint8")
    images[4], images[5] = images[1], images[1]
    got = list(answer(images))
    expect_shape(got, (6,))
    hint = "give each image the position of the first one equal to it, else its own"
    expect(got == [0, 1, 2, 3, 1, 1], hint)


@checker("02-a", "this is global average pooling: where a pattern was is gone, how much is kept.")
def _average_pooling(answer: Callable) -> None:
    maps = np.random.default_rng(0).normal(size=(2, 4, 5, 3))
    hint = "take the mean over height and width: axes 1 and 2"
    expect_close(answer(maps), maps.mean((1, 2)), hint)


@checker("02-b", "multiply, add, move on: the whole of a convolutional network is made of this.")
def _convolve(answer: Callable) -> None:
    rng = np.random.default_rng(0)
    image, kernel = rng.normal(size=(6, 5)), rng.normal(size=(3, 3))
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3))
    hint = "multiply each 3 x 3 window with the kernel as it is (no flipping) and add up"
    expect_close(answer(image, kernel), (windows * kernel).sum((2, 3)), hint)


@checker("02-c", "parameters depend on the kernel and the channels, not on the image's size.")
def _convolution_parameters(answer: Callable) -> None:
    hint = "side x side x channels in for each channel out, and one bias for each of them"
    for side, before, after in ((3, 3, 32), (5, 1, 8)):
        expect_close(answer(side, before, after), (side * side * before + 1) * after, hint)


@checker("03-a", "length one, so k-means compares directions and a zero row does no harm.")
def _l2_normalise(answer: Callable) -> None:
    z = np.random.default_rng(0).normal(size=(5, 3)) * [[1], [10], [0.1], [3], [0]]
    with np.errstate(invalid="ignore", divide="ignore"):
        got = answer(z.copy())
    expect_shape(got, z.shape)
    expect(not np.isnan(got).any(), "a row of zeros became NaN: do not divide by a length of 0")
    lengths = np.linalg.norm(got, axis=1)
    expect_close(lengths, [1, 1, 1, 1, 0], "divide each row by its own length (axis=1)")
    expect_close((got * z).sum(1), np.linalg.norm(z, axis=1), "keep the direction of each row")


@checker("03-b", "assigning to the nearest centre is half of k-means; the other half is the mean.")
def _assign(answer: Callable) -> None:
    rng = np.random.default_rng(0)
    z, centres = rng.normal(size=(40, 3)), rng.normal(size=(5, 3))
    nearest = np.linalg.norm(z[:, None] - centres, axis=2).argmin(1)
    expect_close(answer(z, centres), nearest, "take the nearest centre for each row of z")


@checker("03-c", "the alarm that needs no label: near 1 means nearly everything is in one group.")
def _effective_groups(answer: Callable) -> None:
    hint = "exp of the entropy: np.exp(-(share * np.log(share)).sum())"
    expect_close(answer(np.repeat([0, 1, 2, 3], 25)), 4, f"four equal groups give 4; {hint}")
    expect_close(answer(np.zeros(9, int)), 1, "all in one group gives 1")
    wanted = np.exp(entropy([0.5, 0.3, 0.2]))
    expect_close(answer(np.repeat([7, 1, 4], [5, 3, 2])), wanted, hint)


@checker("04-a", "doubtful labels stand alone among their neighbours, and no answer is needed.")
def _neighbour_agreement(answer: Callable) -> None:
    labels, near = np.array([0, 0, 1, 1]), np.array([[1, 2], [0, 2], [3, 0], [2, 2]])
    hint = "compare the neighbours' labels with the image's own: labels[near] == labels[:, None]"
    expect_close(answer(labels, near), [0.5, 0.5, 0.5, 1.0], hint)


@checker("04-b", "a slow teacher forgets the student's last whims.")
def _moving_average(answer: Callable) -> None:
    teacher, student = [np.ones((2, 2)), np.zeros(3)], [np.zeros((2, 2)), np.ones(3)]
    got = list(answer(teacher, student, 0.9))
    expect_close(got[0], np.full((2, 2), 0.9), "keep the share `momentum` of the teacher")
    expect_close(got[1], np.full(3, 0.1), "add the share 1 - momentum of the student")


@checker("04-c", "sure and right costs nothing, sure and wrong costs much.")
def _cross_entropy(answer: Callable) -> None:
    labels, p = np.array([0, 1, 1]), np.array([[0.5, 0.5], [0.1, 0.9], [0.8, 0.2]])
    hint = "take each row's probability of its own label, then the mean of -np.log of these"
    expect_close(answer(labels, p), -np.log([0.5, 0.9, 0.2]).mean(), hint)


@checker("05-a", "stable groups may still be wrong ones: it is one score of three.")
def _stability(answer: Callable) -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(3, size=60)
    second, third = np.where(rng.random(60) < 0.8, (first + 1) % 3, 0), rng.integers(4, size=60)
    expect_close(answer([first, (first + 1) % 3]), 1, "the names of groups mean nothing: use ARI")
    pairs = [(first, second), (first, third), (second, third)]
    wanted = np.mean([adjusted_rand_score(*pair) for pair in pairs])
    expect_close(answer([first, second, third]), wanted, "take the mean over all three pairs")
    one = np.zeros(60, int)
    expect_close(answer([one, one]), 0, "two runs of one group agree, and should count 0")


@checker("05-b", "0 is perfect; a method that is always sure has all its mistakes in it.")
def _calibration_error(answer: Callable) -> None:
    hint = "weight each part by its share of the images; a confidence of 1 belongs in the last part"
    expect_close(answer(np.ones(4), np.array([1, 1, 1, 0], bool)), 0.25, hint)
    sure, right = np.array([0.62, 0.68, 0.91, 0.99, 0.95]), np.array([1, 1, 1, 1, 0], bool)
    wanted = 2 / 5 * 0.35 + 3 / 5 * (2.85 / 3 - 2 / 3)  # one part says too little, one too much
    expect_close(answer(sure, right), wanted, hint)


@checker("05-c", "a little human help where it is unsure buys a lot where it is sure.")
def _share_kept(answer: Callable) -> None:
    sure = np.array([0.5, 0.9, 0.8, 1.0, 0.6])
    right = np.array([True, True, False, True, True])  # the third surest image is the wrong one
    expect_close(answer(sure, right, 1.0), 0.4, "the two surest are right, the third is not")
    hint = "it may fall below the target and rise above it again: take the largest share"
    expect_close(answer(sure, right, 0.8), 1.0, hint)
    expect_close(answer(sure, ~right, 0.9), 0.0, "where even the surest is wrong, keep none")


@checker("06-a", "half of it is the field's line between found and missed.")
def _intersection_over_union(answer: Callable) -> None:
    hint = "shared area by the area that at least one covers: both areas minus the shared one"
    expect_close(answer((0, 0, 10, 10), (0, 0, 10, 10)), 1, "a box shares all with itself: 1")
    expect_close(answer((0, 0, 4, 4), (6, 6, 9, 9)), 0, "boxes apart share nothing: clip at 0")
    expect_close(answer((0, 0, 4, 4), (6, 0, 9, 4)), 0, "apart in one direction is apart: 0")
    expect_close(answer((0, 0, 10, 10), (5, 0, 15, 20)), 50 / 250, hint)


@checker("06-b", "the higher the threshold, the fewer false alarms, and the more people missed.")
def _precision_and_recall(answer: Callable) -> None:
    scores = np.array([2.0, 1.0, -1.0, 0.5, -2.0])
    person = np.array([True, False, True, True, False])
    got = answer(scores, person, 0.0)
    expect(isinstance(got, tuple) and len(got) == 2, "return two numbers: precision, recall")
    expect_close(got[0], 2 / 3, "precision: of those called a person, the share that are")
    expect_close(got[1], 2 / 3, "recall: of the people, the share that were called so")
    expect_close(answer(scores, person, 1.5), (1, 1 / 3), "count scores above the threshold only")


@checker("06-c", "the surest box speaks for those around it; far ones stay.")
def _non_maximum_suppression(answer: Callable) -> None:
    overlap = np.array([[1, 0.6, 0, 0.2], [0.6, 1, 0.5, 0], [0, 0.5, 1, 0], [0.2, 0, 0, 1]])
    got = list(answer(np.array([0.7, 0.9, 0.8, 0.1]), overlap, 0.4))
    expect(1 in got, "the surest box of all is always kept")
    expect(not {0, 2} & set(got), "a box that overlaps a kept, surer one by more than `most` goes")
    expect(3 in got, "a box that overlaps no kept one stays, however unsure")
    got = list(answer(np.array([0.9, 0.8, 0.7, 0.1]), overlap, 0.4))
    expect(got == [0, 2, 3], "box 1 went, so it can't remove box 2; list them from the surest")


@checker("06-d", "a promise about false alarms, kept without one label.")
def _alarm_budget(answer: Callable) -> None:
    scores = np.arange(1000)[::-1] / 10
    hint = "sort the background's scores: so many of all windows may lie above the threshold"
    for windows, alarms in ((1000, 10), (500, 1)):
        got = answer(scores, windows, alarms)
        expect_shape(got, (), "the threshold")
        expect(abs(np.mean(scores > got) * windows - alarms) < 1, hint)


@checker("07-a", "a name costs one look per group, in place of one per image.")
def _name_groups(answer: Callable) -> None:
    got = answer(dict(a=1, b=1, c=1, d=2, e=3), dict(a="cat", b="dog", c="cat", d="dog"))
    expect(isinstance(got, dict), "return a dict: group to name")
    expect(3 not in got, "a group without an example gets no name")
    expect(got == {1: "cat", 2: "dog"}, "count the names in each group and take the most frequent")


@checker("07-b", "an example never votes on itself: that is what makes the estimate honest.")
def _left_out_share(answer: Callable) -> None:
    expect_close(answer([1, 1, 1], ["cat"] * 3), 1, "all three are named alike by the other two")
    expect_close(answer([1, 2], ["cat", "dog"]), 0, "where nobody else votes, nothing is proved")
    groups, names = [1, 1, 1, 1, 2, 2, 3], ["cat", "cat", "dog", "cat", "dog", "dog", "cow"]
    hint = "leave the example itself out of the vote, and compare with the most frequent name"
    expect_close(answer(groups, names), 5 / 7, hint)


@checker("07-c", "size and time of change are enough: nobody reads 100,000 files to see that.")
def _to_read(answer: Callable) -> None:
    known = {"b.png": (10, 1), "c.png": (10, 1), "gone.png": (5, 1)}
    now = {"c.png": (10, 2), "b.png": (10, 1), "a.png": (3, 3)}
    expect(list(answer(known, now)) == ["a.png", "c.png"], "new: a.png; changed: c.png; not gone")
