"""One section of a result, side by side: raw, segmentation, ground truth, affinities, LSDs.

Arrays are [z, y, x], or [c, z, y, x] for affinities and LSDs, all of one region. A segment has the colour of the ground
truth label that it matches best; parts split off, and labels swallowed by a merge, show in their own colours. Id 0 is
black.
"""

from lsd_experiments.picture.colours import colours_of, match_colours
from lsd_experiments.picture.figure import write_picture
from lsd_experiments.picture.panels import Panel, panels
from lsd_experiments.picture.volumes import write_picture_of_volumes

__all__ = ["Panel", "colours_of", "match_colours", "panels", "write_picture", "write_picture_of_volumes"]
