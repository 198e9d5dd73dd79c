"""The groups become labels that the network trains itself on, under guard.

Labels of the images whose neighbours agree -> cross-entropy on strongly changed copies of these
images -> a slowly following teacher looks at all images anew, and they are clustered again. A round
counts only if a score that needs no answers does not fall by more than chance and the surest images
stay where they were; else the network goes back to its last good weights and stops.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

from tfl_helpers import backbones
from tfl_helpers.clustering import NeighbourClustering, nearest
from tfl_helpers.datasets import FolderImages, ImageSet, batches
from tfl_helpers.features import extract

Images = ImageSet | FolderImages | np.ndarray
CHARACTERS = ("digits", "mnist", "characters")
CLOTHES = ("fashion_mnist", "clothes")
AXES = 64  # principal axes in which neighbours are looked for
NEIGHBOURS = 20
WITNESSES = 10  # neighbours that the score asks
VOTE = 0.05  # cosines are divided by it before the vote: small asks the very nearest alone
REMEMBERED = 5_000  # images that the last head votes with, drawn at random of more
WARM_UP = 64  # batches until the learning rate is reached
VANISHED = 0.1  # a group that shrinks below this share of its first size has vanished
CHANCE = 2.0  # standard errors: a smaller fall of the score may be luck
ANCHORED = 0.98  # share of the anchors that must keep the group they started in


@dataclass(eq=False)
class SelfLabelled:
    """What `self_label` found.

    Parameters
    ----------
    model : keras.Model
        Raw images (b, h, w, c), 0..255, any size, to probabilities (b, groups). Plain Keras layers
        alone: ``model.save("x.keras")`` loads anywhere, without this package.
    backbone : keras.Model
        Its fine-tuned part before the head: images to features.
    history : pandas.DataFrame
        A row per round, see `self_label`.
    labels : np.ndarray
        int64 (n,): group of each training image, as the model sees it.
    probabilities : np.ndarray
        float32 (n, groups) of the training images.

    Notes
    -----
    Taught in notebook 04.
    """

    model: keras.Model
    backbone: keras.Model
    history: pd.DataFrame
    labels: np.ndarray
    probabilities: np.ndarray

    def predict_proba(self, images: Images) -> np.ndarray:
        """Give the probabilities of new images: float32 (n, groups)."""
        return _probabilities(self.model.get_layer("head"), _features(self.backbone, images))

    def predict(self, images: Images) -> np.ndarray:
        """Give the groups of new images: int64 (n,)."""
        return self.predict_proba(images).argmax(axis=1)


def reliable(
    labels: np.ndarray,
    z: np.ndarray,
    confidence: np.ndarray | None = None,
    *,
    neighbours: int = NEIGHBOURS,
    agree: float = 0.9,
    top: float = 0.6,
    least: int = 10,
) -> np.ndarray:
    """Choose the images whose labels are worth learning from.

    An image is kept if at least `agree` of its nearest neighbours carry its label and its
    confidence is in the `top` share of its group: a quantile, never a fixed threshold, so that no
    group runs empty. A group left with fewer than `least` images keeps the `least` that their
    neighbours agree on most.

    Parameters
    ----------
    labels : np.ndarray, shape (n,)
        Group of each image, whole numbers from 0.
    z : np.ndarray, shape (n, d)
        Features; neighbours are nearest by angle.
    confidence : np.ndarray, shape (n,), optional
        Larger for surer images. By default how much closer an image is to the mean of its own
        group than to that of the next one: a small island of strangers in a group has little of it.
    neighbours : int
        How many are asked.
    agree, top : float
        Shares, 0..1.
    least : int
        Images that a group keeps in any case, as far as it has them.

    Returns
    -------
    np.ndarray
        bool (n,); true somewhere in every group.

    Raises
    ------
    ValueError
        Labels, features and confidence are not of the same images.

    Notes
    -----
    Neighbours as in SPICE (Niu et al. 2022); SCAN (Van Gansbeke et al. 2020) takes a fixed 0.99.
    Taught in notebook 04.
    """
    z = np.asarray(z)
    labels, _ = _labels(labels, len(z))
    sure = _margin(z, labels) if confidence is None else np.asarray(confidence, "float64")
    if len(sure) != len(labels):
        raise ValueError(f"{len(labels):,} labels but {len(sure):,} confidences: give one for each")
    return _reliable(labels, nearest(z, neighbours)[0], sure, top, agree=agree, least=least)


@keras.saving.register_keras_serializable("tfl_helpers")
class PenStrokes(keras.layers.Layer):
    """Draw a short stroke across a character, or wipe one out, as another writer would.

    Some write a 7 with a bar, some leave a gap in an 8. Which way is a matter of the hand and not
    of the character; a frozen network takes it for another shape.

    Parameters
    ----------
    added, wiped : float
        Share of the images that get a stroke, and of those that lose one.
    seed : int, optional
        Of the layer's own generator.
    **kwargs
        As for any Keras layer.

    Notes
    -----
    Images (b, h, w, c), 0..255, light ink on dark ground, to the same; without ``training=True``
    nothing changes. Taught in notebook 04.
    """

    def __init__(self, added: float = 0.5, wiped: float = 0.3, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.added, self.wiped, self.seed = added, wiped, seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Change some of the images."""
        images = tf.cast(images, "float32")
        if not training:
            return images
        drawn = tf.maximum(images, 255 * self._strokes(images, self.added))
        return drawn * (1 - self._strokes(drawn, self.wiped))

    def _strokes(self, images: tf.Tensor, share: float) -> tf.Tensor:
        """Draw a straight stroke for a share of the images: (b, h, w, 1), 0 to 1."""
        n, height, width = tf.unstack(tf.shape(images)[:3])
        uniform = functools.partial(keras.random.uniform, (n, 1, 1), seed=self.generator)
        unit = tf.cast(height, "float32") / 24  # lengths: in pixels of an image 24 pixels high
        # Its middle lies near a pixel with ink, drawn at random.
        ink = tf.reshape(tf.reduce_mean(images, -1), (n, height * width))
        ranks = keras.random.uniform((n, height * width), seed=self.generator)
        middle = tf.argmax(tf.where(ink > 100, ranks, 0.0), axis=1, output_type="int32")
        middle = tf.cast(tf.stack([middle // width, middle % width]), "float32")
        middle += keras.random.normal((2, n), stddev=1.5, seed=self.generator) * unit
        y, x = tf.meshgrid(
            tf.range(height, dtype="float32"), tf.range(width, dtype="float32"), indexing="ij"
        )
        y, x = y - middle[0, :, None, None], x - middle[1, :, None, None]
        angle = uniform(0.0, np.pi)
        beyond = tf.abs(y * tf.sin(angle) + x * tf.cos(angle)) - uniform(1.5, 4.5) * unit
        beside = y * tf.cos(angle) - x * tf.sin(angle)
        distance = tf.sqrt(tf.maximum(beyond, 0.0) ** 2 + beside**2)
        stroke = tf.clip_by_value(uniform(0.7, 1.7) * unit + 0.5 - distance, 0.0, 1.0)
        return (stroke * tf.cast(uniform(0.0, 1.0) < share, "float32"))[..., None]

    def get_config(self) -> dict[str, Any]:
        """Return what builds the layer anew."""
        own = {"added": self.added, "wiped": self.wiped, "seed": self.seed}
        return {**super().get_config(), **own}


def augment(
    data: str, seed: int = 0, *, strength: float = 1.0, damage: bool = True
) -> keras.Sequential:
    """Make layers that change images at random and leave what they show.

    Parameters
    ----------
    data : str
        A name of `datasets.load`, or "characters", "clothes" or "photos". Characters are turned,
        sheared, scaled and moved, never flipped: a mirrored 2 is no 2. They win or lose a short
        stroke (`PenStrokes`). Clothes and photos are flipped, cropped, moved and lit differently,
        photos recoloured too.
    seed : int
        Draws the changes; the layers keep generators of their own, nothing global is touched.
    strength : float
        1: strong, to learn from. 0.3: weak, to check with.
    damage : bool
        Also add noise, and often blot out a part: a network that is trained gets over that. A
        frozen one does not, see `clustering.view_head`.

    Returns
    -------
    keras.Sequential
        Images (b, h, w, c), 0..255, to the same shape. Call it with ``training=True``.

    Notes
    -----
    Taught in notebook 04.
    """
    layers, s = keras.layers, strength
    if data in CHARACTERS:
        edge = {"fill_mode": "constant", "fill_value": 0.0}
        steps = [
            layers.RandomRotation(0.085 * s, **edge, seed=seed),
            layers.RandomShear(min(0.25 * s, 1.0), min(0.085 * s, 1.0), **edge, seed=seed + 1),
            layers.RandomZoom(0.25 * s, 0.25 * s, **edge, seed=seed + 2),
            layers.RandomTranslation(0.135 * s, 0.135 * s, **edge, seed=seed + 3),
            PenStrokes(min(0.5 * s, 1.0), min(0.3 * s, 1.0), seed=seed + 8),
        ]
    else:
        steps = [
            layers.RandomFlip("horizontal", seed=seed),
            layers.RandomZoom((-0.25 * s, 0.05 * s), (-0.25 * s, 0.05 * s), seed=seed + 1),
            layers.RandomTranslation(0.1 * s, 0.1 * s, seed=seed + 2),
            layers.RandomBrightness(min(0.2 * s, 1.0), seed=seed + 3),
            layers.RandomContrast(min(0.3 * s, 0.99), seed=seed + 4),
        ]
        if data not in CLOTHES:  # 0.5: colours as they are
            colours = (max(0.5 - 0.3 * s, 0.0), min(0.5 + 0.2 * s, 1.0))
            steps.append(layers.RandomSaturation(colours, seed=seed + 5))
    if not damage:
        return keras.Sequential(steps, name="augment")
    noise = layers.GaussianNoise(min(0.085 * s, 1.0), seed=seed + 6)  # it wants 0..1
    steps += [layers.Rescaling(1 / 255), noise, layers.Rescaling(255.0)]
    if hasattr(layers, "RandomErasing"):  # since Keras 3.9
        blot = (0.02, min(0.02 + 0.15 * s, 1.0))
        steps.append(layers.RandomErasing(0.5, blot, fill_value=0.0, seed=seed + 7))
    return keras.Sequential(steps, name="augment")


def self_label(
    backbone: keras.Model,
    images: Images,
    labels: np.ndarray,
    *,
    cluster: Any = None,
    data: str | None = None,
    rounds: int = 2,
    steps: int = 128,
    batch_size: int = 64,
    from_layer: str | None = None,
    learning_rate: float = 2e-3,
    keep: tuple[float, float] = (0.4, 0.7),
    seed: int = 0,
    guard: bool = True,
    plant: Callable[[int, np.ndarray], np.ndarray] | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> SelfLabelled:
    """Fine-tune a backbone on the groups that clustering found, without a single answer.

    First a linear head learns the groups on cached features of the frozen backbone. Then, round by
    round, the end of the backbone and the head learn the labels of `reliable` images from strongly
    changed copies, with a moving average of the weights as teacher. The teacher's features are
    clustered anew, which gives the labels of the next round; an image is reliable only where these
    labels and the teacher's own agree.

    A round is accepted unless the score of its labels falls by more than two standard errors, a
    group vanishes or the anchors leave. The score asks a witness that takes no part: the layer
    half-way, as it was before. Which images are alike there cannot be bent by training, nor did it
    make the groups. The standard error is that of the change, image by image. Anchors are the
    images that were most reliable at the start: a network may change its mind about doubtful
    images, not about these. In the end a soft vote of the nearest images, with the last accepted
    labels, takes the place of the linear head; if no round was accepted, these are the groups that
    were given.

    Parameters
    ----------
    backbone : keras.Model
        From `backbones.load`; it is copied, not changed.
    images : ImageSet, FolderImages or array (n, h, w, 1 or 3)
        Training images, 0..255.
    labels : np.ndarray
        int (n,) groups, or float (n, groups) probabilities, from clustering.
    cluster : object with ``fit_predict``, optional
        Clusters the teacher's features (n, d) between rounds; by default
        `clustering.NeighbourClustering`.
    data : str, optional
        What `augment` shall suit; by default the name of the ImageSet, else "photos".
    rounds, steps, batch_size : int
        Rounds at most; batches in a round; images in a batch.
    from_layer : str, optional
        First layer of the backbone to fine-tune; by default the one half-way.
    learning_rate : float
        Of AdamW. 2e-3 suits the embedded backbone; large ImageNet networks want 1e-4 or so.
    keep : (float, float)
        Share of each group that `reliable` may keep in the first round and in the last.
    seed : int
        Draws batches and changes. It is passed to each part; no global seed is set. On the same
        machine the same seed gives the same result up to rounding of parallel sums.
    guard : bool
        False: every round counts, whatever happens. To see it go wrong.
    plant : callable, optional
        For tests and teaching: takes the round's number and labels, returns labels to train on.
    strategy : tf.distribute.Strategy, optional
        By default MirroredStrategy where there are several GPUs, else none.

    Returns
    -------
    SelfLabelled
        Its `history` has a row per round, the first for the groups as given: `round`; `kept`
        (images trained on); `agreement` (share of neighbours in the new features with the same
        label) and `score` (the same for neighbours in the witness layer), both corrected for
        chance: 0 for dice, or for all in one group; `anchored` (share of the anchors still in
        their first group); `smallest`, `largest` and `sizes` of the groups; `verdict`.

    Raises
    ------
    ValueError
        Labels and images do not fit together, there are fewer than two groups, or no such layer.

    Notes
    -----
    After SCAN (Van Gansbeke et al. 2020), FixMatch (Sohn et al. 2020) and DeepCluster (Caron et
    al. 2018); the guard is this project's. Taught in notebook 04.
    """
    data = data or getattr(images, "name", "photos")
    images = images.images if isinstance(images, ImageSet) else images
    labels, confidence = _labels(labels, len(images))
    first = np.bincount(labels)
    if (first > 0).sum() < 2:
        raise ValueError("all images are in one group: there is nothing to learn from")
    if cluster is None:
        cluster = NeighbourClustering(len(first), random_state=seed)
    body = keras.models.clone_model(backbone)
    body.set_weights(backbone.get_weights())
    body.trainable = False
    names = [layer.name for layer in body.get_layer("network").layers]
    half = names[len(names) // 2]
    from_layer = from_layer or half
    if from_layer not in names[1:]:
        raise ValueError(
            f"{backbone.name} has no layer {from_layer!r} that training could start at"
        )
    outsider = _outsider(body, half)  # as it is now: what training does to the body comes later
    witness = nearest(_places(_features(outsider, images), seed), WITNESSES)[0]

    # The head first, on features of the frozen backbone.
    z = _features(body, images)
    near = nearest(_places(z, seed), NEIGHBOURS)[0]
    tops = np.linspace(*keep, max(rounds, 1))
    sure = _margin(z, labels) if confidence is None else confidence
    chosen = _reliable(labels, near, sure, tops[0])
    given, anchors = labels, np.flatnonzero(chosen)
    head = _head(z, len(first))
    _fit_head(head, z[chosen], labels[chosen], seed)
    image = keras.Input(body.input_shape[1:], name="image")
    teacher = keras.Model(image, head(body(image, training=False)), name="self_labelled")

    def judge(labels: np.ndarray, near: np.ndarray) -> dict[str, Any]:
        """Say how good labels seem, without an answer."""
        return {
            "agreement": _beyond_chance(_same(labels, near).mean(), labels),
            "score": _beyond_chance(_same(labels, witness).mean(), labels),
            "anchored": float(np.mean(labels[anchors] == given[anchors])),
            "sizes": np.bincount(labels, minlength=len(first)).tolist(),
        }

    about = judge(labels, near)
    rows = [{"round": 0, "kept": int(chosen.sum()), **about, "verdict": "start"}]
    best = (teacher.get_weights(), z, labels)
    student = None if rounds < 1 else _student(teacher, from_layer, learning_rate, strategy)
    for number in range(1, rounds + 1):
        train = labels if plant is None else np.asarray(plant(number, labels.copy()))
        stream = _stream(
            student, images, train, np.flatnonzero(chosen), (seed, number), data, steps, batch_size
        )
        student.fit(stream, epochs=1, shuffle=False, verbose=0)
        teacher.set_weights(student.get_weights())  # after fit these are the moving averages
        row, z = {"round": number, "kept": int(chosen.sum())}, _features(body, images)
        if not np.isfinite(z).all():  # nothing could go on from here, guard or not
            why = "rolled back: the features are no numbers any more"
            rows.append({**row, "score": np.nan, "verdict": why})
            break
        p, near = _probabilities(head, z), nearest(_places(z, seed), NEIGHBOURS)[0]
        labels = _align(cluster.fit_predict(z), p)
        about = judge(labels, near)
        fall = -_rise(_same(labels, witness), _same(best[2], witness))
        trouble = f"the score fell by {fall:.1f} standard errors" if fall > CHANCE else ""
        if about["anchored"] < ANCHORED:
            trouble = f"{1 - about['anchored']:.0%} of the anchors left their group"
        if len(lost := np.flatnonzero(np.array(about["sizes"]) < VANISHED * first)):
            trouble = "vanished: " + ", ".join(f"group {group}" for group in lost)
        back = guard and trouble
        verdict = f"rolled back: {trouble}" if back else trouble or "accepted"
        rows.append({**row, **about, "verdict": verdict})
        if back:
            break
        best = (teacher.get_weights(), z, labels)
        chosen = _reliable(labels, near, _margin(z, labels), tops[min(number, rounds - 1)])
        both = chosen & (labels == p.argmax(1))
        chosen = both if both.any() else chosen
    teacher.set_weights(best[0])
    head = _vote_head(best[1], best[2], len(first), seed)  # all images now: it says what was found
    teacher = keras.Model(image, head(body(image, training=False)), name="self_labelled")
    history = pd.DataFrame(rows)
    sizes = history.pop("sizes")
    history.insert(5, "smallest", [min(s) if isinstance(s, list) else None for s in sizes])
    history.insert(6, "largest", [max(s) if isinstance(s, list) else None for s in sizes])
    history.insert(7, "sizes", sizes)
    p = _probabilities(head, best[1])
    return SelfLabelled(teacher, body, history, p.argmax(1), p)


def classifier(
    backbone: keras.Model, z: np.ndarray, p: np.ndarray, *, seed: int = 0
) -> keras.Model:
    """Put a head on a frozen backbone that says what a clustering found.

    Parameters
    ----------
    backbone : keras.Model
        From `backbones.load`, with a size.
    z : np.ndarray, shape (n, d)
        Its features of the images that were clustered.
    p : np.ndarray, shape (n, k)
        Probabilities of the groups, rows sum to one.
    seed : int
        Draws batches.

    Returns
    -------
    keras.Model
        Raw RGB images (b, h, w, 3), 0..255, any size, to probabilities (b, k). Large images are
        shrunk with an antialiasing filter, as `datasets.read_image` does. Plain Keras layers alone:
        ``model.save("x.keras")`` loads anywhere, without this package.

    Raises
    ------
    ValueError
        Features and probabilities are not of the same images.

    Notes
    -----
    Only the head is trained: `self_label` goes on to the backbone. Taught in notebook 07.
    """
    if len(z) != len(p) or not len(z):
        raise ValueError(f"{len(z):,} features, but probabilities of {len(p):,} images")
    head = _head(z, p.shape[1])
    if p.shape[1] > 1:
        head.compile(keras.optimizers.Adam(1e-3), "categorical_crossentropy")
        ready = tf.data.Dataset.from_tensor_slices((z, p)).shuffle(len(z), seed).batch(128)
        head.fit(ready, epochs=int(np.clip(20_000 // len(z), 5, 50)), shuffle=False, verbose=0)
    x = image = keras.Input((None, None, 3), name="image")
    x = keras.layers.Resizing(*_size(backbone), antialias=True, name="shrink")(x)
    if backbone.input_shape[-1] == 1:
        grey = keras.layers.Conv2D(1, 1, use_bias=False, trainable=False, name="grey")
        grey.build((None, None, None, 3))
        grey.set_weights([np.array([0.2989, 0.587, 0.114], "float32").reshape(1, 1, 3, 1)])
        x = grey(x)
    return keras.Model(image, head(backbone(x, training=False)), name="sorted")


def from_scratch(
    images: Images,
    labels: np.ndarray,
    *,
    data: str | None = None,
    size: tuple[int, int] | None = None,
    steps: int = 512,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    seed: int = 0,
) -> keras.Model:
    """Train the article's network from nothing on the same self-made labels.

    Parameters
    ----------
    images, labels, data, batch_size, learning_rate, seed
        As in `self_label`; all images that are given are used.
    size : (int, int), optional
        Height and width; needed for a folder, else the images' own.
    steps : int
        Batches in all; `self_label` uses rounds x steps.

    Returns
    -------
    keras.Model
        `backbones.define_model`, trained with cross-entropy.

    Notes
    -----
    Taught in notebook 04.
    """
    data = data or getattr(images, "name", "photos")
    images = images.images if isinstance(images, ImageSet) else images
    labels, _ = _labels(labels, len(images))
    model = backbones.define_model(_shape(images, size), int(labels.max()) + 1, seed=seed)
    model.compile(keras.optimizers.AdamW(learning_rate), "categorical_crossentropy")
    everything = np.arange(len(images))
    stream = _stream(model, images, labels, everything, (seed,), data, steps, batch_size)
    model.fit(stream, epochs=1, shuffle=False, verbose=0)
    return model


def autoencoder(
    images: Images,
    *,
    size: tuple[int, int] | None = None,
    steps: int = 512,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    seed: int = 0,
) -> keras.Model:
    """Train the article's network to draw its input again, with mean squared error.

    The pooled path of `backbones.define_model` (convolution, pooling, two transposed convolutions)
    ends in a convolution that draws the image; the direct path is left out, as it would only copy.

    Parameters
    ----------
    images, size, steps, batch_size, learning_rate, seed
        As in `from_scratch`. No labels.

    Returns
    -------
    keras.Model
        Raw images (b, h, w, c), 0..255, to images 0..1. ``backbones.cut(model, "up2")`` makes a
        backbone of it.

    Notes
    -----
    The article's second loss. Taught in notebook 04.
    """
    images = images.images if isinstance(images, ImageSet) else images
    article = backbones.define_model(_shape(images, size), 2, seed=seed)
    pooled = article.get_layer("add").input[1]
    start = keras.initializers.GlorotUniform(seed + 4)
    drawn = keras.layers.Conv2D(
        article.input_shape[-1],
        3,
        padding="same",
        activation="sigmoid",
        kernel_initializer=start,
        name="reconstruction",
    )(pooled)
    model = keras.Model(article.inputs, drawn, name="autoencoder")
    model.compile(keras.optimizers.AdamW(learning_rate), "mse")
    stream = _stream(model, images, None, np.arange(len(images)), (seed,), None, steps, batch_size)
    model.fit(stream, epochs=1, shuffle=False, verbose=0)
    return model


def _labels(labels: Any, n: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Whole numbers (n,), and a confidence if probabilities were given."""
    labels, confidence = np.asarray(labels), None
    if labels.ndim == 2:
        labels, confidence = labels.argmax(1), labels.max(1)
    if labels.shape != (n,) or not n:
        raise ValueError(f"there are {n:,} images, but the labels' shape is {labels.shape}")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise ValueError(
            "labels must be whole numbers from 0, or probabilities (n, groups); leave images "
            "without a label (-1) out"
        )
    return labels.astype("int64"), confidence


def _shape(images: Any, size: tuple[int, int] | None) -> tuple[int, int, int]:
    if isinstance(images, FolderImages):
        if size is None:
            raise ValueError("images of a folder have many sizes: give size=(height, width)")
        return (*size, 3)
    return (*(size or images.shape[1:3]), images.shape[3])


def _size(body: keras.Model) -> tuple[int, int] | None:
    """Height and width that a backbone resizes to."""
    first = body.layers[1]
    return (first.height, first.width) if isinstance(first, keras.layers.Resizing) else None


def _features(body: keras.Model, images: Any) -> np.ndarray:
    return extract(body, images, cache=False, progress=False)


def _outsider(body: keras.Model, from_layer: str) -> keras.Model:
    """Raw images to the pooled output of the first activation from a layer on."""
    network = body.get_layer("network")
    layers = network.layers[[layer.name for layer in network.layers].index(from_layer) :]
    kinds = keras.layers.ReLU | keras.layers.Activation
    seen = next((layer for layer in layers if isinstance(layer, kinds)), layers[0])
    x = keras.Model(network.inputs, seen.output)(body.layers[body.layers.index(network) - 1].output)
    return keras.Model(body.inputs, keras.layers.GlobalAveragePooling2D()(x), name="witness")


def _places(z: np.ndarray, seed: int) -> np.ndarray:
    """Features on their loudest principal axes, where neighbours are found fast."""
    with np.errstate(invalid="ignore", divide="ignore"):  # all rows alike: no variance to share
        return PCA(min(AXES, *z.shape), random_state=seed).fit_transform(normalize(z))


def _probabilities(head: keras.Model, z: np.ndarray) -> np.ndarray:
    return head(z, training=False).numpy()


def _centred(z: np.ndarray) -> keras.Model:
    """Features to their place around the mean: scaled to length one, then centred."""
    unit = normalize(z)
    spread = np.full(z.shape[1], unit.var(axis=0).mean())  # one number: angles stay as they are
    features = keras.Input(z.shape[1:], name="features")
    x = keras.layers.UnitNormalization(name="unit")(features)
    x = keras.layers.Normalization(mean=unit.mean(axis=0), variance=spread, name="centre")(x)
    return keras.Model(features, x)


def _head(z: np.ndarray, n_groups: int) -> keras.Model:
    """Features to probabilities, by straight borders."""
    features, x = (place := _centred(z)).input, place.output
    x = keras.layers.Dense(n_groups, "softmax", kernel_initializer="zeros", name="groups")(x)
    return keras.Model(features, x, name="head")


def _fit_head(head: keras.Model, z: np.ndarray, labels: np.ndarray, seed: int) -> None:
    head.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    ready = tf.data.Dataset.from_tensor_slices((z, labels)).shuffle(len(z), seed).batch(128)
    epochs = int(np.clip(20_000 // len(z), 5, 50))
    head.fit(ready, epochs=epochs, shuffle=False, verbose=0)


def _vote_head(z: np.ndarray, labels: np.ndarray, n_groups: int, seed: int) -> keras.Model:
    """Features to the soft vote of remembered images, nearest by angle; nothing is trained.

    A linear head cannot copy groups whose border is bent; this one says of new images what their
    neighbours are. Angles are seen from the mean: training may move all features far to one side.
    """
    some = np.random.default_rng(seed).permutation(len(z))[:REMEMBERED]
    place = _centred(z)
    x = keras.layers.UnitNormalization(name="direction")(place.output)
    features, remembered = place.input, normalize(place(z[some]).numpy())
    x = keras.layers.Dense(len(some), "softmax", use_bias=False, name="remembered")(x)
    x = keras.layers.Dense(n_groups, use_bias=False, name="groups")(x)
    head = keras.Model(features, x, name="head")
    head.get_layer("remembered").set_weights([remembered.T / VOTE])
    head.get_layer("groups").set_weights([np.eye(n_groups)[labels[some]]])
    return head


def _student(
    teacher: keras.Model,
    from_layer: str,
    learning_rate: float,
    strategy: tf.distribute.Strategy | None,
) -> keras.Model:
    """Copy the teacher, on all devices, with its end trainable."""
    if strategy is None:
        several = len(tf.config.list_logical_devices("GPU")) > 1
        strategy = tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()
    with strategy.scope():
        student = keras.models.clone_model(teacher)
        student.set_weights(teacher.get_weights())
        body = student.layers[1]
        backbones.unfreeze(body, from_layer)
        # Adam's first steps are of full length in every weight: warmed up, else they undo the body.
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, 1, alpha=1.0, warmup_target=learning_rate, warmup_steps=WARM_UP
        )
        adam = keras.optimizers.AdamW(rate, weight_decay=1e-4, use_ema=True, ema_momentum=0.98)
        student.compile(adam, keras.losses.CategoricalCrossentropy(label_smoothing=0.1))
    return student


def _stream(
    model: keras.Model,
    images: Any,
    labels: np.ndarray | None,
    chosen: np.ndarray,
    seed: tuple[int, ...],
    data: str | None,
    steps: int,
    batch_size: int,
) -> tf.data.Dataset:
    """Batches of changed images with their labels, or of images with themselves if there are none.

    In an order drawn anew for each time around; as many as `steps`, whatever the number of images.
    """
    rng, total = np.random.default_rng(seed), steps * batch_size
    order = np.concatenate([rng.permutation(chosen) for _ in range(-(-total // len(chosen)))])
    order = order[:total]
    inner = model.layers[1] if isinstance(model.layers[1], keras.Model) else model
    size = _size(inner) or (None if None in inner.input_shape[1:3] else inner.input_shape[1:3])
    channels = inner.input_shape[-1]
    ready = batches(images[order], size=size, channels=channels, batch_size=batch_size)
    known = tf.data.experimental.assert_cardinality(steps)  # else Keras warns at the end
    if labels is None:
        return ready.map(lambda x: (x, x / 255)).apply(known)
    targets = np.eye(model.output_shape[-1], dtype="float32")[labels[order]]
    targets = tf.data.Dataset.from_tensor_slices(targets).batch(batch_size)
    change = augment(data, int(rng.integers(2**30)))
    pairs = tf.data.Dataset.zip((ready, targets))
    pairs = pairs.map(lambda x, y: (change(x, training=True), y)).apply(known).prefetch(2)
    options = tf.data.Options()  # one machine: nothing to share out between several
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return pairs.with_options(options)


def _same(labels: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Share of each image's neighbours that carry its label."""
    return (labels[near] == labels[:, None]).mean(axis=1)


def _rise(new: np.ndarray, old: np.ndarray) -> float:
    """How many standard errors the mean of new lies above that of old, image by image."""
    more = new - old
    error = more.std() / np.sqrt(len(more))
    return float(more.mean() / error) if error else 0.0


def _beyond_chance(share: float, groups: np.ndarray) -> float:
    """Share of agreement, corrected for chance as in Cohen's kappa; 0 if all are in one group."""
    chance = float(((np.bincount(groups) / len(groups)) ** 2).sum())
    return float((share - chance) / (1 - chance)) if chance < 1 else 0.0


def _margin(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How much closer (cosine) each image is to its own group's mean than to the next one's."""
    unit, (present, own) = normalize(z), np.unique(labels, return_inverse=True)
    if len(present) < 2:
        return np.zeros(len(z))
    near = unit @ normalize([unit[own == group].mean(axis=0) for group in range(len(present))]).T
    rows = np.arange(len(z))
    mine = near[rows, own]
    near[rows, own] = -np.inf
    return mine - near.max(axis=1)


def _reliable(
    labels: np.ndarray,
    near: np.ndarray,
    sure: np.ndarray,
    top: float,
    *,
    agree: float = 0.9,
    least: int = 10,
) -> np.ndarray:
    same, sure = _same(labels, near), np.nan_to_num(sure)
    keep = np.zeros(len(labels), bool)
    for group in np.unique(labels):
        inside = np.flatnonzero(labels == group)
        bar = np.quantile(sure[inside], 1 - top)
        chosen = inside[(same[inside] >= agree) & (sure[inside] >= bar)]
        if len(chosen) < least:  # relaxed for this group alone
            chosen = inside[np.lexsort((-sure[inside], -same[inside]))[:least]]
        keep[chosen] = True
    return keep


def _align(groups: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Give new groups the numbers of the old ones that they share most images with."""
    shared = np.zeros((groups.max() + 1, p.shape[1]))
    if len(shared) > p.shape[1]:
        raise ValueError(f"cluster found {len(shared)} groups, but there were {p.shape[1]} before")
    np.add.at(shared, groups, p)
    return linear_sum_assignment(shared, maximize=True)[1][groups]
