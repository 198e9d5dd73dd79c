"""The groups become labels that the network trains itself on, under guard.

Pseudo-labels of the images whose neighbours agree -> cross-entropy on strongly changed copies of
these images -> a slowly following teacher labels all images anew. A round counts only if a score
that needs no answers rises; else the network goes back to its best weights and stops.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from tfl_helpers import backbones
from tfl_helpers.datasets import FolderImages, ImageSet, batches
from tfl_helpers.features import extract

Images = ImageSet | FolderImages | np.ndarray
CHARACTERS = ("digits", "mnist", "characters")
CLOTHES = ("fashion_mnist", "clothes")
NEIGHBOURS = 20
PROBED = 1_000  # images whose changed copies tell how steady the answers are


@dataclass(eq=False)
class SelfLabelled:
    """What `self_label` found.

    Parameters
    ----------
    model : keras.Model
        Raw images (b, h, w, c), 0..255, any size, to probabilities (b, groups).
    backbone : keras.Model
        Its fine-tuned part without the head: images to features.
    history : pandas.DataFrame
        A row per round, see `self_label`.
    labels : np.ndarray
        int64 (n,): group of each training image.
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
        """Probabilities of new images: float32 (n, groups)."""
        return _head_of(self.model).predict(_features(self.backbone, images), verbose=0)

    def predict(self, images: Images) -> np.ndarray:
        """Groups of new images: int64 (n,)."""
        return self.predict_proba(images).argmax(axis=1)


def reliable(
    labels: np.ndarray,
    z: np.ndarray,
    confidence: np.ndarray | None = None,
    *,
    neighbours: int = NEIGHBOURS,
    agree: float = 0.9,
    top: float = 0.8,
    least: int = 10,
) -> np.ndarray:
    """Choose the images whose labels are worth learning from.

    An image is kept if at least `agree` of its nearest neighbours carry its label, and its
    confidence is in the `top` share of its group: a quantile, never a fixed threshold, so that no
    group runs empty. A group left with fewer than `least` images keeps those its neighbours agree
    on most.

    Parameters
    ----------
    labels : np.ndarray, shape (n,)
        Group of each image.
    z : np.ndarray, shape (n, d)
        Features; neighbours are nearest by angle.
    confidence : np.ndarray, shape (n,), optional
        Any number that is larger for surer images; without it neighbours decide alone.
    neighbours : int
        How many are asked.
    agree, top : float
        Shares, 0..1.
    least : int
        Images that a group keeps in any case, if it has as many.

    Returns
    -------
    np.ndarray
        bool (n,); true somewhere in every group.

    Notes
    -----
    Van Gansbeke et al. 2020 (SCAN) take confidence above 0.99; see Niu et al. 2022 (SPICE) for
    neighbours that agree. Taught in notebook 04.
    """
    labels, z = np.asarray(labels), np.asarray(z)
    if labels.ndim != 1 or len(labels) != len(z):
        raise ValueError(f"one label per feature vector is needed: {labels.shape} and {z.shape}")
    return _reliable(labels, _neighbours(z, neighbours), confidence, agree, top, least)


def _reliable(
    labels: np.ndarray,
    near: np.ndarray,
    confidence: np.ndarray | None,
    agree: float = 0.9,
    top: float = 0.8,
    least: int = 10,
) -> np.ndarray:
    same = _same(labels, near)
    sure = same if confidence is None else np.nan_to_num(np.asarray(confidence, float))
    keep = np.zeros(len(labels), bool)
    for group in np.unique(labels):
        inside = np.flatnonzero(labels == group)
        bar = np.quantile(sure[inside], 1 - top)
        chosen = inside[(same[inside] >= agree) & (sure[inside] >= bar)]
        if len(chosen) < least:  # relax for this group alone: the best by neighbours
            chosen = inside[np.lexsort((-sure[inside], -same[inside]))[:least]]
        keep[chosen] = True
    return keep


def augment(data: str, seed: int = 0, *, strength: float = 1.0) -> keras.Sequential:
    """Change images at random in ways that leave what they show.

    Parameters
    ----------
    data : str
        A name of `datasets.load`, or "characters", "clothes" or "photos". Characters are moved,
        turned, sheared and scaled a little, never flipped: a mirrored 2 is no 2. Clothes are
        flipped too; photos are flipped, cropped and recoloured.
    seed : int
        Draws the changes; the layers keep generators of their own.
    strength : float
        1: strong, to learn from. 0.3: weak, to check with.

    Returns
    -------
    keras.Sequential
        Images (b, h, w, c), 0..255, to the same shape and range. Call it with ``training=True``.

    Notes
    -----
    Taught in notebook 04.
    """
    layers, s = keras.layers, strength
    if data in CHARACTERS:
        edge = {"fill_mode": "constant", "fill_value": 0.0}
        steps = [
            layers.RandomRotation(0.05 * s, **edge, seed=seed),
            layers.RandomShear(0.15 * s, 0.05 * s, **edge, seed=seed + 1),
            layers.RandomZoom(0.15 * s, 0.15 * s, **edge, seed=seed + 2),
            layers.RandomTranslation(0.08 * s, 0.08 * s, **edge, seed=seed + 3),
        ]
    else:
        grey = data in CLOTHES
        steps = [
            layers.RandomFlip("horizontal", seed=seed),
            layers.RandomZoom((-0.25 * s, 0.05 * s), (-0.25 * s, 0.05 * s), seed=seed + 1),
            layers.RandomTranslation(0.1 * s, 0.1 * s, seed=seed + 2),
            layers.RandomBrightness(0.2 * s, seed=seed + 3),
            layers.RandomContrast(0.3 * s, seed=seed + 4),
        ]
        if not grey:
            steps.append(layers.RandomSaturation((0.5 - 0.3 * s, 0.5 + 0.2 * s), seed=seed + 5))
    noise = layers.GaussianNoise(0.05 * s, seed=seed + 6)
    steps += [layers.Rescaling(1 / 255), noise, layers.Rescaling(255.0)]
    if hasattr(layers, "RandomErasing"):  # Keras 3.9 and later
        scale = (0.02, max(0.1 * s, 0.021))
        steps.append(layers.RandomErasing(0.5, scale, 0.0, seed=seed + 7))
    return keras.Sequential(steps, name=f"augment_{data.split(':')[0]}")


def self_label(
    backbone: keras.Model,
    images: Images,
    labels: np.ndarray,
    *,
    data: str | None = None,
    rounds: int = 4,
    epochs: int = 4,
    from_layer: str | None = None,
    learning_rate: float = 3e-4,
    batch_size: int = 64,
    keep: tuple[float, float] = (0.3, 0.9),
    strength: float = 1.0,
    smooth: float = 0.0,
    seed: int = 0,
    guard: bool = True,
    plant: Callable[[int, np.ndarray], np.ndarray] | None = None,
    strategy: tf.distribute.Strategy | None = None,
    progress: bool = False,
) -> SelfLabelled:
    """Fine-tune a backbone on the labels that clustering gave, without a single answer."""
    labels, confidence = _labels(labels, len(images))
    data = data or getattr(images, "name", None) or "photos"
    images = images.images if isinstance(images, ImageSet) else images
    n_groups = int(labels.max()) + 1
    strategy = strategy or _strategy()
    body = _copy(backbone)

    # The head first, on features of the frozen backbone.
    z = _features(body, images)
    near = frozen = _neighbours(z, NEIGHBOURS)
    confidence = _margin(z, labels) if confidence is None else confidence
    tops = np.linspace(*keep, rounds)
    chosen = _reliable(labels, near, confidence, top=tops[0])
    head = _head(z, n_groups)
    _fit_head(head, z[chosen], labels[chosen], seed)
    image = keras.Input(body.input_shape[1:], name="image")
    teacher = keras.Model(image, head(body(image, training=False)), name="self_labelled")

    probe = np.random.default_rng(seed).permutation(len(images))[:PROBED]
    views = _views(body, images[probe], augment(data, seed + 1000, strength=0.5))

    def look() -> tuple:
        z = _features(body, images)
        p = head.predict(z, verbose=0, batch_size=1024)
        g = p.argmax(1)
        near = _neighbours(z, NEIGHBOURS)
        seen = head.predict(_features(body, views), verbose=0).argmax(1)
        parts = {
            "agreement": _beyond_chance(_same(g, near).mean(), g),
            "frozen_agreement": _beyond_chance(_same(g, frozen).mean(), g),
            "steadiness": _beyond_chance(np.mean(seen == g[probe]), g),
        }
        return p, near, {**parts, "score": float(np.mean(list(parts.values())))}

    p, near_now, about = look()
    start = np.bincount(labels, minlength=n_groups)
    rows = [_row(0, chosen, about, p, "start")]
    best, best_score, best_p = teacher.get_weights(), about["score"], p

    with strategy.scope():
        student = keras.models.clone_model(teacher)
        student.set_weights(best)
        _unfreeze(_body_of(student), from_layer)
        student.compile(
            keras.optimizers.AdamW(
                learning_rate, weight_decay=1e-4, use_ema=True, ema_momentum=0.98
            ),
            keras.losses.CategoricalCrossentropy(label_smoothing=smooth),
        )
    for number in range(1, rounds + 1):
        if number > 1:
            labels, confidence, near = p.argmax(1), p.max(1), near_now
        chosen = _reliable(labels, near, confidence, top=tops[number - 1])
        if plant is not None:
            labels = plant(number, labels)
        stream = _stream(
            student, images, labels, np.flatnonzero(chosen), augment(data, seed + number * 10, strength=strength),
            batch_size, seed + number,
        )
        student.fit(stream, epochs=epochs, verbose=0, shuffle=False)
        teacher.set_weights(student.get_weights())
        p, near_now, about = look()
        sizes = np.bincount(p.argmax(1), minlength=n_groups)
        alarm = (sizes < 0.1 * start).any()
        good = about["score"] > best_score and not alarm
        verdict = "accepted" if good else "alarm" if alarm else "fell"
        rows.append(_row(number, chosen, about, p, verdict))
        if progress:
            print(rows[-1])
        if good or not guard:
            best, best_score, best_p = teacher.get_weights(), about["score"], p
        else:
            teacher.set_weights(best)
            break
    return SelfLabelled(
        teacher, body, pd.DataFrame(rows), best_p.argmax(1), best_p
    )


def _margin(z, labels):
    unit = normalize(z)
    means = normalize([unit[labels == g].mean(axis=0) for g in range(labels.max() + 1)])
    near = unit @ means.T
    own = near[np.arange(len(z)), labels]
    near[np.arange(len(z)), labels] = -np.inf
    return own - near.max(axis=1)


def _row(number, chosen, about, p, verdict):
    sizes = np.bincount(p.argmax(1), minlength=p.shape[1])
    return {
        "round": number, "kept": int(chosen.sum()), **about,
        "sizes": sizes.tolist(), "verdict": verdict,
    }


def _labels(labels, n):
    labels = np.asarray(labels)
    confidence = None
    if labels.ndim == 2:
        labels, confidence = labels.argmax(1), labels.max(1)
    return labels.astype("int64"), confidence


def _copy(backbone):
    copy = keras.models.clone_model(backbone)
    copy.set_weights(backbone.get_weights())
    copy.trainable = False
    return copy


def _head(z, n_groups):
    unit = normalize(z)
    spread = np.full(z.shape[1], unit.var(axis=0).mean())  # one number: angles stay as they are
    features = keras.Input(z.shape[1:], name="features")
    x = keras.layers.UnitNormalization(name="unit")(features)
    x = keras.layers.Normalization(mean=unit.mean(axis=0), variance=spread, name="centre")(x)
    zero = "zeros"
    x = keras.layers.Dense(n_groups, "softmax", kernel_initializer=zero, name="groups")(x)
    return keras.Model(features, x, name="head")


def _body_of(model):
    return model.layers[1]


def _head_of(model):
    return model.get_layer("head")


def _fit_head(head, z, labels, seed):
    head.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    data = tf.data.Dataset.from_tensor_slices((z, labels)).shuffle(len(z), seed).batch(128)
    head.fit(data, epochs=max(20, min(100, 20_000 // len(z))), verbose=0, shuffle=False)


def _features(body, images):
    return extract(body, images, cache=False, progress=False)


def _size(body):
    return body.layers[1].height, body.layers[1].width


def _views(body, images, change):
    out = []
    for batch in batches(images, size=_size(body), channels=body.input_shape[-1]):
        out.append(np.clip(change(batch, training=True), 0, 255).astype("uint8"))
    return np.concatenate(out)


def _stream(student, images, labels, chosen, change, batch_size, seed):
    body = _body_of(student)
    size, channels = _size(body), body.input_shape[-1]
    ready = tf.concat(list(batches(images, size=size, channels=channels)), 0)
    ready = tf.cast(tf.round(ready), tf.uint8)
    targets = tf.one_hot(labels, student.output_shape[-1])
    data = tf.data.Dataset.from_tensor_slices(chosen).shuffle(len(chosen), seed).batch(batch_size)

    def load(rows):
        x = tf.cast(tf.gather(ready, rows), tf.float32)
        return change(x, training=True), tf.gather(targets, rows)

    return data.map(load).prefetch(2)


def _unfreeze(body, from_layer):
    inner = [layer.name for layer in body.get_layer("network").layers]
    if from_layer is None:
        from_layer = inner[int(len(inner) * 0.5)]
    backbones.unfreeze(body, from_layer)


def _strategy():
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def _neighbours(z, k):
    z = normalize(np.asarray(z, "float32"))
    if len(z) > 5_000 and z.shape[1] > 64:
        z = PCA(64, random_state=0).fit_transform(z)
    k = min(k, len(z) - 1)
    return NearestNeighbors(n_neighbors=k, algorithm="brute").fit(z).kneighbors(return_distance=False)


def _same(labels, near):
    return (labels[near] == labels[:, None]).mean(1)


def _beyond_chance(share, groups):
    chance = float(((np.bincount(groups) / len(groups)) ** 2).sum())
    return float((share - chance) / (1 - chance)) if chance < 1 else 0.0
