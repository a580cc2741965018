"""Which crops train and which validate: found on disk, divided, written as the challenge's CSV, and read again.

    crops = find_crops(Layout("data/{dataset}/{dataset}.zarr/recon-1/{name}"), ("nuc", "er"))
    write_split("datasplit.csv", divide(crops, ("nuc", "er"), ratio=0.15, seed=42))
"""

from lsd_experiments.families.cellmap.split.dividing import divide, published_sides
from lsd_experiments.families.cellmap.split.finding import Crop, Layout, counts, find_crops
from lsd_experiments.families.cellmap.split.rows import SIDES, Row, read_split, shown, write_split

__all__ = ["SIDES", "Crop", "Layout", "Row", "counts", "divide", "find_crops", "published_sides", "read_split", "shown",
           "write_split"]
