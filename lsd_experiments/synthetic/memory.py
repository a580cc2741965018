"""Whether a volume fits into this machine."""

import math
import os
from collections.abc import Sequence

from lsd_experiments.errors import UserError


def check_memory(shape: Sequence[int], bytes_per_voxel: int) -> None:
    """:raises UserError: if a volume of ``shape`` takes more memory than there is."""
    needed, there = bytes_per_voxel * math.prod(map(int, shape)), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise UserError(f"shape {tuple(shape)}: takes {needed / 2**30:.4g} GiB of memory, this machine has {there / 2**30:.3g}. "
                        "Make a smaller volume")
