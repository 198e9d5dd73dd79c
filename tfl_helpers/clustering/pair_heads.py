"""A SCAN-like head on augmented views. Only the functions that train import TensorFlow."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import eigh
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state

from tfl_helpers.clustering.graph import nearest

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

MAX_SEED = np.iinfo(np.int32).max
N_NEIGHBORS = 20  # of an image; every step draws one
HIDDEN, WIDTH = 512, 128  # units of the network's two layers
LEARNING_RATE = 1e-3
ENTROPY_WEIGHT = 5.0  # reward for groups of equal size; at 0 everything ends up in one
SHARPNESS = 10.0  # what cosines are multiplied by before softmax
N_CHECKS = 50  # batches on which heads are compared


def view_head(
    z: np.ndarray,
    views: np.ndarray,
    n_clusters: int,
    *,
    n_axes: int = 128,
    n_init: int = 2,
    n_heads: int = 40,
    batch_size: int = 1024,
    n_steps: int = 600,
    random_state: Any = None,
) -> "keras.Model":
    """Train a SCAN-like head on augmented views: a copy and a neighbour's copy share a group.

    Features are projected to the axes along which images differ most, compared with the copies of
    one image. Then a small network with many heads learns pairs: a copy of an image, a copy of one
    of its neighbours there. Of all starts the head with the lowest loss is kept. The loss wants
    groups of equal size; where they are not, `NeighbourClustering` is better.

    Parameters
    ----------
    z : np.ndarray, shape (n, d)
        Features of the images as they are, from `features.extract`.
    views : np.ndarray, shape (v, n, d)
        Features of one or more changed copies of each, from `features.extract_views`.
    n_clusters, n_axes, n_init, n_heads : int
        Number of groups; axes that are kept; starts, and heads trained side by side in each.
    batch_size, n_steps : int
        Of the training.
    random_state : int, RandomState or None
        Draws start and batches.

    Returns
    -------
    keras.Model
        Features (b, d), as `z`, to probabilities (b, n_clusters); plain Keras layers.

    References
    ----------
    Axes: linear discriminant analysis (Fisher 1936) with every image as a class of its own. Loss:
    Van Gansbeke et al. (2020), SCAN, there for one copy.
    """
    import keras
    import tensorflow as tf

    if np.ndim(views) != 3 or not len(views) or np.shape(views)[1:] != np.shape(z):
        raise ValueError(
            f"views must be (1 or more, {len(z):,} images, {np.shape(z)[-1]} features), not "
            f"{np.shape(views)}"
        )
    rng, copies = check_random_state(random_state), [z, *views]
    axes, offset = _discriminant_axes(copies, n_axes, rng)
    places = [np.asarray(copy, "float32") @ axes + offset for copy in copies]
    unit, scale = keras.layers.UnitNormalization(), float(np.sqrt(len(offset)))
    inputs = unit(tf.constant(np.concatenate(places))) * scale
    near = tf.constant(nearest(places[0], N_NEIGHBORS)[0], tf.int32)
    generator = tf.random.Generator.from_seed(int(rng.randint(MAX_SEED)))

    def draw_pairs() -> tf.Tensor:
        """Draw copies of images and of their neighbours, (2, batch_size), as rows of `inputs`."""
        limits = len(z), near.shape[1], len(copies), len(copies)
        rows, rank, one, other = (
            generator.uniform((batch_size,), maxval=limit, dtype=tf.int32) for limit in limits
        )
        neighbours = tf.gather_nd(near, tf.stack([rows, rank], 1))
        return tf.stack([rows + len(z) * one, neighbours + len(z) * other])

    checks = [draw_pairs() for _ in range(N_CHECKS)]  # the same for all starts
    sizes = n_clusters, n_heads, n_steps
    starts = [_train_heads(inputs, draw_pairs, checks, *sizes, rng) for _ in range(n_init)]
    _, body, kernel = min(starts, key=lambda start: start[0])
    features = keras.Input((z.shape[1],), name="features")
    project = keras.layers.Dense(len(offset), name="axes", trainable=False)
    groups = keras.layers.Dense(n_clusters, "softmax", use_bias=False, name="groups")
    layers = [features, project, unit, keras.layers.Rescaling(scale), *body.layers, groups]
    model = keras.Sequential(layers, name="head")
    project.set_weights([axes, offset])
    groups.set_weights([kernel])
    return model


def _discriminant_axes(
    copies: Sequence[np.ndarray], n_axes: int, rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Axes, and an offset, along which images differ more than the copies of one image."""
    some = np.sort(rng.permutation(len(copies[0]))[:10_000])  # enough for two covariances
    z = np.stack([np.asarray(copy[some], "float32") for copy in copies])
    centre, spread = z[0].mean(0), np.maximum(z[0].std(0), 1e-6)
    z = (z - centre) / spread
    mean = z.mean(0)
    within = sum((copy - mean).T @ (copy - mean) for copy in z) / (len(z) - 1) / len(some)
    level = np.trace(within) / len(within)
    if level < 1e-12:
        raise ValueError("the views are the same as the images: nothing says what may change")
    within = 0.9 * within + 0.1 * level * np.eye(len(within))  # shrunk: it can be short of rank
    d, kept = len(within), min(n_axes, len(within), len(some) - 1)
    values, axes = eigh(np.cov(z[0].T), within, subset_by_index=[d - kept, d - 1])
    axes = axes * (values / (1 + values)) / spread[:, None]
    return axes.astype("float32"), (-centre @ axes).astype("float32")


def _train_heads(
    inputs: "tf.Tensor",
    draw_pairs: Callable[[], "tf.Tensor"],
    checks: "list[tf.Tensor]",
    n_clusters: int,
    n_heads: int,
    n_steps: int,
    rng: np.random.RandomState,
) -> "tuple[float, keras.Model, np.ndarray]":
    """Train one small network: the loss of its best head, the network, that head's kernel."""
    import keras
    import tensorflow as tf

    starts = [keras.initializers.GlorotUniform(int(rng.randint(MAX_SEED))) for _ in range(2)]
    body = keras.Sequential(
        [
            keras.Input(inputs.shape[1:]),
            keras.layers.Dense(HIDDEN, "gelu", kernel_initializer=starts[0]),
            keras.layers.Dense(WIDTH, kernel_initializer=starts[1]),
            keras.layers.UnitNormalization(),
        ]
    )
    heads = keras.Variable(rng.normal(size=(WIDTH, n_heads * n_clusters)).astype("float32"))
    weights = [*body.trainable_variables, heads]
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, n_steps, warmup_target=LEARNING_RATE, warmup_steps=min(100, n_steps // 10)
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=1e-4)
    optimizer.build(weights)

    @tf.function
    def losses(rows: tf.Tensor) -> tf.Tensor:
        """Loss of each head: -mean log <p_a, p_b> - w H(mean p)."""
        z = body(tf.gather(inputs, tf.reshape(rows, [-1])))
        scores = SHARPNESS * z @ tf.math.l2_normalize(heads.value, 0)
        p = tf.nn.softmax(tf.reshape(scores, (2, -1, n_heads, n_clusters)))
        agreement = tf.reduce_mean(tf.math.log(tf.reduce_sum(p[0] * p[1], -1) + 1e-8), 0)
        mean = tf.reduce_mean(p, (0, 1))
        entropy = -tf.reduce_sum(mean * tf.math.log(mean + 1e-8), -1)
        return -agreement - ENTROPY_WEIGHT * entropy

    @tf.function
    def step() -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(losses(draw_pairs()))
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))

    for _ in range(n_steps):
        step()
    found = np.mean([losses(rows) for rows in checks], axis=0)
    own = slice(found.argmin() * n_clusters, (found.argmin() + 1) * n_clusters)
    return float(found.min()), body, SHARPNESS * normalize(heads.numpy(), axis=0)[:, own]
