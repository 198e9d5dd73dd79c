"""Any network that Keras saved in a file, as a backbone."""

from pathlib import Path

import keras

from tfl_helpers import datasets
from tfl_helpers.backbones.contract import assemble, at_size, parts
from tfl_helpers.backbones.weights import WeightsMissingError

SUFFIXES = (".keras", ".h5", ".hdf5")


def load_file(
    path: str | Path,
    *,
    size: tuple[int, int] | None = None,
    layer: str | None = None,
    pooling: str | None = "avg",
) -> keras.Model:
    """Load a Keras file that takes raw images, 0..255, as `families.load` does; no code in it runs.

    A backbone that was saved comes back as it was, unless another `size` or `layer` is wanted; the
    first digits of the file's hash are added to its name.
    """
    if not (path := Path(path).expanduser()).is_file():
        raise WeightsMissingError(f"there is no file {path}")
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # a file may hold anything, and Keras raises what comes
        why = str(error).strip().split("\n")[0]
        if "lambda" in str(error).lower():
            why = "it holds a Lambda layer, whose code is not run; build it of other layers"
        raise ValueError(f"{path} cannot be loaded as a Keras model: {why}") from error
    shapes = [tensor.shape for tensor in getattr(model, "inputs", None) or []]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][-1] not in (1, 3):
        raise ValueError(f"{path} takes {shapes}, not one image (height, width, 1 or 3)")
    digest = datasets.file_hash(path, "")[:8]  # in the name, as another may be called the same
    own = {"network", "joined"} & {one.name for one in model.layers}
    if own and size is None and layer is None:
        model.trainable = False
        for one in {model, *parts(model)}:
            one.name = f"{one.name}_{digest}"
        return model
    if len(parts(model)) > 1:
        raise ValueError(f"{path} is several networks side by side: it has no size or layer")
    if layer is None and len(model.outputs) > 1:
        raise ValueError(f"{path} has {len(model.outputs)} outputs: say which layer it is (layer=)")
    network = keras.Model(model.inputs[0], model.outputs[0])  # with the first layer, if Sequential
    found = None if None in shapes[0][1:3] else tuple(shapes[0][1:3])
    if size not in (None, found):
        network = at_size(network, size)
    name = f"{path.stem}_{digest}"
    return assemble(name, network, size=size or found, layer=layer, pooling=pooling)
