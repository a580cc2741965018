"""Look at volumes and skeletons in neuroglancer, in a browser.

Axes are named z, y, x, in nm; channels are ``c^``. Volumes are read chunk by chunk as they are looked at, so that a
large one opens at once. The server listens on 127.0.0.1 unless asked.

``view_data``, ``view_batch`` and ``view_results`` are the commands; ``make_viewer`` shows any volumes and skeletons.
"""

from lsd_experiments.viewing.layers import Kind, View
from lsd_experiments.viewing.skeletons import SkeletonView
from lsd_experiments.viewing.viewer import make_viewer

__all__ = ["Kind", "SkeletonView", "View", "make_viewer"]
