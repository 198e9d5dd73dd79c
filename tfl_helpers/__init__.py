"""Image recognition without labels, by transfer: helpers behind the notebook series.

One module per step of the method, imported where it is used::

    datasets -> cleaning -> backbones -> features -> clustering -> selflabel -> evaluation -> tuning

Importing this package loads no module of it, and so not TensorFlow either.
"""

__version__ = "0.1.0"
