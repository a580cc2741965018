"""Fragments of a whole volume, block by block.

Ids are unique over the blocks: those of block b are ``b * voxels + 1`` to ``(b + 1) * voxels``, for blocks of so many
voxels. A fragment lies in one block. Each has a node in the region graph.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments import arrays
from lsd_experiments.arrays import Volume, open_volume
from lsd_experiments.blockwise import Block, BlockTask, Workers, count_blocks
from lsd_experiments.blockwise.stage import (
    BASE_MEMORY,
    OutputVolume,
    check_as_finished,
    check_finished,
    describe_input,
    finish_volume,
    in_voxels,
    missing_blocks,
    now,
    open_output,
    prepare_volume,
    stored_provenance,
    volume_state,
)
from lsd_experiments.blockwise.states import State, container_id, continued, state_of, tie_records
from lsd_experiments.errors import UserError
from lsd_experiments.fragments.extraction import extract_fragments
from lsd_experiments.fragments.settings import FragmentsSettings
from lsd_experiments.geometry import Box, Voxels, to_voxels
from lsd_experiments.provenance import network_of, provenance
from lsd_experiments.rag import RagStore, database_exists, is_url, open_store
from lsd_experiments.writing import check_writable

STAGE = "extract_fragments"
NODES = "nodes"  # what the region graph calls this stage
ID_BUDGET = 2**63  # ids must be less: the region graph's integers are signed
BYTES_PER_VOXEL = 60  # of a worker's memory, for each voxel that a block reads: measured, see docs/performance.md


@dataclass(frozen=True)
class FragmentsPlan:
    """The fragments of ``affs`` in ``output``, with their nodes in the region graph ``db``.

    Blocks read ``context`` voxels more on each side.
    """

    affs: Volume
    output: OutputVolume
    db: str
    settings: FragmentsSettings
    parity: bool
    context: Voxels
    mask: Volume | None
    name: str = STAGE

    @cached_property
    def made(self) -> dict[str, Any]:
        """The provenance of the volume and of the nodes."""
        inputs = {"affs": describe_input(self.affs), **({"mask": describe_input(self.mask)} if self.mask else {})}
        return {**provenance(STAGE, _parameters(self.settings, self.parity), inputs),
                **network_of(self.affs.attrs.get("provenance"))}

    @property
    def volume(self) -> Volume:
        """The fragments as they will be."""
        return self.output.planned(continued(self.made, self.stored()))

    def stored(self) -> dict[str, Any]:
        """The provenance of what there is of the volume."""
        return stored_provenance(self.output)

    @property
    def bytes(self) -> int:
        """Of the volume, without compression."""
        return self.output.bytes

    def state(self) -> State:
        """What there is of the volume and the nodes.

        :raises UserError: if the region graph is of other fragments
        """
        state = volume_state(self.output, self.made)
        nodes = self._nodes()
        if state.kind != "done":
            self._check_place()
            return state
        return nodes if nodes.kind == "done" else State("stale", f"its nodes in {self.db} {nodes.reason}")

    def task(self, workers: Workers) -> BlockTask:
        """What is done to which blocks."""
        read = Box.of_shape(self.output.write_shape).grow(self.context)
        return BlockTask(STAGE, self.affs.box, self.output.write_shape, f"{__name__}:make_worker", {
            "affs": self.affs.place, "fragments": (self.output.container, self.output.dataset),
            "db": self.db, "parity": self.parity, "settings": self.settings.model_dump(mode="json"),
        }, self.output.records, context=self.context, workers=workers,
            memory=BASE_MEMORY + BYTES_PER_VOXEL * math.prod(read.intersect(self.affs.box).shape))

    def prepare(self, anew: bool, made: dict[str, Any]) -> None:
        """Make ready the volume and the nodes; ``anew``: forget what there is. ``made``: the provenance that they get."""
        with open_store(self.db, create=True) as store:
            prepare_volume(self.output, made, anew)
            stage = store.stage(NODES)
            if anew or stage is None or stage[0].get("key") != made["key"]:
                finish_volume(self.output, False)
                store.clear()
                store.begin_stage(NODES, {**made, "date": now(), "fragments": self._place,
                                          "container": container_id(self.output.container, create=True)})
            nodes = store.stage(NODES)
            assert nodes is not None, "it was begun in this connection"
            tie_records(self.output.records, f"{stored_provenance(self.output)['date']} {nodes[0]['date']}")

    def missing_blocks(self, done: NDArray[np.int64]) -> dict[str, list[int]]:
        """Those whose chunks are not as they wrote them, or whose nodes are not in the region graph."""
        return {**missing_blocks([self.output], done), **missing_in_graph(self.db, NODES, done)}

    def finish(self) -> None:
        """Note that all blocks are done: the nodes first, since the volume is looked at first.

        :raises UserError: if they are not all in the region graph
        """
        with open_store(self.db) as store:
            check_all_there(store, NODES, count_blocks(self.affs.box, self.output.write_shape))
            store.finish_stage(NODES, count=store.count_nodes())
        finish_volume(self.output)

    def report(self) -> str:
        """What was made, in words."""
        with open_store(self.db, readonly=True) as store:
            stage = store.stage(NODES)
        return f"{self.output.container}: {self.output.dataset}, {stage[0].get('count') if stage else 0} fragments"

    @property
    def _place(self) -> str:
        return f"{Path(self.output.container).name}:{self.output.dataset}"

    def _check_place(self) -> None:
        """:raises UserError: if a new SQLite file could not be written"""
        if is_url(self.db) or Path(self.db).exists():
            return
        try:
            check_writable(Path(self.db).parent)
        except OSError as error:
            raise UserError(f"{self.db}: cannot be written ({error.strerror}). Name another 'db'") from error

    def _nodes(self) -> State:
        """What there is of the nodes."""
        if not database_exists(self.db):
            return State("new", "are not there")
        with open_store(self.db, readonly=True) as store:
            stage, name = store.stage(NODES), store.name
            lost = store.lost_rows(NODES) if stage is not None and stage[1] else ""
        if stage is None:
            return State("new", "are not there")
        place, container = stage[0].get("fragments"), container_id(self.output.container)
        if str(place).rpartition(":")[2] != self.output.dataset or container is None or stage[0].get("container") != container:
            raise UserError(f"{name} holds the region graph of {place}, in another container than {self.output.name}. Name "
                            "another 'db', or remove it yourself")
        state = state_of(name, stage[0], stage[1], self.made)
        return State("stale", f"are not all there: {lost}") if state.kind == "done" and lost else state


def plan_fragments(affs: Volume, container: str, dataset: str, db: str, settings: FragmentsSettings,
                   parity: bool) -> FragmentsPlan:
    """How the fragments of ``affs`` are made in ``container``:``dataset``.

    :raises UserError: if the settings do not fit the affinities
    """
    check_affinities(affs)
    check_finished(affs, "predict")
    write_shape = in_voxels(settings.block_size, affs, "[fragments] block_size")
    context = in_voxels(settings.context, affs, "[fragments] context")
    check_id_budget(affs.box, write_shape)
    output = OutputVolume(container, dataset, affs.shape, affs.voxel_size, affs.offset, "uint64", write_shape)
    return FragmentsPlan(affs, output, db, settings, parity, context, _open_mask(affs, settings))


def make_worker(values: dict[str, Any]) -> Callable[[Block], None]:
    """What works on one block; the arguments are those of :meth:`FragmentsPlan.task`."""
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


def missing_in_graph(db: str, stage: str, done: NDArray[np.int64]) -> dict[str, list[int]]:
    """Those of the blocks ``done`` whose rows the region graph does not hold as they wrote them: why, which."""
    with open_store(db) as store:
        return {f"their {stage} are not in {store.name}": store.missing_blocks(stage, done)}


def check_all_there(store: RagStore, stage: str, blocks: int) -> None:
    """:raises UserError: if what the ``blocks`` of ``stage`` wrote into the region graph is not all there"""
    missing = store.missing_blocks(stage, np.arange(blocks))
    if missing:
        raise UserError(f"{store.name}: what {len(missing)} of {blocks} blocks wrote of {stage} is not there: an older copy of "
                        "the region graph was put in its place, or another program writes to it. Run the same command again")
    store.check_count(stage)


def check_nodes(db: str, fragments: Volume) -> None:
    """:raises UserError: if the nodes in the region graph ``db`` are not those of ``fragments``, or not all."""
    check_as_finished(fragments, STAGE)
    with open_store(db, readonly=True) as store:
        store.check()
        stage, name = store.stage(NODES), store.name
        if stage is not None and stage[1]:
            store.check_count(NODES)
    if stage is None or not stage[1] or stage[0].get("key") != fragments.attrs.get("provenance", {}).get("key"):
        raise UserError(f"{name} does not hold the nodes of {fragments.name}. Correct 'db', or run extract_fragments again")
