"""What the XPRESS challenge takes: one HDF5 file ``submission.h5`` with one dataset ``submission``, and a zip file around it.

    submission    uint64 [z, y, x], 0 is background; voxels of 99 nm; attributes resolution and offset in nm
                  test: from 3267 nm on, 33066 nm along each axis, 334 voxels; validation: 8316 and 23067, 233 voxels
"""

from lsd_experiments.families.xpress.submission.checking import check_submission
from lsd_experiments.families.xpress.submission.making import DATASET, NAME, make_submission, zip_submission

__all__ = ["DATASET", "NAME", "check_submission", "make_submission", "zip_submission"]
