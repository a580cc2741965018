"""What a dataset is to its experiments: voxels, targets, augmentation, training volumes.

Axes are (z, y, x); nm where a name says so or ends in ``_size``, voxels elsewhere. An affinity of channel k is 1 at voxel v
where v and v + neighborhood[k] carry the same non-zero label.
"""

import math
from dataclasses import dataclass

Offsets = tuple[tuple[int, int, int], ...]
DIRECT: Offsets = ((-1, 0, 0), (0, -1, 0), (0, 0, -1))


@dataclass(frozen=True)
class Elastic:
    """An elastic augmentation: a jittered grid of control points, a rotation about z, and misaligned sections."""

    control_point_spacing: tuple[int, int, int]  # voxels
    jitter_sigma: tuple[float, float, float]  # voxels
    prob_slip: float = 0.0  # of a section to be displaced alone
    prob_shift: float = 0.0  # of a section and all that follow to be displaced
    max_misalign: int = 0  # voxels in y and x
    rotation_interval: tuple[float, float] = (0.0, math.pi / 2)
    subsample: int = 8


@dataclass(frozen=True)
class Dataset:
    """The facts that all variants of one dataset share.

    ``lsd_weight``: where the LSD loss looks: ``labels_mask`` (background inside the mask is trained towards 0),
    ``foreground`` (labelled voxels), or ``foreground_or_masked_out`` (and all that the mask leaves out, which is trained
    towards 0).
    ``affs_masked``: whether the affinity loss, and its balance, leave out what the labels mask does.
    """

    name: str
    voxel_size: tuple[float, float, float]
    volumes: tuple[str, ...]  # names of the training containers
    sigma: float  # nm, of the LSDs' Gaussian window
    elastic: Elastic
    transpose_axes: tuple[int, ...]
    elastic_after: Elastic | None
    intensity_per_section: bool
    grow_boundary_in_xy: bool
    lsd_weight: str
    affs_masked: bool
    long_range: Offsets
    probabilities: tuple[float, ...] | None = None  # of the volumes; None: all alike
    lsd_downsample: int = 2
    min_masked: float = 0.5  # the least share of the output that the labels mask must cover
    raw: str = "volumes/raw"
    labels: str = "volumes/labels/neuron_ids"
    labels_mask: str = "volumes/labels/labels_mask"
    background_ids: tuple[int, ...] = ()  # labels that are no neurons, and are left out of the labels mask

    def neighborhood(self, channels: int) -> Offsets:
        """The neighborhood of an affinity head: the three direct neighbours, or the long-range ones beside them."""
        known = {len(DIRECT): DIRECT, len(DIRECT) + len(self.long_range): DIRECT + self.long_range}
        assert channels in known, f"{self.name} has neighborhoods of {list(known)} channels, not {channels}"
        return known[channels]
