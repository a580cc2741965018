"""A neuroglancer viewer of volumes and skeletons: axes z, y, x in nm; it starts in the middle of the first volume."""

from collections.abc import Sequence
from typing import Any

from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Nanometres
from lsd_experiments.viewing.layers import View, layers
from lsd_experiments.viewing.skeletons import SkeletonView

PANEL = 500  # pixels: about the size of a panel, which the first volume fills, if it is not too large
COARSEST = 4  # voxels to a pixel at the start, at most: so that a large volume is not read for its first picture
LISTED = 20  # layers; of more, those that are not visible stand in a list beside the picture, and are loaded when ticked


def make_viewer(views: Sequence[View | SkeletonView], layout: str = "4panel") -> Any:
    """A viewer (neuroglancer.Viewer) that shows ``views`` as layers, in their order.

    :raises UserError: if there is nothing to show.
    """
    import neuroglancer

    if not views:
        raise UserError("nothing to show: none of the datasets that are looked for is there. Name a file with -f FILE")
    voxel_size, begin, end = _start(views)
    extent = max(e - b for b, e in zip(begin[1:], end[1:], strict=True))
    viewer = neuroglancer.Viewer()
    with viewer.txn() as state:
        state.dimensions = neuroglancer.CoordinateSpace(names=["z", "y", "x"], units="nm", scales=voxel_size)
        state.display_dimensions = ["x", "y", "z"]  # right, down, into the screen
        state.position = [(b + e) / 2 / v for b, e, v in zip(begin, end, voxel_size, strict=True)]
        state.cross_section_scale = min(extent / min(voxel_size) / PANEL, COARSEST)
        state.projection_scale = 2 * PANEL * state.cross_section_scale
        state.layout = layout
        shown = [layer for view in views for layer in layers(view)]
        is_long = len(shown) > LISTED
        for name, layer, visible in shown:
            added = {"archived": True} if is_long and not visible else {"visible": visible}
            state.layers.append(name=_unused(name, state.layers), layer=layer, **added)
        state.layer_list_panel.visible = is_long
    return viewer


def _start(views: Sequence[View | SkeletonView]) -> tuple[Nanometres, Nanometres, Nanometres]:
    """The voxel size, begin and end of the first volume; of skeletons alone, the box around the first ones."""
    volumes = [view.volume for view in views if isinstance(view, View)]
    if volumes:
        return volumes[0].voxel_size, volumes[0].offset, volumes[0].end
    positions = [view.skeletons.positions for view in views if isinstance(view, SkeletonView) and len(view.skeletons.ids)]
    if not positions:
        raise UserError("nothing to show: the skeletons have no nodes. Name another file")
    begin, end = positions[0].min(axis=0), positions[0].max(axis=0) + 1
    edge = float(max(end - begin)) / PANEL  # nm: a pixel
    return (edge,) * 3, tuple(begin.tolist()), tuple(end.tolist())


def _unused(name: str, taken: Any) -> str:
    """``name``, numbered if a layer has it already."""
    names = {layer.name for layer in taken}
    candidates = (name if n == 1 else f"{name} ({n})" for n in range(1, len(names) + 2))
    return next(candidate for candidate in candidates if candidate not in names)
