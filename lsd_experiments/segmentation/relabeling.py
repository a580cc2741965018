"""Replace fragments by their segments."""

import numpy as np
from numpy.typing import NDArray


def relabel(fragments: NDArray[np.uint64], lut: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The segments of ``fragments``; 0, and fragments that are not in the table, become 0.

    :param fragments: any shape
    :param lut: [2, n], with ascending fragment ids
    """
    import fastremap

    ids, inverse = fastremap.unique(fragments, return_inverse=True)
    segments = np.zeros(len(ids), np.uint64)
    if lut.shape[1]:
        places = np.minimum(np.searchsorted(lut[0], ids), lut.shape[1] - 1)
        known = (lut[0][places] == ids) & (ids > 0)
        segments[known] = lut[1][places[known]]
    return np.asarray(segments[inverse]).reshape(fragments.shape)
