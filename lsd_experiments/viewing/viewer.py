"""A neuroglancer viewer of some volumes: axes z, y, x in nm; it starts in the middle of the first."""

from collections.abc import Sequence
from typing import Any

from lsd_experiments.errors import UserError
from lsd_experiments.viewing.layers import View, layers

PANEL = 500  # pixels: about the size of a panel, which the first volume fills, if it is not too large
COARSEST = 4  # voxels to a pixel at the start, at most: so that a large volume is not read for its first picture
LISTED = 20  # layers; of more, those that are not visible stand in a list beside the picture, and are loaded when ticked


def make_viewer(views: Sequence[View], layout: str = "4panel") -> Any:
    """A viewer (neuroglancer.Viewer) that shows ``views`` as layers, in their order.

    :raises UserError: if there is nothing to show.
    """
    import neuroglancer

    if not views:
        raise UserError("nothing to show: none of the datasets that are looked for is there. Name a file with -f FILE")
    first = views[0].volume
    finest = min(first.voxel_size)
    extent = max((e - o for o, e in zip(first.offset[1:], first.end[1:], strict=True)), default=0)
    viewer = neuroglancer.Viewer()
    with viewer.txn() as state:
        state.dimensions = neuroglancer.CoordinateSpace(names=["z", "y", "x"], units="nm", scales=first.voxel_size)
        state.display_dimensions = ["x", "y", "z"]  # right, down, into the screen
        state.position = [(o + e) / 2 / v for o, e, v in zip(first.offset, first.end, first.voxel_size, strict=True)]
        state.cross_section_scale = min(extent / finest / PANEL, COARSEST)
        state.projection_scale = 2 * PANEL * state.cross_section_scale
        state.layout = layout
        shown = [layer for view in views for layer in layers(view)]
        is_long = len(shown) > LISTED
        for name, layer, visible in shown:
            added = {"archived": True} if is_long and not visible else {"visible": visible}
            state.layers.append(name=_unused(name, state.layers), layer=layer, **added)
        state.layer_list_panel.visible = is_long
    return viewer


def _unused(name: str, taken: Any) -> str:
    """``name``, numbered if a layer has it already."""
    names = {layer.name for layer in taken}
    candidates = (name if n == 1 else f"{name} ({n})" for n in range(1, len(names) + 2))
    return next(candidate for candidate in candidates if candidate not in names)
