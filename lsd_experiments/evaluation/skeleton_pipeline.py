"""All thresholds of a pipeline on skeletons: its look-up tables are applied to the fragments under the nodes."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.evaluation.mincut import evaluate_mincut
from lsd_experiments.evaluation.skeleton_volumes import Roi, nodes_in
from lsd_experiments.evaluation.skeletons import evaluate_luts
from lsd_experiments.provenance import fingerprint_of, provenance

if TYPE_CHECKING:
    from lsd_experiments.arrays import Volume
    from lsd_experiments.pipeline.settings import PipelineSettings
    from lsd_experiments.skeletons import Skeletons


def evaluate_graph(config: "PipelineSettings", skeletons: "Skeletons", roi: Roi | None = None, parity: bool = False,
                   mincut: bool = False) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The scores of each threshold, and their provenance.

    :param roi: the region (default: that of the configuration's [evaluate], or all of the fragments)
    :param parity: as published; also if the configuration says so
    :param mincut: the min-cut metric, too, from the configuration's region graph
    :raises UserError: if there are no finished fragments or look-up tables, or no node lies in the region
    """
    from lsd_experiments.arrays import open_volume
    from lsd_experiments.rag import open_store
    from lsd_experiments.segmentation.blockwise import read_luts_provenance
    from lsd_experiments.stages.inputs import check_finished, describe_input

    parity |= config.parity
    fragments = open_volume(*config.fragments_place)
    check_finished(fragments, "extract_fragments")
    merge_function = config.agglomerate.merge_function
    luts = read_luts_provenance(fragments, merge_function)
    tables = _tables(fragments, merge_function, luts)
    if roi is None and config.evaluate is not None and config.evaluate.roi_offset is not None:
        assert config.evaluate.roi_shape is not None, "settings have both or none"
        roi = config.evaluate.roi_offset, config.evaluate.roi_shape
    found = nodes_in(fragments, skeletons, roi)
    rows = evaluate_luts(found.skeletons, found.ids, tables, parity, found.voxels)
    if mincut:
        with open_store(config.db_place, readonly=True) as store:
            needed = evaluate_mincut(found.skeletons, found.ids, tables, store.iterate_edges(merge_function), parity)
        rows = [{**row, **more} for row, more in zip(rows, needed, strict=True)]
    made = provenance("evaluate_skeletons", {"roi": roi, "parity": parity, "mincut": mincut}, {
        "fragments": describe_input(fragments), "luts": {"name": merge_function, "fingerprint": fingerprint_of(luts)}})
    return rows, made


def _tables(fragments: "Volume", merge_function: str, luts: dict[str, Any]) -> list[tuple[float, NDArray[np.uint64]]]:
    """The look-up tables, ascending and memory-mapped."""
    from lsd_experiments.segmentation import lut_path, read_lut, threshold_range
    from lsd_experiments.segmentation.blockwise import check_table

    options = luts["parameters"]
    paths = {threshold: lut_path(fragments.container, merge_function, threshold)
             for threshold in threshold_range(options["thresholds_minmax"], options["thresholds_step"])}
    for path in paths.values():
        check_table(path, fragments.container, merge_function)
    return [(threshold, read_lut(path)) for threshold, path in paths.items()]
