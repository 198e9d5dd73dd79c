"""What works on this machine: a table for notebook 00 and `python -m tfl_helpers check`."""

import importlib.metadata
import os
import platform
import socket

import pandas as pd

from tfl_helpers import datasets


def machine() -> pd.DataFrame:
    """Say what works on this machine: a row per thing, with `what`, `works` (bool), `detail`."""
    import psutil
    import tensorflow as tf

    from tfl_helpers import features

    memory = psutil.virtual_memory().available / 1e9
    gpus = tf.config.list_physical_devices("GPU")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("tensorflow", "keras")]
    weights = len(list((datasets.keras_home() / "models").glob("*no*top*.h5")))
    kept = f"{weights} files in the Keras cache" if weights else "none in the Keras cache yet"
    rows = [
        ("Python", True, ", ".join([platform.python_version(), *versions])),
        ("cores", True, f"{os.cpu_count()}"),
        ("memory", memory > 1.5, f"{memory:.1f} GB free; a notebook needs up to 1.5 GB"),
        ("GPU", bool(gpus), f"{len(gpus)} found" if gpus else "none found; none is needed"),
        ("network", *_network()),
        ("feature cache", True, f"{features.cache_info()['megabytes']} MB kept"),
        ("embedded backbone", True, "letters: ships with this package"),
        ("ImageNet weights", weights > 0, kept),
        *((f"data: {row.data}", row.found, row.where) for row in datasets.available().itertuples()),
    ]
    return pd.DataFrame(rows, columns=["what", "works", "detail"])


def _network() -> tuple[bool, str]:
    """Try the host that Keras downloads data and weights from."""
    if datasets.offline():
        return False, "switched off by TFL_OFFLINE=1; the default series needs none"
    try:
        socket.create_connection(("storage.googleapis.com", 443), timeout=3).close()
    except OSError as error:
        return False, f"cannot be reached ({error}); the default series needs none"
    return True, "photo sets and ImageNet weights can be downloaded"
