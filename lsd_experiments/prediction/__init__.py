"""Prediction: from raw and a checkpoint to ``volumes/affs`` and ``volumes/lsds``.

Raw (scaled as in training) [z, y, x] goes to the network in [-1, 1]; each head's output, [c, z, y, x] in [0, 1],
is stored as uint8, times 255 and truncated, as published. Volumes are predicted in blocks of the network's output shape that
tile the ROI from its first voxel; blocks that reach over its end are clipped, and raw outside of its volume is 0::

    raw         |--------------------------------|
    ROI             |------------------------|               default of predict_scan: raw less half the context
    blocks          |--------|--------|--------|             their inputs reach half the context further
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsd_experiments.checkpoints import load_checkpoint
    from lsd_experiments.prediction.block import predict_block

__all__ = ["load_checkpoint", "predict_block"]


def __getattr__(name: str) -> Any:
    """The promised names, imported when they are asked for: ``predict.py --help`` needs neither them nor NumPy."""
    if name == "predict_block":
        from lsd_experiments.prediction.block import predict_block

        return predict_block
    if name == "load_checkpoint":
        from lsd_experiments.checkpoints import load_checkpoint

        return load_checkpoint
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
