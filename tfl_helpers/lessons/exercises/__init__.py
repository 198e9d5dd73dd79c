"""The "Your turn" cells: what checks an answer, bets on what will happen, a module per notebook."""

from tfl_helpers.lessons.exercises import (
    clustering,
    evaluation,
    frozen_backbone,
    neighbours,
    pedestrians,
    preprocessing,
    scaling_out,
    self_labelling,
    start_here,
    your_own_images,
)
from tfl_helpers.lessons.exercises.bets import bet, bets, settle
from tfl_helpers.lessons.exercises.checks import check
