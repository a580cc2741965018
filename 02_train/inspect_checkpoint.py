"""Tell what a checkpoint holds: ours, a published one of TensorFlow 1, or one of PyTorch.

    python inspect_checkpoint.py zebrafinch/baseline                                   # its newest
    python inspect_checkpoint.py zebrafinch/baseline/train_net_checkpoint_400000
    python inspect_checkpoint.py snemi3d/outputs/SNEMI_UNet/checkpoint_100000.pth.tar

Prints format, variant, feature maps, heads, iteration, the optimizer's state, and which directories here it fits.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments.checkpoints import inspect_command
from lsd_experiments.families.pytc.recognising import describe

if __name__ == "__main__":
    inspect_command.main(__doc__, experiments=Path(__file__).resolve().parent, torch_facts=describe)
