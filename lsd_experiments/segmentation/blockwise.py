"""Look-up tables of a whole volume, and the segmentation that one of them gives, block by block."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.agglomeration.blockwise import edges_name
from lsd_experiments.arrays import Volume, open_volume
from lsd_experiments.blockwise import Block, BlockTask, Workers
from lsd_experiments.blockwise.stage import (
    BASE_MEMORY,
    OutputVolume,
    check_finished,
    describe_input,
    finish_volume,
    in_voxels,
    missing_blocks,
    now,
    open_output,
    prepare_volume,
    read_json,
    stored_provenance,
    volume_state,
    write_json,
)
from lsd_experiments.blockwise.states import FOREIGN, State, continued, state_of, tie_records
from lsd_experiments.errors import UserError
from lsd_experiments.provenance import fingerprint_of, identity, provenance
from lsd_experiments.rag import open_store
from lsd_experiments.rag.store import GraphChangedError
from lsd_experiments.segmentation.luts import (
    lut_directory,
    lut_path,
    make_mappable,
    read_lut,
    same_table,
    table_state,
    threshold_name,
)
from lsd_experiments.segmentation.relabeling import relabel
from lsd_experiments.segmentation.segments import threshold_range
from lsd_experiments.segmentation.settings import ExtractSettings, FindSegmentsSettings
from lsd_experiments.segmentation.streaming import stream_segments

BYTES_PER_VOXEL = 30  # of an extracting worker's memory, for each voxel of a block: measured, see docs/performance.md
Show = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class LutsPlan:
    """The look-up tables of all thresholds, from the edges of the region graph ``db`` that ``edges`` is the provenance of."""

    fragments: Volume
    db: str
    merge_function: str
    edges: dict[str, Any]
    settings: FindSegmentsSettings
    parity: bool
    name: str = "find_segments"

    @cached_property
    def made(self) -> dict[str, Any]:
        """The provenance of the tables."""
        return provenance(self.name, {**self.settings.model_dump(mode="json"), "parity": self.parity}, {
            "edges": {"name": edges_name(self.merge_function), "fingerprint": fingerprint_of(self.edges)},
            "fragments": describe_input(self.fragments)})

    @property
    def thresholds(self) -> list[float]:
        """Ascending."""
        return threshold_range(self.settings.thresholds_minmax, self.settings.thresholds_step)

    @property
    def about(self) -> Path:
        """The file that says what made the tables."""
        return luts_about(self.fragments.container, self.merge_function)

    bytes = 0  # the number of fragments is not known beforehand

    @property
    def current(self) -> dict[str, Any]:
        """The provenance of the tables as they will be."""
        return continued(self.made, self.stored())

    def stored(self) -> dict[str, Any]:
        """The provenance of what there is of the tables."""
        return read_json(self.about) if self.about.exists() else {}

    def state(self) -> State:
        """What there is of the tables.

        :raises UserError: if there are tables that do not say what made them
        """
        missing = [path for path in map(self._path, self.thresholds) if not path.exists()]
        if not self.about.exists():
            if len(missing) < len(self.thresholds):
                path = next(path for path in map(self._path, self.thresholds) if path.exists())
                raise UserError(f"{path} exists, and no {self.about.name} says what made it. {FOREIGN}")
            return State("new")
        about = read_json(self.about)
        state = state_of(str(self.about), about, "finished" in about, self.made)
        if state.kind != "done":
            return state
        if missing:
            return State("begun", f"{len(missing)} tables are missing")
        changed = [path for path in map(self._path, self.thresholds) if not is_as_written(path, self.about)]
        return State("begun", f"{changed[0]} is not as it was written") if changed else state

    def work(self, anew: bool, made: dict[str, Any], show: Show) -> None:
        """Write the tables. ``made``: their provenance."""
        check_finished(self.fragments, "extract_fragments")
        self._remove_tables()
        write_json(self.about, made)
        done = itertools.count(1)

        def written(threshold: float) -> None:
            show({"total": len(self.thresholds), "completed": next(done), "skipped": 0, "failed": 0})

        show({"total": len(self.thresholds), "completed": 0, "skipped": 0, "failed": 0})
        try:
            with open_store(self.db, readonly=True) as store:
                store.check()
                stream_segments(self.fragments.container, self.merge_function, (ids for ids, _ in store.checked_nodes()),
                                store.checked_edges(self.merge_function), self.thresholds, self.parity, written)
        except GraphChangedError as error:
            raise UserError(f"{error.what}. {self._remedy(error.stage)}") from error
        write_json(written_tables(self.about), {path.name: table_state(path) for path in map(self._path, self.thresholds)})
        write_json(self.about, {**made, "finished": now()})

    def _remedy(self, stage: str) -> str:
        """What to do about a stage whose rows are not those that were written; edges are noted as not done as far as need be."""
        if stage != edges_name(self.merge_function):
            return "Run extract_fragments with --overwrite"
        with open_store(self.db) as store:
            blocks = store.doubtful_blocks(self.merge_function)
            if not blocks:
                return "Run agglomerate with --overwrite"
            store.reopen_stage(stage, blocks)
        return f"{len(blocks)} of its blocks are to be done again: run agglomerate, or run.py"

    def _remove_tables(self) -> None:
        """Remove the tables that the file beside them tells of; it does not call them finished any more, before they go."""
        if not self.about.exists():
            return
        about = read_json(self.about)
        about.pop("finished", None)
        write_json(self.about, about)
        written_tables(self.about).unlink(missing_ok=True)
        for threshold in threshold_range(about["parameters"]["thresholds_minmax"], about["parameters"]["thresholds_step"]):
            self._path(threshold).unlink(missing_ok=True)

    def _path(self, threshold: float) -> Path:
        return lut_path(self.fragments.container, self.merge_function, threshold)

    def report(self) -> str:
        """What was made, in words."""
        thresholds = self.thresholds
        return f"{self.about.parent}: {len(thresholds)} thresholds, {thresholds[0]:g} to {thresholds[-1]:g}"


def plan_luts(fragments: Volume, db: str, merge_function: str, edges: dict[str, Any] | None, settings: FindSegmentsSettings,
              parity: bool) -> LutsPlan:
    """How the look-up tables of ``fragments`` are made.

    :param edges: the provenance of the edges as they will be; None: of those in the region graph
    :raises UserError: if the region graph has no finished edges for ``merge_function``
    """
    return LutsPlan(fragments, db, merge_function, edges or _finished_edges(db, merge_function, fragments), settings, parity)


def luts_about(fragments_file: str, merge_function: str) -> Path:
    """The file that says what made the look-up tables of a merge function."""
    return lut_directory(fragments_file) / f"seg_{edges_name(merge_function)}.json"


def read_luts_provenance(fragments: Volume, merge_function: str) -> dict[str, Any]:
    """What made the look-up tables of ``fragments``.

    :raises UserError: if there are none, or they are of fragments that were here before
    """
    about = luts_about(fragments.container, merge_function)
    if not about.exists():
        raise UserError(f"{about}: there are no finished look-up tables for {merge_function}. Run find_segments first")
    luts = read_json(about)
    if "finished" not in luts or not isinstance(luts.get("inputs"), dict):
        raise UserError(f"{about}: the look-up tables for {merge_function} are not finished. Run find_segments first")
    if luts["inputs"].get("fragments", {}).get("fingerprint") != describe_input(fragments)["fingerprint"]:
        raise UserError(f"{about}: these look-up tables are not of {fragments.name} as it is now. Run agglomerate and "
                        "find_segments again")
    return luts


def written_tables(about: Path) -> Path:
    """The file with the checksums of the tables that ``about`` says the provenance of."""
    return about.parent / ".blockwise" / about.name


def is_as_written(path: Path, about: Path) -> bool:
    """Whether the table ``path`` is what was written there, as far as that is known; ``about``: the file with its provenance."""
    states = written_tables(about)
    known = read_json(states).get(path.name) if states.exists() else None
    return known is None or same_table(path, known)


def check_table(path: Path, fragments_file: str, merge_function: str) -> None:
    """:raises UserError: if the table ``path`` is not what find_segments wrote there"""
    if path.exists() and not is_as_written(path, luts_about(fragments_file, merge_function)):
        raise UserError(f"{path}: not the look-up table that find_segments wrote there. Run find_segments again")


@dataclass(frozen=True)
class ExtractPlan:
    """The segmentation of ``fragments`` at ``threshold``, in ``output``; ``luts``: the provenance of the look-up tables."""

    fragments: Volume
    merge_function: str
    threshold: float
    luts: dict[str, Any]
    output: OutputVolume
    name: str = "extract_segmentation"

    @cached_property
    def made(self) -> dict[str, Any]:
        """The provenance of the segmentation."""
        return provenance(self.name, {"threshold": self.threshold, "merge_function": self.merge_function,
                                      "block_shape": self.output.write_shape},
                          {"fragments": describe_input(self.fragments),
                           "lut": {"name": self.path.name, "fingerprint": fingerprint_of(self.luts)}})

    @property
    def path(self) -> Path:
        """The look-up table."""
        return lut_path(self.fragments.container, self.merge_function, self.threshold)

    @property
    def bytes(self) -> int:
        """Of the volume, without compression."""
        return self.output.bytes

    def stored(self) -> dict[str, Any]:
        """The provenance of what there is of the segmentation."""
        return stored_provenance(self.output)

    def state(self) -> State:
        """What there is of the segmentation."""
        return volume_state(self.output, self.made)

    def task(self, workers: Workers) -> BlockTask:
        """What is done to which blocks."""
        return BlockTask(self.name, self.fragments.box, self.output.write_shape, f"{__name__}:make_worker", {
            "fragments": (self.fragments.container, self.fragments.dataset),
            "segmentation": (self.output.container, self.output.dataset), "lut": str(self.path),
        }, self.output.records, workers=workers, memory=BASE_MEMORY + BYTES_PER_VOXEL * math.prod(self.output.write_shape))

    def prepare(self, anew: bool, made: dict[str, Any]) -> None:
        """Make ready the volume; ``anew``: forget what there is. ``made``: the provenance that it gets.

        :raises UserError: if there is no look-up table for the threshold
        """
        check_finished(self.fragments, "extract_fragments")
        check_table(self.path, self.fragments.container, self.merge_function)
        make_mappable(self.path)
        prepare_volume(self.output, made, anew)
        tie_records(self.output.records, stored_provenance(self.output)["date"])

    def missing_blocks(self, done: NDArray[np.int64]) -> dict[str, list[int]]:
        """Those whose chunks are not as they wrote them."""
        return missing_blocks([self.output], done)

    def finish(self) -> None:
        """Note that all blocks are done."""
        finish_volume(self.output)

    def report(self) -> str:
        """What was made, in words."""
        return f"{self.output.container}: {self.output.dataset}"


def plan_extract(fragments: Volume, merge_function: str, threshold: float, luts: dict[str, Any] | None,
                 settings: ExtractSettings) -> ExtractPlan:
    """How the segmentation at ``threshold`` is written into the container of ``fragments``.

    :param luts: the provenance of the look-up tables as they will be; None: of those that there are
    :raises UserError: if there are no look-up tables of these fragments, or blocks do not fit
    """
    theirs: Sequence[float] | None = fragments.attrs.get("provenance", {}).get("parameters", {}).get("block_size")
    size = settings.block_size or theirs
    write_shape = in_voxels(size, fragments, "[extract] block_size") if size else fragments.chunks or fragments.shape
    dataset = settings.out_dataset or f"volumes/segmentation_{threshold_name(threshold)}"
    output = OutputVolume(fragments.container, dataset, fragments.shape, fragments.voxel_size, fragments.offset, "uint64",
                          write_shape)
    luts = luts or read_luts_provenance(fragments, merge_function)
    return ExtractPlan(fragments, merge_function, threshold, luts, output)


def make_worker(values: dict[str, Any]) -> Callable[[Block], None]:
    """What works on one block; the arguments are those of :meth:`ExtractPlan.task`."""
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
