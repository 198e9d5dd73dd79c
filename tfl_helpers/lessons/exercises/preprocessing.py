"""Exercises of notebook 01."""

from collections.abc import Callable

import numpy as np

from tfl_helpers.lessons.exercises.bets import question
from tfl_helpers.lessons.exercises.checks import checker, expect, expect_shape, is_close


@checker("01-a", "nobody is in both parts, and everybody gets the same split.")
def _split(answer: Callable) -> None:
    result = answer(100, 20, 0)
    expect(isinstance(result, tuple) and len(result) == 2, "two arrays are asked for: train, test")
    train, test = (np.asarray(part) for part in result)
    hint = "the two have changed places: which of them has `n_test` images?"
    expect(not (len(train) == 20 and len(test) == 80), hint)
    expect_shape(test, (20,), "test")
    hint = "the test images are still in train as well: what is learned has seen the test"
    expect(not {*test.tolist()} <= {*train.tolist()}, hint)
    hint = "an image comes twice in one part: a draw that puts each image back"
    expect(len({*train.tolist()}) == len(train) and len({*test.tolist()}) == len(test), hint)
    expect_shape(train, (80,), "train")
    everyone = {*train.tolist(), *test.tolist()}
    expect(everyone == set(range(100)), "every position from 0 to n - 1 belongs in one part")
    for end in (np.arange(20), np.arange(80, 100)):
        hint = "all from one end: if a folder is sorted by subject, test has other subjects"
        expect(not np.array_equal(np.sort(test), end), hint)
    hint = "run twice with one seed, it splits in two ways: nobody could repeat your result"
    expect(np.array_equal(answer(100, 20, 0)[1], test), hint)
    hint = "every seed gives the same split: is `seed` used?"
    expect(not np.array_equal(answer(100, 20, 1)[1], test), hint)


@checker("01-b", "test images are measured with train's ruler, as the next image of all will be.")
def _standardise(answer: Callable) -> None:
    rng = np.random.default_rng(0)
    train, test = rng.normal((0, 3, 50), (1, 4, 9), (60, 3)), rng.normal((9, 1, 80), 5, (20, 3))
    both = np.concatenate([train, test])

    def by(one: np.ndarray, other: np.ndarray) -> list[np.ndarray]:
        return [(part - m.mean(0)) / m.std(0) for part, m in ((train, one), (test, other))]

    def is_by(*rulers: np.ndarray) -> bool:
        return all(is_close(g, wanted) for g, wanted in zip(got, by(*rulers), strict=True))

    result = answer(train.copy(), test.copy())
    hint = "two arrays are asked for, train and test, both changed"
    expect(isinstance(result, tuple) and len(result) == 2, hint)
    got = [np.asarray(part) for part in result]
    expect_shape(got[0], train.shape, "train")
    expect_shape(got[1], test.shape, "test")
    hint = "it is as it was: delete one test image, and all numbers of train change"
    expect(not is_by(both, both), hint)
    hint = (
        "each part has a ruler of its own: then a brighter test set looks just like train, and one "
        "test image alone could not be measured at all"
    )
    expect(not is_by(train, test), hint)
    expect(not is_by(test, test), "now the test part alone sets the ruler, for train too")
    expect(not is_by(test, train), "the rulers have changed places")
    hint = "one mean and spread for all features: a feature of large numbers drowns the others"
    expect(not is_close(got[0], (train - train.mean()) / train.std()), hint)
    hint = "the means are right, but features still differ in spread"
    expect(not is_close(got[0], train - train.mean(0)), hint)
    expect(is_close(got[0], by(train, train)[0]), "train should have mean 0, spread 1 per feature")
    expect(is_close(got[1], by(train, train)[1]), "test is not measured with the same ruler")


@checker("01-c", "enlarging invents nothing: all that is in the large image was in the small one.")
def _there_and_back(answer: tuple) -> None:
    expect(isinstance(answer, tuple) and len(answer) == 2, "give the difference and the letter")
    off, reason = answer
    expect(isinstance(off, int | float | np.number), f"the difference is a number, not {off!r}")
    expect(off >= 0, "a mean of absolute differences is not below zero")
    hint = (
        "so much is lost by shrinking, or by mixing neighbours: is `FACTOR` 4 and `METHOD` "
        "nearest in the cell of section 4, and did it run again?"
    )
    expect(off < 0.5, hint)
    reasons = {
        "a": "more pixels, yes; but is there one among them whose value was not there before?",
        "c": "values were rounded at `FACTOR = 0.5` too, and that did not bring the image back",
    }
    letter = str(reason).lower()
    expect(letter not in reasons, reasons.get(letter, ""))
    expect(letter == "b", f"the reason is one letter, a, b or c, not {reason!r}")


question(
    "01-d",
    {
        "same": "the pattern is still there, but in steps too small for a network that was made "
        "for others: most of its thresholds are not reached",
        "worse": "here the network either did not mind, or saw nothing at all",
        "chance": "nearly black is not black: the pattern is faint, but it is there, and something "
        "gets through. That makes this mistake so hard to notice",
    },
    "no error and no warning about the scale, only worse groups. Nobody notices who does not look.",
)


@checker("01-e", "a dictionary finds exact copies in one pass; near ones need a perceptual hash.")
def _first_copies(answer: Callable) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 3, 3, 1)).astype("uint8")
    images[4], images[5] = images[1], images[1]
    images[3] = images[2][::-1]  # the same values in other places
    result = answer(images.copy())
    expect_shape(result, (6,))
    got = np.asarray(result)
    hint = "a position is asked for, not only whether there is a copy"
    expect(got.dtype != bool, hint)
    got = got.tolist()
    expect(got != list(range(6)), "every image is called new: do you compare whole images?")
    hint = "the second copy leads to the first copy, but should lead to the original"
    expect(got != [0, 1, 2, 3, 1, 4], hint)
    hint = "the original leads to its last copy: it has none before it, so it keeps its own place"
    expect(got != [0, 5, 2, 3, 5, 5], hint)
    hint = "images 2 and 3 have the same values, but in other places: they are no copies"
    expect(got[3] == 3, hint)
    hint = "images without a copy should get their own place"
    expect(got[:4] == [0, 1, 2, 3], hint)
    expect(got == [0, 1, 2, 3, 1, 1], "images 4 and 5 are copies of image 1")
