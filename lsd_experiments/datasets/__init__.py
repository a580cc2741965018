"""The datasets of the paper, XPRESS and the demo's: what all variants of one dataset share, each fact once."""

from lsd_experiments.datasets.dataset import Dataset, Elastic
from lsd_experiments.datasets.fib25 import FIB25
from lsd_experiments.datasets.hemi import HEMI
from lsd_experiments.datasets.synthetic import SYNTHETIC
from lsd_experiments.datasets.xpress import XPRESS
from lsd_experiments.datasets.zebrafinch import ZEBRAFINCH

DATASETS = {dataset.name: dataset for dataset in (ZEBRAFINCH, FIB25, HEMI, XPRESS, SYNTHETIC)}

__all__ = ["DATASETS", "FIB25", "HEMI", "SYNTHETIC", "XPRESS", "ZEBRAFINCH", "Dataset", "Elastic"]
