"""From groups of crops to boxes in a street: names, one network, windows of all sizes.

Groups get their names from a few images that somebody looked at. A network that learned the named
groups is then asked about every window of a photo, and boxes that mean the same are merged.
"""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter
from sklearn.base import ClusterMixin
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

SCALES = (1.5, 1.0, 0.71, 0.5)  # of a photo: windows of 85, 128, 180 and 256 of its pixels


def prototypes(z: ArrayLike, groups: ArrayLike, n: int = 8) -> dict[int, np.ndarray]:
    """Find the images that show best what a group is about: those nearest to its centre.

    Parameters
    ----------
    z : array, shape (m, d)
        Features, scaled as they were grouped.
    groups : array of int, shape (m,)
        Group of each image.
    n : int
        How many of each group, fewer where it has fewer.

    Returns
    -------
    dict
        Group number to positions int (<= n,), the nearest first.

    Notes
    -----
    Taught in notebook 06.
    """
    z, groups, found = np.asarray(z), np.asarray(groups), {}
    for group in np.unique(groups).tolist():
        rows = np.flatnonzero(groups == group)
        distances = np.linalg.norm(z[rows] - z[rows].mean(0), axis=1)
        found[group] = rows[np.argsort(distances, kind="stable")[:n]]
    return found


def name_groups(
    model: ClusterMixin, z: ArrayLike, z_seen: ArrayLike, names: Sequence[str]
) -> dict[int, str]:
    """Give every group the name that somebody gave to a few images in it.

    Parameters
    ----------
    model : scikit-learn clusterer
        Fitted; with `labels_` and `predict`, such as `clustering.NeighbourClustering`.
    z : array, shape (n, d)
        The features that it was fitted on.
    z_seen : array, shape (s, d)
        Features of the images that were looked at.
    names : sequence of str
        What each of them shows.

    Returns
    -------
    dict
        Group number to name: the most frequent one among its images that were looked at (of ties
        the one given first). A group without any takes the name of the image nearest to its centre.

    Raises
    ------
    ValueError
        Nothing was looked at, or there is not one name for each.

    Notes
    -----
    Taught in notebook 06.
    """
    z, z_seen, names, groups = np.asarray(z), np.asarray(z_seen), list(names), model.labels_
    if not names or len(names) != len(z_seen):
        raise ValueError(
            f"{len(names)} names for {len(z_seen)} images: look at one prototype or more, and give "
            "each image a name"
        )
    groups_seen, named = model.predict(z_seen), {}
    for group in np.unique(groups).tolist():
        own = [name for name, g in zip(names, groups_seen, strict=True) if g == group]
        if not own:
            centre = z[groups == group].mean(0)
            own = [names[int(np.linalg.norm(z_seen - centre, axis=1).argmin())]]
        named[group] = max(own, key=own.count)
    return named


def classifier(
    backbone: keras.Model, z: np.ndarray, wanted: ArrayLike, *, strength: float = 0.01
) -> keras.Model:
    """Put a linear classifier of named groups behind a backbone: one network for raw images.

    Parameters
    ----------
    backbone : keras.Model
        From `backbones.load`: raw images to features.
    z : np.ndarray, shape (n, d)
        What it gives for the training images, not scaled.
    wanted : array of bool, shape (n,)
        Whether an image's group has the name that is looked for: self-made labels, no answers.
    strength : float
        C of the logistic regression: small keeps it from learning single wrong labels by heart.

    Returns
    -------
    keras.Model
        Raw images (b, h, w, c), 0..255, to float32 (b,): log-odds of being what is wanted, above 0
        where that is the more probable. Their order is finer than that of probabilities, which
        round to 1.

    Raises
    ------
    ValueError
        All images are wanted, or none.

    Notes
    -----
    Taught in notebook 06.
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
        From `classifier`.
    batch_size : int
        Images at a time.

    Returns
    -------
    callable
        Images (n, h, w, 3), 0..255, to float32 (n,). Colour becomes grey where the model wants it.

    Notes
    -----
    Taught in notebook 06.
    """
    grey = model.input_shape[-1] == 1

    @tf.function(reduce_retracing=True)
    def forward(images: tf.Tensor) -> tf.Tensor:
        images = tf.cast(images, tf.float32)
        return model(tf.image.rgb_to_grayscale(images) if grey else images, training=False)

    def score(images: ArrayLike) -> np.ndarray:
        starts = range(0, len(images), batch_size)
        parts = [forward(images[start : start + batch_size]).numpy() for start in starts]
        return np.concatenate(parts) if parts else np.zeros(0, "float32")

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
    window : (int, int)
        Height and width of the window, the size of the crops that were learned.
    step : int
        Pixels from one window to the next.
    scales : sequence of float
        The photo is resized by each: large factors find small people.
    smooth : float
        Scores of one scale are smoothed by a Gaussian of so many steps, since a person is seen by
        several windows around, and a chance hit by one. 0: not at all.

    Returns
    -------
    boxes : np.ndarray
        float32 (n, 4): top, left, bottom, right in pixels of the photo.
    scores : np.ndarray
        float32 (n,). Both empty where the window fits at no scale.

    Notes
    -----
    Dalal and Triggs (2005), Histograms of oriented gradients for human detection. Taught in
    notebook 06.
    """
    boxes, scores = [np.zeros((0, 4), "float32")], [np.zeros(0, "float32")]
    for scale in scales:
        sides = [round(side * scale) for side in image.shape[:2]]
        if sides[0] < window[0] or sides[1] < window[1]:
            continue
        resized, found = tf.image.resize(image, sides, antialias=True), []
        tops = range(0, sides[0] - window[0] + 1, step)
        for top in tops:  # row by row, as all windows of a large photo are a lot of memory
            row = tf.image.extract_patches(
                resized[None, top : top + window[0]],
                [1, *window, 1],
                [1, step, step, 1],
                [1, 1, 1, 1],
                "VALID",
            )
            found.append(score(tf.reshape(row, (-1, *window, 3))))
        found = np.stack(found)
        corner = np.indices(found.shape).reshape(2, -1).T * step
        real = [image.shape[i] / sides[i] for i in (0, 1)]  # sides are rounded
        boxes.append(np.hstack([corner * real, (corner + window) * real]).astype("float32"))
        found = gaussian_filter(found, smooth, mode="nearest") if smooth else found
        scores.append(found.ravel().astype("float32"))
    return np.concatenate(boxes), np.concatenate(scores)


def suppress(
    boxes: np.ndarray, scores: np.ndarray, *, threshold: float, overlap: float = 0.3
) -> tuple[np.ndarray, np.ndarray]:
    """Keep of the boxes that mean the same only the surest: non-maximum suppression.

    Parameters
    ----------
    boxes : np.ndarray, float (n, 4)
        From `scan`.
    scores : np.ndarray, float (n,)
        One each.
    threshold : float
        Boxes with a lower score are dropped.
    overlap : float
        A box that shares a larger part than this (intersection over union) with a surer one goes.

    Returns
    -------
    boxes, scores : np.ndarray
        Those kept, the surest first.

    Notes
    -----
    By `tf.image.non_max_suppression`. Taught in notebook 06.
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
    filled : float
        Share of a window's height that the person fills.
    aspect : float
        Width of a box by its height.

    Returns
    -------
    np.ndarray
        float (n, 4).

    Notes
    -----
    0.41 is the mean of pedestrians, to which the field sets all boxes: Dollar et al. (2012),
    Pedestrian detection: an evaluation of the state of the art. Taught in notebook 06.
    """
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    middle, tall = (boxes[:, :2] + boxes[:, 2:]) / 2, filled * (boxes[:, 2] - boxes[:, 0])
    half = np.stack([tall, aspect * tall], 1) / 2
    return np.hstack([middle - half, middle + half])
