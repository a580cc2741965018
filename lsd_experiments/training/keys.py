"""The arrays of a training batch, as gunpowder knows them, and what snapshots call them.

The snapshots' names are a file format: those of the published training scripts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gunpowder as gp
from numpy.typing import NDArray

from lsd_experiments.networks.network import Head
from lsd_experiments.targets import Target

RAW = gp.ArrayKey("RAW")
LABELS = gp.ArrayKey("LABELS")
LABELS_MASK = gp.ArrayKey("LABELS_MASK")
UNLABELED = gp.ArrayKey("UNLABELED")  # 1 on labelled voxels, despite its name, which is the field's
COUNTED = gp.ArrayKey("COUNTED")  # 0 where no loss is taken, as a part of a volume is kept for validation
FIRST_PREDICTION = gp.ArrayKey("FIRST_PREDICTION")  # of the frozen first network, in auto-context


@dataclass(frozen=True)
class HeadKeys:
    """The arrays of one head: its target, the loss weights and the mask, its prediction and the loss's gradient."""

    target: gp.ArrayKey
    weights: gp.ArrayKey
    mask: gp.ArrayKey
    prediction: gp.ArrayKey
    gradient: gp.ArrayKey


def head_keys(name: str) -> HeadKeys:
    """The keys of the head ``name``."""
    upper = name.upper()
    names = (f"GT_{upper}", f"WEIGHTS_{upper}", f"{upper}_MASK", f"PRED_{upper}", f"GRADIENT_{upper}")
    return HeadKeys(*map(gp.ArrayKey, names))


def snapshot_names(heads: Sequence[Head], targets: Sequence[Target], malis: bool = False) -> dict[gp.ArrayKey, str]:
    """The datasets of a snapshot, by the arrays that they hold; ``malis``: of a training with a MALIS phase."""
    names = {RAW: "volumes/raw", LABELS: "volumes/labels/neuron_ids", LABELS_MASK: "volumes/labels/mask"}
    names[UNLABELED] = "volumes/labels/unlabeled"
    names[FIRST_PREDICTION] = "volumes/pretrained_lsd"
    published = {head.name: head.published_name for head in heads}
    for target in targets:
        keys, name = head_keys(target.name), published[target.name]
        long_name = target.snapshot_name or name
        names[keys.target] = f"volumes/gt_{long_name}"
        names[keys.prediction] = f"volumes/pred_{long_name}"
        names[keys.gradient] = f"volumes/{name}_gradient"
        if target.has_mask:
            names[keys.mask] = f"volumes/labels/gt_{name}_mask" if malis else "volumes/labels/gt_mask"
    return names


def channels_first(array: gp.Array) -> NDArray[Any]:
    """The array's values, a stack of samples with or without a channel axis, as [b, c, z, y, x]."""
    values: NDArray[Any] = array.data
    return values[:, None] if values.ndim == 4 else values
