"""Shim: re-exports the old module until it is rewritten here."""
from tfl_helpers._old import detection as _old

globals().update({k: v for k, v in vars(_old).items() if not k.startswith("__")})
from tfl_helpers._old.evaluation import match_boxes, miss_rate_curve, log_average_miss_rate
from tfl_helpers._old.streets import montage, parts, random_windows
from tfl_helpers._old.datasets import load_scenes
