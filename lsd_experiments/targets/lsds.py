"""Local shape descriptors: statistics of each object in a Gaussian window around each of its voxels."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from lsd_experiments.geometry import Voxels
from lsd_experiments.targets.losses import PUBLISHED, Loss

if TYPE_CHECKING:
    import gunpowder as gp

    from lsd_experiments.datasets import Dataset


@dataclass(frozen=True)
class LocalShapeDescriptors:
    """LSDs of a window of ``sigma`` nm, computed on every ``downsample``-th voxel.

    ``counted``: where the loss looks: ``labels_mask`` (background inside the mask is trained towards 0), ``foreground``
    (labelled voxels), or ``foreground_or_masked_out`` (and all that the mask leaves out, which is trained towards 0).
    """

    sigma: float
    counted: str = "labels_mask"
    downsample: int = 2
    loss: Loss = PUBLISHED
    name: str = "lsds"

    kind: ClassVar[str] = "descriptors"
    channels: ClassVar[int] = 10
    activation: ClassVar[str] = "sigmoid"
    has_mask: ClassVar[bool] = False
    snapshot_name: ClassVar[str | None] = None
    published_names: ClassVar[tuple[str, ...]] = ("embedding", "lsds")
    named: ClassVar[str] = "lsd|embedding"
    views: ClassVar[Mapping[str, tuple[int, ...]]] = {
        " offset": (0, 1, 2), " variance": (3, 4, 5), " correlation": (6, 7, 8), " size": (9,)
    }  # fmt: skip

    def __post_init__(self) -> None:
        known = ("labels_mask", "foreground", "foreground_or_masked_out")
        assert self.counted in known, f"counted is {self.counted!r}, none of {known}"

    def context(self, voxel_size: Sequence[float]) -> Voxels:
        """Three sigma."""
        return tuple(math.ceil(3 * self.sigma / size) for size in voxel_size)

    def nodes(self, dataset: "Dataset", parity: bool) -> "gp.BatchFilter":
        """A node of ours, as gunpowder has none."""
        from lsd_experiments.targets.lsd_nodes import AddLsds

        return AddLsds(self, dataset.voxel_size, parity)

    @classmethod
    def is_shown_by(cls, dataset: str, channels: int | None) -> bool:
        """By its name, if the channels are as many."""
        return channels == cls.channels and re.search(cls.named, dataset) is not None
