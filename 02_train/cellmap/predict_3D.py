"""Predict the test crops with what train_3D.py trained.

    python predict_3D.py              # the same: csc predict train_3D.py
    python predict_3D.py --crops 234  # an annotated crop

Patches overlap and are blended, so that every voxel of every crop is predicted.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

if __name__ == "__main__":
    from lsd_experiments.families.cellmap import command

    command.main(["predict", str(Path(__file__).with_name("train_3D.py")), *sys.argv[1:]])
