"""Shim."""
from tfl_helpers._old.backbones import define_model
from tfl_helpers._old.selflabel import autoencoder, from_scratch
