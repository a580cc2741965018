"""Train a network for synaptic clefts by the flags of PyTorch Connectomics' tutorial of 2019: a door to what main.py does.

    python train.py -t /path/to/cremi/ -dn im_A.h5@im_B.h5@im_C.h5 -ln syn_A.h5@syn_B.h5@syn_C.h5 -o outputs/unetv0 \\
        -lr 1e-03 --iteration-total 100000 --iteration-save 10000 -mi 8,256,256 -g 4 -c 4 -b 8 -ac unetv0

--task 2, clefts, is the default; 1 is affinities of neurons. KEY VALUE pairs of main.py replace what flags mean. An interrupted
training goes on by the same command. docs/cremi.md says what the flags mean, docs/differences.md what they did.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lsd_experiments.families.cremi import tutorial_command

if __name__ == "__main__":
    tutorial_command.train(__doc__)
