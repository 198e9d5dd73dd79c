"""Networks that come as a SavedModel: a folder, or an address on TF-Hub."""

from pathlib import Path
from typing import Any

import joblib
import keras

from tfl_helpers import datasets
from tfl_helpers.backbones.contract import assemble, pair
from tfl_helpers.backbones.weights import WeightsMissingError


def from_hub(
    handle: str | Path,
    *,
    size: int | tuple[int, int] | None,
    channels: int = 3,
    scale: float = 1 / 255,
) -> keras.Model:
    """Load a network of TF-Hub, or any SavedModel folder, as a frozen backbone like `load`.

    Parameters
    ----------
    handle : str or Path
        Address on TF-Hub, or a folder.
    size, channels : int, (int, int) or None, and int
        Height and width that the network expects (None: any); 1 or 3.
    scale : float
        What raw values, 0..255, are multiplied with.

    Raises
    ------
    WeightsMissingError, ValueError
        Nothing can be loaded from there; it takes no such images.
    """
    handle, size = str(handle), None if size is None else pair(size)
    if "://" in handle and datasets.offline():
        raise WeightsMissingError(f"TFL_OFFLINE=1 forbids {handle}: unset it, or give a folder")
    import tensorflow_hub as hub  # needs setuptools < 82; slow, so only here

    try:
        loaded = hub.load(handle)  # `hub.KerasLayer` belongs to Keras 2 and fails in Keras 3
    except (OSError, ValueError) as error:
        raise WeightsMissingError(
            f"no SavedModel at {handle}: {error}. Give a TF-Hub address, or a folder that holds "
            "saved_model.pb"
        ) from error
    image = keras.Input((*(size or (None, None)), channels))
    content = [path.read_bytes() for path in sorted(Path(handle).rglob("*")) if path.is_file()]
    try:
        output = _SavedModel(loaded, joblib.hash(content or handle), name="saved_model")(image)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{handle} takes no images {image.shape[1:]}: give the size and channels it expects"
        ) from error
    scaled = None if scale == 1 else keras.layers.Rescaling(scale, name="preprocess")
    network = keras.Model(image, output)
    return assemble(Path(handle).name or "hub", network, preprocess=scaled, size=size)


@keras.saving.register_keras_serializable("tfl_helpers")
class _SavedModel(keras.layers.Layer):
    """A loaded SavedModel, frozen; `digest` tells one content from another."""

    def __init__(self, loaded: Any, digest: str, **options: Any) -> None:
        super().__init__(trainable=False, **options)
        self.loaded, self.digest = loaded, digest

    def call(self, images: Any) -> Any:
        if callable(self.loaded):
            return self.loaded(images)
        serve = self.loaded.signatures["serving_default"]
        (name,) = serve.structured_input_signature[1]
        return next(iter(serve(**{name: images}).values()))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "digest": self.digest}
