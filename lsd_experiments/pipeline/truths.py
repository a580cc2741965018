"""The ground truths that fragments and their look-up tables are judged by: labels and skeletons.

Each looks at the fragments once: what they share with labels, or which of them lie under the nodes of skeletons. All thresholds
follow from that, and no segmentation is written.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume, check_labels, check_voxel_size, overlap, to_box
from lsd_experiments.arrays.alignments import check_same_alignment
from lsd_experiments.arrays.resampling import resampled
from lsd_experiments.errors import UserError
from lsd_experiments.fitting import check_axes
from lsd_experiments.geometry import Box, Nanometres
from lsd_experiments.stages.inputs import describe_input

if TYPE_CHECKING:
    from lsd_experiments.skeletons import Skeletons

Luts = Callable[[NDArray[np.uint64]], Iterator[tuple[float, NDArray[np.uint64]]]]  # thresholds, and their tables for these ids
Region = tuple[Nanometres, Nanometres]  # offset and shape, nm
Rows = list[dict[str, Any]]


class Truth(Protocol):
    """What both have. ``kind``: what provenance calls it; ``described``: its entry there."""

    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def described(self) -> dict[str, str]: ...  # noqa: D102

    def on_grid_of(self, found: Volume, resample: bool) -> "Truth":
        """As :func:`on_grid_of`."""

    def check(self, fragments: Volume, region: Region | None) -> None:
        """:raises UserError: if what it takes to judge ``fragments`` in ``region`` is not there."""

    def rows(self, fragments: Volume, luts: Luts, region: Region | None) -> Rows:
        """The scores of all tables of ``fragments``, within ``region``."""


def on_grid_of(truth: Volume, found: Volume, resample: bool) -> Volume:
    """The labels ``truth`` as they are evaluated: on demand, on the grid of what was ``found``, the nearest ones.

    :raises UserError: if they are of another voxel size, and nobody says that they are to be resampled
    """
    if resample:
        return resampled(truth, found.voxel_size, "labels", found.offset)
    check_axes(truth, found)
    check_voxel_size(truth, found.voxel_size, f"that of {found.name}", "set resample = true in [predict]: it is for these, too")
    return truth


def evaluated_part(truth: Volume, found: Volume, region: Region | None) -> Box:
    """The voxels of ``truth`` that are evaluated: those of ``region``, or all that it shares with ``found``.

    :raises UserError: if both lie otherwise, or do not cover the region
    """
    check_axes(truth, found)
    check_same_alignment(found, truth)
    shared, _ = overlap(truth, found)
    if region is None:
        return shared
    box = to_box(truth, *region)
    if not shared.contains(box):
        raise UserError(f"[evaluate] roi_offset, roi_shape: the region reaches outside of what {truth.name} and {found.name} "
                        f"share, voxels {shared.begin} to {shared.end} of the labels. Name a smaller one")
    return box


@dataclass(frozen=True)
class Labels:
    """Judges by the voxels of ``volume`` that are not 0."""

    volume: Volume
    kind = "labels"

    @cached_property
    def described(self) -> dict[str, str]:
        """Its entry in provenance."""
        return describe_input(self.volume)

    def on_grid_of(self, found: Volume, resample: bool) -> "Labels":
        """See :class:`Truth`."""
        return Labels(on_grid_of(self.volume, found, resample))

    def check(self, fragments: Volume, region: Region | None) -> None:
        """:raises UserError: if they are no labels, lie otherwise than ``fragments``, or do not cover the region."""
        check_labels(self.volume)
        evaluated_part(self.volume, fragments, region)

    def rows(self, fragments: Volume, luts: Luts, region: Region | None) -> Rows:
        """The scores of all tables."""
        from lsd_experiments.evaluation import evaluate_thresholds, volume_contingency

        counted = volume_contingency(fragments, self.volume, to_box(self.volume, *region) if region else None)
        return evaluate_thresholds(counted, luts(counted.segments))


@dataclass(frozen=True)
class Nodes:
    """Judges by the nodes of the skeletons in ``path``, a file or a directory of SWC files.

    ``scale``: nm per unit of the file; ``parity``: as published, where that has known faults.
    """

    path: Path
    scale: float
    parity: bool
    kind = "skeletons"

    @cached_property
    def described(self) -> dict[str, str]:
        """Its entry in provenance: the fingerprint is of all bytes."""
        digest = hashlib.sha256()
        for path in sorted(self.path.iterdir()) if self.path.is_dir() else [self.path]:
            digest.update(path.read_bytes() if path.is_file() else b"")
        return {"name": self.path.name, "fingerprint": f"sha256:{digest.hexdigest()[:16]}"}

    @cached_property
    def _skeletons(self) -> "Skeletons":
        from lsd_experiments.skeletons import read_skeletons

        return read_skeletons(self.path, self.scale)

    def on_grid_of(self, found: Volume, resample: bool) -> "Nodes":
        """Nodes have places in nm."""
        return self

    def check(self, fragments: Volume, region: Region | None) -> None:
        """:raises UserError: if they cannot be read, none lies in the region, or that is not inside of ``fragments``."""
        from lsd_experiments.evaluation.skeleton_volumes import skeletons_in

        if not self.path.exists():
            raise UserError(f"{self.path}: no such file. Correct 'skeletons_file' in [evaluate]")
        skeletons_in(fragments, self._skeletons, region)

    def rows(self, fragments: Volume, luts: Luts, region: Region | None) -> Rows:
        """The scores of all tables.

        :raises UserError: if the file holds no skeletons, or none there
        """
        from lsd_experiments.evaluation.skeleton_volumes import nodes_in
        from lsd_experiments.evaluation.skeletons import evaluate_luts

        found = nodes_in(fragments, self._skeletons, region)
        return evaluate_luts(found.skeletons, found.ids, luts(found.ids), self.parity, found.voxels)
