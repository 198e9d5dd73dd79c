"""Features of images, computed once: batches through a frozen backbone, kept on disk."""

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable
from numbers import Integral
from pathlib import Path
from typing import Any

import joblib
import keras
import numpy as np
import platformdirs
import tensorflow as tf
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer, StandardScaler, normalize
from sklearn.utils import check_scalar
from tqdm.auto import tqdm

from tfl_helpers import backbones, cluster
from tfl_helpers.backbones import running
from tfl_helpers.backbones.running import compiled
from tfl_helpers.datasets import (
    FolderImages,
    ImageReadError,
    ImageSet,
    as_images,
    progress_bar,
)

Images = ImageSet | FolderImages | np.ndarray
AT_ONCE = 8  # batches that go to a worker of a cluster at a time
_BAR = {"unit": "image", "delay": 1, "leave": False}


def extract(
    backbone: keras.Model,
    images: Images,
    *,
    batch_size: int = 64,
    looks: backbones.Looks = None,
    cache: bool | str | Path = True,
    block_size: int = 4096,
    client: Any = None,
    progress: bool = True,
) -> np.ndarray:
    """Turn images into features; what was computed before comes from the cache.

    The cache knows images by their pixels (files by path, size and time of change), a backbone by
    its layers and weights. A stopped run goes on where it was; of a joined backbone, what its parts
    computed before costs nothing.

    Parameters
    ----------
    backbone : keras.Model
        From `backbones.load`, vectors out.
    images : ImageSet, FolderImages, a folder's path, or array (n, h, w, 1 or 3)
        Raw values, 0..255.
    batch_size, block_size : int
        Images at a time (fewer where they would fill the memory), and per entry of the cache.
    looks : float, "mirror", or a sequence of them, optional
        Average the features of several looks at each image: in multiples of the backbone's size,
        such as (0.75, 1, 1.25), and mirrored. Steadier for photos; wrong for characters.
    cache : bool, str or Path
        True: TFL_CACHE_DIR, or the user's cache folder. A path: that folder. False: no cache.
    client : distributed.Client, optional
        Its workers compute what is not in the cache; files they need to see by the same path.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    np.ndarray
        float32 (n, d).

    Raises
    ------
    ValueError, ImageReadError
        No images, or a backbone that gives no vectors; a broken file.
    """
    backbones.check(backbone)
    images = as_images(images)
    check_scalar(block_size, "block_size", Integral, min_val=1)
    if len(backbone.output_shape) != 2:
        raise ValueError(
            f"{backbone.name} gives {backbone.output_shape}, not one vector per image: load it "
            'with pooling="avg", "max" or "flatten"'
        )
    memory = _memory(cache)

    def see(view: backbones.View) -> np.ndarray:
        return _see(view, images, batch_size, memory, block_size, bar, client)

    with progress_bar(progress, total=len(images), **_BAR) as bar:
        of_parts = (backbones.views(part, looks) for part in backbones.parts(backbone))
        return combine(map(see, found) for found in of_parts)


def combine(parts: Iterable[Iterable[np.ndarray]]) -> np.ndarray:
    """Put together what the views of each part gave, each (n, d), as `extract` does: float32.

    That is the mean over its views; of several parts each row is scaled to length one.
    """
    means = []
    for of_views in parts:
        total, count = 0.0, 0
        for z in of_views:
            total, count = total + z, count + 1
        means.append(total / np.float32(count) if count > 1 else total)
    return means[0] if len(means) == 1 else np.hstack([normalize(z, copy=False) for z in means])


def _see(
    view: backbones.View,
    images: FolderImages | np.ndarray,
    batch_size: int,
    memory: joblib.Memory | None,
    block_size: int,
    bar: tqdm,
    client: Any,
) -> np.ndarray:
    """Features of one view, block by block; the bar shows its images per second."""
    work = running.Computer(view, backbones.fitting_batch(view.backbone, batch_size))
    at_once = AT_ONCE * work.batch_size if client else block_size  # the same batches
    watch = {} if client else {"watch": bar.update}

    def compute(block: FolderImages | np.ndarray) -> np.ndarray:
        rows, done = range(len(block)), {}
        several = (rows[i : i + at_once] for i in range(0, len(rows), at_once))
        send = lambda some: block[some.start : some.stop]  # noqa: E731
        for some, z in spread(several, send, **watch):
            if z is None:
                name = getattr(block, "files", ["an image"] * len(block))[some[0]]
                raise ImageReadError(f"{name} ended each worker that computed it")
            done[some.start] = z
            bar.update(len(some) if client else 0)
        return np.concatenate([done[start] for start in sorted(done)])

    if memory:
        made_by = _fingerprint(view.backbone), tf.__version__, view.mirrored and "mirrored"
        kept = memory.cache(_block, ignore=["compute", "images"])
    bar.set_description(view.name)
    bar.reset()
    with cluster.spread(client, work) as spread:
        for start in range(0, len(images), block_size):
            part = images[start : start + block_size]
            z = kept(_content(part), made_by, compute, part) if memory else compute(part)
            if start == 0:
                result = np.empty((len(images), z.shape[1]), "float32")
            result[start : start + len(part)] = z
            bar.update(start + len(part) - bar.n)
    return result


def extract_views(
    backbone: keras.Model,
    images: Images,
    change: keras.Model,
    *,
    n_views: int = 2,
    batch_size: int = 64,
    progress: bool = True,
) -> np.ndarray:
    """Turn changed copies of each image into features, drawn anew each time and not cached.

    Parameters
    ----------
    backbone, images, batch_size, progress
        As in `extract`.
    change : keras.Model
        From `augment.augmenter`, without damage; it gets images in the size of the backbone.
    n_views : int
        Copies of each image.

    Returns
    -------
    np.ndarray
        float16 (n_views, n, d), for `clustering.view_head`.
    """
    backbones.check(backbone)
    check_scalar(n_views, "n_views", Integral, min_val=1)
    if not isinstance(change, keras.Layer):
        raise TypeError(f"change is what augment.augmenter returns, not {change!r}")
    images, forward = as_images(images), compiled(backbone)
    size = backbones.input_size(backbone)
    changed = tf.function(lambda batch: change(batch, training=True))
    views = np.empty((n_views, len(images), backbone.output_shape[-1]), "float16")
    total = n_views * len(images)
    with progress_bar(progress, total=total, desc=backbone.name, **_BAR) as shown:
        for view in views:
            done = 0
            for batch in running.batches(backbone, images, batch_size, size):
                view[done : done + len(batch)] = forward(changed(batch))
                done += len(batch)
                shown.update(len(batch))
    return views


def extractor(view: backbones.View, batch_size: int = 32) -> Callable[[np.ndarray], np.ndarray]:
    """Make a function: pixels (n, h, w, 1 or 3), 0..255, to features float32 (n, d), no cache."""
    forward, batch_size = running.forward(view), backbones.fitting_batch(view.backbone, batch_size)
    grey = view.backbone.input_shape[-1] == 1

    def compute(pixels: np.ndarray) -> np.ndarray:
        # No tf.data here: a new pipeline for each block of files would stay in memory.
        done = []
        for start in range(0, len(pixels), batch_size):
            batch = tf.cast(pixels[start : start + batch_size], tf.float32)
            if grey != (batch.shape[-1] == 1):
                batch = (tf.image.rgb_to_grayscale if grey else tf.image.grayscale_to_rgb)(batch)
            done.append(forward(batch))
        return np.concatenate(done)

    return compute


def cache_info(cache: bool | str | Path = True) -> dict[str, str | int | float]:
    """Say where the cache is: its `folder`, `entries` (blocks of images) and `megabytes`."""
    folder = _folder(cache)
    files = [path for path in folder.rglob("*") if path.is_file()]
    entries = sum(path.name == "output.pkl" for path in files)
    megabytes = round(sum(path.stat().st_size for path in files) / 1e6, 1)
    return {"folder": str(folder), "entries": entries, "megabytes": megabytes}


def clear_cache(cache: bool | str | Path = True) -> float:
    """Empty the cache; return the megabytes set free."""
    freed = cache_info(cache)["megabytes"]
    if _folder(cache).exists():
        shutil.rmtree(_folder(cache))
    return freed


def normaliser(kind: str = "l2") -> Pipeline:
    """Scale features before clustering, with scikit-learn's own transformers.

    Parameters
    ----------
    kind : {"none", "l2", "standard", "pca-whiten"}
        Leave as they are; every vector to length one; every feature to mean 0 and variance 1;
        length one, the principal components that hold 90 % of the variance, each to variance 1,
        and length one again (Jegou and Chum 2012). None of them is best everywhere.

    Returns
    -------
    sklearn.pipeline.Pipeline
        To be fitted on training features.

    Examples
    --------
    >>> normaliser("l2").fit_transform(np.array([[3.0, 4.0], [0.0, 2.0]]))
    array([[0.6, 0.8],
           [0. , 1. ]])
    """
    steps = {
        "none": [FunctionTransformer()],
        "l2": [Normalizer()],
        "standard": [StandardScaler()],
        # Without the first step bright against dark can be all that is left.
        "pca-whiten": [Normalizer(), PCA(0.9, whiten=True, svd_solver="full"), Normalizer()],
    }
    if kind not in steps:
        raise ValueError(f"no normaliser is called {kind!r}; there are {', '.join(steps)}")
    return make_pipeline(*steps[kind])


def _block(content: str, made_by: tuple, compute: Callable, images: Images) -> np.ndarray:
    """Features of one block; joblib keeps them by `content` and `made_by`."""
    return compute(images)


def _content(images: FolderImages | np.ndarray) -> str:
    """Hash of the pixels; for files of path, size and time of change, as reading all is slow."""
    if isinstance(images, FolderImages):
        stats = [(images.root / file).stat() for file in images.files]
        found = [(s.st_size, s.st_mtime_ns) for s in stats]
        scaled = images.value_range  # of more than 8 bits: it hangs on the whole folder
        return joblib.hash((str(images.root.resolve()), images.files, found, *(scaled or ())))
    return joblib.hash(np.ascontiguousarray(images), hash_name="sha1")  # the faster one


def _fingerprint(backbone: keras.Model) -> str:
    """Hash of what a backbone computes; names that Keras numbers anew each time are left out."""

    def describe(layer: keras.Layer) -> list | dict:
        if isinstance(layer, keras.Model):
            return [describe(inner) for inner in layer.layers]
        known = {k: v for k, v in layer.get_config().items() if k not in ("name", "trainable")}
        return keras.tree.lists_to_tuples(known)  # Keras' own lists cannot be hashed

    return joblib.hash((backbone.name, describe(backbone), backbone.get_weights()))


def _folder(cache: bool | str | Path) -> Path:
    """Folder that holds features alone."""
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
        text = f"features are not kept, as the cache cannot be written ({error}): set TFL_CACHE_DIR"
        warnings.warn(text, stacklevel=3)
        return None
