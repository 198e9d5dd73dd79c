"""What the examples in docstrings may use without importing it."""

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def numpy_as_np(doctest_namespace):
    """Offer NumPy to the examples."""
    doctest_namespace["np"] = np
