"""SCAN and TURTLE, published methods to compare with: linear heads, trained on frozen features.

Written from the equations of the papers. `methods.py` gives them the published settings.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from sklearn.utils import check_random_state

MAX_SEED = np.iinfo(np.int32).max


def neighbour_head(
    z: np.ndarray,
    neighbours: np.ndarray,
    n_clusters: int,
    *,
    n_heads: int = 10,
    entropy_weight: float = 5.0,
    learning_rate: float = 1e-3,
    batch_size: int = 512,
    n_steps: int = 1000,
    random_state: Any = None,
) -> keras.Model:
    """Train a linear layer that puts neighbours into the same group.

    Parameters
    ----------
    z : np.ndarray, shape (n, d)
        Features, best standardised: tiny ones hardly move the layer.
    neighbours : np.ndarray, int (n, m)
        From `clustering.nearest`; every step draws one of the m.
    n_clusters : int
        Number of groups.
    n_heads : int
        Layers trained side by side; the one with the lowest loss is kept.
    entropy_weight : float
        Reward for groups of equal size; at 0 everything ends up in one.
    learning_rate, batch_size, n_steps : float, int, int
        Of Adam.
    random_state : int, RandomState or None
        Draws start and batches.

    Returns
    -------
    keras.Model
        Features (b, d) to probabilities (b, n_clusters).

    Notes
    -----
    Loss: -mean log <p_a, p_n> - w H(mean p). Van Gansbeke et al. (2020), SCAN.
    """
    rng, z = check_random_state(random_state), tf.constant(z, tf.float32)
    start = keras.initializers.GlorotUniform(int(rng.randint(MAX_SEED)))
    layer = keras.layers.Dense(n_heads * n_clusters, kernel_initializer=start)
    layer.build((None, z.shape[1]))
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer.build(layer.trainable_variables)

    def losses(rows: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
        """Loss of each head."""
        p, q = (
            tf.nn.softmax(tf.reshape(layer(tf.gather(z, i)), (-1, n_heads, n_clusters)))
            for i in (rows, others)
        )
        agreement = tf.reduce_mean(tf.math.log(tf.reduce_sum(p * q, -1) + 1e-8), 0)
        return -agreement - entropy_weight * entropy(tf.reduce_mean(p, 0))

    @tf.function(reduce_retracing=True)
    def step(rows: tf.Tensor, others: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(losses(rows, others))
        slopes = tape.gradient(loss, layer.trainable_variables)
        optimizer.apply_gradients(zip(slopes, layer.trainable_variables, strict=True))

    def draw(size: int) -> tuple[tf.Tensor, tf.Tensor]:
        rows = rng.randint(len(neighbours), size=size)
        return rows, neighbours[rows, rng.randint(neighbours.shape[1], size=size)]

    for _ in range(n_steps):
        step(*map(tf.constant, draw(min(batch_size, len(neighbours)))))
    best = int(np.argmin(losses(*draw(min(20_000, 10 * len(neighbours))))))
    own = slice(best * n_clusters, (best + 1) * n_clusters)
    kernel, bias = (w[..., own] for w in layer.get_weights())
    return linear_model(kernel, bias)


def turtle_head(
    spaces: Sequence[np.ndarray],
    n_clusters: int,
    *,
    entropy_weight: float = 10.0,
    learning_rate: float = 1e-3,
    inner_steps: int = 10,
    batch_size: int = 10_000,
    n_steps: int = 6000,
    random_state: Any = None,
) -> list[keras.Model]:
    """Search the grouping that a linear classifier learns most easily.

    Parameters
    ----------
    spaces : sequence of np.ndarray, each (n, d)
        One or more kinds of features of the same images, best standardised: on tiny ones nothing
        moves.
    n_clusters : int
        Number of groups.
    entropy_weight : float
        Reward for using all groups.
    learning_rate, inner_steps, batch_size, n_steps : float, int, int, int
        Of Adam, for the grouping; the classifier takes `inner_steps` of its own per step.
    random_state : int, RandomState or None
        Draws start and batches.

    Returns
    -------
    list of keras.Model
        One per space: features (b, d) to probabilities (b, n_clusters). Their mean is the grouping.

    Notes
    -----
    Inner: a linear probe is fitted to the grouping t. Outer: CE(probe(z), t) - w H(mean t) is
    lowered through t alone. Gadetsky et al. (2024), Let go of your labels with unsupervised
    transfer.
    """
    rng = check_random_state(random_state)
    spaces = [tf.constant(z, tf.float32) for z in spaces]

    def layers() -> list[keras.layers.Layer]:
        made = []
        for z in spaces:
            start = keras.initializers.GlorotUniform(int(rng.randint(MAX_SEED)))
            made.append(keras.layers.Dense(n_clusters, kernel_initializer=start))
            made[-1].build((None, z.shape[1]))
        return made

    probes, tasks = layers(), layers()
    lengths = [tf.Variable(tf.norm(layer.kernel.value, axis=0)) for layer in tasks]
    inner = [w for layer in probes for w in layer.trainable_variables]
    outer = [w for layer in tasks for w in layer.trainable_variables] + lengths
    optimizers = [keras.optimizers.Adam(learning_rate) for _ in range(2)]
    optimizers[0].build(inner)
    optimizers[1].build(outer)

    def kernel(layer: keras.layers.Layer, length: tf.Variable) -> tf.Tensor:
        return length * tf.math.l2_normalize(layer.kernel, axis=0)  # weight normalisation

    def grouping(batch: list[tf.Tensor]) -> tf.Tensor:
        parts = zip(batch, tasks, lengths, strict=True)
        logits = [z @ kernel(layer, length) + layer.bias for z, layer, length in parts]
        return tf.add_n([tf.nn.softmax(x) for x in logits]) / len(logits)

    def hardness(batch: list[tf.Tensor], target: tf.Tensor) -> tf.Tensor:
        """Cross-entropy of the probes with the grouping."""
        losses = [
            tf.nn.softmax_cross_entropy_with_logits(target, layer(z))
            for z, layer in zip(batch, probes, strict=True)
        ]
        return tf.reduce_mean(tf.add_n(losses))

    @tf.function(reduce_retracing=True)
    def step(rows: tf.Tensor) -> None:
        batch = [tf.gather(z, rows) for z in spaces]
        target = tf.stop_gradient(grouping(batch))
        for _ in range(inner_steps):
            with tf.GradientTape() as tape:
                loss = hardness(batch, target)
            optimizers[0].apply_gradients(zip(tape.gradient(loss, inner), inner, strict=True))
        with tf.GradientTape() as tape:
            target = grouping(batch)
            spread = entropy(tf.reduce_mean(target, 0))
            loss = hardness(batch, target) - entropy_weight * len(batch) * spread
        optimizers[1].apply_gradients(zip(tape.gradient(loss, outer), outer, strict=True))

    for _ in range(n_steps):
        n = len(spaces[0])
        step(tf.constant(rng.choice(n, min(batch_size, n), replace=False)))
    return [
        linear_model(kernel(layer, length).numpy(), layer.bias.numpy())
        for layer, length in zip(tasks, lengths, strict=True)
    ]


def entropy(p: tf.Tensor) -> tf.Tensor:
    """Entropy along the last axis."""
    return -tf.reduce_sum(p * tf.math.log(p + 1e-8), -1)


def linear_model(kernel: np.ndarray, bias: np.ndarray) -> keras.Model:
    """One layer with these weights: features to probabilities."""
    layer = keras.layers.Dense(len(bias), activation="softmax", name="groups")
    model = keras.Sequential([keras.Input((len(kernel),)), layer])
    layer.set_weights([kernel, bias])
    return model
