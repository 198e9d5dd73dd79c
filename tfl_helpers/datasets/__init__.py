"""Images in, answers sealed: every set of images comes through `load`.

`catalogue` describes the sets that have a name, `sources` finds and reads their files, `sets` loads
one; `decode` reads an image file of any kind, `images` many, `remote` those at an address;
`answers` seals; `scenes` cuts crops out of street scenes; `cleaning`, `quality` and `duplicates`
say what is wrong with a folder; `files` writes and downloads whole.
"""

from tfl_helpers.datasets.answers import SealedAnswers, SealedError
from tfl_helpers.datasets.catalogue import CATALOGUE, DataSet, describe
from tfl_helpers.datasets.decode import ImageReadError, read_image
from tfl_helpers.datasets.files import (
    download,
    file_hash,
    keras_home,
    offline,
    progress_bar,
    write_whole,
)
from tfl_helpers.datasets.images import (
    FolderImages,
    ImageSet,
    as_images,
    batches,
    list_files,
    list_images,
    walk,
)
from tfl_helpers.datasets.scenes import Scene, load_scenes
from tfl_helpers.datasets.sets import copy_to_bundle, load
from tfl_helpers.datasets.sources import DatasetMissingError, available
