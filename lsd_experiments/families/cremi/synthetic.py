"""A synthetic sample of CREMI: a crooked stack with synaptic clefts, and what it was before.

| dataset, file | content |
|---|---|
| ``volumes/raw``, ``volumes/labels/neuron_ids``, ``volumes/labels/clefts`` | the stack as a microscope gave it, and its labels |
| ``truth/raw``, ``truth/neuron_ids``, ``truth/clefts`` | the same before: sections above each other, without defects |
| ``<name>.hdf`` beside the container | the stack as a file of CREMI, with its synaptic partners |

Clefts are 2^64 - 1 where there is none. The attribute ``defects`` of ``volumes/raw`` says what was done: ``shifts`` [z, 2] (y,
x) in pixels, sections that are ``missing`` and ``dark``, and ``maps`` as in ``alignment.json``: from the pixels of the stack to
those of the truth, cracks included.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lsd_experiments.alignment.maps import IDENTITY, Crack, SectionMap, translation
from lsd_experiments.alignment.record import maps_to_json
from lsd_experiments.alignment.sampling import Reader, pixels, sample
from lsd_experiments.errors import UserError
from lsd_experiments.families.cremi.annotations import POST, PRE, Annotations
from lsd_experiments.families.cremi.files import CremiFile, in_memory, write_cremi
from lsd_experiments.families.cremi.ids import BACKGROUND, RESOLUTION
from lsd_experiments.geometry import Box, Voxels
from lsd_experiments.provenance import provenance
from lsd_experiments.synthetic.clefts import CleftVolume, synthesize_clefts
from lsd_experiments.synthetic.making import STAGE, appearing, made_before

MARGIN = 24  # pixels that the truth has more on each side, so that shifted sections are whole
FARTHEST = 8  # pixels of a shift
WIDTH, REACH = 10.0, 120.0  # pixels of a crack, and up to where it displaced the tissue
RESIN = 240  # grey of a crack
SAMPLE = "sample.hdf"  # what the file is called until both are whole
EACH = 25  # sections with one defect of each kind among them
LOGGER = logging.getLogger(__name__)


def write_clefts(path: str | Path, shape: Sequence[int] = (50, 512, 512), voxel_size: Sequence[float] = RESOLUTION,
                 density: float = 6.0, seed: int = 0, offset: Sequence[float] = (0, 0, 0), defects: bool = True) -> bool:
    """Write a synthetic sample to the zarr container ``path``, and a file of CREMI beside it.

    They appear when they are whole. A container that was made with these arguments is left as it is.

    :param shape: (z, y, x) voxels of the stack
    :param defects: whether sections are shifted, missing, dark and cracked
    :returns: whether it was made
    :raises UserError: if the arguments describe no volume, or one of the files is there and something else
    """
    path, file = Path(path), Path(path).with_suffix(".hdf")
    if len(shape) != 3 or len(offset) != 3:
        raise UserError(f"shape {tuple(shape)}, offset {tuple(offset)}: give three numbers each, z y x")
    parameters = {"kind": "clefts", "shape": list(shape), "voxel_size": [float(v) for v in voxel_size], "density": float(density),
                  "seed": seed, "offset": [float(o) for o in offset], "defects": defects}
    before = made_before(path, parameters)
    if file.exists() != before:
        found = "is there, but the container is not" if file.exists() else f"is not there, but {path} is"
        raise UserError(f"{file}: {found}. Remove the one that is there, or name a container elsewhere")
    if before:
        return False
    wide = (shape[0], shape[1] + 2 * MARGIN, shape[2] + 2 * MARGIN)
    truth = synthesize_clefts(wide, voxel_size, density, seed)
    rng = np.random.default_rng((seed, 1))
    if defects:
        maps, done = make_defects(tuple(shape), rng)
    else:
        maps, done = [SectionMap()] * shape[0], {"shifts": [[0, 0]] * shape[0], "missing": [], "dark": [], "cracked": []}
    with appearing(path) as partial:
        _write(partial, truth, maps, done, parameters)
        (partial / SAMPLE).rename(file)
    return True


def make_defects(shape: Voxels, rng: np.random.Generator) -> tuple[list[SectionMap], dict[str, Any]]:
    """From the pixels of each section of the stack to those of the truth (without its margin), and what else is wrong with it."""
    depth, height, width = shape
    shifts = rng.integers(-FARTHEST, FARTHEST + 1, (depth, 2))
    count = max(1, depth // EACH) if depth >= 8 else 0
    chosen = rng.permutation(np.arange(1, depth - 1, 2))[:3 * count]  # no two beside each other
    missing, dark, cracked = (sorted(chosen[kind::3].tolist()) for kind in range(3))
    maps = [SectionMap(translation(shift) if shift.any() else IDENTITY) for shift in shifts]
    for z in cracked:
        along = np.arange(width)
        phase, middle = rng.uniform(0, 6), rng.uniform(0.3, 0.7) * height
        centres = middle + 0.04 * height * np.sin(along / width * 9 + phase)
        crack = Crack(1, 0, tuple(np.round(centres, 2).tolist()), (WIDTH,) * width, REACH)
        maps[z] = SectionMap(maps[z].matrix, (crack,))
    return maps, {"shifts": shifts.tolist(), "missing": missing, "dark": dark, "cracked": cracked}


def crooked(truth: np.ndarray, maps: Sequence[SectionMap], nearest: bool, gap: int) -> np.ndarray:
    """What ``truth`` [z, y, x] is in the stack; ``gap``: what is in cracks."""
    shape = (truth.shape[1] - 2 * MARGIN, truth.shape[2] - 2 * MARGIN)
    sections = []
    for section, one in zip(truth, maps, strict=True):
        points, in_gap = one.to_aligned(pixels((0, 0), shape))
        values, _ = sample(_reader(section), section.shape, points + MARGIN, nearest, 0)
        sections.append(np.where(in_gap, np.asarray(gap, truth.dtype), values))
    return np.stack(sections)


def _reader(section: np.ndarray) -> Reader:
    return lambda begin, end: section[begin[0]:end[0], begin[1]:end[1]]


def _write(path: Path, truth: CleftVolume, maps: Sequence[SectionMap], done: dict[str, Any], parameters: dict[str, Any]) -> None:
    clefts = np.where(truth.clefts == 0, np.uint64(BACKGROUND), truth.clefts)
    raw = crooked(truth.raw, maps, nearest=False, gap=RESIN)
    raw[done["missing"]] = 0
    raw[done["dark"]] //= 3
    stack = {"raw": raw, "neuron_ids": crooked(truth.neurons, maps, True, 0), "clefts": crooked(clefts, maps, True, BACKGROUND)}
    attrs = {"provenance": provenance(STAGE, parameters, inputs={}), "defects": {**done, "maps": maps_to_json(maps)}}
    inner = np.s_[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    for name, values in (("volumes/raw", raw), ("volumes/labels/neuron_ids", stack["neuron_ids"]),
                         ("volumes/labels/clefts", stack["clefts"]), ("truth/raw", truth.raw[inner]),
                         ("truth/neuron_ids", truth.neurons[inner]), ("truth/clefts", clefts[inner])):
        _put(path, name, values, parameters, attrs if name == "volumes/raw" else {"provenance": attrs["provenance"]})
    place = tuple(parameters["voxel_size"]), tuple(parameters["offset"])
    volumes: dict[str, Any] = {name: in_memory(values, *place) for name, values in stack.items()}
    annotations = _annotations(truth, maps, raw.shape, *place)
    write_cremi(path / SAMPLE, CremiFile(**volumes, annotations=annotations))


def _annotations(truth: CleftVolume, maps: Sequence[SectionMap], shape: Voxels, voxel_size: Sequence[float],
                 offset: Sequence[float]) -> Annotations:
    """The partners of the clefts, where they are in the stack; those that it does not show are left out."""
    locations: list[np.ndarray] = []
    partners = []
    for pair in truth.partners:
        places = []
        for z, y, x in pair:
            back = maps[z].to_section(np.array([[[y - MARGIN]], [[x - MARGIN]]], np.float64))[:, 0, 0]
            places.append(np.array([z, *np.rint(back)]))
        if all((place >= 0).all() and (place < shape).all() for place in places):
            partners.append((len(locations) + 1, len(locations) + 2))
            locations += [place * voxel_size for place in places]
    types = (PRE, POST) * len(partners)
    return Annotations(tuple(range(1, len(locations) + 1)), types, np.asarray(locations, np.float64).reshape(-1, 3), {},
                       tuple(partners), tuple(offset))


def _put(path: Path, name: str, values: np.ndarray, parameters: dict[str, Any], attrs: dict[str, Any]) -> None:
    from lsd_experiments.arrays import create_volume

    place = parameters["voxel_size"], parameters["offset"]
    volume = create_volume(str(path), name, values.shape, *place, values.dtype, attrs=attrs)
    volume.write(Box.of_shape(values.shape), np.ascontiguousarray(values))
    LOGGER.info("wrote %s", volume.name)
