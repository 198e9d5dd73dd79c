"""Fixtures shared by all tests: the digits and their features, and where real photos lie."""

import os
from pathlib import Path

import numpy as np
import pytest

import tfl_helpers  # noqa: F401  before TensorFlow, as everywhere

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file on one worker, but for those that execute a notebook."""
    for item in items:
        alone = item.get_closest_marker("executes")
        item.add_marker(pytest.mark.xdist_group(item.nodeid if alone else item.path.name))


@pytest.fixture(scope="session")
def digits():
    """Training and test images of the digits."""
    from tfl_helpers import datasets

    return datasets.load("digits")


@pytest.fixture(scope="session")
def letters():
    """The embedded backbone; not to be changed."""
    from tfl_helpers import backbones

    return backbones.load("letters")


@pytest.fixture(scope="session")
def digit_features(digits, letters) -> tuple[np.ndarray, np.ndarray]:
    """Features of the digits, train and test, from the embedded backbone."""
    from tfl_helpers import features

    return tuple(features.extract(letters, part, cache=False, progress=False) for part in digits)


@pytest.fixture(scope="session")
def digit_files(tmp_path_factory):
    """400 digits as files, and their answers (sealed)."""
    from PIL import Image

    from tfl_helpers import datasets

    folder = tmp_path_factory.mktemp("digits")
    train, _ = datasets.load("digits", limit=400)
    for number, pixels in enumerate(train.images):
        Image.fromarray(pixels[..., 0]).save(folder / f"{number:04d}.png")
    return folder, train.answers


def _place(variable: str, beside: Path) -> Path:
    path = Path(os.environ.get(variable, beside))
    if not path.is_dir():
        pytest.skip(f"needs real photos or weights: set {variable} (nothing at {path.name})")
    return path


@pytest.fixture
def photo_bundle(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of real photos; TFL_DATA_DIR points at it for the test."""
    path = _place("TFL_DATA_DIR", SHARED / "data")
    monkeypatch.setenv("TFL_DATA_DIR", str(path))
    monkeypatch.setenv("TFL_OFFLINE", "1")
    return path


@pytest.fixture
def keras_home(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keras home with ImageNet weights of MobileNetV2; KERAS_HOME points at it for the test."""
    path = _place("KERAS_HOME", SHARED / "keras")
    monkeypatch.setenv("KERAS_HOME", str(path))
    monkeypatch.setenv("TFL_OFFLINE", "1")
    return path
