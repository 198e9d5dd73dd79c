"""How a process is set up before it computes: threads that do not wait for each other, no noise.

`import tfl_helpers` does it, so that a notebook in JupyterLab, on Colab or under papermill, the
command line and `make` behave alike. What the environment sets already stays as it is.
"""

import contextlib
import importlib.abc
import importlib.machinery
import os
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import threadpoolctl

# What TensorFlow says of the machine while it loads, whatever its log level.
GREETING = re.compile(
    rb"^(WARNING: All log messages before absl"
    rb"|[IW]\d{4} .*|To enable the following instructions).*\n?",
    re.MULTILINE,
)


def set_up() -> None:
    """Limit threads to one per process where that is quicker, and let TensorFlow load quietly.

    The clusterings here are small: on a busy machine, threads of OpenMP and BLAS that wait for each
    other cost ten times their work. TensorFlow's own threads don't wait, and stay.

    TensorFlow computes by oneDNN, as by itself it does on the newest processors alone: on others,
    too, a network is much faster so (benchmarks/extraction.py).
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    if "OMP_NUM_THREADS" not in os.environ:
        os.environ["OMP_NUM_THREADS"] = "1"  # for libraries that are loaded from now on
        threadpoolctl.threadpool_limits(1)  # for those that are there already
    # Without a driver TensorFlow reports as an error that there is no GPU; with one, errors matter.
    driver = Path("/proc/driver/nvidia").exists() or shutil.which("nvidia-smi")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if driver else "3")
    warnings.filterwarnings("ignore", "pkg_resources is deprecated")  # TF-Hub imports it
    if "tensorflow" not in sys.modules and not any(isinstance(f, _Quietly) for f in sys.meta_path):
        sys.meta_path.insert(0, _Quietly())


class _Quietly(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Load TensorFlow as ever, but without its greeting."""

    def find_spec(self, fullname, path, target=None):
        if fullname != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            self.loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__.loader = module.__loader__ = self.loader
        with without_greeting():
            self.loader.exec_module(module)


@contextlib.contextmanager
def without_greeting() -> Iterator[None]:
    """Hold back what the process writes to stderr; afterwards all but the greeting appears."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            os.write(2, GREETING.sub(b"", held.read()))
