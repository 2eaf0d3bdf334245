"""Which of several duplicates is kept: the one rule of the near, image and semantic duplicates.

Rows are in a fixed order, oldest first. A row is dropped if and only if it is a duplicate of an earlier row that is
itself kept. So a row that comes later changes no earlier decision, every dropped row is a duplicate of the very row
that is kept in its stead (no chains), and no two kept rows are duplicates: the kept rows are the lexicographically
first maximal independent set of the graph of duplicate pairs.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def keep_first(left: ArrayLike, right: ArrayLike, n: int) -> NDArray[np.int64]:
    """The position of the earliest kept row that each of n rows duplicates, or -1 where the row is kept.

    `left` and `right`, both of shape (m,), are positions from 0 to n - 1: m pairs of duplicates in any order and
    orientation, repeated or not; a row paired with itself says nothing. Takes O(m log m + n).

    Raises ValueError for positions outside 0 .. n - 1, arrays of unequal length or of anything but integers.
    """
    left, right = np.asarray(left), np.asarray(right)
    if left.shape != right.shape or left.ndim != 1:
        raise ValueError(f"pairs need two flat arrays of one length, not {left.shape} and {right.shape}")
    kept_by = np.full(n, -1, np.int64)
    if not left.size:
        return kept_by
    if not (np.issubdtype(left.dtype, np.integer) and np.issubdtype(right.dtype, np.integer)):
        raise ValueError(f"positions are integers, not {left.dtype} and {right.dtype}")
    early, late = np.minimum(left, right).astype(np.int64), np.maximum(left, right).astype(np.int64)
    if early.min() < 0 or late.max() >= n:
        raise ValueError(f"positions go from 0 to {n - 1}, not from {early.min()} to {late.max()}")

    from filters.duplicates.kernels.minhash import drop_in_order  # numba loads slowly

    early, late = early[early < late], late[early < late]
    order = np.lexsort((early, late))
    drop_in_order(early[order], late[order], kept_by)
    return kept_by
