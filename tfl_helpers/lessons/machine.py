"""Shim."""
from tfl_helpers.__main__ import machine
