"""Which image goes to which group: balanced assignment, and the matching of group numbers."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment


def match(shared: ArrayLike, *, spare: int | None = None) -> np.ndarray:
    """Match rows with columns one-to-one so that they share as much as possible.

    Rows are groups; columns are classes, or the groups of another labeling.

    Parameters
    ----------
    shared : array, shape (n_rows, n_columns)
        What row and column share: counts of images, or sums of probabilities.
    spare : int, optional
        What a row without a partner gets; by default the column that it shares most with.

    Returns
    -------
    np.ndarray
        int (n_rows,): the column of each row.

    References
    ----------
    Kuhn (1955), The Hungarian method for the assignment problem.

    Examples
    --------
    >>> match([[9, 1], [8, 7], [2, 3]])
    array([0, 1, 1])
    >>> match([[9, 1], [8, 7], [2, 3]], spare=-1)
    array([ 0,  1, -1])
    """
    shared = np.asarray(shared)
    columns = shared.argmax(axis=1) if spare is None else np.full(len(shared), spare)
    rows, partners = linear_sum_assignment(shared, maximize=True)
    columns[rows] = partners
    return columns
