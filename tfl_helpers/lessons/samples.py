"""Shim."""
from tfl_helpers._old.cleaning import make_messy_folder
