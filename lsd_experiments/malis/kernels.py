"""The compiled loops of MALIS. Imported only where they are used: numba takes a second to import.

Voxels and edges are numbered in the order of their arrays: edge e of n voxels is channel e // n at voxel e % n. Voxels that
were joined form a tree, whose root carries the counts of its component::

    parent      the next voxel towards the root; a root is its own parent
    total       voxels with a label
    distinct    different labels; the root itself carries one of them, if there are any
    head, after the labels of a component, as a chain of voxels that carry one each; -1 ends it
    several     voxels of each label, by root and label; only of components with several labels
"""

import numba
import numpy as np

from lsd_experiments.compiled import compiled

NOT_THERE, BETWEEN, INSIDE, UNKNOWN = 0, 1, 2, 3  # kinds of edges: across labels or to background, inside of one, masked out
ROOT_AND_LABEL = numba.types.UniTuple(numba.int64, 2)


@compiled
def find_kinds(labels, offsets, known):  # type: ignore[no-untyped-def]
    """The kind of each edge, [c, z, y, x] uint8; labels: [z, y, x], known: [c, z, y, x] bool."""
    kinds = np.zeros(known.shape, np.uint8)
    depth, height, width = labels.shape
    for c in range(len(offsets)):
        dz, dy, dx = offsets[c]
        for z in range(max(0, -dz), min(depth, depth - dz)):
            for y in range(max(0, -dy), min(height, height - dy)):
                for x in range(max(0, -dx), min(width, width - dx)):
                    label = labels[z, y, x]
                    if not known[c, z, y, x]:
                        kinds[c, z, y, x] = UNKNOWN
                    elif label != 0 and label == labels[z + dz, y + dy, x + dx]:
                        kinds[c, z, y, x] = INSIDE
                    else:
                        kinds[c, z, y, x] = BETWEEN
    return kinds


@compiled
def find(parent, voxel):  # type: ignore[no-untyped-def]
    """The root of ``voxel``; shortens the way to it."""
    while parent[voxel] != voxel:
        parent[voxel] = parent[parent[voxel]]
        voxel = parent[voxel]
    return voxel


@compiled
def join_inside(kinds, strides, parent, total):  # type: ignore[no-untyped-def]
    """Join the ends of all edges inside of labels; the components have one label each, as the voxels had."""
    n = len(parent)
    for e in range(len(kinds)):
        if kinds[e] == INSIDE:
            a = find(parent, e % n)
            b = find(parent, e % n + strides[e // n])
            if a != b:
                parent[b] = a
                total[a] += total[b]


@compiled
def free_edges(kinds, kind, keys, strides, parent):  # type: ignore[no-untyped-def]
    """The edges of a ``kind``, and those masked out, that join two components; each as key * 2^32 + its number, [m] uint64."""
    n = len(parent)
    edges = np.empty(len(kinds), np.uint64)
    count = 0
    for e in range(len(kinds)):
        if (kinds[e] == kind or kinds[e] == UNKNOWN) and find(parent, e % n) != find(parent, e % n + strides[e // n]):
            edges[count] = np.uint64(keys[e]) << np.uint64(32) | np.uint64(e)
            count += 1
    return edges[:count].copy()


@compiled
def count_pairs(edges, same, labels, strides, parent, total):  # type: ignore[no-untyped-def]
    """The pairs of voxels of the same label, or of two labels, that each of ``edges`` [m] is the first to join, [m] int64.

    edges: numbers, in the order in which they are taken; labels: [n]; parent, total: [n], changed in place.
    """
    n = len(parent)
    pairs = np.zeros(len(edges), np.int64)
    head, after = np.arange(n).astype(np.int32), np.full(n, -1, np.int32)
    distinct = np.empty(n, np.int32)
    for v in range(n):
        distinct[v] = labels[v] != 0
    several = numba.typed.Dict.empty(ROOT_AND_LABEL, numba.int64)
    for i in range(len(edges)):
        e = edges[i]
        a, b = find(parent, e % n), find(parent, e % n + strides[e // n])
        if a == b:
            continue
        if (distinct[a], total[a]) < (distinct[b], total[b]):
            a, b = b, a
        parent[b] = a
        alike = np.int64(0)
        if distinct[b] == 1 and distinct[a] == 1 and labels[a] == labels[b]:
            alike = total[a] * total[b]
        elif distinct[b] > 0:
            alike = merge_labels(a, b, labels, total, distinct, head, after, several)
        pairs[i] = alike if same else total[a] * total[b] - alike
        total[a] += total[b]
    return pairs


@compiled
def merge_labels(a, b, labels, total, distinct, head, after, several):  # type: ignore[no-untyped-def]
    """Add the labels of root b, one or more, to those of root a, which has as many; returns their pairs of the same label."""
    alike = np.int64(0)
    if distinct[a] == 1:
        several[(np.int64(a), np.int64(labels[a]))] = total[a]
    others = distinct[a]
    node = head[b]
    while node != -1:
        following, label = after[node], labels[node]
        theirs = total[b] if distinct[b] == 1 else several[(np.int64(b), np.int64(label))]
        key = (np.int64(a), np.int64(label))
        ours = several[key] if key in several else np.int64(0)
        several[key] = ours + theirs
        alike += ours * theirs
        if ours == 0:
            after[node], head[a] = head[a], node
            others += 1
        node = following
    distinct[a] = others
    return alike
