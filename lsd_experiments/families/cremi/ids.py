"""Ids that CREMI gives a meaning, of uint64. 0 is an id like any other: a neuron, or a cleft, unless somebody says otherwise."""

import numpy as np
from numpy.typing import NDArray

BACKGROUND = 2**64 - 1  # of clefts: none here; of neurons: not labelled
UNKNOWN = 2**64 - 2  # of clefts: nobody knows, so that nothing there is scored or trained on
RESOLUTION = (40.0, 4.0, 4.0)  # nm, (z, y, x)


def cleft_masks(
    test: NDArray[np.integer], truth: NDArray[np.integer], test_background: int = BACKGROUND, truth_background: int = BACKGROUND
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where clefts are, of a prediction and of the truth, arrays of one shape; where the truth is unknown, neither has any."""
    known = ~is_id(truth, UNKNOWN)
    return ~is_id(test, test_background) & known, ~is_id(truth, truth_background) & known


def is_id(ids: NDArray[np.integer], number: int) -> NDArray[np.bool_]:
    """Where ``ids`` are ``number``: nowhere, where their type cannot hold it. The bits count: -1 of int64 is 2^64 - 1."""
    bits = ids.view(np.uint64) if ids.dtype == np.int64 else ids.view(np.uint8) if ids.dtype == np.bool_ else ids
    if number > np.iinfo(bits.dtype).max:
        return np.zeros(ids.shape, np.bool_)
    found: NDArray[np.bool_] = bits == bits.dtype.type(number)
    return found
