"""What this machine is ready for: a table for notebook 00 and `python -m tfl_helpers check`."""

import importlib.metadata
import os
import platform
import socket
from pathlib import Path

import pandas as pd

from tfl_helpers import datasets

READY, ON_REQUEST, MISSING = "ready", "on request", "missing"
ENOUGH = 1.5  # GB that the largest notebook needs


def machine() -> pd.DataFrame:
    """Say what this machine is ready for: a row per thing, with `what`, `state`, `detail`.

    Three states: `ready`; `on request`, for what the default series does without and you may get
    when you want it; `missing`, for what is needed or was asked for and is not there.
    """
    import psutil
    import tensorflow as tf

    from tfl_helpers import features

    free = psutil.virtual_memory().available / 1e9
    memory = f"{free:.1f} GB free; a notebook needs up to {ENOUGH} GB, 09 up to 3"
    memory += "" if free >= ENOUGH else ": close other programs and notebooks"
    gpus = tf.config.list_physical_devices("GPU")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("tensorflow", "keras")]
    weights = len(list((datasets.keras_home() / "models").glob("*no*top*.h5")))
    kept = f"{weights} files in the Keras cache" if weights else "none yet; only photos need any"
    rows = [
        ("Python", READY, ", ".join([platform.python_version(), *versions])),
        ("cores", READY, f"{os.cpu_count()}"),
        ("memory", READY if free >= ENOUGH else MISSING, memory),
        ("GPU", _have(gpus), f"{len(gpus)} found" if gpus else "none found; none is needed"),
        ("network", *_network()),
        ("feature cache", READY, f"{features.cache_info()['megabytes']} MB kept"),
        ("embedded backbone", READY, "letters: ships with this package"),
        ("ImageNet weights", _have(weights), kept),
        *_data(),
    ]
    return pd.DataFrame(rows, columns=["what", "state", "detail"])


def _have(found: object) -> str:
    """State of what the default series does without."""
    return READY if found else ON_REQUEST


def _network() -> tuple[str, str]:
    """Try the host that Keras downloads data and weights from."""
    if datasets.offline():
        return ON_REQUEST, "switched off by TFL_OFFLINE=1; the default series needs none"
    try:
        socket.create_connection(("storage.googleapis.com", 443), timeout=3).close()
    except OSError as error:
        return ON_REQUEST, f"cannot be reached ({error}); the default series needs none"
    return READY, "photo sets and ImageNet weights can be downloaded"


def _data() -> list[tuple[str, str, str]]:
    """One row per set of images; a bundle that was named and is not there comes as the only one."""
    bundle = os.environ.get("TFL_DATA_DIR")
    if bundle and not Path(bundle).expanduser().is_dir():
        return [("data", MISSING, f"TFL_DATA_DIR is {bundle}, and there is no such folder")]
    table = datasets.available()
    return [(f"data: {row.data}", _have(row.found), row.where) for row in table.itertuples()]
