"""An array of sections that are read one by one, so that it may be larger than memory."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class SectionArray:
    """Sections as one array [z, y, x], or [c, z, y, x] if ``shape`` has four axes."""

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.chunks = (*shape[:-3], 1, *shape[-2:])

    def sections(self, numbers: range) -> Iterator[NDArray[Any]]:
        """The sections ``numbers``, [y, x] or [c, y, x] each."""
        raise NotImplementedError

    def __getitem__(self, index: tuple[Any, ...]) -> NDArray[Any]:
        *channels, z, y, x = index
        numbers = range(*z.indices(self.shape[-3]))
        read = [section[(*channels, y, x)] for section in self.sections(numbers)]
        return np.stack(read, axis=-3) if read else np.zeros(self.shape, self.dtype)[index]
