"""Labels as runs: stretches of one object along x."""

from typing import Any

import numpy as np

from lsd_experiments.compiled import compiled

Array = np.ndarray[Any, Any]


def runs_by_object(labels: Array, box: Array) -> tuple[Array, Array, Array]:
    """The runs inside ``box`` of ``labels``, object by object, without background.

    labels: [z, y, x] uint64, contiguous; box: [2, 3] (begin, end) in voxels.

    Returns runs [n, 4] int32 (z, y, x_begin, x_end), sorted by object, then z, y, x; starts [objects + 1], so that
    object k has the runs ``starts[k]`` to ``starts[k + 1] - 1``; ids [objects] uint64, ascending.
    """
    runs, ids = find_runs(labels, box)
    order = np.argsort(ids, kind="stable")
    runs, ids = runs[order], ids[order]
    starts = np.flatnonzero(np.append(True, ids[1:] != ids[:-1])[:len(ids)])
    return runs, np.append(starts, len(ids)), ids[starts]


@compiled(error_model="numpy", fastmath=True)
def find_runs(labels: Any, box: Any) -> Any:
    """Runs [n, 4] of equal non-zero labels inside ``box``, in C order, and the label of each [n]."""
    count = 0
    for z in range(box[0, 0], box[1, 0]):
        for y in range(box[0, 1], box[1, 1]):
            last = np.uint64(0)
            for x in range(box[0, 2], box[1, 2]):
                label = labels[z, y, x]
                count += label != last and label != 0
                last = label
    runs, ids = np.empty((count, 4), np.int32), np.empty(count, np.uint64)
    n = 0
    for z in range(box[0, 0], box[1, 0]):
        for y in range(box[0, 1], box[1, 1]):
            x = box[0, 2]
            while x < box[1, 2]:
                begin, label = x, labels[z, y, x]
                while x < box[1, 2] and labels[z, y, x] == label:
                    x += 1
                if label != 0:
                    runs[n, 0], runs[n, 1], runs[n, 2], runs[n, 3] = z, y, begin, x
                    ids[n] = label
                    n += 1
    return runs, ids
