"""Convert a volume between zarr, N5, HDF5, TIFF, OME-Zarr and neuroglancer's precomputed, block by block.

    python convert.py xpress/xpress-training-raw.h5 volumes/raw xpress-challenge.zarr volumes/training_raw
    python convert.py seg.zarr volumes/segmentation submission.h5 submission --downsample 3
    python convert.py stack.tif - sample.zarr volumes/raw --voxel-size 40 4 4
    python convert.py sample.zarr volumes/labels picked.tif - --keep-labels 7 9 --transpose
    python convert.py seg.zarr volumes/segmentation seg.precomputed -         # for neuroglancer, at several resolutions
    python convert.py camera.tif - sample.zarr volumes/raw --range 400 3000   # to uint8, or to --dtype

The dtype stays unless it is named, and so does the place of each voxel in the world. The result appears when it is whole;
interrupted, the same command goes on (HDF5 and TIFF start again). A container keeps what else it holds, and a dataset that is
there is replaced with --overwrite only.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments.conversion import command

if __name__ == "__main__":
    command.main(__doc__)
