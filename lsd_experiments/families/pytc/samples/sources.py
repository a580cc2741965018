"""Volumes that samples are drawn from: image, labels and valid mask, of the same voxels.

Of HDF5 and zarr it is the dataset ``main``, or those of CREMI's files, ``volumes/raw`` and ``volumes/labels/clefts``, unless a
path goes on behind the file: ``sample_A.hdf/volumes/labels/neuron_ids``.

Those that fit into ``memory`` are read as a whole, once; the others box by box, as samples need them, or (DO_CHUNK_TITLE) chunk
by chunk: each of DATA_CHUNK_ITER iterations in turn draws from one chunk, which is held until the next one's turn, in an order
that is drawn by the seed alone.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume, as_mask, check_labels, has_dataset, open_volume
from lsd_experiments.arrays.advice import exclude_command
from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.samples.looks import check_alignments, check_looks
from lsd_experiments.families.pytc.samples.meanings import with_meanings
from lsd_experiments.families.pytc.samples.tiles import chunk_box, colour_ids, is_tiling, open_tiles
from lsd_experiments.geometry import Box

logger = logging.getLogger(__name__)

MEMORY = 8 * 2**30  # bytes
SLAB = 2**26  # voxels looked at together
UNIT = (1.0, 1.0, 1.0)  # voxel sizes do not count
RAW, LABELS = ("main", "volumes/raw"), ("main", "volumes/labels/clefts")  # datasets, the first one that is there
COLOURS = 3  # channels of labels as VAST writes them
CHUNK_STREAM = 0x636875  # apart from the samples' random streams
Numbers = tuple[int, int, int]


@dataclass(frozen=True)
class Chunks:
    """DATA_CHUNK_NUM, DATA_CHUNK_ITER, DATA_CHUNK_STRIDE (whether chunks overlap), and DATA_CHUNK_IND (default: all)."""

    numbers: Numbers
    iterations: int = 1000
    overlap: bool = True
    chosen: tuple[int, ...] | None = None

    def part(self, part: int, parts: int) -> "Chunks":
        """The part number ``part``, from 0, of ``parts``; the last one has what is left over.

        :raises ValueError: if there is no such part, or it would have no chunk
        """
        chosen = self.chosen or tuple(range(int(np.prod(self.numbers))))
        size = len(chosen) // max(1, parts)
        if not 0 <= part < parts or not size:
            raise ValueError(f"{len(chosen)} chunks in {parts} parts")
        return replace(self, chosen=chosen[part * size:None if part == parts - 1 else (part + 1) * size])

    def at(self, iteration: int, seed: int) -> int:
        """The chunk of an iteration: all of them in a random order, then in another one."""
        chosen = self.chosen or tuple(range(int(np.prod(self.numbers))))
        round_, place = divmod(iteration // max(1, self.iterations), len(chosen))
        order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(CHUNK_STREAM, round_))).permutation(len(chosen))
        return chosen[int(order[place])]


@dataclass(frozen=True)
class Source:
    """An image with its labels and, if there is one, the mask of where they are valid.

    :param image: read as uint8, ``low`` of it as 0 and ``high`` as 255
    :param region: the voxels that samples are drawn from, and ``pad`` on each side
    :param pad_mode: what lies outside of the volume: "reflect", "symmetric", or "constant", 0
    :param binary: whether labels are 0 and 1 only
    :param known: 1 where it is known what is there, as ids of the labels say; None: everywhere
    """

    image: Volume
    labels: Volume
    mask: Volume | None = None
    pad: Numbers = (0, 0, 0)
    pad_mode: str = "reflect"
    low: float = 0
    high: float = 255
    binary: bool = False
    chunks: Chunks | None = None
    region: Box | None = None
    known: Volume | None = None
    _held: dict[int, "Source"] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        for volume in filter(None, (self.labels, self.mask)):
            if volume.shape != self.image.shape:
                raise UserError(f"{volume.name}: has {volume.shape} voxels, {self.image.name} has {self.image.shape}. Name "
                                "volumes of the same voxels")

    @property
    def _region(self) -> Box:
        return self.region or self.image.box

    def places(self, shape: Sequence[int]) -> list[int]:
        """Along each axis, how many places a sample of ``shape`` has."""
        return [size + 2 * pad - need + 1 for size, pad, need in zip(self._region.shape, self.pad, shape, strict=True)]

    def check(self, shape: Sequence[int]) -> None:
        """:raises UserError: if a sample of ``shape`` does not fit."""
        region = chunk_box(self.image.shape, self.chunks.numbers, 0, self.chunks.overlap) if self.chunks else self._region
        if min(replace(self, region=region).places(shape)) < 1:
            part = f"a chunk has {region.shape}" if self.chunks else f"has {region.shape}"
            raise UserError(f"{self.image.name}: {part} voxels, and with DATASET.PAD_SIZE {self.pad} on each side not the "
                            f"{tuple(shape)} that MODEL.INPUT_SIZE with its augmentations needs. Give a larger volume or "
                            "PAD_SIZE, or a smaller INPUT_SIZE")

    def at(self, iteration: int, seed: int) -> "Source":
        """Where the samples of ``iteration`` are drawn: all of this, or its chunk, which is held."""
        if self.chunks is None:
            return self
        chunk = self.chunks.at(iteration, seed)
        if chunk not in self._held:
            self._held.clear()
            self._held[chunk] = self._hold(chunk_box(self.image.shape, self.chunks.numbers, chunk, self.chunks.overlap))
        return self._held[chunk]

    def _hold(self, box: Box) -> "Source":
        """``box`` and what it is padded with, in memory."""
        wide = box.grow(self.pad).intersect(self.image.box)
        image, labels = (_in_memory(volume, volume.read(wide)) for volume in (self.image, self.labels))
        mask, known = (None if volume is None else _in_memory(volume, volume.read(wide)) for volume in (self.mask, self.known))
        region = box.shift(tuple(-b for b in wide.begin))
        return replace(self, image=image, labels=labels, mask=mask, chunks=None, region=region, known=known, _held={})

    def read_image(self, begin: Sequence[int], shape: Sequence[int]) -> NDArray[np.uint8]:
        """The box of ``shape`` whose first voxel is at ``begin``, counted from the first one of the padding."""
        return to_uint8(self._read(self.image, begin, shape), self.low, self.high)

    def read_labels(self, begin: Sequence[int], shape: Sequence[int]) -> NDArray[Any]:
        """The labels of the same box."""
        labels = self._read(self.labels, begin, shape)
        if labels.ndim == 4:
            labels = colour_ids(labels)
        if labels.dtype.kind == "i" and labels.min() < 0:
            wrong = int(labels.min())
            raise UserError(f"{self.labels.name}: has the negative id {wrong}, which is none. Make it 0: "
                            f"{exclude_command(self.labels, [wrong])}")
        return (labels > 0).astype(np.uint8) if self.binary else labels

    def read_mask(self, begin: Sequence[int], shape: Sequence[int]) -> NDArray[np.uint8] | None:
        """Where the labels of the same box are valid, and known; None if they are everywhere."""
        known = self.read_known(begin, shape)
        if self.mask is None:
            return known
        mask = as_mask(self._read(self.mask, begin, shape)).astype(np.uint8)
        return mask if known is None else mask * known

    def read_known(self, begin: Sequence[int], shape: Sequence[int]) -> NDArray[np.uint8] | None:
        """Where it is known what is in the same box; None if it is everywhere."""
        return None if self.known is None else self._read(self.known, begin, shape)

    def _read(self, volume: Volume, begin: Sequence[int], shape: Sequence[int]) -> NDArray[Any]:
        origin = tuple(b - p + r for b, p, r in zip(begin, self.pad, self._region.begin, strict=True))
        return read_beyond(volume, Box.of_shape(shape, origin), self.pad_mode)


def read_beyond(volume: Volume, box: Box, mode: str = "reflect") -> NDArray[Any]:
    """``box`` of ``volume``, which may reach out of it: "reflect" and "symmetric" as in numpy.pad, "constant" is 0."""
    if mode == "constant" or volume.box.contains(box):
        return volume.read(box)
    places = [mirror(np.arange(b, e), size, mode == "symmetric") for b, e, size in
              zip(box.begin, box.end, volume.shape, strict=True)]
    inner = Box(tuple(int(at.min()) for at in places), tuple(int(at.max()) + 1 for at in places))
    values = volume.read(inner)
    for axis, (at, begin) in enumerate(zip(places, inner.begin, strict=True)):
        values = values.take(at - begin, axis - 3)
    return values


def mirror(places: NDArray[np.int64], size: int, with_edge: bool) -> NDArray[np.int64]:
    """Which of ``size`` voxels is at each place, counted on outside as in mirrors at the ends (or at the outermost voxels)."""
    if size == 1:
        return np.zeros_like(places)
    period = 2 * size if with_edge else 2 * (size - 1)
    at = np.mod(places, period)
    return np.asarray(np.minimum(at, period - int(with_edge) - at))


def to_uint8(values: NDArray[Any], low: float = 0, high: float = 255) -> NDArray[np.uint8]:
    """``low`` as 0 and ``high`` as 255."""
    if values.dtype == np.uint8 and (low, high) == (0, 255):
        return values
    scaled = (values.astype(np.float32) - np.float32(low)) * np.float32(255 / max(high - low, 1e-12))
    return np.asarray(np.rint(np.clip(scaled, 0, 255)), np.uint8)


def open_sources(images: Sequence[str | Path], labels: Sequence[str | Path], masks: Sequence[str | Path] | None = None, *,
                 pad: Sequence[int] = (0, 0, 0), pad_mode: str = "reflect", normalize: bool = True, scale: Sequence[float] = UNIT,
                 binary: bool = False, vast: bool = False, chunks: Chunks | None = None, memory: int = MEMORY) -> list[Source]:
    """The sources of a configuration: files of any format, or the JSON files of volumes of tiles.

    :param pad: PAD_SIZE
    :param normalize: NORMALIZE_RANGE: the least and greatest value of each image become 0 and 255, but for uint8 that is
        read in chunks
    :param scale: DATA_SCALE: how many times larger volumes become, along (z, y, x)
    :param binary: LABEL_BINARY
    :param vast: LABEL_VAST: labels are colours, as VAST writes them
    :param memory: bytes that all volumes together may take; beyond that they are read box by box
    :raises UserError: if there are not as many of each, files are not there, or of other shapes, or the image is not of uint8
    """
    if len(masks or images) != len(images) or len(labels) != len(images):
        raise UserError(f"DATASET: {len(images)} images have {len(labels)} labels"
                        f"{'' if masks is None else f' and {len(masks)} masks'}. Name one for each")
    opened = [_with_meanings(Source(_open(image), _open_labels(label, vast), None if masks is None else _open(masks[index], True),
                                    tuple(pad), pad_mode, binary=binary, chunks=chunks))  # type: ignore[arg-type]
              for index, (image, label) in enumerate(zip(images, labels, strict=True))]
    for source in opened:
        _check_kinds(source.image, source.labels)
        check_looks(source.image, source.labels)
        check_alignments(source.image, source.labels, source.mask)
    size = sum(int(np.prod(volume.shape)) * volume.dtype.itemsize for source in opened
               for volume in (source.image, source.labels, source.mask) if volume is not None)
    held = chunks is None and size * float(np.prod(scale)) <= memory
    if tuple(scale) != UNIT and not held:
        raise UserError(f"{opened[0].image.name}: DATASET.DATA_SCALE is for volumes that are held in memory, which this is not. "
                        "Convert it to other voxels first")
    return [_prepare(source, normalize, scale, held) for source in opened]


def _with_meanings(source: Source) -> Source:
    """``source`` with ids that mean nothing or nobody knows, like those of CREMI, made 0; and where they are known."""
    labels, known = (source.labels, None) if is_tiling(source.labels.container) else with_meanings(source.labels)
    return replace(source, labels=labels, known=known)


def _check_kinds(image: Volume, labels: Volume) -> None:
    """:raises UserError: if one is, by the name of its dataset, what the other should be"""
    for volume, others, kind in ((image, ("clefts", "neuron_ids"), "image"), (labels, ("raw",), "label")):
        if str(volume.dataset).rsplit("/", 1)[-1] in others:
            raise UserError(f"{volume.name}: is no {kind}. Name another file as DATASET.{kind.upper()}_NAME, or its "
                            "dataset, FILE/DATASET")


def _open(path: str | Path, of_labels: bool = False, datasets: Sequence[str] | None = None) -> Volume:
    if is_tiling(path):
        return open_tiles(path, of_labels)
    if "*" in Path(path).name:
        return open_pattern(Path(path))
    place, dataset = place_of(path)
    volume = open_volume(place, dataset, default=dataset_of(place, datasets or RAW[:1] if of_labels else RAW), voxel_size=UNIT)
    if volume.channels is not None:
        raise UserError(f"{volume.name}: has {volume.channels} channels. Give a volume without, [z, y, x]")
    return volume


def _open_labels(path: str | Path, vast: bool) -> Volume:
    if is_tiling(path) or not vast:
        volume = _open(path, True, LABELS)
        check_labels(volume)
        return volume
    volume = open_pattern(Path(path)) if "*" in Path(path).name else open_volume(path, default="main", voxel_size=UNIT)
    if volume.channels != COLOURS:
        raise UserError(f"{volume.name}: has no red, green and blue. Set DATASET.LABEL_VAST to False")
    return volume


def place_of(path: str | Path) -> tuple[Path, str | None]:
    """The file, and the dataset in it that a path names which goes on behind a file; None if it does not."""
    path = Path(path)
    file = next((parent for parent in path.parents if parent.is_file()), None)
    return (path, None) if file is None else (file, path.relative_to(file).as_posix())


def dataset_of(container: Path, datasets: Sequence[str]) -> str:
    """The first of ``datasets`` that is in ``container``; the first of all if none is."""
    there = (name for name in datasets if container.exists() and has_dataset(container, name))
    return next(there, datasets[0])


def open_pattern(pattern: Path) -> Volume:
    """A directory of sections, all of which fit the pattern.

    :raises UserError: if there are none, or other files beside them
    """
    fitting = set(pattern.parent.glob(pattern.name))
    others = {file for file in pattern.parent.iterdir() if file.is_file()} - fitting if pattern.parent.is_dir() else set()
    if not fitting or others:
        found = f"{min(others).name} is there, too" if fitting else "there is no such file"
        raise UserError(f"{pattern}: {found}. Put the sections of one volume, and nothing else, into a directory")
    return open_volume(pattern.parent, voxel_size=UNIT)


def _prepare(source: Source, normalize: bool, scale: Sequence[float], held: bool) -> Source:
    """Find the range of the image, and read what is held."""
    image = source.image
    if not normalize and image.dtype != np.uint8:
        raise UserError(f"{image.name}: is of {image.dtype}. Set DATASET.NORMALIZE_RANGE to True, or convert it to uint8")
    if not held:
        as_it_is = image.dtype == np.uint8 and (source.chunks is not None or not normalize)
        low, high = (0.0, 255.0) if as_it_is else extremes(image)
        return replace(source, low=low, high=high)
    values = image.read()
    low, high = (float(values.min()), float(values.max())) if normalize else (0.0, 255.0)
    labels = colour_ids(source.labels.read()) if source.labels.channels else source.labels.read()
    mask, known = (None if volume is None else _in_memory(volume, _scaled(volume.read(), scale, 0))
                   for volume in (source.mask, source.known))
    return replace(source, image=_in_memory(image, _scaled(to_uint8(values, low, high), scale, 1)),
                   labels=_in_memory(source.labels, _scaled(labels, scale, 0)), mask=mask, known=known)


def _scaled(values: NDArray[Any], scale: Sequence[float], order: int) -> NDArray[Any]:
    from scipy.ndimage import zoom

    return values if tuple(scale) == UNIT else np.asarray(zoom(values, scale, order=order))


def _in_memory(volume: Volume, values: NDArray[Any]) -> Volume:
    channels = len(values) if values.ndim == 4 else None
    return Volume(volume.container, volume.dataset, values, UNIT, (0.0, 0.0, 0.0), Box.of_shape(values.shape[-3:]), channels)


def extremes(volume: Volume) -> tuple[float, float]:
    """The least and the greatest value, read slab by slab."""
    logger.info("%s: is read once for its range", volume.name)
    depth = max(1, SLAB // max(1, volume.shape[1] * volume.shape[2]))
    found = []
    for begin in range(0, volume.shape[0], depth):
        box = Box((begin, 0, 0), volume.shape).intersect(Box((begin, 0, 0), (begin + depth, *volume.shape[1:])))
        values = volume.read(box)
        found.append((float(values.min()), float(values.max())))
    return float(np.min([low for low, _ in found])), float(np.max([high for _, high in found]))  # not a number, if one is none
