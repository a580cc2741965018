"""The region graph of a whole volume, block by block.

An edge is scored by the block that its lower fragment lies in. Fragments do not cross blocks, and blocks read at least a voxel
more on each side, so that this block sees all of the contact. The sums and counts of its faces are added up over blocks: each
face counts in the block that its upper voxel lies in. ``contact_mean`` is scored by them alone: its blocks may cut fragments.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.agglomeration.contacts import find_block_edges
from lsd_experiments.agglomeration.functions import CONTACT_MEAN
from lsd_experiments.agglomeration.settings import AgglomerateSettings
from lsd_experiments.arrays import Volume, open_volume, overlap
from lsd_experiments.blockwise import Block, BlockTask, Workers, count_blocks
from lsd_experiments.blockwise.stage import (
    BASE_MEMORY,
    check_finished,
    describe_input,
    in_voxels,
    now,
    records_directory,
)
from lsd_experiments.blockwise.states import State, continued, state_of, tie_records
from lsd_experiments.errors import UserError
from lsd_experiments.fragments.blockwise import check_affinities, check_all_there, check_nodes, missing_in_graph, read_affinities
from lsd_experiments.geometry import Box, Voxels
from lsd_experiments.provenance import provenance
from lsd_experiments.rag import database_exists, open_store

STAGE = "agglomerate"
BYTES_PER_VOXEL = 50  # of a worker's memory, for each voxel that a block reads: measured, see docs/performance.md


def edges_name(merge_function: str) -> str:
    """What the region graph calls this stage, and the table of its edges."""
    return f"edges_{merge_function}"


@dataclass(frozen=True)
class AgglomeratePlan:
    """The edges of ``fragments``, with merge scores from ``affs``, in the region graph ``db``.

    ``write_shape``: voxels of a block; it reads ``context`` voxels more.
    """

    affs: Volume
    fragments: Volume
    db: str
    merge_function: str
    write_shape: Voxels
    context: Voxels
    name: str = STAGE

    @cached_property
    def made(self) -> dict[str, Any]:
        """The provenance of the edges."""
        context = tuple(c * v for c, v in zip(self.context, self.fragments.voxel_size, strict=True))
        return provenance(STAGE,
                          {"merge_function": self.merge_function, "block_shape": self.write_shape, "context": context},
                          {"affs": describe_input(self.affs), "fragments": describe_input(self.fragments)})

    bytes = 0  # no volume is written

    @property
    def edges(self) -> str:
        """What the region graph calls them."""
        return edges_name(self.merge_function)

    @property
    def records(self) -> Path:
        """Where the blocks are recorded."""
        return records_directory(self.fragments.container, f"{STAGE}_{self.merge_function}")

    def state(self) -> State:
        """What there is of the edges."""
        if not database_exists(self.db):
            return State("new")
        with open_store(self.db, readonly=True) as store:
            stage, name = store.stage(self.edges), store.name
            lost = store.lost_rows(self.edges) if stage is not None and stage[1] else ""
        if stage is None:
            return State("new")
        state = state_of(f"{self.edges} in {name}", stage[0], stage[1], self.made)
        return State("stale", lost) if state.kind == "done" and lost else state

    def task(self, workers: Workers) -> BlockTask:
        """What is done to which blocks."""
        read = Box.of_shape(self.write_shape).grow(self.context)
        return BlockTask(f"{STAGE}_{self.merge_function}", self.fragments.box, self.write_shape, f"{__name__}:make_worker", {
            "affs": self.affs.place,
            "fragments": (self.fragments.container, self.fragments.dataset), "db": self.db,
            "merge_function": self.merge_function,
        }, self.records, context=self.context, workers=workers,
            memory=BASE_MEMORY + BYTES_PER_VOXEL * math.prod(read.intersect(self.fragments.box).shape))

    @property
    def current(self) -> dict[str, Any]:
        """The provenance of the edges as they will be."""
        return continued(self.made, self.stored())

    def stored(self) -> dict[str, Any]:
        """The provenance of what there is of the edges."""
        if not database_exists(self.db):
            return {}
        with open_store(self.db, readonly=True) as store:
            stage = store.stage(self.edges)
        return stage[0] if stage else {}

    def prepare(self, anew: bool, made: dict[str, Any]) -> None:
        """Make ready the table of edges; ``anew``: forget what there is. ``made``: the provenance that they get.

        :raises UserError: if the nodes of the region graph are not those of the fragments
        """
        check_nodes(self.db, self.fragments)
        with open_store(self.db) as store:
            if anew or store.stage(self.edges) is None:
                store.clear_edges(self.merge_function)
                store.begin_stage(self.edges, {**made, "date": now()})
            store.create_edges(self.merge_function)
            stage = store.stage(self.edges)
        assert stage is not None, "it was begun"
        tie_records(self.records, stage[0]["date"])

    def missing_blocks(self, done: NDArray[np.int64]) -> dict[str, list[int]]:
        """Those whose edges are not in the region graph."""
        return missing_in_graph(self.db, self.edges, done)

    def finish(self) -> None:
        """Note that all blocks are done.

        :raises UserError: if their edges are not all in the region graph
        """
        with open_store(self.db) as store:
            check_all_there(store, self.edges, count_blocks(self.fragments.box, self.write_shape))
            store.finish_stage(self.edges, count=store.count_edges(self.merge_function))

    def report(self) -> str:
        """What was made, in words."""
        with open_store(self.db, readonly=True) as store:
            stage = store.stage(self.edges)
            return f"{store.name}: {self.edges}, {stage[0].get('count') if stage else 0} edges"


def plan_agglomerate(affs: Volume, fragments: Volume, db: str, settings: AgglomerateSettings) -> AgglomeratePlan:
    """How the edges of ``fragments`` get into the region graph ``db``.

    :raises UserError: if the volumes do not fit each other or the settings
    """
    check_affinities(affs)
    check_finished(fragments, "extract_fragments")
    shared, _ = overlap(fragments, affs)
    if not shared == fragments.box == affs.box:
        raise UserError(f"{fragments.name} and {affs.name} do not cover the same voxels. Make the fragments from these "
                        "affinities")
    context = in_voxels(settings.context, fragments, "[agglomerate] context")
    if min(context) < 1:
        raise UserError(f"[agglomerate] context = {list(settings.context)}: fragments of neighbouring blocks would not "
                        "touch. Take at least one voxel")
    return AgglomeratePlan(affs, fragments, db, settings.merge_function, _write_shape(fragments, settings), context)


def make_worker(values: dict[str, Any]) -> Callable[[Block], None]:
    """What works on one block; the arguments are those of :meth:`AgglomeratePlan.task`."""
    affs, fragments = open_volume(*values["affs"]), open_volume(*values["fragments"])
    merge_function, store = values["merge_function"], open_store(values["db"], patient=True)

    def process(block: Block) -> None:
        read = block.read.intersect(fragments.box)
        own = block.write.intersect(read).shift([-b for b in read.begin])
        edges = find_block_edges(read_affinities(affs, read), fragments.read(read), own, merge_function)
        store.write_edges(merge_function, block.number, **vars(edges))
    return process


def _write_shape(fragments: Volume, settings: AgglomerateSettings) -> Voxels:
    """The shape of blocks: those of the fragments, or of whole numbers of them."""
    size = fragments.attrs.get("provenance", {}).get("parameters", {}).get("block_size")
    if size is None:
        raise UserError(f"{fragments.name} does not say how large its blocks were. Make it with extract_fragments")
    theirs = in_voxels(size, fragments, "[fragments] block_size")
    if settings.block_size is None:
        return theirs
    ours = in_voxels(settings.block_size, fragments, "[agglomerate] block_size")
    cut = any(our % their for our, their in zip(ours, theirs, strict=True))
    if cut and settings.merge_function != CONTACT_MEAN:
        raise UserError(f"[agglomerate] block_size = {list(settings.block_size)} nm is no multiple of that of the "
                        f"fragments, {list(size)} nm, so that fragments would cross its blocks. Leave it out, take a multiple, "
                        f"or merge_function = '{CONTACT_MEAN}'")
    return ours
