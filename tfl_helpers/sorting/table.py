"""Shim: re-exports the old module until it is rewritten here."""
from tfl_helpers._old import report as _old

globals().update({k: v for k, v in vars(_old).items() if not k.startswith("__")})
