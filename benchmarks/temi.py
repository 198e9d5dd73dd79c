"""TEMI, a published method to compare with: heads that a slow copy of themselves teaches.

Written from the equations of Adaloglou, Michels, Kalisch and Kollmann (2023), Exploring the limits
of deep image clustering using pretrained models. `methods.py` gives it the published settings.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from sklearn.utils import check_random_state

HIDDEN, BOTTLENECK = 512, 256
TEMPERATURE = 0.1  # of student and teacher
POWER = 0.6  # below 1 it keeps heads from using few groups
MEMORY = 0.9  # of the group sizes, from step to step


def temi_head(
    z: np.ndarray,
    neighbours: np.ndarray,
    n_clusters: int,
    *,
    n_heads: int = 16,
    n_epochs: int = 100,
    warmup: float = 0.2,
    batch_size: int = 1024,
    learning_rate: float = 4e-4,
    weight_decay: float = 1e-4,
    momentum: float = 0.996,
    random_state: Any = None,
) -> keras.Model:
    """Train heads to agree with a slow copy of themselves about an image and its neighbour.

    Parameters
    ----------
    z : np.ndarray, shape (n, d)
        Features, best standardised: on tiny ones every head collapses.
    neighbours : np.ndarray, int (n, m)
        From `clustering.nearest`; every step draws one of the m (50 in the paper).
    n_clusters : int
        Number of groups.
    n_heads : int
        Networks trained side by side; the one with the lowest loss in the last epoch is kept.
    n_epochs : int
        Turns through the images; the last layer stays as it is in the first.
    warmup : float
        Share of the epochs in which the rate rises.
    batch_size : int
        Images per step, at most n.
    learning_rate : float
        Of AdamW; the paper's 1e-4 for every 256 images of a batch of 1,024.
    weight_decay, momentum : float, float
        Of AdamW; of the copy (the teacher).
    random_state : int, RandomState or None
        Draws start and batches.

    Returns
    -------
    keras.Model
        The teacher: features (b, d) to probabilities (b, n_clusters).

    Notes
    -----
    Loss of a head for an image x and its neighbour x', with student s, teacher t and group sizes
    p: -w log sum_c (s(c|x) t(c|x'))^0.6 / p(c), and the same with x and x' exchanged. How far the
    teachers of all heads hold x and x' together is the pair's weight w = mean sum_c t(c|x) t(c|x').
    """
    rng, z = check_random_state(random_state), tf.constant(z, tf.float32)
    shapes = [
        (n_heads, z.shape[1], HIDDEN),
        (n_heads, 1, HIDDEN),
        (n_heads, HIDDEN, BOTTLENECK),
        (n_heads, 1, BOTTLENECK),
        (n_heads, BOTTLENECK, n_clusters),
    ]
    student, teacher = [], []
    for shape in shapes:
        draw = keras.initializers.TruncatedNormal(0.02, seed=int(rng.randint(2**31 - 1)))
        start = tf.zeros(shape) if shape[1] == 1 else draw(shape)
        student.append(keras.Variable(start))
        teacher.append(keras.Variable(start))
    sizes = tf.Variable(tf.fill((n_heads, 1, n_clusters), 1 / n_clusters))
    optimizer = keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay)
    optimizer.build(student)

    def predict(x: tf.Tensor, weights: list) -> tf.Tensor:
        """Log-probabilities (n_heads, b, n_clusters); heads are the batch of each matmul."""
        w1, b1, w2, b2, w3 = weights
        hidden = tf.nn.gelu(tf.einsum("bi,hio->hbo", x, w1) + b1)
        place = tf.math.l2_normalize(tf.einsum("hbi,hio->hbo", hidden, w2) + b2, -1)
        cosine = tf.einsum("hbi,hio->hbo", place, tf.math.l2_normalize(w3, 1))
        return tf.nn.log_softmax(cosine / TEMPERATURE)

    @tf.function(reduce_retracing=True)
    def step(rows: tf.Tensor, friends: tf.Tensor, last_layer: tf.Tensor) -> tf.Tensor:
        """Move student, then teacher; return the loss of each head."""
        x = tf.gather(z, tf.concat([rows, friends], 0))
        t1, t2 = tf.split(predict(x, teacher), 2, 1)
        now = tf.reduce_mean(tf.exp(t1) + tf.exp(t2), 1, keepdims=True) / 2
        sizes.assign(MEMORY * sizes + (1 - MEMORY) * now)
        weight = tf.reduce_mean(tf.reduce_sum(tf.exp(t1 + t2), -1), 0)
        with tf.GradientTape() as tape:
            s1, s2 = tf.split(predict(x, student), 2, 1)
            both = [
                tf.reduce_logsumexp(POWER * (s + t) - tf.math.log(sizes), -1)
                for s, t in ((s1, t2), (s2, t1))
            ]
            losses = -tf.reduce_mean(weight * (both[0] + both[1]) / 2, -1)
            loss = tf.reduce_sum(losses)
        slopes = tape.gradient(loss, student)
        slopes[-1] *= last_layer
        optimizer.apply_gradients(zip(slopes, student, strict=True))
        for slow, fast in zip(teacher, student, strict=True):
            slow.assign(momentum * slow + (1 - momentum) * fast)
        return losses

    n, batch_size = len(neighbours), min(batch_size, len(neighbours))
    per_epoch = n // batch_size
    rising = max(warmup * n_epochs * per_epoch, 1)
    for epoch in range(n_epochs):
        order, losses = rng.permutation(n), []
        for i in range(per_epoch):
            share = min((epoch * per_epoch + i + 1) / rising, 1)
            optimizer.learning_rate = learning_rate * share
            rows = order[i * batch_size : (i + 1) * batch_size]
            friends = neighbours[rows, rng.randint(neighbours.shape[1], size=batch_size)]
            losses.append(step(rows, friends, tf.constant(float(epoch > 0))))
    best = int(np.argmin(np.mean(losses, 0)))
    w1, b1, w2, b2, w3 = (np.asarray(w)[best] for w in teacher)
    w3 = w3 / np.linalg.norm(w3, axis=0) / TEMPERATURE
    layers = [
        keras.layers.Dense(HIDDEN, "gelu"),
        keras.layers.Dense(BOTTLENECK),
        keras.layers.UnitNormalization(),
        keras.layers.Dense(n_clusters, "softmax", use_bias=False, name="groups"),
    ]
    model = keras.Sequential([keras.Input((z.shape[1],)), *layers])
    model.set_weights([w1, b1[0], w2, b2[0], w3])
    return model
