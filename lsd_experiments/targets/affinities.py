"""Affinities: whether a voxel and its neighbour belong to one object."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from lsd_experiments.geometry import Voxels
from lsd_experiments.targets.losses import PUBLISHED, Loss

if TYPE_CHECKING:
    import gunpowder as gp

    from lsd_experiments.datasets import Dataset

Offsets = tuple[tuple[int, int, int], ...]
DIRECT: Offsets = ((-1, 0, 0), (0, -1, 0), (0, 0, -1))


@dataclass(frozen=True)
class Affinities:
    """Affinities to the ``neighborhood``, offsets (z, y, x) in voxels, with weights that balance 0 and 1 in each sample.

    ``masked``: whether the loss, and the balance, leave out what the labels mask does. Of sparse labels, those between a
    labelled and an unlabelled voxel are trained towards 0, and those between unlabelled ones are left out.
    """

    neighborhood: Offsets = DIRECT
    masked: bool = True
    loss: Loss = PUBLISHED
    name: str = "affs"

    kind: ClassVar[str] = "affinities"
    activation: ClassVar[str] = "sigmoid"
    has_mask: ClassVar[bool] = True
    snapshot_name: ClassVar[str | None] = "affinities"
    published_names: ClassVar[tuple[str, ...]] = ("affs",)
    named: ClassVar[str] = "aff"
    views: ClassVar[Mapping[str, tuple[int, ...]]] = {"": (0, 1, 2)}

    @property
    def channels(self) -> int:
        """One for each neighbour."""
        return len(self.neighborhood)

    def context(self, voxel_size: Sequence[float]) -> Voxels:
        """As far as the neighbours lie."""
        return tuple(max(abs(offset[axis]) for offset in self.neighborhood) for axis in range(3))

    def nodes(self, dataset: "Dataset", parity: bool) -> "gp.BatchFilter":
        """gunpowder's own."""
        import gunpowder as gp

        from lsd_experiments.training.keys import LABELS, LABELS_MASK, UNLABELED, head_keys

        keys = head_keys(self.name)
        return gp.AddAffinities(
            self.neighborhood,
            labels=LABELS,
            affinities=keys.target,
            labels_mask=LABELS_MASK if self.masked or not parity else None,
            unlabelled=UNLABELED if dataset.unlabeled_mask else None,
            affinities_mask=keys.mask,
        ) + gp.BalanceLabels(keys.target, keys.weights, mask=keys.mask if self.masked else None)

    @classmethod
    def is_shown_by(cls, dataset: str, channels: int | None) -> bool:
        """Whatever else has several channels can be looked at as affinities."""
        return channels is not None and channels > 1
