"""Skeletons as a layer: each one a segment, number 1 and up, of which lines and nodes are shown in all panels."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.skeletons import Skeletons

SELECTED = 1000  # skeletons, the longest, that are shown at first; of more, the others are in the layer's list


@dataclass(frozen=True)
class SkeletonView:
    """Skeletons to be shown as ``name``."""

    name: str
    skeletons: Skeletons
    visible: bool = True


@dataclass(frozen=True, eq=False)
class Parts:
    """Each skeleton's nodes and edges."""

    skeletons: Skeletons

    @cached_property
    def nodes(self) -> list[NDArray[np.int64]]:
        """Indices of nodes, of each skeleton."""
        return _grouped(self.skeletons.components, self.count)

    @cached_property
    def edges(self) -> list[NDArray[np.int64]]:
        """Indices of edges, of each skeleton."""
        return _grouped(self.skeletons.components[self.skeletons.edges[:, 0]], self.count)

    @property
    def count(self) -> int:
        """How many skeletons there are."""
        return int(self.skeletons.components.max(initial=-1)) + 1

    def part(self, number: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Positions [n, 3] of the nodes of skeleton ``number``, and its edges [m, 2], indices of these."""
        nodes = self.nodes[number]
        return self.skeletons.positions[nodes], np.searchsorted(nodes, self.skeletons.edges[self.edges[number]])

    def longest(self) -> list[int]:
        """The skeletons that are shown at first."""
        lengths = np.zeros(self.count)
        np.add.at(lengths, self.skeletons.components[self.skeletons.edges[:, 0]], self.skeletons.lengths)
        return sorted(np.argsort(-lengths, kind="stable")[:SELECTED].tolist())


def _grouped(numbers: NDArray[np.int64], count: int) -> list[NDArray[np.int64]]:
    """Where ``numbers`` is 0, where it is 1, and so on."""
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.searchsorted(numbers[order], np.arange(1, count)))


def skeleton_layer(skeletons: Skeletons) -> Any:
    """A neuroglancer layer of ``skeletons``."""
    import neuroglancer

    parts = Parts(skeletons)

    class Source(neuroglancer.skeleton.SkeletonSource):
        def get_skeleton(self, object_id: int) -> Any:
            if not 1 <= object_id <= parts.count:
                return None
            return neuroglancer.skeleton.Skeleton(*parts.part(object_id - 1))

    space = neuroglancer.CoordinateSpace(names=["z", "y", "x"], units="nm", scales=[1, 1, 1])
    rendering = neuroglancer.SkeletonRenderingOptions(mode2d="lines_and_points", line_width2d=2, mode3d="lines_and_points",
                                                      line_width3d=2)
    return neuroglancer.SegmentationLayer(source=Source(space), segments=[number + 1 for number in parts.longest()],
                                          skeleton_rendering=rendering)
