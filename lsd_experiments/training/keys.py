"""The arrays of a training batch, as gunpowder knows them, and what snapshots call them.

The snapshots' names are a file format: those of the published training scripts.
"""

from dataclasses import dataclass

import gunpowder as gp

from lsd_experiments.networks.network import Head

RAW = gp.ArrayKey("RAW")
LABELS = gp.ArrayKey("LABELS")
LABELS_MASK = gp.ArrayKey("LABELS_MASK")
UNLABELED = gp.ArrayKey("UNLABELED")  # 1 on labelled voxels, despite its name, which is the field's
AFFS_MASK = gp.ArrayKey("AFFS_MASK")
PREDICTED_LSDS = gp.ArrayKey("PREDICTED_LSDS")  # of the frozen network, in auto-context


@dataclass(frozen=True)
class HeadKeys:
    """The arrays of one head: what it is trained towards, the loss weights, its prediction and the loss's gradient."""

    target: gp.ArrayKey
    weights: gp.ArrayKey
    prediction: gp.ArrayKey
    gradient: gp.ArrayKey


def head_keys(name: str) -> HeadKeys:
    """The keys of the head ``name``."""
    upper = name.upper()
    return HeadKeys(*(gp.ArrayKey(f"{kind}_{upper}") for kind in ("GT", "WEIGHTS", "PRED", "GRADIENT")))


def snapshot_names(heads: tuple[Head, ...], malis: bool = False) -> dict[gp.ArrayKey, str]:
    """The datasets of a snapshot, by the arrays that they hold."""
    names = {RAW: "volumes/raw", LABELS: "volumes/labels/neuron_ids", LABELS_MASK: "volumes/labels/mask"}
    names[UNLABELED] = "volumes/labels/unlabeled"
    names[PREDICTED_LSDS] = "volumes/pretrained_lsd"
    for head in heads:
        keys = head_keys(head.name)
        long_name = "affinities" if head.name == "affs" else head.published_name
        names[keys.target] = f"volumes/gt_{long_name}"
        names[keys.prediction] = f"volumes/pred_{long_name}"
        names[keys.gradient] = f"volumes/{head.published_name}_gradient"
    if any(head.name == "affs" for head in heads):
        names[AFFS_MASK] = "volumes/labels/gt_affs_mask" if malis else "volumes/labels/gt_mask"
    return names
