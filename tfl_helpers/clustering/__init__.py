"""Shim: re-exports the old module until it is rewritten here."""
from tfl_helpers._old import clustering as _old

globals().update({k: v for k, v in vars(_old).items() if not k.startswith("__")})
from tfl_helpers.clustering.scores import agreement, neighbour_agreement, stability
from tfl_helpers.clustering.assignment import match
