"""What a round learns, and the copies of a backbone that are trained and compared."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfl_helpers import backbones
from tfl_helpers.selflabel.heads import attach


@dataclass
class Round:
    """What a round is about to learn; `on_round` of `self_label` may change it."""

    number: int  # from 1
    labels: np.ndarray  # int (n,): group of each image
    chosen: np.ndarray  # bool (n,): the images to train on


def frozen_copy(
    backbone: keras.Model, from_layer: str | None
) -> tuple[keras.Model, keras.Model, str]:
    """Copy a backbone: the copy, its reference model, and the layer that training starts at.

    The reference model gives the first activation from the layer half-way on, averaged over all
    places; there training starts if no layer is given.
    """
    body = keras.models.clone_model(backbone)
    body.set_weights(backbone.get_weights())
    body.trainable = False
    network = backbones.network(body)
    later = network.layers[len(network.layers) // 2 :]
    backbones.layer_output(network, from_layer or later[0].name)  # an unknown layer is an error
    kinds = keras.layers.ReLU | keras.layers.Activation
    active = next((layer for layer in later if isinstance(layer, kinds)), later[0])
    x = keras.Model(network.inputs, active.output)(backbones.prepared(body))
    pool = (
        keras.layers.GlobalAveragePooling2D if x.ndim == 4 else keras.layers.GlobalAveragePooling1D
    )
    x = pool()(x) if x.ndim > 2 else x  # maps; tokens of a transformer; features
    return body, keras.Model(body.inputs, x, name="reference"), from_layer or later[0].name


class Learner:
    """A teacher (a frozen body and a head) and a student that learns, on all devices.

    The end of the student's body is trainable; the teacher has the moving average of its weights.
    """

    def __init__(
        self, body: keras.Model, head: keras.Model, from_layer: str, rate: float, strategy: Any
    ) -> None:
        if strategy is None:
            many = len(tf.config.list_logical_devices("GPU")) > 1
            strategy = tf.distribute.MirroredStrategy() if many else tf.distribute.get_strategy()
        self.teacher = attach(body, head)
        with strategy.scope():
            self.student = keras.models.clone_model(self.teacher)
            self.student.set_weights(self.teacher.get_weights())
            backbones.unfreeze(self.student.layers[1], from_layer)
            # Adam's first steps are of full length in every weight: warmed up, else they undo much
            warm = keras.optimizers.schedules.CosineDecay(
                0.0, 1, alpha=1.0, warmup_target=rate, warmup_steps=64
            )
            adam = keras.optimizers.AdamW(warm, weight_decay=1e-4, use_ema=True, ema_momentum=0.98)
            loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
            self.student.compile(adam, loss)

    def learn(self, batches: tf.data.Dataset) -> None:
        """Train the student on batches of images and targets; the teacher follows."""
        self.student.fit(batches, epochs=1, shuffle=False, verbose=0)
        self.teacher.set_weights(self.student.get_weights())  # after fit the moving averages
