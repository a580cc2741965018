"""The compiled loops of distances to masks. Distances are squared, in nm; a section is [y, x]."""

import numpy as np

from lsd_experiments.compiled import compiled


@compiled
def section_distances(mask, voxel_y, voxel_x, squared):  # type: ignore[no-untyped-def]
    """Into ``squared`` [y, x] float64: of each pixel, to the nearest pixel of ``mask`` in this section; inf if there is none."""
    height, width = mask.shape
    rows = np.full((height, width), -1, np.int32)  # to the nearest one of the same column
    for y in range(height):
        for x in range(width):
            if mask[y, x]:
                rows[y, x] = 0
            elif y > 0 and rows[y - 1, x] >= 0:
                rows[y, x] = rows[y - 1, x] + 1
    for y in range(height - 2, -1, -1):
        for x in range(width):
            below = rows[y + 1, x]
            if below >= 0 and (rows[y, x] < 0 or below + 1 < rows[y, x]):
                rows[y, x] = below + 1
    places, heights, starts = np.empty(width, np.int64), np.empty(width, np.float64), np.empty(width, np.float64)
    for y in range(height):
        count = 0
        for x in range(width):  # the lower envelope of one parabola per column
            if rows[y, x] < 0:
                continue
            above = (rows[y, x] * voxel_y) ** 2
            start = -np.inf
            while count:
                last = places[count - 1]
                start = (above - heights[count - 1]) / (2 * voxel_x * voxel_x * (x - last)) + 0.5 * (x + last)
                if start > starts[count - 1]:
                    break
                count -= 1
                start = -np.inf
            places[count], heights[count], starts[count] = x, above, start
            count += 1
        at = 0
        for x in range(width):
            if not count:
                squared[y, x] = np.inf
                continue
            while at + 1 < count and starts[at + 1] <= x:
                at += 1
            squared[y, x] = heights[at] + ((x - places[at]) * voxel_x) ** 2


@compiled
def take_nearer(best, voxels, plane, along_z):  # type: ignore[no-untyped-def]
    """Lower ``best`` [n], of pixels ``voxels`` [n] of a section, by what ``plane`` [y * x] of another one has; the largest left.

    ``along_z``: the squared distance between the two sections.
    """
    largest = 0.0
    for i in range(len(best)):
        if along_z < best[i]:
            found = plane[voxels[i]] + along_z
            if found < best[i]:
                best[i] = found
        if best[i] > largest:
            largest = best[i]
    return largest


@compiled
def border_pixels(labels, border):  # type: ignore[no-untyped-def]
    """Into ``border`` [z, y, x]: the pixels with another label beside them in their section, above, below, left or right."""
    depth, height, width = labels.shape
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                own = labels[z, y, x]
                border[z, y, x] = (
                    (y > 0 and labels[z, y - 1, x] != own) or (y + 1 < height and labels[z, y + 1, x] != own)
                    or (x > 0 and labels[z, y, x - 1] != own) or (x + 1 < width and labels[z, y, x + 1] != own))
