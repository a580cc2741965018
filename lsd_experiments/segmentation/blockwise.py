"""Look-up tables of a whole volume, and the segmentation that one of them gives, block by block."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lsd_experiments.agglomeration.blockwise import edges_name
from lsd_experiments.arrays import Volume, open_volume
from lsd_experiments.arrays.alignments import carried
from lsd_experiments.blockwise import Block, BlockTask
from lsd_experiments.errors import UserError
from lsd_experiments.provenance import fingerprint_of, identity, provenance_in
from lsd_experiments.rag import open_store
from lsd_experiments.rag.store import GraphChangedError
from lsd_experiments.segmentation.luts import lut_directory, lut_path, make_mappable, read_lut, threshold_name
from lsd_experiments.segmentation.relabeling import relabel
from lsd_experiments.segmentation.segments import threshold_range
from lsd_experiments.segmentation.settings import ExtractSettings, FindSegmentsSettings
from lsd_experiments.segmentation.streaming import stream_segments
from lsd_experiments.stages import FilesArtifact, Show, Stage, VolumeArtifact
from lsd_experiments.stages.files import read_json
from lsd_experiments.stages.inputs import check_finished, describe_input, in_voxels
from lsd_experiments.stages.volumes import BASE_MEMORY, open_output

IMPORTS = __name__, "lsd_experiments.segmentation.relabel_kernels"
BYTES_PER_VOXEL = 30  # of an extracting worker's memory, for each voxel of a block: measured, see docs/performance.md


def luts_stage(fragments: Volume, db: str, merge_function: str, edges: dict[str, Any] | None, settings: FindSegmentsSettings,
               parity: bool) -> Stage:
    """The look-up tables of all thresholds, from the edges of the region graph ``db``.

    :param edges: the provenance of the edges as they will be; None: of those in the region graph
    :raises UserError: if the region graph has no finished edges for ``merge_function``
    """
    edges = edges or _finished_edges(db, merge_function, fragments)
    thresholds = threshold_range(settings.thresholds_minmax, settings.thresholds_step)
    tables = luts_artifact(fragments.container, merge_function)

    def work(made: dict[str, Any], anew: bool, show: Show) -> None:
        _write_tables(db, fragments.container, merge_function, thresholds, parity, show)

    return Stage("find_segments", {**settings.model_dump(mode="json"), "parity": parity}, {
        "edges": {"name": edges_name(merge_function), "fingerprint": fingerprint_of(edges)},
        "fragments": describe_input(fragments),
    }, (tables,), work, check=lambda: check_finished(fragments, "extract_fragments"),
        words=lambda: f"{tables.about.parent}: {len(thresholds)} thresholds, {thresholds[0]:g} to {thresholds[-1]:g}")


def luts_artifact(fragments_file: str, merge_function: str) -> FilesArtifact:
    """The look-up tables of a merge function, and the file that says what made them."""
    def files(made: Mapping[str, Any]) -> list[Path]:
        options = made["parameters"]
        return [lut_path(fragments_file, merge_function, threshold)
                for threshold in threshold_range(options["thresholds_minmax"], options["thresholds_step"])]

    return FilesArtifact(lut_directory(fragments_file) / f"seg_{edges_name(merge_function)}.json", files)


def _write_tables(db: str, fragments_file: str, merge_function: str, thresholds: Sequence[float], parity: bool,
                  show: Show) -> None:
    """:raises UserError: if the region graph does not hold what its stages wrote"""
    done = itertools.count()

    def written(threshold: float | None = None) -> None:
        show({"total": len(thresholds), "completed": next(done), "skipped": 0, "failed": 0})

    written()
    try:
        with open_store(db, readonly=True) as store:
            store.check()
            stream_segments(fragments_file, merge_function, (ids for ids, _ in store.checked_nodes()),
                            store.checked_edges(merge_function), thresholds, parity, written)
    except GraphChangedError as error:
        raise UserError(f"{error.what}. {_remedy(db, merge_function, error.stage)}") from error


def _remedy(db: str, merge_function: str, stage: str) -> str:
    """What to do about a stage whose rows are not those that were written; edges are noted as not done as far as need be."""
    if stage != edges_name(merge_function):
        return "Run extract_fragments with --overwrite"
    with open_store(db) as store:
        blocks = store.doubtful_blocks(merge_function)
        if not blocks:
            return "Run agglomerate with --overwrite"
        store.reopen_stage(stage, blocks)
    return f"{len(blocks)} of its blocks are to be done again: run agglomerate, or run.py"


def read_luts_provenance(fragments: Volume, merge_function: str) -> dict[str, Any]:
    """What made the look-up tables of ``fragments``.

    :raises UserError: if there are none, or they are of fragments that were here before
    """
    about = luts_artifact(fragments.container, merge_function).about
    if not about.exists():
        raise UserError(f"{about}: there are no finished look-up tables for {merge_function}. Run find_segments first")
    luts = read_json(about)
    if "finished" not in luts or not isinstance(luts.get("inputs"), dict):
        raise UserError(f"{about}: the look-up tables for {merge_function} are not finished. Run find_segments first")
    if luts["inputs"].get("fragments", {}).get("fingerprint") != describe_input(fragments)["fingerprint"]:
        raise UserError(f"{about}: these look-up tables are not of {fragments.name} as it is now. Run agglomerate and "
                        "find_segments again")
    return luts


def check_table(path: Path, fragments_file: str, merge_function: str) -> None:
    """:raises UserError: if the table ``path`` is not what find_segments wrote there"""
    if path.exists() and not luts_artifact(fragments_file, merge_function).is_as_written(path):
        raise UserError(f"{path}: not the look-up table that find_segments wrote there. Run find_segments again")


def extraction_stage(fragments: Volume, merge_function: str, threshold: float, luts: dict[str, Any] | None,
                     settings: ExtractSettings) -> Stage:
    """The segmentation at ``threshold``, in the container of ``fragments``.

    :param luts: the provenance of the look-up tables as they will be; None: of those that there are
    :raises UserError: if there are no look-up tables of these fragments, or blocks do not fit
    """
    theirs: Sequence[float] | None = provenance_in(fragments.attrs).get("parameters", {}).get("block_size")
    size = settings.block_size or theirs
    write_shape = in_voxels(size, fragments, "[extract] block_size") if size else fragments.chunks or fragments.shape
    dataset = settings.out_dataset or f"volumes/segmentation_{threshold_name(threshold)}"
    luts, path = luts or read_luts_provenance(fragments, merge_function), lut_path(fragments.container, merge_function, threshold)

    def check() -> None:
        check_finished(fragments, "extract_fragments")
        check_table(path, fragments.container, merge_function)
        make_mappable(path)

    return relabeling_stage("extract_segmentation", fragments, path, dataset, write_shape, {
        "threshold": threshold, "merge_function": merge_function, "block_shape": write_shape,
    }, {"lut": {"name": path.name, "fingerprint": fingerprint_of(luts)}}, check)


def relabeling_stage(name: str, fragments: Volume, lut: Path, dataset: str, write_shape: Sequence[int],
                     parameters: Mapping[str, Any], inputs: Mapping[str, Any], check: Callable[[], None]) -> Stage:
    """The segments, by the table ``lut``, of ``fragments``, in ``dataset`` beside them; ``inputs``: besides these."""
    output = VolumeArtifact(fragments.container, dataset, fragments.shape, fragments.voxel_size, fragments.offset, "uint64",
                            tuple(write_shape))
    task = BlockTask(name, fragments.box, output.write_shape, f"{__name__}:make_worker", {
        "fragments": (fragments.container, fragments.dataset), "segmentation": (output.container, dataset), "lut": str(lut),
    }, output.records, memory=BASE_MEMORY + BYTES_PER_VOXEL * math.prod(write_shape), imports=IMPORTS)
    return Stage(name, parameters, {"fragments": describe_input(fragments), **inputs}, (output,), task,
                 carried(fragments), check)


def make_worker(values: dict[str, Any]) -> Callable[[Block], None]:
    """What works on one block; the arguments are those of :func:`relabeling_stage`."""
    fragments, (segmentation, note) = open_volume(*values["fragments"]), open_output(*values["segmentation"])
    lut = read_lut(Path(values["lut"]))

    def process(block: Block) -> None:
        write = block.write.intersect(fragments.box)
        values = np.ascontiguousarray(fragments.read(write), np.uint64)
        segmentation.write(write, relabel(values, lut, out=values))
        note(write)
    return process


def _finished_edges(db: str, merge_function: str, fragments: Volume) -> dict[str, Any]:
    """The provenance of the edges in the region graph.

    :raises UserError: if they are not there, not all of them, or of other fragments
    """
    with open_store(db, readonly=True) as store:
        stage = store.stage(edges_name(merge_function))
        if stage is None or not stage[1]:
            others = ", ".join(store.merge_functions())
            there = f" (there are some for {others})" if others else ""
            raise UserError(f"{store.name} has no finished edges for {merge_function}{there}. Run agglomerate first")
        theirs = stage[0].get("inputs", {}).get("fragments", {})
        if identity(theirs) != identity(describe_input(fragments)):
            raise UserError(f"the edges for {merge_function} in {store.name} are not of {fragments.name} as it is now. Correct "
                            "'db', or run agglomerate again")
        return stage[0]
