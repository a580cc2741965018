"""Score a prediction as the CREMI challenge does: synaptic clefts, neurons, or synaptic partners.

    python evaluate.py prediction.zarr sample_A.hdf --task clefts --curve
    python evaluate.py segmentation.zarr sample_A.hdf --task neurons --border-threshold 25
    python evaluate.py prediction.hdf sample_A.hdf --task partners

Volumes are compared where the truth is, by their resolution and offset. docs/cremi.md has the definitions. Prints a table; --out
writes JSON, CSV and a plot of a curve.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lsd_experiments.families.cremi import evaluate_command

if __name__ == "__main__":
    evaluate_command.main(__doc__)
