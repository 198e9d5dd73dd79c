"""Shim: re-exports the old module until it is rewritten here."""
from tfl_helpers._old import sorting as _old

globals().update({k: v for k, v in vars(_old).items() if not k.startswith("__")})
