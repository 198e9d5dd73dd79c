"""The loop of self-labelling: set-up, round after round, and what comes out."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from sklearn.utils import check_scalar

from tfl_helpers import backbones, clustering
from tfl_helpers.augment import training_batches
from tfl_helpers.datasets import FolderImages, ImageSet, as_images
from tfl_helpers.features import extract
from tfl_helpers.selflabel.guard import Guard
from tfl_helpers.selflabel.heads import attach, linear_head, vote_head
from tfl_helpers.selflabel.labels import checked, reliable, renumber
from tfl_helpers.selflabel.training import Learner, Round, frozen_copy

Images = ImageSet | FolderImages | np.ndarray


@dataclass(eq=False)
class SelfLabelled:
    """What `self_label` found."""

    model: keras.Model  # raw images to probabilities (b, k); saved, it opens without this package
    backbone: keras.Model  # its part before the head: raw images to features
    history: pd.DataFrame  # a row per round, see `self_label`
    labels: np.ndarray  # int64 (n,): group of each training image, as the model sees it
    probabilities: np.ndarray  # float32 (n, k)

    def predict_proba(self, images: Images) -> np.ndarray:
        """Give the probabilities of new images: float32 (n, k)."""
        return self.model.get_layer("head")(_features(self.backbone, images)).numpy()

    def predict(self, images: Images) -> np.ndarray:
        """Give the groups of new images: int64 (n,)."""
        return self.predict_proba(images).argmax(axis=1)


def self_label(
    backbone: keras.Model,
    images: Images,
    labels: np.ndarray,
    *,
    cluster: Any = None,
    data: str | keras.Model | None = None,
    rounds: int = 2,
    steps: int = 128,
    batch_size: int = 64,
    from_layer: str | None = None,
    learning_rate: float = 2e-3,
    keep: tuple[float, float] = (0.4, 0.7),
    seed: int = 0,
    guard: bool = True,
    on_round: Callable[[Round], None] | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> SelfLabelled:
    """Fine-tune a backbone on the groups that clustering found, without a single answer.

    A linear head learns the groups on frozen features. Then, round by round, the end of the
    backbone and the head learn the labels of `reliable` images from strongly changed copies, with a
    moving average of the weights as teacher. Its features are clustered anew, which gives the next
    labels. In the end a vote of the nearest images, with the last labels, replaces the linear head.

    A round is undone, and is the last, if a group vanishes, if the anchors (the images chosen at
    the start) leave their groups, or if the score falls by more than two standard errors. The score
    asks reference features that training does not change: the layer half-way, as it was before.

    Parameters
    ----------
    backbone : keras.Model
        From `backbones.load`; it is copied, not changed.
    images, labels : ImageSet, FolderImages or array (n, h, w, 1 or 3), and array
        Training images, 0..255; from clustering, int (n,) groups or float (n, k) probabilities.
    cluster : object with ``fit_predict``, optional
        Clusters the teacher's features (n, d); by default `clustering.NeighbourClustering`.
    data : str or keras.Model, optional
        What `augmenter` shall suit (by default the ImageSet's name, else "photos"), or its layers.
    rounds, steps, batch_size : int
        Rounds at most; batches in a round; images in a batch.
    from_layer : str, optional
        First layer of the backbone to fine-tune; by default the one half-way.
    learning_rate : float
        Of AdamW. 2e-3 suits the embedded backbone; large ImageNet networks want 1e-4 or so.
    keep : (float, float)
        Share of each group that `reliable` may keep in the first round and in the last.
    seed, guard : int, bool
        Draws batches and changes; if false, every round counts, whatever happens.
    on_round : callable, optional
        Gets the `Round` before it is trained, and may change it.
    strategy : tf.distribute.Strategy, optional
        By default MirroredStrategy where there are several GPUs, else none. With that of several
        machines (MultiWorkerMirroredStrategy) `fit` of Keras 3 fails (its issue 20585).

    Returns
    -------
    SelfLabelled
        Its `history` has a row per round, the first for the groups as given: `kept` (images trained
        on); `agreement` (share of neighbours in the same group) and `score` (by the reference
        features), both corrected for chance; `anchored` (share of the anchors still in their first
        group); `smallest`, `largest`, `sizes` of groups; `verdict`.

    References
    ----------
    SCAN (Van Gansbeke et al. 2020), FixMatch (Sohn et al. 2020), DeepCluster (Caron et al. 2018).
    """
    _check(backbone, rounds=(rounds, 0), steps=(steps, 1), batch_size=(batch_size, 1))
    data, images = data or getattr(images, "name", "photos"), as_images(images)
    labels, confidence = checked(labels, len(images), least_groups=2)
    one_hot = np.eye(labels.max() + 1)
    cluster = cluster or clustering.NeighbourClustering(len(one_hot), random_state=seed)
    body, reference, from_layer = frozen_copy(backbone, from_layer)
    feed = partial(training_batches, body, images, change=data, steps=steps, batch_size=batch_size)
    z, top = _features(body, images), np.linspace(*keep, max(rounds, 1))
    near = _neighbours(z, seed)
    chosen = reliable(labels, z, confidence, neighbours=near, top=top[0])
    watch = Guard(labels, _neighbours(_features(reference, images), seed, 10), anchors=chosen)
    rows = [{"round": 0, "kept": chosen.sum(), **watch.measure(labels, near), "verdict": "start"}]
    head = linear_head(z, one_hot[labels], chosen, seed=seed)
    learner = Learner(body, head, from_layer, learning_rate, strategy)
    weights = learner.teacher.get_weights()

    for number in range(1, rounds + 1):
        plan = Round(number, labels.copy(), chosen.copy())
        if on_round is not None:
            on_round(plan)
        learner.learn(feed(one_hot[plan.labels], np.flatnonzero(plan.chosen), seed=(seed, number)))
        row, new_z = {"round": number, "kept": plan.chosen.sum()}, _features(body, images)
        if not np.isfinite(new_z).all():  # nothing could go on from here, guard or not
            rows.append({**row, "verdict": "rolled back: the features are no numbers any more"})
            break
        near, p = _neighbours(new_z, seed), head(new_z).numpy()
        found = renumber(cluster.fit_predict(new_z), p)
        trouble = watch.trouble(found, accepted=labels)
        verdict = ("rolled back: " if guard and trouble else "") + (trouble or "accepted")
        rows.append({**row, **watch.measure(found, near), "verdict": verdict})
        if guard and trouble:
            break
        labels, z, weights = found, new_z, learner.teacher.get_weights()
        chosen = reliable(labels, z, neighbours=near, top=top[min(number, rounds - 1)])
        agreed = chosen & (labels == p.argmax(1))
        chosen = agreed if agreed.any() else chosen

    learner.teacher.set_weights(weights)
    head = vote_head(z, one_hot[labels], seed=seed)  # of all images: it says what was found
    p = head(z).numpy()
    return SelfLabelled(attach(body, head), body, pd.DataFrame(rows), p.argmax(1), p)


def _check(backbone: Any, **counts: tuple[int, int]) -> None:
    """Raise an error unless this is a backbone, and each number whole and not below its least."""
    backbones.check(backbone)
    for name, (value, least) in counts.items():
        check_scalar(value, name, Integral, min_val=least)


def _features(body: keras.Model, images: Images) -> np.ndarray:
    return extract(body, images, cache=False, progress=False)


def _neighbours(z: np.ndarray, seed: int, n: int = 20) -> np.ndarray:
    """Rows of each image's n neighbours, found fast in the leading components."""
    return clustering.nearest(clustering.leading_components(z, random_state=seed), n)[0]
