"""From the region graph to a segmentation: look-up tables from fragments to segments, and their use.

A look-up table (``lut``) is [2, n] uint64: fragment ids, ascending, and the segment that each belongs to. A segment has
the id of its smallest fragment, so that 0 always is background, and a segment keeps its name as long as it only grows.
"""

from lsd_experiments.segmentation.luts import lut_path, make_mappable, read_lut, threshold_name, write_lut
from lsd_experiments.segmentation.relabeling import part_of, relabel, segments_of
from lsd_experiments.segmentation.segments import find_segments, segment, threshold_range
from lsd_experiments.segmentation.streaming import stream_segments

__all__ = [
    "find_segments",
    "lut_path",
    "make_mappable",
    "part_of",
    "read_lut",
    "relabel",
    "segment",
    "segments_of",
    "stream_segments",
    "threshold_name",
    "threshold_range",
    "write_lut",
]
