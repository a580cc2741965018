"""The tiles that validate: each voxel of each crop in one, the last ones moved in; the same every time. Imports PyTorch."""

import itertools
import logging
from collections import Counter
from collections.abc import Sequence

import numpy as np

from lsd_experiments.families.cellmap.configuration import Settings
from lsd_experiments.families.cellmap.data.crops import tile_begins
from lsd_experiments.families.cellmap.data.images import MEMORY
from lsd_experiments.families.cellmap.data.sides import Batch, Sample, Source, stack
from lsd_experiments.families.cellmap.split import Row

ORDER = 0x6F7264  # apart from the samples' random streams
logger = logging.getLogger(__name__)
Tile = tuple[int, tuple[int, ...]]


class ValidationTiles(Source):
    """Tiles of the crops that validate, in batches. There may be none: then no crop validates.

    With a limit of batches or time they are in a random order, the same each time, so that what is reached is of all crops.
    With ``force_all_classes`` each batch has all classes, as long as there are tiles of each.
    """

    def __init__(self, settings: Settings, memory: int = MEMORY, rows: Sequence[Row] | None = None) -> None:
        super().__init__(settings, "validate", memory, rows)
        self.tiles = self._ordered(self._all())
        if not self.tiles:
            logger.warning("%s: no crop of %s validates", settings.split_path, ", ".join(settings.classes))

    def __len__(self) -> int:
        """Batches."""
        batches = -(-len(self.tiles) // self.settings.batch_size)
        limit = self.settings.validation_batch_limit
        return batches if limit is None else min(batches, limit)

    @property
    def slots(self) -> range:
        """Samples of a batch."""
        return range(self.settings.batch_size)

    def batch(self, number: int) -> Batch:
        """The batch ``number``; the last one may be smaller."""
        slots = self.slots_of(number)
        return stack(number, (self.sample(number, slot) for slot in slots), len(slots))

    def slots_of(self, number: int) -> range:
        """The samples that there are of a batch."""
        return range(min(self.settings.batch_size, len(self.tiles) - number * self.settings.batch_size))

    def sample(self, number: int, slot: int) -> Sample:
        """The tile at ``slot`` of a batch."""
        crop, begin = self.tiles[number * self.settings.batch_size + slot]
        return self.make(self.crops[crop], begin, np.eye(3), seed=0)

    def _all(self) -> list[Tile]:
        shape = self.settings.target_array_info["shape"]
        return [(number, begin) for number, crop in enumerate(self.crops)
                for begin in itertools.product(*tile_begins(crop.box(), shape))]

    def _ordered(self, tiles: list[Tile]) -> list[Tile]:
        if self.settings.validation_batch_limit is not None or self.settings.validation_time_limit is not None:
            random = np.random.default_rng([self.settings.random_seed, ORDER])
            tiles = [tiles[n] for n in random.permutation(len(tiles))]
        return self._mixed(tiles) if self.is_forced else tiles

    def _mixed(self, tiles: list[Tile]) -> list[Tile]:
        """The same tiles, so that those of a batch have all classes: those that most lack first, then of what there is most."""
        left: dict[int, list[Tile]] = {}
        for tile in reversed(tiles):
            left.setdefault(tile[0], []).append(tile)
        if len({self.crops[number].classes for number in left}) < 2:
            return tiles
        everything = {label for number in left for label in self.crops[number].classes}
        ordered: list[Tile] = []
        lacking: set[str] = set()
        poor = Counter[bool]()
        for count in range(len(tiles)):
            if count % self.settings.batch_size == 0:
                poor[bool(lacking)] += 1
                lacking = set(everything)
            number = max(left, key=lambda one: (len(lacking.intersection(self.crops[one].classes)), len(left[one]), -one))
            ordered.append(left[number].pop())
            lacking -= set(self.crops[number].classes)
            if not left[number]:
                del left[number]
        poor[bool(lacking)] += 1
        if poor[True]:
            logger.warning("force_all_classes: %d batches of %d that validate lack a class", poor[True], poor.total() - 1)
        return ordered
