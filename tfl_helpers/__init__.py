"""Image recognition without labels, by transfer: the helpers behind the notebook series.

A module or a folder of modules per step of the method, imported where it is used. Each imports only
what stands to its left::

    process -> cluster -> datasets -> backbones -> features -> clustering -> augment -> selflabel
    -> evaluation -> selection -> sorting, pedestrians -> lessons -> __main__

Importing this package sets up the process (threads, log level) and loads no step of the method, so
not TensorFlow either. Import it before TensorFlow: then that loads without its greeting.
"""

from tfl_helpers.process import set_up

set_up()

__version__ = "0.1.0"
