"""Train a network for synaptic clefts of CREMI by a configuration of PyTorch Connectomics, or predict with it.

    python main.py --config-base configs/CREMI-Base.yaml --config-file configs/CREMI-Foreground-UNet.yaml
    torchrun --nproc_per_node=3 main.py --distributed --config-base ... --config-file ...    # volumes are dealt to processes
    python main.py --config-base ... --config-file ... --inference --checkpoint outputs/.../checkpoint_150000.pth.tar

KEY VALUE pairs at the end replace values of the files: SYSTEM.NUM_CPUS 4. An interrupted training goes on by the same command.
docs/cremi.md has the whole way from a sample to scores, docs/snemi3d.md what differs from the published program.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lsd_experiments.families.pytc import command

if __name__ == "__main__":
    command.main(__doc__)
