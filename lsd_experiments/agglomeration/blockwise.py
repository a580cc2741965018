"""The region graph of a whole volume, block by block.

An edge belongs to the block that its lower fragment lies in. Fragments do not cross blocks, and blocks read at least
one voxel more on each side, so that a block sees all contacts of its fragments, and each edge is written by one block.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lsd_experiments.agglomeration.contacts import find_block_edges
from lsd_experiments.agglomeration.settings import AgglomerateSettings
from lsd_experiments.arrays import Volume, open_volume, overlap
from lsd_experiments.blockwise import Block, BlockTask, Workers, run_blockwise
from lsd_experiments.blockwise.engine import clear_records
from lsd_experiments.blockwise.stage import (
    check_finished,
    check_unchanged,
    describe_input,
    in_voxels,
    records_directory,
)
from lsd_experiments.errors import UserError
from lsd_experiments.fragments.blockwise import check_affinities, check_nodes, read_affinities
from lsd_experiments.geometry import Voxels
from lsd_experiments.provenance import provenance
from lsd_experiments.rag import RagStore

STAGE = "agglomerate"


def edges_name(merge_function: str) -> str:
    """What the region graph calls this stage, and the table of its edges."""
    return f"edges_{merge_function}"


def agglomerate_blockwise(affs: Volume, fragments: Volume, db: Path, settings: AgglomerateSettings, *,
                          num_workers: int = 1, overwrite: bool = False) -> None:
    """Put the edges of ``fragments``, with merge scores from ``affs``, into the region graph ``db``.

    :raises UserError: if the volumes do not fit each other or the settings, or the edges are there and were made
        otherwise
    :raises BlocksFailedError: see :func:`~lsd_experiments.blockwise.run_blockwise`
    """
    check_affinities(affs)
    check_finished(fragments, "extract_fragments")
    shared, _ = overlap(fragments, affs)
    if not shared == fragments.box == affs.box:
        raise UserError(f"{fragments.name} and {affs.name} do not cover the same voxels. Make the fragments from these "
                        "affinities")
    write_shape = _write_shape(fragments, settings)
    context = in_voxels(settings.context, fragments, "[agglomerate] context")
    if min(context) < 1:
        raise UserError(f"[agglomerate] context = {list(settings.context)}: fragments of neighbouring blocks would not "
                        "touch. Take at least one voxel")
    merge_function = settings.merge_function
    made = provenance(STAGE,
                      {"merge_function": merge_function, "block_shape": write_shape, "context": settings.context},
                      {"affs": describe_input(affs), "fragments": describe_input(fragments)})
    records = records_directory(fragments.container, f"{STAGE}_{merge_function}")
    with RagStore(db) as store:
        check_nodes(store, fragments)
    if _prepare(db, merge_function, made, records, overwrite):
        return
    run_blockwise(BlockTask(f"{STAGE}_{merge_function}", fragments.box, write_shape, f"{__name__}:make_worker", {
        "affs": (affs.container, affs.dataset), "fragments": (fragments.container, fragments.dataset), "db": str(db),
        "merge_function": merge_function,
    }, records, context=context, workers=Workers(num_workers=num_workers)))
    with RagStore(db) as store:
        store.finish_stage(edges_name(merge_function))


def make_worker(values: dict[str, Any]) -> Callable[[Block], None]:
    """What works on one block; the arguments are those of the task in :func:`agglomerate_blockwise`."""
    affs, fragments = open_volume(*values["affs"]), open_volume(*values["fragments"])
    merge_function, store = values["merge_function"], RagStore(values["db"])

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
    if any(our % their for our, their in zip(ours, theirs, strict=True)):
        raise UserError(f"[agglomerate] block_size = {list(settings.block_size)} nm is no multiple of that of the "
                        f"fragments, {list(size)} nm, so that fragments would cross its blocks. Leave it out, or take a multiple")
    return ours


def _prepare(db: Path, merge_function: str, made: dict[str, Any], records: Path, overwrite: bool) -> bool:
    """Make ready the table of edges; whether it is finished."""
    name = edges_name(merge_function)
    with RagStore(db) as store:
        stage = store.stage(name)
        if stage is not None and not overwrite:
            check_unchanged(f"{name} in the region graph {db}", stage[0], made)
            return stage[1]
        clear_records(records)
        store.clear_edges(merge_function)
        store.create_edges(merge_function)
        store.begin_stage(name, made)
        return False
