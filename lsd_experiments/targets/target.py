"""What a target must say of itself."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

from lsd_experiments.geometry import Voxels
from lsd_experiments.targets.losses import Loss

if TYPE_CHECKING:
    import gunpowder as gp

    from lsd_experiments.datasets import Dataset


class Target(Protocol):
    """What one head of a network is trained towards.

    ``activation``: the head's. ``has_mask``: whether its nodes make a mask of what is known, too.
    ``snapshot_name``: what snapshots call it; None: as the published checkpoints call the head, which is ``name`` or one of
    ``published_names``. ``named``: a regular expression that is found in the names of its datasets.
    ``views``: the layers that show it, by what is added to its name: three channels as red, green and blue, or one in colours.
    """

    activation: ClassVar[str]
    has_mask: ClassVar[bool]
    snapshot_name: ClassVar[str | None]
    published_names: ClassVar[tuple[str, ...]]
    named: ClassVar[str]
    views: ClassVar[Mapping[str, tuple[int, ...]]]

    @property
    def name(self) -> str:
        """Of the head."""

    @property
    def channels(self) -> int:
        """Of the head."""

    @property
    def loss(self) -> Loss:
        """Of the head, but for phases that have another one."""

    def context(self, voxel_size: Sequence[float]) -> Voxels:
        """Voxels (z, y, x) of labels that the target needs around the output, on each side."""

    def nodes(self, dataset: "Dataset", parity: bool) -> "gp.BatchFilter":
        """What adds target, weights and, if there is one, the mask to a batch; ``parity``: just as the published nodes do."""

    @classmethod
    def is_shown_by(cls, dataset: str, channels: int | None) -> bool:
        """Whether a volume is of this kind, by the last part of its dataset's name and its channels."""
