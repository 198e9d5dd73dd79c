"""Images in, answers sealed: every set of images comes through `load`.

A set is looked for in a bundle (`TFL_DATA_DIR`), then in the Keras cache (`KERAS_HOME`), then,
unless `TFL_OFFLINE=1`, on the network. `catalogue` describes the sets that have a name, `sources`
finds and reads their files, `sets` loads one, `images` reads files of all kinds, `answers` seals,
`scenes` cuts crops out of street scenes; `cleaning` and `duplicates` say what is wrong with a
folder; `files` writes and downloads files whole.
"""

from tfl_helpers.datasets.answers import SealedAnswers, SealedError
from tfl_helpers.datasets.catalogue import CATALOGUE, DataSet, describe
from tfl_helpers.datasets.files import download, keras_home, offline, progress_bar, write_whole
from tfl_helpers.datasets.images import (
    SUFFIXES,
    FolderImages,
    ImageReadError,
    ImageSet,
    batches,
    check_images,
    list_files,
    list_images,
    read_image,
)
from tfl_helpers.datasets.scenes import Scene, load_scenes
from tfl_helpers.datasets.sets import copy_to_bundle, load
from tfl_helpers.datasets.sources import DatasetMissingError, available

__all__ = [
    "CATALOGUE",
    "SUFFIXES",
    "DataSet",
    "DatasetMissingError",
    "FolderImages",
    "ImageReadError",
    "ImageSet",
    "Scene",
    "SealedAnswers",
    "SealedError",
    "available",
    "batches",
    "check_images",
    "copy_to_bundle",
    "describe",
    "download",
    "keras_home",
    "list_files",
    "list_images",
    "load",
    "load_scenes",
    "offline",
    "progress_bar",
    "read_image",
    "write_whole",
]
