"""The region graph of a whole volume, block by block.

An edge is scored by the block that its lower fragment lies in. Fragments do not cross blocks, and blocks read at least a voxel
more on each side, so that this block sees all of the contact. The sums and counts of its faces are added up over blocks: each
face counts in the block that its upper voxel lies in. ``contact_mean`` is scored by them alone: its blocks may cut fragments.
"""

import math
from collections.abc import Callable
from typing import Any

from lsd_experiments.agglomeration.contacts import find_block_edges
from lsd_experiments.agglomeration.functions import CONTACT_MEAN
from lsd_experiments.agglomeration.settings import AgglomerateSettings
from lsd_experiments.arrays import Volume, open_volume, overlap
from lsd_experiments.blockwise import Block, BlockTask, count_blocks
from lsd_experiments.errors import UserError
from lsd_experiments.fragments.blockwise import check_affinities, check_nodes, read_affinities
from lsd_experiments.geometry import Box, Voxels, to_nm
from lsd_experiments.provenance import provenance_in
from lsd_experiments.rag import open_store
from lsd_experiments.stages import Stage, TableArtifact
from lsd_experiments.stages.inputs import check_finished, describe_input, in_voxels
from lsd_experiments.stages.volumes import BASE_MEMORY, records_directory

STAGE = "agglomerate"
IMPORTS = (__name__, "fastremap", "waterz", "lsd_experiments.agglomeration.contact_kernels",
           "lsd_experiments.agglomeration.kernels")  # fmt: skip
BYTES_PER_VOXEL = 50  # of a worker's memory, for each voxel that a block reads: measured, see docs/performance.md


def edges_name(merge_function: str) -> str:
    """What the region graph calls this stage, and the table of its edges."""
    return f"edges_{merge_function}"


def agglomeration_stage(affs: Volume, fragments: Volume, db: str, settings: AgglomerateSettings) -> Stage:
    """The edges of ``fragments``, with merge scores from ``affs``, in the region graph ``db``.

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
    write_shape, name = _write_shape(fragments, settings), f"{STAGE}_{settings.merge_function}"
    edges = TableArtifact(db, edges_name(settings.merge_function), count_blocks(fragments.box, write_shape))
    read = Box.of_shape(write_shape).grow(context).intersect(fragments.box)
    task = BlockTask(name, fragments.box, write_shape, f"{__name__}:make_worker", {
        "affs": affs.place, "fragments": (fragments.container, fragments.dataset), "db": db,
        "merge_function": settings.merge_function,
    }, records_directory(fragments.container, name), context=context,
        imports=IMPORTS, memory=BASE_MEMORY + BYTES_PER_VOXEL * math.prod(read.shape))
    parameters = {"merge_function": settings.merge_function, "block_shape": write_shape,
                  "context": to_nm(context, fragments.voxel_size)}
    return Stage(STAGE, parameters, {"affs": describe_input(affs), "fragments": describe_input(fragments)}, (edges,), task,
                 check=lambda: check_nodes(db, fragments))


def make_worker(values: dict[str, Any]) -> Callable[[Block], None]:
    """What works on one block; the arguments are those of :func:`agglomeration_stage`."""
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
    size = provenance_in(fragments.attrs).get("parameters", {}).get("block_size")
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
