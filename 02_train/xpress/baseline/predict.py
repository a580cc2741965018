"""Predict all of a volume in blocks, by daisy workers; can be interrupted, and goes on when run again.

    python predict.py --raw-file volume.zarr --output prediction.zarr --num-workers 2
"""

from lsd_experiments.prediction.command import blockwise_main

if __name__ == "__main__":
    blockwise_main()
