"""Groups get names, a network learns these, and is asked about every window of a photo."""

from collections import Counter
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter
from sklearn.base import ClusterMixin
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tfl_helpers.datasets.scenes import CROP

SCALES = (1.5, 1.0, 0.71, 0.5)  # of a photo: windows of 85, 128, 180 and 256 of its pixels


def name_groups(
    model: ClusterMixin, z: ArrayLike, z_seen: ArrayLike, names: Sequence[str]
) -> dict[int, str]:
    """Give every group the name that somebody gave to a few images in it.

    It is the most frequent one in the group, of ties the first; where nobody looked at an image of
    the group, the name of the image nearest to its centre.

    Parameters
    ----------
    model, z : fitted clusterer with `labels_` and `predict`, and array, shape (n, d)
        Such as `clustering.NeighbourClustering`; the features that it was fitted on.
    z_seen, names : array, shape (s, d), and sequence of str
        Features of the images that were looked at, and what each of them shows.

    Examples
    --------
    >>> from sklearn.cluster import KMeans
    >>> z = np.array([[0.0], [1], [9]])
    >>> sorted(name_groups(KMeans(2).fit(z), z, z[[0, 2]], ["tree", "person"]).values())
    ['person', 'tree']
    """
    z, z_seen, groups = np.asarray(z), np.asarray(z_seen), model.labels_
    if not len(names) or len(names) != len(z_seen):
        counts = f"{len(names)} names for {len(z_seen)} images"
        raise ValueError(f"{counts}: look at one prototype or more, and name each")
    groups_seen, named = model.predict(z_seen), {}
    for group in np.unique(groups).tolist():
        votes = Counter(name for name, g in zip(names, groups_seen, strict=True) if g == group)
        centre = z[groups == group].mean(0)
        nearest = int(np.linalg.norm(z_seen - centre, axis=1).argmin())
        named[group] = votes.most_common(1)[0][0] if votes else names[nearest]
    return named


def classifier(backbone: keras.Model, z: np.ndarray, wanted: ArrayLike) -> keras.Model:
    """Put a linear classifier of named groups behind a backbone: one network for raw images.

    It gives log-odds, float32 (b,), of being what is wanted: unlike probabilities, which round to
    1, they keep their order.

    Parameters
    ----------
    backbone, z : keras.Model and np.ndarray, shape (n, d)
        From `backbones.load`; its features of the training images, not scaled.
    wanted : array of bool, shape (n,)
        Whether an image's group has the name that is looked for: self-made labels, no answers.
    """
    wanted = np.asarray(wanted, bool)
    if wanted.all() or not wanted.any():
        found = f"{wanted.sum()} of {len(wanted)} images are wanted"
        raise ValueError(f"{found}: name at least one group so, and at least one otherwise")
    scale = StandardScaler().fit(z)
    linear = LogisticRegression(C=0.01, max_iter=1000)  # lest it learn wrong names by heart
    linear.fit(scale.transform(z), wanted)
    kernel = linear.coef_[0] / scale.scale_
    bias = linear.intercept_[0] - kernel @ scale.mean_
    layer = keras.layers.Dense(1, name="log_odds")
    output = keras.layers.Reshape((), name="one_each")(layer(backbone.output))
    layer.set_weights([kernel[:, None], np.array([bias])])
    return keras.Model(backbone.inputs, output, name=f"{backbone.name}_classifier")


def scorer(model: keras.Model, *, batch_size: int = 256) -> Callable[[ArrayLike], np.ndarray]:
    """Compile a `classifier` into a function from images (n, h, w, 3), 0..255, to scores (n,).

    It asks about `batch_size` images at a time, and makes them grey for a network that wants so.
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
    step: int = 16,
    scales: Sequence[float] = SCALES,
    smooth: float = 0.7,
) -> tuple[np.ndarray, np.ndarray]:
    """Ask about every window of a photo: one window slides over an image pyramid.

    Returns boxes, float32 (n, 4): top, left, bottom, right in pixels of the photo, and scores (n,).

    Parameters
    ----------
    image, score : np.ndarray, uint8 (h, w, 3), and callable
        Photo; what gives images float32 (n, 128, 64, 3), 0..255, scores (n,), such as a `scorer`.
    step, scales : int and sequence of float
        Pixels from window to window; factors to resize the photo by: large ones find small people.
    smooth : float
        Width, in steps, of the Gaussian that smooths the scores of a scale (0: none), since several
        windows see a person, and one a chance hit.

    References
    ----------
    Dalal and Triggs (2005), Histograms of oriented gradients for human detection.
    """
    window, boxes, scores = CROP, [np.zeros((0, 4), "float32")], [np.zeros(0, "float32")]
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

    Of the `boxes` and `scores` of a `scan`, those with a score below `threshold` go, and those that
    share more than `overlap` (intersection over union) with a surer one.

    Examples
    --------
    >>> boxes = np.array([[0, 0, 4, 4], [0, 1, 4, 5], [9, 9, 12, 12]], "float32")
    >>> suppress(boxes, np.array([1, 2, 3], "float32"), threshold=0)[1]
    array([3., 2.], dtype=float32)
    """
    kept = tf.image.non_max_suppression(boxes, scores, len(boxes), overlap, float(threshold))
    return boxes[kept.numpy()], scores[kept.numpy()]


def person_boxes(boxes: ArrayLike, filled: float = 0.75, aspect: float = 0.41) -> np.ndarray:
    """Take the margin of windows (n, 4) away: boxes, float (n, 4), around the person alone.

    A person fills the share `filled` of a window's height; boxes are `aspect` times as wide as
    high, the mean of pedestrians (Dollar et al., 2012), to which the field sets all boxes.

    Examples
    --------
    >>> person_boxes([[0, 0, 128, 64]]).round(2)
    array([[ 16.  ,  12.32, 112.  ,  51.68]])
    """
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    middle, tall = (boxes[:, :2] + boxes[:, 2:]) / 2, filled * (boxes[:, 2] - boxes[:, 0])
    half = np.stack([tall, aspect * tall], 1) / 2
    return np.hstack([middle - half, middle + half])
