"""Run a backbone: compiled, on batches of images as it takes them, here or in another process."""

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfl_helpers import datasets
from tfl_helpers.backbones.contract import input_size
from tfl_helpers.backbones.joined import View
from tfl_helpers.datasets import FolderImages, ImageReadError


class Computer:
    """Computes a view of images, in this process or a worker of a cluster."""

    def __init__(self, view: View, batch_size: int) -> None:
        self.view, self.batch_size = view, batch_size

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "_forward"}

    def __call__(
        self, images: FolderImages | np.ndarray, watch: Callable[[int], Any] = lambda n: None
    ) -> np.ndarray:
        """Compute features float32 (n, d); `watch` is told of each batch how many images it had."""
        done = []
        for batch in batches(self.view.backbone, images, self.batch_size):
            done.append(self._forward(batch))
            watch(len(batch))
        return np.concatenate(done)

    @functools.cached_property
    def _forward(self) -> Callable[[tf.Tensor], tf.Tensor]:
        return forward(self.view)


def forward(view: View) -> Callable[[tf.Tensor], tf.Tensor]:
    """Make a function of batches; it compiles the backbone when first called, if at all."""
    once = functools.cache(lambda: compiled(view.backbone))
    return lambda batch: once()(batch[:, :, ::-1] if view.mirrored else batch)


def compiled(backbone: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """Compile a backbone: images, float32 (b, h, w, c), 0..255, to features (b, d)."""
    # With weights that are constants TensorFlow folds batch normalisation into the convolutions:
    # 1.4 times as fast for MobileNetV2 (`benchmarks/extraction.py`).
    variables = backbone.trainable_variables, backbone.non_trainable_variables
    weights = [[variable.numpy() for variable in part] for part in variables]

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, backbone.input_shape[-1]))])
    def run(batch: tf.Tensor) -> tf.Tensor:
        constants = [[tf.constant(weight) for weight in part] for part in weights]
        return backbone.stateless_call(*constants, batch, training=False)[0]

    return run.get_concrete_function()  # traced now, else TensorFlow may warn of it later


def batches(
    backbone: keras.Model,
    images: FolderImages | np.ndarray,
    batch_size: int,
    size: tuple[int, int] | None = None,
) -> Iterator[tf.Tensor]:
    """Batches as a backbone takes them; those of a folder in the size that it sees."""
    if isinstance(images, FolderImages) and (size := input_size(backbone)) is None:
        raise ValueError(f"{backbone.name} needs one size: load it with size=(height, width)")
    channels = backbone.input_shape[-1]
    try:
        yield from datasets.batches(images, size=size, channels=channels, batch_size=batch_size)
    except tf.errors.InvalidArgumentError as error:  # tf.data wraps what our reader raised
        if found := re.search("ImageReadError: (.*)", error.message):
            raise ImageReadError(found[1]) from None
        raise
