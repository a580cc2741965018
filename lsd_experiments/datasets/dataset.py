"""What a dataset is to its experiments: voxels, targets, augmentation, training volumes.

Axes are (z, y, x); nm where a name says so or ends in ``_size``, voxels elsewhere. An affinity of channel k is 1 at voxel v
where v and v + neighborhood[k] carry the same non-zero label.
"""

import math
from dataclasses import dataclass

Offsets = tuple[tuple[int, int, int], ...]
BY_NUMBER, BY_SUM = "nonzero_weights", "sum_of_weights"
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
    ``unlabeled_mask``: of sparse labels, the dataset that is 1 on labelled voxels. Affinities between a labelled and an
    unlabelled voxel are trained towards 0, those between unlabelled ones are left out; ``min_masked`` is of this mask.
    ``loss_divisor``: what the sum of weighted squared errors of a sample is divided by, ``nonzero_weights`` (their number) or
    ``sum_of_weights``.
    ``parity``: whether targets are as published where ours differ: see :mod:`lsd_experiments.training.targets`.
    ``learning_rate``, ``save_every``, ``snapshot_every``: what train.py takes if nobody says.
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
    noise_variance: float = 0.0  # of Gaussian noise that is added to raw in [0, 1]
    min_masked: float = 0.5  # the least share of the output that the labels mask must cover
    label_padding: tuple[int, int, int] | None = None  # voxels around the labels that an output may reach; None: computed
    loss_divisor: str = BY_NUMBER
    parity: bool = False
    raw: str = "volumes/raw"
    labels: str = "volumes/labels/neuron_ids"
    labels_mask: str = "volumes/labels/labels_mask"
    unlabeled_mask: str | None = None
    background_ids: tuple[int, ...] = ()  # labels that are no neurons, and are left out of the labels mask
    fetched_to: str | None = None  # where 01_data puts the volumes, seen from there; None: funke/<name>/training
    learning_rate: float = 0.5e-4
    save_every: int = 10_000  # iterations
    snapshot_every: int = 1_000

    def neighborhood(self, channels: int) -> Offsets:
        """The neighborhood of an affinity head: the three direct neighbours, or the long-range ones beside them."""
        known = {len(DIRECT): DIRECT, len(DIRECT) + len(self.long_range): DIRECT + self.long_range}
        assert channels in known, f"{self.name} has neighborhoods of {list(known)} channels, not {channels}"
        return known[channels]
