"""Checkpoints: weights with the optimizer's state, and what they say of themselves; ours, and the published ones.

In a setup directory, ``train_net_checkpoint_<n>`` is the state after iteration n: ``.weights.h5`` is ours (Keras weights and a
record of the training); ``.index`` and ``.data-00000-of-00001`` are those of TensorFlow 1, as the published networks come.
Those are read by TensorFlow, whatever the backend, and never written. The text file ``checkpoint`` names the newest, in the
form that TensorFlow 1 wrote.
"""

from lsd_experiments.checkpoints.checkpoint import INDEX, POINTER, PREFIX, SUFFIX, Checkpoint, checkpoint_path
from lsd_experiments.checkpoints.comparing import require_same_network, with_widths
from lsd_experiments.checkpoints.finding import find_best, find_checkpoint, find_named, require_checkpoint, resolve
from lsd_experiments.checkpoints.into_model import load_checkpoint
from lsd_experiments.checkpoints.loading import checkpoint_files, read_checkpoint
from lsd_experiments.checkpoints.own import RECORD, save_checkpoint

__all__ = [
    "INDEX",
    "POINTER",
    "PREFIX",
    "RECORD",
    "SUFFIX",
    "Checkpoint",
    "checkpoint_files",
    "checkpoint_path",
    "find_best",
    "find_checkpoint",
    "find_named",
    "load_checkpoint",
    "read_checkpoint",
    "require_checkpoint",
    "require_same_network",
    "resolve",
    "save_checkpoint",
    "with_widths",
]
