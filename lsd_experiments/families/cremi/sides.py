"""The two sides of synaptic clefts: which segments each one parts.

A segment takes part in a cleft by its contact: its voxels at most ``reach`` nm from it, in their own section. *Drosophila*'s
synapses have one presynaptic neuron and often several postsynaptic ones: the segment with the largest contact, which runs along
the whole cleft, is taken for the presynaptic one, or, where there is a map of presynaptic places, the one with the largest mean
there. All others with at least ``share`` of all contact are postsynaptic. A cleft with fewer than two segments has no sides.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays.advice import convert_command
from lsd_experiments.arrays.alignments import mark_of
from lsd_experiments.errors import UserError
from lsd_experiments.families.cremi.annotations import POST, PRE, Annotations
from lsd_experiments.families.cremi.clefts import background_of
from lsd_experiments.families.cremi.ids import BACKGROUND, UNKNOWN, is_id
from lsd_experiments.families.cremi.neurons import covering, read_true_ids
from lsd_experiments.geometry import Box

if TYPE_CHECKING:
    from lsd_experiments.arrays import Volume

REACH, SHARE = 40.0, 0.15  # nm; of the contact


@dataclass(frozen=True)
class Sides:
    """``pre``, ``posts``: segments; ``places``: [1 + posts, 3] a voxel of each that is near the cleft, z y x."""

    pre: int
    posts: tuple[int, ...]
    places: NDArray[np.int64]


def sides_of(cleft: NDArray[np.bool_], segments: NDArray[np.integer], pixel: float, polarity: NDArray[Any] | None = None,
             reach: float = REACH, share: float = SHARE) -> Sides | None:
    """The sides of one cleft; arrays [z, y, x] of what is around it.

    :param segments: 0 is none, 2^64 - 1 is not labelled
    :param pixel: nm along y and x
    :param polarity: larger where it is presynaptic
    """
    from scipy import ndimage

    far = ndimage.distance_transform_edt(~cleft, sampling=(1e9, pixel, pixel))
    near = (far <= reach) & ~cleft & (segments != 0) & ~is_id(segments, BACKGROUND)
    ids, inverse, contact = np.unique(segments[near], return_inverse=True, return_counts=True)
    kept = contact >= share * max(1, contact.sum())
    if kept.sum() < 2:
        return None
    rank = contact.astype(np.float64) if polarity is None else np.bincount(inverse, polarity[near].astype(np.float64)) / contact
    first = int(np.where(kept, rank, -np.inf).argmax())
    order = [first, *(number for number in np.argsort(-contact) if kept[number] and number != first)]
    places = np.stack([_place(near & (segments == ids[number]), cleft) for number in order])
    return Sides(int(ids[first]), tuple(int(ids[number]) for number in order[1:]), places)


def find_partners(clefts: "Volume", segments: "Volume", polarity: "Volume | None" = None, reach: float = REACH,
                  share: float = SHARE) -> Annotations:
    """The partners of all clefts of ``clefts``, as annotations of a CREMI file.

    :param clefts: ids; none is 2^64 - 1 if that is anywhere (CREMI's files), else 0 (components); 2^64 - 2 is not known
    :param segments: neurons, on the same voxels, that cover the clefts; and so ``polarity``
    :raises UserError: if the volumes do not fit each other, or the map has several channels
    """
    if polarity is not None and polarity.channels not in (None, 1):
        raise UserError(f"{polarity.name}: has {polarity.channels} channels, and it is not said which is larger on the "
                        f"presynaptic side. Take one: {convert_command(polarity, '--channel', '0')}")
    shift = covering(segments, clefts)
    turn = None if polarity is None else covering(polarity, clefts)
    margin = (0, *(int(np.ceil(reach / v)) + 1 for v in clefts.voxel_size[1:]))
    locations: list[NDArray[np.float64]] = []
    types: list[str] = []
    partners = []
    for number, box in sorted(boxes_of(clefts, (background_of(clefts), UNKNOWN))):
        wide = box.grow(margin).intersect(clefts.box)
        map_ = None if polarity is None or turn is None else polarity.read(wide.shift(turn)).reshape(-1, *wide.shape)[0]
        cleft = is_id(clefts.read(wide), number)
        found = sides_of(cleft, segments.read(wide.shift(shift)), clefts.voxel_size[1], map_, reach, share)
        if found is None:
            continue
        pre = len(locations) + 1
        locations += [(place + wide.begin) * np.asarray(clefts.voxel_size) for place in found.places]
        types += [PRE, *[POST] * len(found.posts)]
        partners += [(pre, pre + 1 + n) for n in range(len(found.posts))]
    return Annotations(tuple(range(1, len(locations) + 1)), tuple(types), np.asarray(locations, np.float64).reshape(-1, 3), {},
                       tuple(partners), clefts.offset, mark_of(clefts))


def boxes_of(components: "Volume", without: Collection[int] = (0,)) -> Iterator[tuple[int, Box]]:
    """Each component but those of the ids ``without``, and the box that it is in; read block by block."""
    from scipy import ndimage

    from lsd_experiments.evaluation.volumes import blocks_of

    found: dict[int, Box] = {}
    for block in blocks_of(components, components.box):
        ids, compact = np.unique(read_true_ids(components.read(block)), return_inverse=True)
        for place, number in zip(ndimage.find_objects(compact.reshape(block.shape) + 1), ids, strict=True):
            if int(number) not in without:
                own = Box(tuple(s.start for s in place), tuple(s.stop for s in place)).shift(block.begin)
                other = found.get(int(number), own)
                found[int(number)] = Box(tuple(map(min, own.begin, other.begin)), tuple(map(max, own.end, other.end)))
    yield from found.items()


def _place(candidates: NDArray[np.bool_], cleft: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The voxel of ``candidates`` that is nearest to the middle of ``cleft``, sections counted as ten pixels."""
    voxels = np.argwhere(candidates)
    middle = np.argwhere(cleft).mean(0)
    nearest: NDArray[np.int64] = voxels[(((voxels - middle) * (10, 1, 1)) ** 2).sum(1).argmin()]
    return nearest
