"""Arrays that tensorstore reads: zarr 3 and neuroglancer's precomputed."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import patience
from lsd_experiments.arrays.addresses import Address
from lsd_experiments.arrays.remote_store import Server, refusal
from lsd_experiments.arrays.tensor_process import PROCESS, ReadError
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box

TYPES = {"bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64"}
WHOLE_FILES = "was ignored by server"  # tensorstore, of a range of bytes that was asked for
LONGEST = 2**31  # voxels along an axis, and bytes of a chunk


class TensorArray:
    """An array with its first voxel at 0; slices of it are read by another process. It can be handed to others.

    :param path: in ``address``; where a driver's metadata are
    :param spec: tensorstore's, without the ``kvstore``
    :param order: of the stored axes, as they are here; ``shape`` and ``chunks`` are in this order
    :param fill: the value where nothing was written
    """

    read_only = True

    def __init__(self, address: Address, server: Server | None, path: str, spec: dict[str, Any], order: list[int],
                 shape: list[int], dtype: str, chunks: list[int] | None, fill: Any = 0) -> None:
        self.address, self.server, self.path, self.spec, self.order = address, server, path, spec, order
        self.shape, self.dtype, self.fill = tuple(shape), np.dtype(dtype), fill
        self.chunks = None if chunks is None else tuple(chunks)

    @property
    def where(self) -> str:
        """What messages call it."""
        return f"{self.address.name}:{self.path}" if self.path else self.address.name

    @property
    def described(self) -> dict[str, Any]:
        """The array in a request."""
        kvstore = self.address.kvstore() if self.spec["driver"] == "neuroglancer_precomputed" else self.address.kvstore(self.path)
        return {"spec": {**self.spec, "kvstore": kvstore}, "order": self.order}

    def check(self) -> None:
        """:raises UserError: if tensorstore does not read it"""
        try:
            found, _ = self._ask("open")
        except ReadError as error:
            raise UserError(f"{self.where}: its metadata cannot be read ({error}). Fetch or make it again") from error
        except PermissionError as error:
            raise refusal(self.where) from error
        if (tuple(found["shape"]), found["dtype"]) != (self.shape, self.dtype.name):
            raise UserError(f"{self.where}: tensorstore finds {found['dtype']} of shape {tuple(found['shape'])}, its metadata "
                            f"say {self.dtype} of {self.shape}. Fetch or make it again")

    def __getitem__(self, index: tuple[Any, ...]) -> NDArray[Any]:
        ranges = [range(*i.indices(n)) if isinstance(i, slice) else range(i, i + 1)
                  for i, n in zip(index, self.shape, strict=True)]
        assert all(r.step == 1 for r in ranges), f"{self.where}: read in steps"
        values = self._read([(r.start, r.stop) for r in ranges])
        return values[tuple(slice(None) if isinstance(i, slice) else 0 for i in index)]

    def _read(self, box: list[tuple[int, int]]) -> NDArray[Any]:
        shape = [max(0, end - begin) for begin, end in box]
        if 0 in shape:
            return np.empty(shape, self.dtype)
        try:
            _, (content,) = self._ask("read", box=box)
        except PermissionError as error:
            return self._read_what_is_there(box, error)
        except ReadError as error:
            if WHOLE_FILES not in str(error):
                raise
            raise UserError(f"{self.where}: its server gives no parts of files (Range), and shards are read in parts. Have it "
                            "served by another program, or copy it here") from error
        values: NDArray[Any] = content.view(self.dtype).reshape(shape)
        return values

    def _read_what_is_there(self, box: list[tuple[int, int]], error: Exception) -> NDArray[Any]:
        """Chunk by chunk, where a server says 403 of chunks that were never written."""
        if self.server is None or self.chunks is None or self.server.denies(self.address.path, "chunk"):
            raise refusal(f"{self.where} ({error})") from error
        self.check()  # its metadata are not refused, so that it is a chunk
        whole = Box(tuple(begin for begin, _ in box), tuple(end for _, end in box))
        if all(b // c == (e - 1) // c for (b, e), c in zip(box, self.chunks, strict=True)):
            return np.full(whole.shape, self.fill, self.dtype)
        values = np.empty(whole.shape, self.dtype)
        grid = Box(tuple(b // c * c for (b, _), c in zip(box, self.chunks, strict=True)), whole.end)
        for chunk in grid.blocks(self.chunks):
            part = chunk.intersect(whole)
            values[part.shift([-b for b in whole.begin]).slices] = self._read(list(zip(part.begin, part.end, strict=True)))
        return values

    def _ask(self, operation: str, **more: Any) -> Any:
        """:raises ReadError: if it is damaged; PermissionError: if the server says 403"""
        request = {"op": operation, **self.described, **more}

        def ask() -> Any:
            try:
                return PROCESS.ask(request)
            except ReadError as error:
                if error.status == 403:
                    raise PermissionError(str(error)) from error
                if error.status is None and not isinstance(error, ConnectionError):
                    return error
                raise

        answer = patience.patiently(self.address.name, ask, patience.PATIENCE)
        if isinstance(answer, ReadError):
            raise answer
        return answer


def check_metadata(shape: Any, chunks: Any, dtype: Any, where: str) -> None:
    """:raises UserError: if these are none of an array that can be read; ``chunks`` are as they are stored, or shards' parts"""
    if not isinstance(dtype, str) or dtype not in TYPES:
        raise UserError(f"{where}: arrays of type {str(dtype)[:40]!r} are no volumes. Name another dataset")
    for key, values in (("shape", shape), ("chunks", chunks)):
        is_list = isinstance(values, (list, tuple)) and all(isinstance(v, int) and not isinstance(v, bool) for v in values)
        if not is_list or not values or not all(0 < v < LONGEST for v in values):
            raise UserError(f"{where}: '{key}' is {str(values)[:80]}, in its metadata. It is damaged: fetch or make it again")
    if len(shape) != len(chunks):
        raise UserError(f"{where}: its chunks {chunks} have not as many axes as its shape {shape}. Fetch or make it again")
    if np.prod(chunks, dtype=object) * np.dtype(dtype).itemsize >= LONGEST:
        raise UserError(f"{where}: chunks of {chunks} voxels are more than can be read. Fetch or make it again")
