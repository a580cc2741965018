"""Look-up tables of a whole volume, and the segmentation that one of them gives, block by block."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lsd_experiments.agglomeration.blockwise import edges_name
from lsd_experiments.arrays import Volume, open_volume
from lsd_experiments.blockwise import Block, BlockTask, Workers, run_blockwise
from lsd_experiments.blockwise.stage import (
    OutputVolume,
    check_finished,
    check_unchanged,
    describe_input,
    finish_volume,
    in_voxels,
    prepare_volume,
    read_json,
    write_json,
)
from lsd_experiments.errors import UserError
from lsd_experiments.fragments.blockwise import NODES
from lsd_experiments.provenance import provenance
from lsd_experiments.rag import RagStore
from lsd_experiments.segmentation.luts import lut_directory, lut_path, read_lut, threshold_name, write_lut
from lsd_experiments.segmentation.relabeling import relabel
from lsd_experiments.segmentation.segments import find_segments, threshold_range
from lsd_experiments.segmentation.settings import ExtractSettings, FindSegmentsSettings


def write_luts(fragments_file: str, db: Path, merge_function: str, settings: FindSegmentsSettings, *,
               parity: bool = False, overwrite: bool = False) -> list[float]:
    """Write the look-up tables of all thresholds; the thresholds.

    :raises UserError: if the region graph is not finished, or the tables are there and were made otherwise
    """
    from tqdm import tqdm

    thresholds = threshold_range(settings.thresholds_minmax, settings.thresholds_step)
    with RagStore(db) as store:
        edges = f"{edges_name(merge_function)} of {_finished_edges(store, merge_function)}"
        made = provenance("find_segments", {**settings.model_dump(mode="json"), "parity": parity},
                          {"edges": edges, "nodes": _nodes_date(store)})
        about = lut_directory(fragments_file) / f"seg_{edges_name(merge_function)}.json"
        if about.exists() and not overwrite:
            check_unchanged(str(about), read_json(about), made)
            if all(lut_path(fragments_file, merge_function, threshold).exists() for threshold in thresholds):
                return thresholds
        about.unlink(missing_ok=True)
        for old in about.parent.glob(f"{about.stem}_[0-9]*.npz"):
            if old.stem.removeprefix(f"{about.stem}_").replace(".", "").isdigit():
                old.unlink()
        fragments, _ = store.read_nodes()
        u, v, scores = store.read_edges(merge_function)
    luts = find_segments(fragments, u, v, scores, thresholds, parity)
    for threshold, lut in tqdm(luts, desc="find_segments", total=len(thresholds), unit="threshold"):
        write_lut(lut_path(fragments_file, merge_function, threshold), lut)
    write_json(about, made)
    return thresholds


def read_luts_provenance(fragments: Volume, merge_function: str) -> dict[str, Any]:
    """What made the look-up tables of ``fragments``.

    :raises UserError: if there are none, or they are of fragments that were here before
    """
    about = lut_directory(fragments.container) / f"seg_{edges_name(merge_function)}.json"
    if not about.exists():
        raise UserError(f"{about}: there are no finished look-up tables for {merge_function}. Run find_segments first")
    luts = read_json(about)
    if luts["inputs"]["nodes"] != fragments.attrs.get("provenance", {}).get("date"):
        raise UserError(f"{about}: these look-up tables are not of {fragments.name} as it is now. Run agglomerate and "
                        "find_segments with --overwrite")
    return luts


def extract_segmentation_blockwise(fragments: Volume, merge_function: str, threshold: float,
                                   settings: ExtractSettings, *, num_workers: int = 1, overwrite: bool = False) -> str:
    """Write the segmentation at ``threshold`` into the container of ``fragments``; its dataset.

    :raises UserError: if there is no look-up table for ``threshold``, or the segmentation is there and was made
        otherwise
    :raises BlocksFailedError: see :func:`~lsd_experiments.blockwise.run_blockwise`
    """
    check_finished(fragments, "extract_fragments")
    path = lut_path(fragments.container, merge_function, threshold)
    luts = read_luts_provenance(fragments, merge_function)
    read_lut(path)
    size = settings.block_size or fragments.attrs.get("provenance", {}).get("parameters", {}).get("block_size")
    write_shape = in_voxels(size, fragments, "[extract] block_size") if size else fragments.chunks or fragments.shape
    dataset = settings.out_dataset or f"volumes/segmentation_{threshold_name(threshold)}"
    output = OutputVolume(fragments.container, dataset, fragments.shape, fragments.voxel_size, fragments.offset,
                          "uint64", write_shape)
    made = provenance("extract_segmentation",
                      {"threshold": threshold, "merge_function": merge_function, "block_shape": write_shape},
                      {"fragments": describe_input(fragments), "lut": f"{path.name} of {luts['date']}"})
    if prepare_volume(output, made, overwrite):
        return dataset
    run_blockwise(BlockTask("extract_segmentation", fragments.box, write_shape, f"{__name__}:make_worker", {
        "fragments": (fragments.container, fragments.dataset), "segmentation": (fragments.container, dataset),
        "lut": str(path),
    }, output.records, workers=Workers(num_workers=num_workers)))
    finish_volume(output)
    return dataset


def make_worker(values: dict[str, Any]) -> Callable[[Block], None]:
    """What works on one block; the arguments are those of the task in :func:`extract_segmentation_blockwise`."""
    fragments, segmentation = open_volume(*values["fragments"]), open_volume(*values["segmentation"], writable=True)
    lut = read_lut(Path(values["lut"]))

    def process(block: Block) -> None:
        write = block.write.intersect(fragments.box)
        segmentation.write(write, relabel(fragments.read(write), lut))
    return process


def _nodes_date(store: RagStore) -> str:
    """When the fragments were made; that of the volume, too."""
    stage = store.stage(NODES)
    assert stage is not None, f"{store.path} has edges and no nodes"
    date: str = stage[0]["date"]
    return date


def _finished_edges(store: RagStore, merge_function: str) -> str:
    """When the edges were made.

    :raises UserError: if they were not, or not all of them
    """
    stage = store.stage(edges_name(merge_function))
    if stage is None or not stage[1]:
        others = ", ".join(store.merge_functions())
        there = f" (there are some for {others})" if others else ""
        raise UserError(f"{store.path} has no finished edges for {merge_function}{there}. Run agglomerate first")
    date: str = stage[0]["date"]
    return date
