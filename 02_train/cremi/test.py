"""Predict synaptic clefts by the flags of PyTorch Connectomics' tutorial of 2019: a door to main.py --inference.

    python test.py -t /path/to/cremi/ -dn im_A+.h5@im_B+.h5@im_C+.h5 -o outputs/unetv0/test \\
        -mi 8,256,256 -g 4 -c 4 -b 16 -ac unetv0 -lm True -pm outputs/unetv0/volume_50000.pth

Writes volume_0.h5, volume_1.h5, ... with the dataset vol0: probabilities, uint8. -pm volume_50000.pth stands for
checkpoint_50000.pth.tar, as train.py calls it, too. docs/cremi.md says what the flags mean.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lsd_experiments.families.cremi import tutorial_command

if __name__ == "__main__":
    tutorial_command.test(__doc__)
