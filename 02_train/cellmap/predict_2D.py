"""Predict the test crops with what train_2D.py trained.

    python predict_2D.py              # the same: csc predict train_2D.py
    python predict_2D.py --crops 234  # an annotated crop

Sections along all three axes are predicted, and averaged; --skip-orthoplanes: those of z alone.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

if __name__ == "__main__":
    from lsd_experiments.families.cellmap import command

    command.main(["predict", str(Path(__file__).with_name("train_2D.py")), *sys.argv[1:]])
