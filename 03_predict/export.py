"""What was made, in another format: precomputed, OME-Zarr, zarr, N5, HDF5 or TIFF, as [export] of the configuration says.

    python export.py CONFIG [--num-workers N] [--overwrite]
"""

from lsd_experiments.pipeline.command import main

if __name__ == "__main__":
    main("export", __doc__)
