"""Image recognition without labels, by transfer: the helpers behind the notebook series.

A module or a folder of modules per step of the method, imported where it is used. Each imports only
what stands to its left::

    datasets -> backbones -> features -> clustering -> augment -> selflabel -> evaluation
    -> selection -> sorting, pedestrians -> lessons -> __main__

Importing this package loads no module of it, and so not TensorFlow either.
"""

__version__ = "0.1.0"
