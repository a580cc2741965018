"""From predictions to what is submitted: masks of classes, and instances whose ids are unique over all blocks.

    prediction  --->  blocks (threshold, process_func)  --->  mask, or parts with ids
    parts  --->  joined over the blocks' borders, small ones left out  --->  what is submitted

Instances of touching objects are cut by the suite's own segmentation: fragments of a watershed, agglomerated.
"""

from lsd_experiments.families.cellmap.processing.reading import Processing, read_processing
from lsd_experiments.families.cellmap.processing.running import process_class
from lsd_experiments.families.cellmap.processing.settings import ClassSettings

__all__ = ["ClassSettings", "Processing", "process_class", "read_processing"]
