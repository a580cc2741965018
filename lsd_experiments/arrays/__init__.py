"""Volumes on disk: open any of the formats in ``docs/formats.md``, create zarr and others.

    raw = open_volume("sample.zarr", "volumes/raw")
    raw.read(Box((0, 0, 0), (10, 20, 20)))    # [z, y, x]; what lies outside of the volume is 0

Arrays are ``[z, y, x]``, or channels first ``[c, z, y, x]``. ``voxel_size`` and ``offset`` are (z, y, x) in nm and may
be fractional; boxes are in voxels, relative to the volume's first voxel.
"""

from lsd_experiments.arrays.adding import add_volume, can_add
from lsd_experiments.arrays.creating import create_volume
from lsd_experiments.arrays.fingerprints import fingerprint
from lsd_experiments.arrays.grids import check_voxel_size, overlap, to_box
from lsd_experiments.arrays.labels import as_mask, check_ids, check_labels, read_ids, read_mask
from lsd_experiments.arrays.opening import find_volume, has_dataset, list_datasets, open_volume
from lsd_experiments.arrays.tiff_writing import create_stack
from lsd_experiments.arrays.values import SEARCHED, to_unit_range
from lsd_experiments.arrays.volume import Volume

__all__ = ["SEARCHED", "Volume", "add_volume", "as_mask", "can_add", "check_ids", "check_labels", "check_voxel_size",
           "create_stack", "create_volume", "find_volume", "fingerprint", "has_dataset", "list_datasets", "open_volume",
           "overlap", "read_ids", "read_mask", "to_box", "to_unit_range"]
