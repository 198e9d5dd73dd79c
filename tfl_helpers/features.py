"""Features of images, computed once: batches through a frozen backbone, kept on disk."""

import functools
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import keras
import numpy as np
import platformdirs
import tensorflow as tf
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer, StandardScaler
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tfl_helpers.datasets import FolderImages, ImageReadError, ImageSet, bar, batches

BLOCK = 4096  # images per entry of the cache: a stopped run loses at most this much


def extract(
    backbone: keras.Model,
    images: ImageSet | FolderImages | np.ndarray,
    *,
    batch_size: int = 64,
    mirror: bool = False,
    cache: bool | str | Path = True,
    progress: bool = True,
) -> np.ndarray:
    """Turn images into features; what was computed before comes from the cache.

    Parameters
    ----------
    backbone : keras.Model
        From `backbones.load`: raw images in, vectors out.
    images : ImageSet, FolderImages or array (n, h, w, 1 or 3)
        Values 0..255. Files are read a batch at a time.
    batch_size : int
        Images at a time.
    mirror : bool
        Mean of the features of an image and of its mirror image: steadier, in twice the time. For
        photos, where left and right mean nothing; not for characters.
    cache : bool, str or Path
        True: TFL_CACHE_DIR, or the user's cache folder. A path: that folder. False: no cache.
    progress : bool
        Show a progress bar.

    Returns
    -------
    np.ndarray
        float32 (n, d), row i for image i.

    Raises
    ------
    ValueError
        There are no images, or the backbone does not give one vector per image.
    ImageReadError
        A file is broken; what was computed before it is kept.

    Notes
    -----
    The cache is keyed by content: the pixels (for files path, size and time of change), the
    backbone's architecture and weights, and the version of TensorFlow. It is written in blocks of
    4,096 images, each complete or absent, so a stopped run goes on where it was. Taught in
    notebook 02.
    """
    images = images.images if isinstance(images, ImageSet) else images
    if not len(images):
        raise ValueError("there are no images to extract features from")
    if len(backbone.output_shape) != 2:
        raise ValueError(
            f"{backbone.name} gives {backbone.output_shape} per batch, not one vector per image: "
            'load it with pooling="avg", "max" or "flatten"'
        )
    forward = functools.cache(lambda: compiled(backbone))  # nothing to compile if all is cached
    about = {"desc": backbone.name, "unit": "image", "delay": 1, "leave": False}
    size = _input_size(backbone) if isinstance(images, FolderImages) else None

    def compute(block: FolderImages | np.ndarray) -> np.ndarray:
        channels = backbone.input_shape[-1]
        ready = batches(block, size=size, channels=channels, batch_size=batch_size)
        parts = []
        try:
            for batch in ready:
                part = forward()(batch)[0]
                if mirror:
                    part = (part + forward()(batch[:, :, ::-1])[0]) / 2
                parts.append(part.numpy())
                shown.update(len(batch))
        except tf.errors.InvalidArgumentError as error:  # tf.data wraps what our reader raised
            if found := re.search("ImageReadError: (.*)", error.message):
                raise ImageReadError(found[1]) from None
            raise
        return np.concatenate(parts)

    memory = _memory(cache)
    kept = memory and memory.cache(_block, ignore=["compute", "images"])
    made_by = memory and (_fingerprint(backbone), tf.__version__, *(["mirror"] if mirror else []))
    result = None
    with bar(progress, total=len(images), **about) as shown:
        for start in range(0, len(images), BLOCK):
            part = images[start : start + BLOCK]
            block = kept(_content(part), made_by, compute, part) if kept else compute(part)
            if result is None:
                result = np.empty((len(images), block.shape[1]), "float32")
            result[start : start + len(block)] = block
            shown.update(start + len(block) - shown.n)
    return result


def extract_views(
    backbone: keras.Model,
    images: ImageSet | FolderImages | np.ndarray,
    change: keras.Model,
    *,
    n_views: int = 2,
    batch_size: int = 64,
    progress: bool = True,
) -> np.ndarray:
    """Turn changed copies of each image into features, for `clustering.view_head`.

    Parameters
    ----------
    backbone, images, batch_size, progress
        As in `extract`.
    change : keras.Model
        Changes images at random and leaves what they show: ``selflabel.augment(...,
        damage=False)``. It gets them in the size that the backbone sees.
    n_views : int
        Copies of each image.

    Returns
    -------
    np.ndarray
        float16 (n_views, n, d).

    Raises
    ------
    ValueError
        There are no images.

    Notes
    -----
    Not cached: copies are drawn anew each time. Taught in notebook 04.
    """
    images = images.images if isinstance(images, ImageSet) else images
    if not len(images):
        raise ValueError("there are no images to extract features from")
    forward, size = compiled(backbone), _input_size(backbone)
    changed = tf.function(lambda batch: change(batch, training=True))
    views = np.empty((n_views, len(images), backbone.output_shape[-1]), "float16")
    about = {"total": n_views * len(images), "desc": backbone.name, "unit": "image", "leave": False}
    channels = backbone.input_shape[-1]
    with bar(progress, delay=1, **about) as shown:
        for view in views:
            done = 0
            for batch in batches(images, size=size, channels=channels, batch_size=batch_size):
                part = forward(changed(batch))[0].numpy()
                view[done : done + len(part)] = part
                done += len(part)
                shown.update(len(part))
    return views


def cache_info(cache: bool | str | Path = True) -> dict[str, str | int | float]:
    """Say where the cache is and how large.

    Parameters
    ----------
    cache : bool, str or Path
        As in `extract`.

    Returns
    -------
    dict
        `folder`, `entries` (blocks of up to 4,096 images), `megabytes`.

    Notes
    -----
    Taught in notebook 02.
    """
    folder = _folder(cache)
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        "folder": str(folder),
        "entries": sum(path.name == "output.pkl" for path in files),
        "megabytes": round(sum(path.stat().st_size for path in files) / 1e6, 1),
    }


def clear_cache(cache: bool | str | Path = True) -> float:
    """Empty the cache; what is needed again is computed again.

    Parameters
    ----------
    cache : bool, str or Path
        As in `extract`.

    Returns
    -------
    float
        Megabytes set free.

    Notes
    -----
    Taught in notebook 02.
    """
    freed = cache_info(cache)["megabytes"]
    if _folder(cache).exists():
        shutil.rmtree(_folder(cache))
    return freed


def compiled(backbone: keras.Model) -> Callable[[tf.Tensor], list[tf.Tensor]]:
    """Compile a backbone with its weights as constants, as they are frozen anyway.

    Parameters
    ----------
    backbone : keras.Model
        From `backbones.load`.

    Returns
    -------
    callable
        Images, float32 (b, h, w, c), to a list of one tensor, the features (b, d).

    Notes
    -----
    TensorFlow then folds batch normalisation into the convolutions: on two cores MobileNetV2 gives
    1.4 times the images per second of the plain compiled model (`benchmarks/extraction.py`).
    Taught in notebook 02.
    """
    shape = tf.TensorSpec((None, None, None, backbone.input_shape[-1]))
    plain = tf.function(lambda batch: backbone(batch, training=False))
    return convert_variables_to_constants_v2(plain.get_concrete_function(shape))


def normaliser(kind: str = "l2") -> Pipeline:
    """Scale features before clustering, with scikit-learn's own transformers.

    Parameters
    ----------
    kind : {"none", "l2", "standard", "pca-whiten"}
        Leave as they are; every vector to length one; every feature to mean 0 and variance 1;
        length one, the principal components that hold 90 % of the variance, each to variance 1,
        and length one again (Jegou and Chum 2012; DeepCluster, Caron et al. 2018, leaves out the
        first step, without which bright against dark can be all that is left). None of them is
        best everywhere.

    Returns
    -------
    sklearn.pipeline.Pipeline
        To be fitted on training features.

    Raises
    ------
    ValueError
        There is no such kind.

    Notes
    -----
    Taught in notebook 03.
    """
    steps = {
        "none": [FunctionTransformer()],
        "l2": [Normalizer()],
        "standard": [StandardScaler()],
        "pca-whiten": [Normalizer(), PCA(0.9, whiten=True, svd_solver="full"), Normalizer()],
    }
    if kind not in steps:
        raise ValueError(f"no normaliser is called {kind!r}; there are {', '.join(steps)}")
    return make_pipeline(*steps[kind])


def _block(content: str, made_by: tuple, compute: Callable, images: Any) -> np.ndarray:
    """Features of one block; joblib keeps them by `content` and `made_by`."""
    return compute(images)


def _content(images: FolderImages | np.ndarray) -> str:
    """Hash of the pixels; for files of path, size and time of change, as reading all is slow."""
    if isinstance(images, FolderImages):
        stats = [(images.root / file).stat() for file in images.files]
        found = [(s.st_size, s.st_mtime_ns) for s in stats]
        return joblib.hash((str(images.root.resolve()), images.files, found))
    return joblib.hash(np.ascontiguousarray(images), hash_name="sha1")  # the faster one


def _fingerprint(backbone: keras.Model) -> str:
    """Hash of what a backbone computes; names that Keras numbers anew each time are left out."""

    def describe(model: keras.Model) -> list:
        parts = []
        for layer in model.layers:
            inner = isinstance(layer, keras.Model)
            parts.append(describe(layer) if inner else _without_names(layer.get_config()))
        return parts

    return joblib.hash((backbone.name, describe(backbone), backbone.get_weights()))


def _without_names(config: dict) -> dict:
    return {k: v for k, v in config.items() if k not in ("name", "trainable")}


def _input_size(backbone: keras.Model) -> tuple[int, int]:
    """Height and width that a backbone resizes to."""
    if backbone.layers[1].name != "resize":
        raise ValueError(
            f"{backbone.name} takes images of any size, so those of a folder cannot be put "
            "together: load it with size=(height, width)"
        )
    return backbone.layers[1].height, backbone.layers[1].width


def _folder(cache: bool | str | Path) -> Path:
    """Folder of the features alone, inside one that may hold other things too."""
    if not isinstance(cache, str | Path):
        cache = os.environ.get("TFL_CACHE_DIR") or platformdirs.user_cache_path("tfl_helpers")
    return Path(cache).expanduser() / "tfl_features"


def _memory(cache: bool | str | Path) -> joblib.Memory | None:
    """Open the cache; where it cannot be written, say so and do without."""
    if cache is False:
        return None
    folder = _folder(cache)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return joblib.Memory(folder, verbose=0)
    except OSError as error:
        warnings.warn(
            f"features are not kept, since the cache folder cannot be written: {error}. Set "
            "TFL_CACHE_DIR to one that can",
            stacklevel=3,
        )
        return None
