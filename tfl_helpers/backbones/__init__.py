"""Shim: re-exports the old module until it is rewritten here."""
from tfl_helpers._old import backbones as _old

globals().update({k: v for k, v in vars(_old).items() if not k.startswith("__")})
from_layer = _old.cut
inner_layers = _old.layers


def input_size(backbone):
    first = backbone.layers[1]
    return (first.height, first.width) if first.name in ("resize", "shrink") else None


def network(backbone):
    return backbone.get_layer("network")
