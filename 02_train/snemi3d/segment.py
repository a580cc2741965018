"""Segment affinities by waterz as PyTorch Connectomics' tutorial does, in memory, and score them.

    python segment.py outputs/SNEMI_UNet/test/result_xy.h5 segmentation.zarr --labels ../../01_data/snemi3d/seg/test-labels.h5

Fragments of sections, agglomerated by aff50_his256, at several thresholds in one pass. 03_predict/snemi3d.toml does the like
block by block, for volumes of any size.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lsd_experiments.families.pytc import segment_command

if __name__ == "__main__":
    segment_command.main(__doc__)
