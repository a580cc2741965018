"""The compiled loops of distances between objects. Imported only where they are used: numba takes a second to import."""

import numpy as np

from lsd_experiments.compiled import compiled

FAR = 1e30  # nm squared: nothing to be near to


@compiled
def squared_distances(mask, voxel_size):  # type: ignore[no-untyped-def]
    """[z, y, x] float32: the squared distance (nm) of each voxel's centre to that of the nearest one in ``mask``.

    Exact, axis by axis: lower envelopes of parabolas (Felzenszwalb and Huttenlocher 2012).
    """
    out = np.empty(mask.shape, np.float32)
    depth, height, width = mask.shape
    longest = max(mask.shape)
    values, result = np.empty(longest), np.empty(longest)
    centres, borders = np.empty(longest, np.int64), np.empty(longest + 1)
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                values[x] = 0.0 if mask[z, y, x] else FAR
            envelope(values, result, centres, borders, width, voxel_size[2])
            for x in range(width):
                out[z, y, x] = result[x]
    for z in range(depth):
        for x in range(width):
            for y in range(height):
                values[y] = out[z, y, x]
            envelope(values, result, centres, borders, height, voxel_size[1])
            for y in range(height):
                out[z, y, x] = result[y]
    for y in range(height):
        for x in range(width):
            for z in range(depth):
                values[z] = out[z, y, x]
            envelope(values, result, centres, borders, depth, voxel_size[0])
            for z in range(depth):
                out[z, y, x] = result[z]
    return out


@compiled
def envelope(values, result, centres, borders, n, size):  # type: ignore[no-untyped-def]
    """``result[i]`` = min over j of ``values[j]`` + (size (i - j))^2, for i < n."""
    square = size * size
    last = -1
    for i in range(n):
        if values[i] >= FAR:
            continue
        border = -np.inf
        while last >= 0:
            j = centres[last]
            border = ((values[i] - values[j]) / square + (i * i - j * j)) / (2.0 * (i - j))
            if border > borders[last]:
                break
            last -= 1
        last += 1
        centres[last] = i
        borders[last] = border if last else -np.inf
        borders[last + 1] = np.inf
    if last < 0:
        for i in range(n):
            result[i] = FAR
        return
    k = 0
    for i in range(n):
        while borders[k + 1] < i:
            k += 1
        j = centres[k]
        result[i] = values[j] + square * (i - j) * (i - j)


@compiled
def object_boxes(labels, ids):  # type: ignore[no-untyped-def]
    """[n, 6] int32: of each of ``ids`` (ascending), first and end voxel along z, y, x; other labels are left out."""
    boxes = np.zeros((len(ids), 6), np.int32)
    boxes[:, 0::2] = 2**30
    depth, height, width = labels.shape
    last, at = np.int64(0), np.int64(-1)
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                label = np.int64(labels[z, y, x])
                if label != last:
                    last = label
                    at = np.int64(np.searchsorted(ids, label))
                    if at == len(ids) or ids[at] != label:
                        at = np.int64(-1)
                if at >= 0:
                    box = boxes[at]
                    box[0], box[1] = min(box[0], z), max(box[1], z + 1)
                    box[2], box[3] = min(box[2], y), max(box[3], y + 1)
                    box[4], box[5] = min(box[4], x), max(box[5], x + 1)
    return boxes


@compiled
def directed(first, first_id, second_mask, distances):  # type: ignore[no-untyped-def]
    """The largest of ``distances`` (squared, to the second object) at voxels of the first that are not of the second."""
    largest = np.float32(0)
    depth, height, width = first.shape
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                if first[z, y, x] == first_id and not second_mask[z, y, x]:
                    largest = max(largest, distances[z, y, x])
    return largest
