"""Exercises of notebook 02."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tfl_helpers.lessons.exercises.bets import question
from tfl_helpers.lessons.exercises.checks import checker, expect, expect_shape, is_close

question(
    "02-a",
    {
        "none": "the step is zero for what a gradient moves; but is there something in these "
        "layers that keeps count of what it sees, without any gradient?",
        "some": "the network has no layer that keeps count, or it kept still after all",
        "all": "a filter moves by learning rate times gradient, and one of the two is zero",
    },
    "training mode alone moves the statistics of batch normalisation. Frozen has to mean both: no "
    "steps, and no training mode.",
)


@checker("02-b", "multiply, add, move on: the whole of a convolutional network is made of this.")
def _convolve(answer: Callable) -> None:
    rng = np.random.default_rng(0)
    image, kernel = rng.normal(size=(7, 5)), rng.normal(size=(3, 3))
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3))
    wanted = (windows * kernel).sum((2, 3))
    got = answer(image.copy(), kernel.copy())
    hint = "your map is as large as the image; where the kernel sticks out, it does not fit"
    expect(np.shape(got) != image.shape, hint)
    hint = "a 3 x 3 kernel fits into a row of 5 pixels at more places than you use: count them"
    expect(np.shape(got) != (4, 2), hint)
    hint = "height and width have changed places: which one do you count first?"
    expect(np.shape(got) != wanted.shape[::-1], hint)
    expect_shape(got, wanted.shape, "the map")
    hint = (
        "you turn the kernel round before you lay it on. Mathematicians do that and call it "
        "convolution; networks lay it on as it is"
    )
    expect(not is_close(got, (windows * kernel[::-1, ::-1]).sum((2, 3))), hint)
    hint = "the kernel lies on its side: its rows belong to the image's rows"
    expect(not is_close(got, (windows * kernel.T).sum((2, 3))), hint)
    hint = "a mean of products; then a larger kernel would answer no louder than a small one"
    expect(not is_close(got, wanted / 9), hint)
    hint = "you add up the pixels of each window; what have the weights to say?"
    expect(not is_close(got, windows.sum((2, 3))), hint)
    expect(is_close(got, wanted), "look at one place only: what should the number there be?")


@checker("02-c", "parameters depend on the kernel and the channels, not on the image's size.")
def _convolution_parameters(answer: Callable) -> None:
    for side, before, after in ((5, 2, 8), (3, 4, 32)):
        window = side * side * before
        named = {
            window * after: "numbers are missing: what does a filter add, whatever it sees?",
            (side * side + 1) * after: "that would do for grey images: through how many channels "
            "does one window reach?",
            side * side * before * after + 1: "one bias in all; look at the question again",
            (window + before) * after: "each filter adds one number to its sum, however many "
            "channels the sum is over",
            (side * before + 1) * after: "a window has a height and a width",
            window + 1: "that is a single filter; how many are there?",
        }
        got = answer(side, before, after)
        expect_shape(got, ())
        wanted = (window + 1) * after
        for number, hint in named.items():
            expect(got != number or number == wanted, hint)
        hint = "draw one filter for a colour image, and count the numbers in it; then the filters"
        expect(is_close(got, wanted), hint)


@checker("02-d", "a score that counts an image as its own friend flatters every grouping.")
def _neighbour_agreement(answer: Callable) -> None:
    rng = np.random.default_rng(0)
    z, groups = rng.normal(size=(60, 3)), rng.integers(3, size=60)
    order = np.argsort(np.linalg.norm(z[:, None] - z, axis=2), axis=1)  # itself first

    def share(first: int, last: int) -> float:
        return np.mean(groups[order[:, first:last]] == groups[:, None])

    def asked(k: int) -> Any:
        got = answer(z.copy(), groups.copy(), k)
        expect(np.shape(got) == (), "one number for all images, not one for each")
        return got

    four = asked(4)
    hint = "random groups still get too much: of the four votes on an image, whose is sure?"
    expect(not is_close(four, share(0, 4)), hint)
    hint = "five votes now, and one of them still flatters"
    expect(not is_close(four, share(0, 5)), hint)
    hint = "it is asked for four neighbours, and you let three vote"
    expect(not is_close(four, share(1, 4)), hint)
    hint = (
        "you take off what the fault adds, but then four neighbours can never give more than three "
        "quarters"
    )
    expect(not is_close(four, share(0, 4) - 1 / 4), hint)
    votes = (groups[order[:, 1:5]] == groups[:, None]).mean(axis=1)
    hint = "a majority for each image is another score: the share of neighbours was asked for"
    expect(not any(is_close(four, np.mean(bar)) for bar in (votes > 0.5, votes >= 0.5)), hint)
    hint = "try it by hand on six points on a line, with two neighbours each"
    expect(is_close(four, share(1, 5)), hint)
    hint = "right for four neighbours, but not for one: is a number fixed in your code?"
    expect(is_close(asked(1), share(1, 2)), hint)


@checker("02-e", "the early layer was not blind: its mean threw away where the strokes are.")
def _pooling(answer: tuple) -> None:
    expect(len(answer) == 2, "give two things: the accuracy, and the letter of the reason")
    share, reason = answer
    number = isinstance(share, int | float | np.number)
    expect(number, f"the accuracy is a number, not {share!r}")
    expect(0 <= share <= 1, "the accuracy is a share from 0 to 1: 0.5, not 50")
    hint = 'that is the row as it was: does it say `pooling="flatten"`, and did all cells run anew?'
    expect(share > 0.55, hint)
    hint = "so much comes from a deeper layer: the first convolution is asked for"
    expect(share < 0.85, hint)
    reasons: dict[Any, str] = {
        "a": "are more numbers enough? Each place of a filter's map comes in, or only their mean: "
        "what is in the one and not in the other?",
        "c": "which weights have changed? `pooling` says what becomes of the maps, after the "
        "network has done its work",
    }
    letter = str(reason).lower()
    expect(letter not in reasons, reasons.get(letter, ""))
    expect(letter == "b", f"the reason is one letter, a, b or c, not {reason!r}")
