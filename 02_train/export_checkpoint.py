"""Export a trained network: to PyTorch (weights, as safetensors) or to ONNX.

    python export_checkpoint.py zebrafinch/mtlsd mtlsd.safetensors
    python export_checkpoint.py zebrafinch/mtlsd mtlsd.onnx

docs/checkpoints.md says how to use the files.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments.export.command import main

if __name__ == "__main__":
    main(__doc__)
