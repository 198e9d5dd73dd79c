"""People in street scenes: from groups of crops to boxes around people.

`windows` makes more background, and pictures to search; `detector` gives groups their names, learns
them and searches photos; `miss_rate` scores the boxes.
"""

from tfl_helpers.datasets.scenes import load_scenes
from tfl_helpers.pedestrians.detector import (
    SCALES,
    classifier,
    name_groups,
    person_boxes,
    scan,
    scorer,
    suppress,
)
from tfl_helpers.pedestrians.miss_rate import log_average_miss_rate, match_boxes, miss_rate_curve
from tfl_helpers.pedestrians.windows import montage, parts_of_people, random_windows
