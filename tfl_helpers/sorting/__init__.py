"""Sort a folder of images that nobody labelled: `python -m tfl_helpers sort`.

The folder is only read. What is learned about each file is kept beside the results, so that a
stopped run goes on where it was and a later one looks at new files only::

    files -> cleaning -> features -> groups -> groups.csv, gallery.html, model.keras, summary.json
                                       ^                       |
                                       '--- your corrections --'

`pipeline` has the recipe; `reading` reads files, and `store` remembers what was learned of them;
`grouping`, `levels`, `corrections` and `following` are the next steps; `table`, `gallery` (what
goes into it: `drawing`; what it asks: `asking`), `arrange`, `export` and `summary` what it writes;
`predict` looks at new images. `widget` shows the page in a notebook.
"""

from tfl_helpers.sorting.corrections import (
    names_from_examples,
    propagate_corrections,
    read_corrections,
)
from tfl_helpers.sorting.export import EXPORTS
from tfl_helpers.sorting.gallery import thumbnail, write_gallery
from tfl_helpers.sorting.grouping import CLUSTERERS, cluster
from tfl_helpers.sorting.pipeline import RESULTS, sort_folder
from tfl_helpers.sorting.predict import most_like, predict_folder
from tfl_helpers.sorting.store import STORE, Store
from tfl_helpers.sorting.summary import summary_text
from tfl_helpers.sorting.table import COLUMNS, CORRECTED, read_table, write_table
from tfl_helpers.sorting.widget import Results
