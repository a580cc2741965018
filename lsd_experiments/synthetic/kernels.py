"""The loops of the synthetic volume, compiled: growing neurites, and finding the neurite nearest to each voxel.

Imported only where it is used: numba takes a second to import. Lengths in nm, axes (z, y, x). What is compiled takes no
value from another file: the compiled code is kept until this one changes.
"""

import numpy as np

from lsd_experiments.compiled import compiled
from lsd_experiments.synthetic.neurites import Tissue

OVERLAP = 0.9  # neurites may come as near as this share of the sum of their radii


class Space:
    """The balls placed so far, in a grid of cells that finds the near ones."""

    def __init__(self, begin: np.ndarray, extent: np.ndarray, tissue: Tissue) -> None:
        self.begin, self.extent, self.cell, self.tissue = begin, extent, 2 * tissue.radius[1], tissue
        shape = np.ceil(extent / self.cell).astype(int) + 1
        self.heads = np.full(tuple(shape), -1, np.int64)
        self.nexts = np.empty(1024, np.int64)
        self.points = np.empty((1024, 3))
        self.radii = np.empty(1024)
        self.owners = np.empty(1024, np.int32)
        self.count = 0

    def grow(self, seed: np.ndarray, direction: np.ndarray, radius: float, owner: int, normals: np.ndarray,
             shortest: int) -> tuple[int, int] | None:
        """Place a neurite through ``seed`` both ways along ``direction``: the range of its balls, None if too short.

        :param normals: [2, steps, 4] random numbers, for the turns (3) and the calibre (1) of each step both ways
        """
        tissue = self.tissue
        paths = [_walk(seed, sign * direction, radius, owner, normals[way], *tissue.radius, tissue.step, tissue.swelling,
                       tissue.turn, tissue.push, self.begin, self.extent, self.cell, self.heads, self.nexts, self.points,
                       self.radii, self.owners)
                 for way, sign in enumerate((-1.0, 1.0))]
        path = np.concatenate([paths[0][::-1], paths[1][1:]])
        start = self.count
        if len(path) < shortest:
            return None
        self._reserve(start + len(path))
        end = start + len(path)
        self.points[start:end], self.radii[start:end], self.owners[start:end] = path[:, :3], path[:, 3], owner
        for index in range(start, end):
            cell = tuple(((self.points[index] - self.begin) // self.cell).astype(int))
            self.nexts[index], self.heads[cell] = self.heads[cell], index
        self.count = end
        return start, end

    def _reserve(self, count: int) -> None:
        if count > len(self.radii):
            more = max(count, 2 * len(self.radii)) - len(self.radii)
            self.points = np.pad(self.points, ((0, more), (0, 0)))
            self.nexts = np.pad(self.nexts, (0, more))
            self.radii = np.pad(self.radii, (0, more))
            self.owners = np.pad(self.owners, (0, more))


@compiled
def _room(p, owner, begin, cell, heads, nexts, points, radii, owners):  # type: ignore[no-untyped-def]
    """The radius that fits at ``p`` beside the other neurites, and the push (3) they exert."""
    room = np.inf
    push = np.zeros(3)
    at = np.empty(3, np.int64)
    for a in range(3):
        at[a] = int((p[a] - begin[a]) // cell)
    for i in range(max(0, at[0] - 1), min(heads.shape[0], at[0] + 2)):
        for j in range(max(0, at[1] - 1), min(heads.shape[1], at[1] + 2)):
            for k in range(max(0, at[2] - 1), min(heads.shape[2], at[2] + 2)):
                index = heads[i, j, k]
                while index >= 0:
                    if owners[index] != owner:
                        away = p - points[index]
                        distance = np.sqrt((away * away).sum()) + 1e-6
                        clear = distance / OVERLAP - radii[index]
                        room = min(room, clear)
                        near = distance - radii[index]
                        if near < 300.0:
                            push += away / distance * np.exp(-max(near, 0.0) / 60.0)
                    index = nexts[index]
    return room, push


@compiled
def _walk(seed, direction, radius, owner, normals, thinnest, thickest, step_length,  # type: ignore[no-untyped-def]
          swelling, turn, shove, begin, extent, cell, heads, nexts, points, radii, owners):
    """One way from ``seed``: [n, 4] position and radius, until it leaves the space or finds no room."""
    path = np.empty((len(normals), 4))
    p, d, calibre = seed.copy(), direction.copy(), 0.0
    n = 0
    for step in range(len(normals)):
        for a in range(3):
            if p[a] < begin[a] or p[a] >= begin[a] + extent[a]:
                return path[:n]
        room, push = _room(p, owner, begin, cell, heads, nexts, points, radii, owners)
        if room < thinnest * 0.8:
            return path[:n]
        calibre = 0.93 * calibre + swelling * normals[step, 3]  # slow swelling and thinning
        wanted = radius * np.exp(calibre)
        path[n, :3] = p
        path[n, 3] = min(max(wanted, 0.8 * thinnest), room, thickest)
        n += 1
        strength = np.sqrt((push * push).sum())
        if strength > 1:
            push = push / strength
        d = d + turn * normals[step, :3] + shove * push
        d = d / np.sqrt((d * d).sum())
        p = p + step_length * d
    return path[:n]


@compiled
def nearest_neurites(points, radii, owners, warped, voxel_size, reach, ball, surface, gap):  # type: ignore[no-untyped-def]
    """For each voxel the neurite whose surface is nearest, and how much farther the next one's is.

    Space is halved in two levels of blocks; a block keeps only balls that can be nearest or second in it.

    :param warped: [3, z, y, x] float32, displacement in nm of the point that is looked up for each voxel
    :param reach: the largest displacement in nm
    :param ball: [z, y, x] int32, filled with the ball of that neurite whose surface is nearest
    :param surface: [z, y, x] float32, filled with the distance of that surface in nm, negative inside
    :param gap: [z, y, x] float32, filled with the difference of the two distances in nm
    """
    shape = np.array(ball.shape)
    everything = np.arange(len(radii))
    distances = np.empty(len(radii))
    coarse, fine = (16, 32, 32), (4, 8, 8)
    for z0 in range(0, shape[0], coarse[0]):
        for y0 in range(0, shape[1], coarse[1]):
            for x0 in range(0, shape[2], coarse[2]):
                low = np.array((z0, y0, x0))
                high = np.minimum(low + np.array(coarse), shape)
                near = _candidates(low * voxel_size - reach, (high - 1) * voxel_size + reach, everything, points, radii,
                                   owners, distances)
                for z1 in range(z0, high[0], fine[0]):
                    for y1 in range(y0, high[1], fine[1]):
                        for x1 in range(x0, high[2], fine[2]):
                            begin = np.array((z1, y1, x1))
                            end = np.minimum(begin + np.array(fine), high)
                            _fill(begin, end, near, points, radii, owners, distances, warped, voxel_size, ball, surface,
                                  gap)


@compiled
def _candidates(low, high, among, points, radii, owners, distances):  # type: ignore[no-untyped-def]
    """Those balls ``among`` that can be nearest, or nearest of another neurite, somewhere from ``low`` to ``high``."""
    centre, half = (low + high) / 2, np.sqrt((((high - low) / 2) ** 2).sum())
    first = second = np.inf
    owner = -1
    for i in range(len(among)):
        b = among[i]
        away = points[b] - centre
        distances[i] = np.sqrt(away[0] ** 2 + away[1] ** 2 + away[2] ** 2) - radii[b]
        first, second, owner = _rank(distances[i], owners[b], first, second, owner)
    kept = np.empty(len(among), np.int64)
    n = 0
    for i in range(len(among)):
        if distances[i] <= second + 2 * half:
            kept[n] = among[i]
            n += 1
    return kept[:n]


@compiled
def _rank(distance, candidate, first, second, owner):  # type: ignore[no-untyped-def]
    """The nearest distance, the nearest of another neurite, and the nearest's owner, with one more ball."""
    if distance < first:
        if candidate != owner:
            second = first
        return distance, second, candidate
    if candidate != owner and distance < second:
        return first, distance, owner
    return first, second, owner


@compiled
def _fill(begin, end, near, points, radii, owners, distances, warped, voxel_size,  # type: ignore[no-untyped-def]
          ball, surface, gap):
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for z in range(begin[0], end[0]):
        for y in range(begin[1], end[1]):
            for x in range(begin[2], end[2]):
                for a, v in enumerate((z, y, x)):
                    at = v * voxel_size[a] + warped[a, z, y, x]
                    low[a], high[a] = min(low[a], at), max(high[a], at)
    here = _candidates(low, high, near, points, radii, owners, distances)
    for z in range(begin[0], end[0]):
        for y in range(begin[1], end[1]):
            for x in range(begin[2], end[2]):
                pz = z * voxel_size[0] + warped[0, z, y, x]
                py = y * voxel_size[1] + warped[1, z, y, x]
                px = x * voxel_size[2] + warped[2, z, y, x]
                first = second = np.inf
                owner = nearest = -1
                for b in here:
                    dz, dy, dx = points[b, 0] - pz, points[b, 1] - py, points[b, 2] - px
                    distance = np.sqrt(dz * dz + dy * dy + dx * dx) - radii[b]
                    if distance < first:
                        nearest = b
                    first, second, owner = _rank(distance, owners[b], first, second, owner)
                ball[z, y, x] = nearest
                surface[z, y, x] = first
                gap[z, y, x] = second - first


@compiled
def stamp_balls(points, radii, owners, warped, voxel_size, label, field):  # type: ignore[no-untyped-def]
    """Lower ``field`` to the distance (nm, negative inside) from each ball's surface, near it and in its owner only."""
    reach = 40.0  # nm, how far beyond its surface a ball counts
    for b in range(len(radii)):
        low, high = np.empty(3, np.int64), np.empty(3, np.int64)
        for a in range(3):
            extent = radii[b] + reach + 60.0  # 60: more than any displacement
            low[a] = max(0, int(np.floor((points[b, a] - extent) / voxel_size[a])))
            high[a] = min(label.shape[a], int(np.ceil((points[b, a] + extent) / voxel_size[a])) + 1)
        for z in range(low[0], high[0]):
            for y in range(low[1], high[1]):
                for x in range(low[2], high[2]):
                    if label[z, y, x] == owners[b]:
                        pz = z * voxel_size[0] + warped[0, z, y, x] - points[b, 0]
                        py = y * voxel_size[1] + warped[1, z, y, x] - points[b, 1]
                        px = x * voxel_size[2] + warped[2, z, y, x] - points[b, 2]
                        distance = np.sqrt(pz * pz + py * py + px * px) - radii[b]
                        field[z, y, x] = min(field[z, y, x], distance)
