"""A network that learned named groups, asked about every window of a photo."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

SCALES = (1.5, 1.0, 0.71, 0.5)  # of a photo: windows of 85, 128, 180 and 256 of its pixels


def classifier(
    backbone: keras.Model, z: np.ndarray, wanted: ArrayLike, *, strength: float = 0.01
) -> keras.Model:
    """Put a linear classifier of named groups behind a backbone: one network for raw images.

    Parameters
    ----------
    backbone : keras.Model
        From `backbones.load`: raw images to features.
    z : np.ndarray, shape (n, d)
        Its features of the training images, not scaled.
    wanted : array of bool, shape (n,)
        Whether an image's group has the name that is looked for: self-made labels, no answers.
    strength : float
        C of the logistic regression: small keeps it from learning single wrong labels by heart.

    Returns
    -------
    keras.Model
        Raw images (b, h, w, c), 0..255, to float32 (b,): log-odds of being what is wanted. Their
        order is finer than that of probabilities, which round to 1.
    """
    wanted = np.asarray(wanted, bool)
    if wanted.all() or not wanted.any():
        raise ValueError(
            f"{wanted.sum()} of {len(wanted)} images are wanted: name at least one group so, and "
            "at least one otherwise"
        )
    scale = StandardScaler().fit(z)
    linear = LogisticRegression(C=strength, max_iter=1000).fit(scale.transform(z), wanted)
    kernel = linear.coef_[0] / scale.scale_
    bias = linear.intercept_[0] - kernel @ scale.mean_
    layer = keras.layers.Dense(1, name="log_odds")
    output = keras.layers.Reshape((), name="one_each")(layer(backbone.output))
    layer.set_weights([kernel[:, None], np.array([bias])])
    return keras.Model(backbone.inputs, output, name=f"{backbone.name}_classifier")


def scorer(model: keras.Model, *, batch_size: int = 256) -> Callable[[ArrayLike], np.ndarray]:
    """Compile a classifier into a function from images to scores.

    Parameters
    ----------
    model : keras.Model
        From `classifier`. Images (n, h, w, 3), 0..255, become grey where it wants them so.
    batch_size : int
        Images at a time.
    """
    grey = model.input_shape[-1] == 1

    @tf.function(reduce_retracing=True)
    def forward(images: tf.Tensor) -> tf.Tensor:
        images = tf.cast(images, tf.float32)
        return model(tf.image.rgb_to_grayscale(images) if grey else images, training=False)

    def score(images: ArrayLike) -> np.ndarray:
        starts = range(0, len(images), batch_size)
        found = [forward(images[start : start + batch_size]).numpy() for start in starts]
        return np.concatenate([np.zeros(0, "float32"), *found])

    return score


def scan(
    image: np.ndarray,
    score: Callable[[np.ndarray], np.ndarray],
    *,
    window: tuple[int, int] = (128, 64),
    step: int = 16,
    scales: Sequence[float] = SCALES,
    smooth: float = 0.7,
) -> tuple[np.ndarray, np.ndarray]:
    """Ask about every window of a photo: one window slides over an image pyramid.

    Parameters
    ----------
    image : np.ndarray
        uint8 (h, w, 3).
    score : callable
        Images float32 (n, *window, 3), 0..255, to scores (n,), such as `scorer` makes.
    window, step : (int, int) and int
        Height and width of the window, as the crops had that were learned; pixels to the next one.
    scales : sequence of float
        The photo is resized by each: large factors find small people.
    smooth : float
        Scores of one scale are smoothed by a Gaussian of so many steps (0: not at all), since
        several windows see a person, and one a chance hit.

    Returns
    -------
    boxes, scores : np.ndarray
        float32 (n, 4), top, left, bottom, right in pixels of the photo, and float32 (n,).

    References
    ----------
    Dalal and Triggs (2005), Histograms of oriented gradients for human detection.
    """
    boxes, scores = [np.zeros((0, 4), "float32")], [np.zeros(0, "float32")]
    for scale in scales:
        sides = [round(side * scale) for side in image.shape[:2]]
        if sides[0] < window[0] or sides[1] < window[1]:
            continue
        resized = tf.image.resize(image, sides, antialias=True).numpy()
        windows = sliding_window_view(resized, (*window, 3))[::step, ::step, 0]  # no copies yet
        found = np.stack([score(row) for row in windows])
        corner = np.indices(found.shape).reshape(2, -1).T * step
        real = [image.shape[i] / sides[i] for i in (0, 1)]  # sides are rounded
        boxes.append(np.hstack([corner * real, (corner + window) * real]).astype("float32"))
        found = gaussian_filter(found, smooth, mode="nearest") if smooth else found
        scores.append(found.ravel().astype("float32"))
    return np.concatenate(boxes), np.concatenate(scores)


def suppress(
    boxes: np.ndarray, scores: np.ndarray, *, threshold: float, overlap: float = 0.3
) -> tuple[np.ndarray, np.ndarray]:
    """Keep the surest of the boxes that mean the same, in order: non-maximum suppression.

    Parameters
    ----------
    boxes, scores : np.ndarray, float (n, 4) and (n,)
        From `scan`.
    threshold, overlap : float
        Boxes with a lower score are dropped, and those that share a larger part (intersection over
        union) with a surer one.

    Examples
    --------
    >>> boxes = np.array([[0, 0, 4, 4], [0, 1, 4, 5], [9, 9, 12, 12]], "float32")
    >>> suppress(boxes, np.array([1, 2, 3], "float32"), threshold=0)[1]
    array([3., 2.], dtype=float32)
    """
    if not len(boxes):
        return boxes, scores
    kept = tf.image.non_max_suppression(
        boxes, scores, len(boxes), float(overlap), float(threshold)
    ).numpy()
    return boxes[kept], scores[kept]


def person_boxes(boxes: np.ndarray, filled: float = 0.75, aspect: float = 0.41) -> np.ndarray:
    """Take the margin of windows away: boxes around the person alone.

    Parameters
    ----------
    boxes : np.ndarray, float (n, 4)
        Windows: top, left, bottom, right.
    filled, aspect : float
        Share of a window's height that the person fills; width of a box by its height.

    References
    ----------
    Dollar et al. (2012): 0.41 is the mean of pedestrians, to which the field sets all boxes.

    Examples
    --------
    >>> person_boxes([[0, 0, 128, 64]]).round(2)
    array([[ 16.  ,  12.32, 112.  ,  51.68]])
    """
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    middle, tall = (boxes[:, :2] + boxes[:, 2:]) / 2, filled * (boxes[:, 2] - boxes[:, 0])
    half = np.stack([tall, aspect * tall], 1) / 2
    return np.hstack([middle - half, middle + half])
