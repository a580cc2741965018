"""The compiled loops of scores at many thresholds. Distances are squared, in nm; a section is [y, x].

Levels: of a pixel, how many of the ascending thresholds its value exceeds.
"""

import numpy as np

from lsd_experiments.compiled import compiled

FAR = 2**30  # pixels: nothing to be near to
FIRST, SHIFT = 1023 << 10, 42  # the bits of 1.0 and up, to 10 binary digits, number the buckets


@compiled
def count_levels(values, limits, levels):  # type: ignore[no-untyped-def]
    """Into ``levels`` [n] uint8: how many of ``limits`` each of ``values`` [n] exceeds."""
    for i in range(len(values)):
        count = 0
        for limit in limits:
            count += values[i] > limit
        levels[i] = count


@compiled
def column_distances(levels, level, rows):  # type: ignore[no-untyped-def]
    """Into ``rows`` [y, x] int32: pixels to the nearest one of ``level`` in its column; :data:`FAR` or more: there is none."""
    height, width = levels.shape
    for x in range(width):
        rows[0, x] = 0 if levels[0, x] == level else FAR
    for y in range(1, height):
        for x in range(width):
            rows[y, x] = 0 if levels[y, x] == level else rows[y - 1, x] + 1
    for y in range(height - 2, -1, -1):
        for x in range(width):
            rows[y, x] = min(rows[y, x], rows[y + 1, x] + 1)


@compiled
def search_nearer(best, voxels, rows, along_z, voxel_y, voxel_x, steps):  # type: ignore[no-untyped-def]
    """Lower ``best`` [n], of pixels ``voxels`` [n] of a section, by another section's ``rows``, going left and right of each.

    ``along_z``: the squared distance between the two sections. Returns how many of ``steps`` are left, less than 0 if they did
    not do: then some were not looked at; and the largest of ``best``.
    """
    width = rows.shape[1]
    largest = 0.0
    for i in range(len(best)):
        nearest = best[i]
        if along_z < nearest and steps >= 0:
            y, x = voxels[i] // width, voxels[i] % width
            aside, there, d = 0.0, True, 0
            while there and aside + along_z < nearest and steps >= 0:
                there = False
                for at in (x - d, x + d):
                    if 0 <= at < width:
                        there = True
                        if rows[y, at] < FAR:
                            nearest = min(nearest, (rows[y, at] * voxel_y) ** 2 + aside + along_z)
                d += 1
                steps -= 1
                aside = (d * voxel_x) ** 2
            best[i] = nearest
        largest = max(largest, nearest)
    return steps, largest


@compiled
def volume_distances(before, after, z, voxel_size, squared):  # type: ignore[no-untyped-def]
    """Into ``squared`` [y, x]: of each pixel of section ``z``, to the nearest voxel of a mask of the whole volume; inf: none.

    :param before: [y, x] the last section of the mask up to ``z``, -1 if there is none; ``after``: the first one from ``z``
    """
    height, width = squared.shape
    longest = max(height, width)
    values, result = np.empty(longest), np.empty(longest)
    places, starts = np.empty(longest, np.int64), np.empty(longest)
    for x in range(width):
        for y in range(height):
            values[y] = np.inf
            if before[y, x] >= 0:
                values[y] = ((z - before[y, x]) * voxel_size[0]) ** 2
            if after[y, x] >= 0:
                values[y] = min(values[y], ((z - after[y, x]) * voxel_size[0]) ** 2)
        _envelope(values, result, places, starts, height, voxel_size[1])
        for y in range(height):
            squared[y, x] = result[y]
    for y in range(height):
        for x in range(width):
            values[x] = squared[y, x]
        _envelope(values, result, places, starts, width, voxel_size[2])
        for x in range(width):
            squared[y, x] = result[x]


@compiled
def _envelope(values, result, places, starts, n, size):  # type: ignore[no-untyped-def]
    """``result[i]`` = min over j of ``values[j]`` + (size (i - j))^2, for i < n: the lower envelope of parabolas."""
    count, share = 0, 0.5 / (size * size)
    for i in range(n):
        if values[i] == np.inf:
            continue
        start = -np.inf
        while count:
            last = places[count - 1]
            start = (values[i] - values[last]) * share / (i - last) + 0.5 * (i + last)
            if start > starts[count - 1]:
                break
            count -= 1
            start = -np.inf
        places[count], starts[count] = i, start
        count += 1
    at = 0
    for i in range(n):
        if not count:
            result[i] = np.inf
            continue
        while at + 1 < count and starts[at + 1] <= i:
            at += 1
        result[i] = values[places[at]] + ((i - places[at]) * size) ** 2


@compiled
def bucket_of(bits, buckets):  # type: ignore[no-untyped-def]
    """The number of the bucket of a squared distance, ``bits`` of its float64; larger ones have larger numbers."""
    return min(max((bits >> SHIFT) - FIRST, 0), buckets - 1)


@compiled
def count_distances(levels, squared, tolerance, counts, beyond, sums, least, largest, filled):  # type: ignore[no-untyped-def]
    """Count ``squared`` [n] by ``levels`` [n], 0 being left out: into [level] voxels, those beyond, sums of distances; and into
    [level, bucket] the smallest, the largest and how many there are."""
    bits, buckets = squared.view(np.int64), filled.shape[1]
    own = np.zeros(len(sums))
    for i in range(len(levels)):
        level = levels[i]
        if level:
            distance = np.sqrt(squared[i])
            counts[level] += 1
            beyond[level] += distance > tolerance
            own[level] += distance
            bucket = bucket_of(bits[i], buckets)
            filled[level, bucket] += 1
            least[level, bucket] = min(least[level, bucket], squared[i])
            largest[level, bucket] = max(largest[level, bucket], squared[i])
    sums += own


@compiled
def sum_squares(levels, squared, means, sums, wanted, chosen):  # type: ignore[no-untyped-def]
    """Add to ``sums`` [level] the squares of distances less ``means`` [level]; and into ``chosen`` [n] which values lie in a
    bucket that is ``wanted`` [level, bucket]; the arguments else as above."""
    bits, buckets = squared.view(np.int64), wanted.shape[1]
    own = np.zeros(len(sums))
    for i in range(len(levels)):
        level = levels[i]
        if level:
            own[level] += (np.sqrt(squared[i]) - means[level]) ** 2
        chosen[i] = level > 0 and wanted[level, bucket_of(bits[i], buckets)]
    sums += own
