"""Blurred, dark, bright, empty, odd and unlike: planted ones are marked, others are not."""

import numpy as np
import pytest
from PIL import Image, ImageFilter
from sklearn.datasets import load_sample_image

from tfl_helpers import datasets
from tfl_helpers.datasets import cleaning, quality


@pytest.fixture(scope="module")
def parts():
    """56 sharp parts of a photo, without its sky."""
    photo = Image.fromarray(load_sample_image("china.jpg"))
    places = [(x, y) for x in range(0, 550, 40) for y in (150, 200, 250, 300)]
    return [photo.crop((x, y, x + 90, y + 90)) for x, y in places]


CHANGES = {
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(4)),
    "dark": lambda image: image.point(lambda value: value * 0.12),
    "bright": lambda image: image.point(lambda value: 255 - (255 - value) * 0.12),
    "low-information": lambda image: Image.new("RGB", image.size, (120, 140, 90)),
    "odd-shape": lambda image: image.crop((0, 30, 90, 50)),
}


def reported(folder, images, **options):
    for number, image in enumerate(images):
        image.save(folder / f"{number:02d}.png")
    names = datasets.list_files(folder)
    rows = [cleaning.inspect_file(folder / name) for name in names]
    return cleaning.report(names, rows, **options)


@pytest.mark.parametrize("kind", CHANGES)
def test_what_is_planted_is_marked_and_kept(tmp_path, parts, kind):
    images = list(parts)
    for i in range(5, 15):
        images[i] = CHANGES[kind](parts[i])
    if kind == "low-information":  # not one plain colour, nor the same
        for number, image in enumerate(images[5:15]):
            image.paste((255, 255, 255), (7 * number, 40, 7 * number + 15, 55))
    report = reported(tmp_path, images)
    has = report["problem"].str.split(", ").map(lambda codes: kind in codes)
    assert has[5:15].mean() >= 0.9 and has.drop(range(5, 15)).mean() <= 0.06
    assert report["keep"][has & (report["duplicate_of"] == "")].all()
    assert quality.MARKS[kind] in report["detail"][np.flatnonzero(has)[0]]


@pytest.mark.parametrize("kind", CHANGES)
def test_what_is_so_of_a_whole_folder_is_no_mark(tmp_path, parts, kind):
    report = reported(tmp_path, [CHANGES[kind](image) for image in parts])
    assert not report["problem"].str.contains(kind).any()


def test_digits_and_small_images_are_not_marked(digits):
    train, _ = digits
    assert (cleaning.inspect(train, progress=False)["problem"] == "").all()


def test_what_is_far_from_all_others_is_an_outlier():
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(4, 60))
    z = kinds[np.arange(400) % 4] + 0.6 * rng.normal(size=(400, 60))
    z[:12] = 1.3 * rng.normal(size=(12, 60))
    near, distances = quality.near_ones(z)
    assert near.shape == distances.shape and (near != np.arange(400)[:, None]).all()
    unlike = quality.unlike_all(distances)
    assert unlike[:12].mean() >= 0.9 and unlike[12:].mean() <= 0.04
    some = z - z.mean(axis=0)
    one, other = some[20], some[near[20, 0]]
    cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    assert distances[20, 0] == pytest.approx(1 - cosine, abs=0.05)


def test_features_tell_cropped_copies_and_what_is_unlike_all_others(tmp_path, parts):
    crops = [image.crop((3, 2, 87, 86)) for image in parts[:8]]
    rng = np.random.default_rng(0)
    z = rng.normal(size=(64, 40))
    z[56:] = z[:8] + 0.2 * rng.normal(size=(8, 40))
    without = reported(tmp_path, [*parts, *crops])
    report = reported(tmp_path, [*parts, *crops], embed=lambda some: z[some])
    assert (report["duplicate_of"][56:] == report["file"][:8].to_numpy()).mean() >= 0.75
    assert (report["problem"][56:].str.contains("near-duplicate")).mean() >= 0.75
    assert (report["problem"][:56] == without["problem"][:56]).mean() >= 0.9
    assert (without["duplicate_of"] != "").sum() < (report["duplicate_of"] != "").sum()
    apart = reported(tmp_path, [*parts, *crops], embed=lambda some: rng.normal(size=(64, 40))[some])
    assert (apart["duplicate_of"] == without["duplicate_of"]).all()  # features say no
