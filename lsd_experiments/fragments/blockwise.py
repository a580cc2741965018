"""Fragments of a whole volume, block by block.

Ids are unique over the blocks: those of block b are ``b * voxels + 1`` to ``(b + 1) * voxels``, for blocks of so many
voxels. A fragment lies in one block. Each has a node in the region graph.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments import arrays
from lsd_experiments.arrays import Volume, open_volume
from lsd_experiments.blockwise import Block, BlockTask, count_blocks
from lsd_experiments.errors import UserError
from lsd_experiments.fragments.extraction import extract_fragments
from lsd_experiments.fragments.settings import FragmentsSettings
from lsd_experiments.geometry import Box, Voxels, to_voxels
from lsd_experiments.provenance import provenance_in
from lsd_experiments.rag import open_store
from lsd_experiments.rag.nodes import NODES
from lsd_experiments.stages import Stage, TableArtifact, VolumeArtifact
from lsd_experiments.stages.inputs import check_as_finished, check_finished, describe_input, facts_of, in_voxels
from lsd_experiments.stages.volumes import BASE_MEMORY, open_output

STAGE = "extract_fragments"
IMPORTS = (__name__, "cc3d", "fastremap", "scipy.ndimage", "lsd_experiments.fragments.kernels",
           "lsd_experiments.fragments.row_kernels")  # fmt: skip
ID_BUDGET = 2**63  # ids must be less: the region graph's integers are signed
BYTES_PER_VOXEL = 60  # of a worker's memory, for each voxel that a block reads: measured, see docs/performance.md


def fragments_stage(affs: Volume, container: str, dataset: str, db: str, settings: FragmentsSettings, parity: bool) -> Stage:
    """The fragments of ``affs`` in ``container``:``dataset``, with their nodes in the region graph ``db``.

    :raises UserError: if the settings do not fit the affinities
    """
    check_affinities(affs)
    check_finished(affs, "predict")
    write_shape = in_voxels(settings.block_size, affs, "[fragments] block_size")
    context = in_voxels(settings.context, affs, "[fragments] context")
    check_id_budget(affs.box, write_shape)
    mask = _open_mask(affs, settings)
    output = VolumeArtifact(container, dataset, affs.shape, affs.voxel_size, affs.offset, "uint64", write_shape)
    nodes = TableArtifact(db, NODES, count_blocks(affs.box, write_shape), output)
    read = Box.of_shape(write_shape).grow(context)
    task = BlockTask(STAGE, affs.box, write_shape, f"{__name__}:make_worker", {
        "affs": affs.place, "fragments": (container, dataset), "db": db, "parity": parity,
        "settings": settings.model_dump(mode="json"),
    }, output.records, context=context, imports=IMPORTS,
        memory=BASE_MEMORY + BYTES_PER_VOXEL * math.prod(read.intersect(affs.box).shape))
    inputs = {"affs": describe_input(affs), **({"mask": describe_input(mask)} if mask else {})}
    return Stage(STAGE, _parameters(settings, parity), inputs, (output, nodes), task,
                 facts=facts_of(affs),
                 words=lambda: f"{output.report()}, {nodes.stored().get('count', 0)} fragments")


def make_worker(values: dict[str, Any]) -> Callable[[Block], None]:
    """What works on one block; the arguments are those of :func:`fragments_stage`."""
    settings = FragmentsSettings(**values["settings"])
    affs, (fragments, note) = open_volume(*values["affs"]), open_output(*values["fragments"])
    mask, store = _open_mask(affs, settings), open_store(values["db"], patient=True)

    def process(block: Block) -> None:
        read, write = block.read.intersect(affs.box), block.write.intersect(affs.box)
        found = extract_fragments(
            read_affinities(affs, read), settings.fragments_in_xy, mask=read_mask(mask, affs, read) if mask else None,
            filter_fragments=settings.filter_fragments, epsilon_agglomerate=settings.epsilon_agglomerate,
            replace_sections=[z - read.begin[0] for z in settings.replace_sections if read.begin[0] <= z < read.end[0]],
            min_seed_distance=settings.min_seed_distance,
            foreground_threshold=settings.foreground_threshold, parity=values["parity"])
        first = block.number * math.prod(block.write.shape) + 1
        found = number_fragments(found[write.shift([-b for b in read.begin]).slices], first)
        fragments.write(write, found)
        note(write)
        ids, centers = find_centers(found)
        store.write_nodes(first, first + math.prod(block.write.shape) - 1, ids,
                          (centers + write.begin) * affs.voxel_size + affs.offset, block.number)
    return process


def number_fragments(fragments: NDArray[np.uint64], first: int) -> NDArray[np.uint64]:
    """The connected parts (6 neighbours) of each of ``fragments`` [z, y, x], numbered from ``first``; 0 stays.

    A fragment that a block's border cut into parts, joined outside of the block only, becomes several.
    """
    import cc3d
    import fastremap

    compact, _ = fastremap.renumber(fragments, in_place=False)
    parts = cc3d.connected_components(compact, connectivity=6).astype(np.uint64)
    return np.where(parts > 0, parts + np.uint64(first - 1), np.uint64(0))


def find_centers(fragments: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
    """The ids in ``fragments`` [z, y, x], without 0, and their centres of mass [n, 3]; that of voxel 0 is at 0.5."""
    import fastremap

    ids, inverse = fastremap.unique(fragments, return_inverse=True)
    counts = np.bincount(inverse.ravel())
    sums = []
    for axis, size in enumerate(fragments.shape):
        places = np.broadcast_to(np.arange(size).reshape([-1 if a == axis else 1 for a in range(3)]), fragments.shape)
        sums.append(np.bincount(inverse.ravel(), weights=places.ravel()))
    centers = np.stack(sums, axis=1) / counts[:, None] + 0.5
    return ids[ids > 0].astype(np.uint64), centers[ids > 0]


def check_affinities(affs: Volume) -> None:
    """:raises UserError: if ``affs`` cannot be affinities."""
    if affs.channels is None or affs.channels < 3:
        raise UserError(f"{affs.name} has {affs.channels or 'no'} channels; affinities are [c, z, y, x] with at least "
                        "the three direct neighbours. Name another dataset")
    if affs.dtype != np.uint8 and affs.dtype.kind != "f":
        raise UserError(f"{affs.name} is of type {affs.dtype}; affinities are uint8 (0 to 255) or float (0 to 1)")


def read_affinities(affs: Volume, box: Box) -> NDArray[Any]:
    """The affinities [c, z, y, x] of ``box``.

    :raises UserError: if they are floats outside of [0, 1], or not finite: waterz counts them in bins and would crash
    """
    values = affs.read(box)
    if values.dtype.kind == "f" and values.size and not (values.min() >= 0 and values.max() <= 1):  # NaN is neither
        raise UserError(f"{affs.name}: affinities of type {affs.dtype} from {values.min():g} to {values.max():g}. Scale them to "
                        "[0, 1], or store uint8")
    return values


def check_id_budget(total: Box, write_shape: Voxels) -> None:
    """:raises UserError: if the ids of all blocks do not fit into signed 64 bits."""
    needed = count_blocks(total, write_shape) * math.prod(write_shape)
    if needed >= ID_BUDGET:
        raise UserError(f"{needed:.3g} voxels in all blocks: fragment ids would not fit into 63 bits. Segment a part")


def read_mask(mask: Volume, affs: Volume, box: Box) -> NDArray[np.bool_]:
    """Where the mask counts at ``box`` of the affinities [z, y, x]; outside of the mask is 0.

    The voxels of the mask are whole multiples of those of the affinities, see :func:`_open_mask`.
    """
    factors = _factors(mask, affs)
    start = [round((o - m) / v) for o, m, v in zip(affs.offset, mask.offset, affs.voxel_size, strict=True)]
    inside = box.shift(start)  # in voxels of the affinities from the mask's first
    coarse = Box(tuple(b // f for b, f in zip(inside.begin, factors, strict=True)),
                 tuple(-(-e // f) for e, f in zip(inside.end, factors, strict=True)))
    values = arrays.read_mask(mask, coarse)
    for axis, factor in enumerate(factors):
        values = np.repeat(values, factor, axis=axis)
    return values[inside.shift([-b * f for b, f in zip(coarse.begin, factors, strict=True)]).slices]


def _factors(mask: Volume, affs: Volume) -> Voxels:
    return tuple(round(m / v) for m, v in zip(mask.voxel_size, affs.voxel_size, strict=True))


def _open_mask(affs: Volume, settings: FragmentsSettings) -> Volume | None:
    """The mask if there is one.

    :raises UserError: if its voxels are no whole multiples of those of the affinities, or lie between or beside them
    """
    if settings.mask_file is None:
        return None
    mask = open_volume(settings.mask_file, settings.mask_dataset)
    whole = all(abs(m / v - f) < 1e-3 and f > 0
                for m, v, f in zip(mask.voxel_size, affs.voxel_size, _factors(mask, affs), strict=True))
    if mask.channels is not None or not whole:
        raise UserError(f"{mask.name}: a mask is [z, y, x] with voxels as large as, or whole multiples of, those of "
                        f"the affinities ({affs.voxel_size} nm); it has {mask.voxel_size} nm")
    apart = [a - m for a, m in zip(affs.offset, mask.offset, strict=True)]
    if to_voxels(apart, affs.voxel_size) is None:
        raise UserError(f"{mask.name}: its offset {mask.offset} nm is between voxels of the affinities, which begin at "
                        f"{affs.offset} nm. Correct it")
    if any(a >= m for a, m in zip(affs.offset, mask.end, strict=True)) or \
            any(m >= a for m, a in zip(mask.offset, affs.end, strict=True)):
        raise UserError(f"{mask.name} ({mask.offset} to {mask.end} nm) does not overlap the affinities ({affs.offset} to "
                        f"{affs.end} nm), so that there would be no fragment. Name another mask, or correct its offset")
    return mask


def _parameters(settings: FragmentsSettings, parity: bool) -> dict[str, Any]:
    places = {"affs_file", "affs_dataset", "fragments_file", "fragments_dataset", "mask_file", "mask_dataset"}
    return {**settings.model_dump(mode="json", exclude=places), "parity": parity}


def check_nodes(db: str, fragments: Volume) -> None:
    """:raises UserError: if the nodes in the region graph ``db`` are not those of ``fragments``, or not all."""
    check_as_finished(fragments, STAGE)
    with open_store(db, readonly=True) as store:
        store.check()
        stage, name = store.stage(NODES), store.name
        if stage is not None and stage[1]:
            store.check_count(NODES)
    if stage is None or not stage[1] or stage[0].get("key") != provenance_in(fragments.attrs).get("key"):
        raise UserError(f"{name} does not hold the nodes of {fragments.name}. Correct 'db', or run extract_fragments again")
