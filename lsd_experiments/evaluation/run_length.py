"""The expected run length (ERL): how far one gets along a skeleton, from a random place on it, until the first error.

An edge is correct if both of its nodes are in the same object and that object touches no other skeleton. With L(s) the length of
skeleton s and l(s, o) the length of its correct edges in object o,

    ERL = sum over s and o of l(s, o)^2  /  sum over s of L(s)

in nm. A perfect segmentation has the greatest one, sum L(s)^2 / sum L(s).
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.evaluation.node_objects import Indices, skeletons_per_object

if TYPE_CHECKING:
    from lsd_experiments.skeletons import Skeletons


def expected_run_length(skeletons: "Skeletons", objects: Indices) -> float:
    """The ERL in nm.

    :param objects: [n] of the nodes, see :func:`lsd_experiments.evaluation.node_objects.objects_of`
    """
    total = float(skeletons.lengths.sum())
    if not total:
        return 0.0
    found, counts = skeletons_per_object(skeletons.components, objects)
    at = np.searchsorted(found, objects)
    u, v = at[skeletons.edges].T
    correct = (u == v) & (counts[u] == 1)
    runs = np.bincount(u[correct], weights=skeletons.lengths[correct], minlength=1)  # an object of one skeleton alone
    return float(runs @ runs) / total


def max_run_length(skeletons: "Skeletons", parity: bool = False) -> float:
    """The ERL of a perfect segmentation in nm.

    :param parity: as published: the first skeleton has the id 0, which counts as background, so that it has no run
    """
    lengths = skeleton_lengths(skeletons)
    total = float(lengths.sum())
    if parity:
        lengths = lengths[1:]
    return float(lengths @ lengths) / total if total else 0.0


def skeleton_lengths(skeletons: "Skeletons") -> NDArray[np.float64]:
    """[skeletons] nm, by the number of the component; 0 for a single node."""
    components = skeletons.components
    number = int(components.max()) + 1 if len(components) else 0
    return np.bincount(components[skeletons.edges[:, 0]], weights=skeletons.lengths, minlength=number).astype(np.float64)
