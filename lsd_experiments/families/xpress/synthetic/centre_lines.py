"""The axons' centre lines as nodes and edges in nm, each node in a voxel of its axon's label."""

from dataclasses import dataclass

import numpy as np

from lsd_experiments.families.xpress.synthetic.white_matter import WHITE_MATTER, Axons

SPACING = 200.0  # nm, between nodes
SHORTEST = (1000.0, 1 / 3)  # nm, or this share of the volume's shortest edge; shorter lines, of cut corners, are left out


@dataclass(frozen=True)
class CentreLines:
    """``positions``: [n, 3] float64 in nm, (z, y, x) from the volume's corner; ``edges``: [m, 2] int64, pairs of nodes.

    ``labels``: [n] uint64, the label that each node lies in.
    """

    positions: np.ndarray
    edges: np.ndarray
    labels: np.ndarray


def trace(axons: Axons, labels: np.ndarray, warp: np.ndarray, voxel_size: float) -> CentreLines:
    """The lines along which the balls lie, where the volume is labelled.

    :param labels: [z, y, x] uint64, at points that are ``voxel_size`` (nm) apart
    :param warp: [3, z, y, x] float32, where these points lie in the axons' space, in nm from their own place
    """
    shortest = min(SHORTEST[0], SHORTEST[1] * min(labels.shape) * voxel_size)
    stride = max(1, round(SPACING / WHITE_MATTER.step))
    lines: list[tuple[np.ndarray, np.ndarray]] = []
    for begin, end in axons.neurites.stretches:
        if not axons.glia[axons.neurites.owners[begin]]:
            places, ids = _look_up(axons.neurites.points[begin:end:stride], labels, warp, voxel_size)
            lines += _parts(places, ids, shortest)
    counts = [len(ids) for _, ids in lines]
    firsts = np.cumsum([0, *counts])[:-1]
    edges = [np.arange(first, first + count - 1) for first, count in zip(firsts, counts, strict=True)]
    starts = np.concatenate([*edges, np.empty(0, np.int64)]).astype(np.int64)
    return CentreLines(np.concatenate([*(places for places, _ in lines), np.empty((0, 3))]),
                       np.stack([starts, starts + 1], 1),
                       np.concatenate([*(ids for _, ids in lines), np.empty(0, np.uint64)]))


def _look_up(points: np.ndarray, labels: np.ndarray, warp: np.ndarray, voxel_size: float) -> tuple[np.ndarray, np.ndarray]:
    """Where ``points`` of the axons' space lie in the volume (the middle of a voxel is half a voxel from its corner), and the
    labels there, 0 outside.

    :returns: [n, 3] nm, and [n] uint64
    """
    shape = np.array(labels.shape)
    places = points.copy()
    for _ in range(8):  # the displacement is a fraction of the distance over which it changes
        index = np.clip(np.rint(places / voxel_size).astype(int), 0, shape - 1)
        places = points - warp[(slice(None), *index.T)].T
    index = np.rint(places / voxel_size).astype(int)
    within = ((index >= 0) & (index < shape)).all(1)
    ids = np.where(within, labels[tuple(np.clip(index, 0, shape - 1).T)], np.uint64(0))
    return (index + 0.5) * voxel_size, ids


def _parts(places: np.ndarray, ids: np.ndarray, shortest: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """The runs of one label: nodes in no label are left out, and a line ends where another label begins.

    :param shortest: (nm) shorter runs are left out
    """
    there = np.flatnonzero(ids)
    breaks = np.flatnonzero(np.diff(ids[there]) != 0) + 1
    runs = [run for run in np.split(there, breaks) if len(run) > 1]
    lengths = [np.linalg.norm(np.diff(places[run], axis=0), axis=1).sum() for run in runs]
    return [(places[run], ids[run]) for run, length in zip(runs, lengths, strict=True) if length >= shortest]
