"""Arrays that tensorstore writes: zarr 3 and neuroglancer's precomputed, in directories of this machine.

Their metadata are written before (:mod:`zarr3_writing`, :mod:`precomputed_writing`). What was written is on the disk when the
assignment returns. Boxes are of whole chunks, and of sharded arrays of whole shards, or each shard is written several times.
"""

import errno
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays.tensor_arrays import TensorArray
from lsd_experiments.arrays.tensor_process import PROCESS, ReadError
from lsd_experiments.errors import UserError

REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM)


class WritableTensorArray(TensorArray):
    """One that is also written."""

    read_only = False

    def __setitem__(self, index: tuple[Any, ...], values: NDArray[Any]) -> None:
        box = [i.indices(n)[:2] if isinstance(i, slice) else (i, i + 1) for i, n in zip(index, self.shape, strict=True)]
        shape = tuple(end - begin for begin, end in box)
        content = np.ascontiguousarray(values.reshape(shape), self.dtype)
        request = {"op": "write", **self.described, "box": box, "dtype": self.dtype.name}
        try:
            PROCESS.ask(request, content.reshape(-1).view(np.uint8).data)
        except ReadError as error:
            number = next((number for number in REFUSALS if os.strerror(number) in str(error)), None)
            if number is not None:
                raise OSError(number, os.strerror(number), self.address.path) from error
            raise UserError(f"{self.where}: cannot be written ({error})") from error
