"""Masks of labels: which voxels count in training.

- ``labels_mask``: 1 where the labels can be trusted, 0 where a voxel has an id that is no neuron (``background_ids``).
- ``unlabeled_mask``: 1 on labelled voxels. Between annotated neurons, where nobody said what there is, it is 0.

Both are [z, y, x] uint8, next to the labels they are made of, with their offset and voxel size.
"""

from lsd_experiments.masks.blockwise import MaskRule, MaskTask, write_mask
from lsd_experiments.masks.masking import has_id, labels_mask, unlabeled_mask

__all__ = ["MaskRule", "MaskTask", "has_id", "labels_mask", "unlabeled_mask", "write_mask"]
