"""What is drawn for the lessons; `test_cleaning` is about the messy folder."""

import numpy as np

from tfl_helpers.lessons.samples import make_messy_folder, printed_letters, thumbnails


def test_printed_letters_are_images_that_differ():
    letters = printed_letters("AAAAABQ")
    assert letters.shape == (7, 24, 24, 1) and letters.dtype == np.uint8
    assert letters[:, 0].max() == 0 and (letters.max((1, 2, 3)) > 200).all()
    assert len(np.unique(letters, axis=0)) == 7  # five fonts take turns


def test_every_file_of_a_messy_folder_has_a_thumbnail(tmp_path):
    planted = make_messy_folder(tmp_path / "messy")
    tiles = dict(zip(planted, thumbnails(tmp_path / "messy", planted), strict=True))
    assert {tile.shape for tile in tiles.values()} == {(64, 64, 3)}
    cross = tiles["temple/notes.txt"]
    without = [file for file, tile in tiles.items() if np.array_equal(tile, cross)]
    wrong = {"truncated", "empty", "unreadable", "huge", "not-an-image"}
    assert {planted[file] for file in without} == wrong
