"""The synthetic volume of the demo (01_data/make_synthetic.py): 20 x 9 x 9 nm, like zebra finch, with less augmentation."""

from dataclasses import replace

from lsd_experiments.datasets.dataset import Elastic
from lsd_experiments.datasets.zebrafinch import ZEBRAFINCH

SYNTHETIC = replace(
    ZEBRAFINCH,
    name="synthetic",
    volumes=("synthetic.zarr",),
    elastic=Elastic(control_point_spacing=(4, 40, 40), jitter_sigma=(0, 1, 1)),  # its sections are aligned
)
