"""Scores of a segmentation on skeletons, from the segment under each node: run lengths, errors, Rand and VOI, XPRESS's scores.

| score | meaning |
|---|---|
| ``erl``, ``max_erl`` | expected run length in nm, and that of a perfect segmentation; see ``run_length.py`` |
| ``normalized_erl`` | erl / max_erl, in [0, 1] |
| ``xpress_normalized_erl`` | erl / mean length of the skeletons that have one: above 1 if lengths differ and all is right |
| ``splits`` | edges whose ends are in different objects |
| ``merges`` | pairs of skeletons in one object: k (k - 1) / 2 of k skeletons, added up over objects |
| ``rand_*``, ``voi_*``, ``nvi_*`` | as in ``metrics.py``, over nodes instead of voxels |
| ``xpress_rand``, ``xpress_voi`` | (rand_split + rand_merge) / 2, 1 - (nvi_split + nvi_merge) / 2 |
| ``xpress_erl_rand``, ``xpress_erl_voi`` | means of these and the normalized ERL; the first is the leader board's |

The normalized ERL in the last row is ``normalized_erl``, and ``xpress_normalized_erl`` with ``parity``. ``docs/evaluation.md``
tells what else ``parity`` changes.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.evaluation.metrics import scores
from lsd_experiments.evaluation.node_objects import check_nodes, node_contingency, objects_of, skeletons_per_object
from lsd_experiments.evaluation.run_length import expected_run_length, max_run_length, skeleton_lengths

if TYPE_CHECKING:
    from lsd_experiments.skeletons import Skeletons

Background: TypeAlias = Literal["split", "omitted"]
Row: TypeAlias = dict[str, Any]

OF_NODES = ("rand_split", "rand_merge", "voi_split", "voi_merge", "voi_sum", "nvi_split", "nvi_merge", "nvi_sum")


def evaluate_skeletons(skeletons: "Skeletons", segments: ArrayLike, parity: bool = False,
                       voxels: NDArray[np.integer] | None = None, background: Background = "split") -> Row:
    """All scores of a segmentation; see the module.

    :param segments: [n] ids of the segments under the nodes; 0 is background
    :param parity: as published, quirks included
    :param voxels: [n, 3] voxel of the segmentation that each node is in; only ``parity`` asks for it
    :param background: ``split`` (XPRESS): each node on the background is an object of its own; ``omitted`` (the LSD paper):
        edges that touch the background are no splits, and in Rand and VOI it is a segment like any other
    :returns: the scores, ``path_length`` (nm), and the numbers of ``skeletons``, ``nodes``, ``background_nodes``, ``segments``,
        ``merging_segments`` and ``split_skeletons``
    :raises UserError: if there is no node or no length, or ``segments`` do not fit
    """
    segments = check_nodes(segments, len(skeletons.positions))
    lengths = skeleton_lengths(skeletons)
    if not lengths.any():
        raise UserError("the skeletons have no edge in the region, so that there is no run length. Name a larger region, or "
                        "skeletons with edges")
    voxels = voxels if parity else None
    objects = objects_of(segments, voxels)
    erl, best = expected_run_length(skeletons, objects), max_run_length(skeletons, parity)
    row = {"erl": erl, "max_erl": best, "normalized_erl": erl / best if best else 0.0,
           "xpress_normalized_erl": erl / float(lengths[lengths > 0].mean()),
           **_count_errors(skeletons, segments, objects, background),
           "skeletons": len(lengths), "nodes": len(segments), "background_nodes": int((segments == 0).sum()),
           "path_length": float(lengths.sum())}
    names = objects if background == "split" else segments
    of_nodes = scores(node_contingency(skeletons.components, names, parity, voxels))
    return _combine({**row, **{key: of_nodes[key] for key in OF_NODES}}, parity)


def evaluate_luts(skeletons: "Skeletons", fragment_ids: ArrayLike, luts: Iterable[tuple[float, ArrayLike]], parity: bool = False,
                  voxels: NDArray[np.integer] | None = None, background: Background = "split") -> list[Row]:
    """The scores of each agglomeration of fragments, in order of the thresholds; nothing of a volume is read.

    :param fragment_ids: [n] the fragments under the nodes; 0 is background
    :param luts: threshold and look-up table, [2, m] ascending fragments and their segments; fragments not in it become 0
    """
    from lsd_experiments.segmentation import segments_of

    fragments = check_nodes(fragment_ids, len(skeletons.positions))
    rows = []
    for threshold, lut in luts:
        segments = segments_of(fragments, np.asarray(lut, np.uint64))
        rows.append({"threshold": float(threshold), **evaluate_skeletons(skeletons, segments, parity, voxels, background)})
    return sorted(rows, key=lambda row: row["threshold"])


def _count_errors(skeletons: "Skeletons", segments: NDArray[np.uint64], objects: NDArray[np.int64],
                  background: Background) -> dict[str, int]:
    u, v = skeletons.edges.T
    split = objects[u] != objects[v]
    if background == "omitted":
        split &= (segments[u] > 0) & (segments[v] > 0)
    _, counts = skeletons_per_object(skeletons.components, objects)
    return {"splits": int(split.sum()), "merges": int((counts * (counts - 1) // 2).sum()),
            "segments": len(np.unique(segments[segments > 0])), "merging_segments": int((counts > 1).sum()),
            "split_skeletons": len(np.unique(skeletons.components[u[split]]))}


def _combine(row: Row, parity: bool) -> Row:
    erl = row["xpress_normalized_erl" if parity else "normalized_erl"]
    rand, voi = (row["rand_split"] + row["rand_merge"]) / 2, 1 - (row["nvi_split"] + row["nvi_merge"]) / 2
    return {**row, "xpress_voi": voi, "xpress_rand": rand, "xpress_erl_voi": (erl + voi) / 2, "xpress_erl_rand": (erl + rand) / 2}
