"""Typical answers to the exercises of notebook 04, and what its text may say unmeasured."""

from types import SimpleNamespace

import numpy as np
from scipy.sparse import csgraph, diags
from scipy.sparse.linalg import eigsh
from scipy.special import softmax
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from tfl_helpers.clustering import NeighbourClustering
from tfl_helpers.datasets import SealedAnswers
from tfl_helpers.evaluation import Pairing

NOT_MEASURED = [
    "found in one half of the images",
    "sets within 20 % of the truth",
    "2 is half or double",
    '"best" is what nobody could have known',
]

# 04-b: groups from the Laplacian's eigenvectors.


def graph_of(z, n_neighbors=10):
    links = NearestNeighbors(n_neighbors=n_neighbors).fit(z).kneighbors_graph()
    return (links + links.T) / 2


def vectors_of(z, n_neighbors=10):
    laplacian = csgraph.laplacian(graph_of(z, n_neighbors), normed=True).toarray()
    return np.linalg.eigh(laplacian)[1]


def grouped(vectors, n_groups):
    return KMeans(n_groups, n_init=10, random_state=0).fit_predict(vectors)


def smallest(z, n_groups):
    return grouped(normalize(vectors_of(z)[:, :n_groups]), n_groups)


def of_the_graph(z, n_groups):
    graph = graph_of(z)
    scale = diags(1 / np.sqrt(np.asarray(graph.sum(1)).ravel()))
    vectors = eigsh(scale @ graph @ scale, k=n_groups, which="LA", v0=np.arange(1.0, len(z) + 1))[1]
    return grouped(normalize(vectors), n_groups)


def by_library(z, n_groups):
    graph = graph_of(z)
    model = SpectralClustering(n_groups, affinity="precomputed", random_state=0)
    return model.fit_predict(graph)


def largest(z, n_groups):
    return grouped(normalize(vectors_of(z)[:, -n_groups:]), n_groups)


def plain_k_means(z, n_groups):
    return grouped(z, n_groups)


def one_group(z, n_groups):
    return np.zeros(len(z), int)


def vectors_alone(z, n_groups):
    return normalize(vectors_of(z)[:, :n_groups])


def too_many_groups(z, n_groups):
    return grouped(normalize(vectors_of(z)[:, :3]), n_groups + 1)


def everybody_is_near(z, n_groups):
    return grouped(normalize(vectors_of(z, len(z) - 1)[:, 1 : n_groups + 1]), n_groups)


# 04-c: two clouds that touch, and answers that are sometimes those of the other one.

rng = np.random.default_rng(0)


def clouds(n):
    cloud = np.arange(n) % 2
    z = np.pad(np.eye(2)[cloud], [(0, 0), (0, 6)]) + 0.42 * rng.normal(size=(n, 8))
    answers = np.where(rng.random(n) < 0.03, 1 - cloud, cloud)
    return z, SimpleNamespace(answers=SealedAnswers(answers), class_names=["one", "two"]), answers


(z_train, train, _), (z_test, test, true) = clouds(500), clouds(400)
model = NeighbourClustering(2, random_state=0).fit(z_train)
wrong = Pairing(train.answers, model.labels_).predict(model.predict(z_test)) != true
strict, usual = model.unsure(z_test, share=0.05), model.unsure(z_test)
MISSED = int(wrong[~strict].sum())

# 04-d: the vote of neighbours.


def sums(weights, groups, n_groups):
    return (weights[..., None] * np.eye(n_groups)[groups]).sum(1)


def vote(distances, groups, n_groups):
    votes = sums(np.exp(-(distances**2)), groups, n_groups)
    return votes / votes.sum(1, keepdims=True)


def vote_loop(distances, groups, n_groups):
    shares = np.zeros((len(distances), n_groups))
    for row, (near, kinds) in enumerate(zip(distances, groups, strict=True)):
        for d, g in zip(near, kinds, strict=True):
            shares[row, g] += np.exp(-d * d) / np.exp(-near * near).sum()
    return shares


def vote_by_softmax(distances, groups, n_groups):
    return sums(softmax(-(distances**2), axis=1), groups, n_groups)


def all_alike(distances, groups, n_groups):
    return sums(np.full(distances.shape, 1 / distances.shape[1]), groups, n_groups)


def far_is_loud(distances, groups, n_groups):
    return sums(softmax(distances**2, axis=1), groups, n_groups)


def no_shares(distances, groups, n_groups):
    return sums(np.exp(-(distances**2)), groups, n_groups)


def among_images(distances, groups, n_groups):
    votes = sums(np.exp(-(distances**2)), groups, n_groups)
    return votes / np.maximum(votes.sum(0), 1e-9)


def twice(distances, groups, n_groups):
    return softmax(sums(np.exp(-(distances**2)), groups, n_groups), axis=1)


def no_square(distances, groups, n_groups):
    return sums(softmax(-distances, axis=1), groups, n_groups)


def winner(distances, groups, n_groups):
    return np.eye(n_groups)[vote(distances, groups, n_groups).argmax(1)]


def only_seen(distances, groups, n_groups):
    return vote(distances, groups, groups.max() + 1)


def by_distance(distances, groups, n_groups):
    return sums(distances / distances.sum(1, keepdims=True), groups, n_groups)


# 04-e: the geometric median of the peaks.


def of_peaks(curves, middle=np.median, scale=np.log, back=np.exp):
    return round(float(back(middle(scale(curves.set_index("k").idxmax())))))


def by_numpy(curves):
    peaks = [curves.k[np.nanargmax(curves[rule])] for rule in curves.columns[1:]]
    return round(np.sqrt(np.prod(np.sort(peaks)[1:3])))


def same(values):
    return values


def nan_first(curves):
    return int(np.median([curves.k[np.argmax(curves[rule].to_numpy())] for rule in curves][1:]))


EXERCISES = {
    "04-a": {"answers": {"shorter", "same", "longer"}},
    "04-b": {
        "right": [smallest, of_the_graph, by_library],
        "wrong": [
            (largest, "the moons are mixed"),
            (plain_k_means, "in the points themselves"),
            (one_group, "all rows are in one group"),
            (vectors_alone, "one number for each row"),
            (too_many_groups, "others came out"),
            (everybody_is_near, "moons"),
        ],
    },
    "04-c": {
        "right": [(MISSED, "b"), (np.int64(MISSED), "b")],
        "wrong": [
            ((int(wrong[~usual].sum()), "b"), "was the setting used"),
            ((int(wrong.sum()), "b"), "some of them are named"),
            ((int(wrong[strict].sum()), "b"), "are not"),
            ((int(np.sum(~strict)), "b"), "which are wrong"),
            ((MISSED / len(true), "b"), "a whole number"),
            ((MISSED, "a"), "how much higher"),
            ((MISSED, "c"), "is one group that bad"),
            ((MISSED, "?"), "one of the letters"),
            (MISSED, "a number of images and a letter"),
        ],
        "context": (train, test, z_train, z_test, 0),
    },
    "04-d": {
        "right": [vote, vote_loop, vote_by_softmax],
        "wrong": [
            (all_alike, "counts like"),
            (far_is_loud, "the louder"),
            (no_shares, "add up to one"),
            (among_images, "each has a vote"),
            (twice, "one exponential"),
            (no_square, "d squared"),
            (winner, "keep the shares"),
            (only_seen, "nobody votes for"),
            (by_distance, "for each image"),
        ],
    },
    "04-e": {
        "right": [of_peaks, by_numpy],
        "wrong": [
            (lambda curves: of_peaks(curves, scale=same, back=same), "logarithms"),
            (lambda curves: of_peaks(curves, np.mean, same, same), "take the median"),
            (lambda curves: of_peaks(curves, np.mean), "a mean on the right scale"),
            (lambda curves: of_peaks(curves.assign(j=curves.k)), "is no curve"),
            (lambda curves: round(curves.drop(columns="k").idxmax().median()), "a position"),
            (nan_first, "NaN is no peak"),
            (lambda curves: curves.set_index("k").idxmax(), "one number of groups"),
        ],
    },
}
