"""Import a published checkpoint of the XPRESS baseline, which is a Python pickle: it is read as data, and nothing of it runs.

    python import_checkpoint.py xpress/baseline xpress/baseline/model_checkpoint_320000

Writes train_net_checkpoint_<iteration>.weights.h5 with weights and Adam's state, which train.py goes on from and predict.py
predicts with. Run mknet.py in the directory first.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments.families.xpress import import_command

if __name__ == "__main__":
    import_command.main(__doc__, experiments=Path(__file__).resolve().parent)
