"""Train a network of PyTorch Connectomics, or predict with it, as its main.py does.

    python main.py --config-base configs/SNEMI-Base.yaml --config-file configs/SNEMI-Affinity-UNet.yaml
    torchrun --nproc_per_node=2 main.py --distributed --config-base ... --config-file ...
    python main.py --config-base ... --config-file ... --inference --checkpoint outputs/SNEMI_UNet/checkpoint_100000.pth.tar

KEY VALUE pairs at the end replace values of the files: SYSTEM.NUM_CPUS 4. An interrupted training goes on by the same command.
docs/snemi3d.md says what differs from the published program.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lsd_experiments.families.pytc import command

if __name__ == "__main__":
    command.main(__doc__)
