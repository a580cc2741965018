"""Tell what a checkpoint holds: ours, or a published one of TensorFlow 1.

    python inspect_checkpoint.py zebrafinch/baseline                                   # its newest
    python inspect_checkpoint.py zebrafinch/baseline/train_net_checkpoint_400000

Prints format, variant, feature maps, heads, iteration, the optimizer's state, and which directories here it fits.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments.checkpoints import inspect_command

if __name__ == "__main__":
    inspect_command.main(__doc__, experiments=Path(__file__).resolve().parent)
