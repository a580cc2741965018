"""One channel of a volume [c, z, y, x], as a volume: also of a TIFF with red, green and blue."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume
from lsd_experiments.errors import UserError


def one_channel(volume: Volume, number: int) -> Volume:
    """Channel ``number``, from 0, of ``volume`` [c, z, y, x], as [z, y, x].

    :raises UserError: if there is none
    """
    if volume.channels is None:
        raise UserError(f"{volume.name} is [z, y, x], without channels. Leave out --channel")
    if number >= volume.channels:
        raise UserError(f"{volume.name} has the channels 0 to {volume.channels - 1}. Name one of them as --channel")
    return replace(volume, array=_Channel(volume.array, number), channels=None, attrs={})


@dataclass(frozen=True)
class _Channel:
    """``array`` [..., c, z, y, x] at one channel, [..., z, y, x]."""

    array: Any
    number: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.array.shape[:-4], *self.array.shape[-3:])

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    @property
    def chunks(self) -> tuple[int, ...] | None:
        chunks = getattr(self.array, "chunks", None)
        return (*chunks[:-4], *chunks[-3:]) if chunks else None

    def __getitem__(self, index: tuple[Any, ...]) -> NDArray[Any]:
        return np.asarray(self.array[(*index[:-3], self.number, *index[-3:])])
