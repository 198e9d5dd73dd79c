"""Shim: re-exports the old module until it is rewritten here."""
from tfl_helpers._old import datasets as _old

globals().update({k: v for k, v in vars(_old).items() if not k.startswith("__")})
from tfl_helpers.datasets.catalogue import CATALOGUE, DataSet, describe
progress_bar = _old.bar
