"""Which layers show a volume, by what kind of volume it is.

What a network predicts, or is trained towards, is [c, z, y, x]; each target says which channels are red, green and blue. Of
several layers, such as those of LSDs, only the first one is visible.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from lsd_experiments import targets
from lsd_experiments.arrays import Volume
from lsd_experiments.geometry import Box
from lsd_experiments.viewing import shaders
from lsd_experiments.viewing.lazy import dimensions, local_volume, voxel_offset
from lsd_experiments.viewing.skeletons import SkeletonView, skeleton_layer

SAMPLE = 64  # voxels along each axis, from the volume's centre, whose range sets the contrast


class Kind(Enum):
    """What a volume shows that is of no target."""

    RAW = "raw"
    LABELS = "labels"
    MASK = "mask"


@dataclass(frozen=True)
class View:
    """A volume to be shown as ``name``; ``kind`` None: guessed from its dataset's name and type."""

    name: str
    volume: Volume
    kind: Kind | targets.Kind | None = None
    visible: bool = True


def layers(view: View | SkeletonView) -> Iterator[tuple[str, Any, bool]]:
    """The layers of ``view``: name, neuroglancer layer, and whether it is visible."""
    import neuroglancer

    if isinstance(view, SkeletonView):
        yield view.name, skeleton_layer(view.skeletons), view.visible
        return
    kind = view.kind or guess_kind(view.volume)
    source = _source(view.volume, kind is Kind.LABELS)
    if kind is Kind.LABELS:
        yield view.name, neuroglancer.SegmentationLayer(source=source), view.visible
    elif kind is Kind.MASK:
        yield view.name, neuroglancer.ImageLayer(source=source, shader=shaders.MASK, opacity=1.0), view.visible
    elif kind is Kind.RAW:
        yield view.name, _image(source, shaders.GREY, view.volume), view.visible
    else:
        yield from _target_layers(view, source, kind)


def guess_kind(volume: Volume) -> Kind | targets.Kind:
    """The kind by the dataset's name, or else by channels and type."""
    name = volume.dataset.rsplit("/", 1)[-1] or "raw"
    if name in ("s0", "0"):
        name = volume.dataset.rsplit("/", 2)[-2]
    for target in targets.KNOWN:
        if target.is_shown_by(name, volume.channels):
            return target
    if "mask" in name:
        return Kind.MASK
    if volume.channels is not None or volume.dtype.kind not in "iu":
        return Kind.RAW
    is_named_so = any(part in name for part in ("ids", "labels", "seg", "fragments"))
    return Kind.LABELS if is_named_so or volume.dtype.itemsize >= 4 else Kind.RAW


def _target_layers(view: View, source: Any, target: targets.Kind) -> Iterator[tuple[str, Any, bool]]:
    visible = view.visible
    for name, channels in target.views.items():
        present = tuple(channel for channel in channels if channel < (view.volume.channels or 1))
        if present:
            shader = shaders.heat(present[0]) if len(channels) == 1 else shaders.rgb(present)
            yield view.name + name, _image(source, shader, view.volume), visible
            visible = False


def _image(source: Any, shader: str, volume: Volume) -> Any:
    import neuroglancer

    low, high = contrast(volume)
    controls = {"normalized": {"range": [low, high], "window": [low, high]}}
    return neuroglancer.ImageLayer(source=source, shader=shader, shader_controls=controls, opacity=1.0)


def contrast(volume: Volume) -> tuple[float, float]:
    """The values shown as black and white: 0 and 255 for uint8 that uses more than 0 and 1, else the centre's range."""
    begin = tuple(max(0, (n - SAMPLE) // 2) for n in volume.shape)
    sample = volume.read(Box.of_shape((SAMPLE,) * 3, begin).intersect(volume.box))
    finite = sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if sample.dtype == np.uint8:
        return (0, 1) if high == 1 else (0, 255)
    if sample.dtype.kind == "f" and low >= 0 and 0.5 <= high <= 1:
        return 0, 1
    if low < 0:  # a gradient, or raw in [-1, 1]: 0 is the middle
        low, high = -max(-low, high), max(-low, high)
    return (low, high) if low < high else (low, low + 1)


def _source(volume: Volume, is_segmentation: bool) -> Any:
    """The data source; where the offset is not on the voxel grid, moved by what is left of it."""
    import neuroglancer

    source = local_volume(volume, is_segmentation)
    left = [o / v - n for o, v, n in zip(volume.offset, volume.voxel_size, voxel_offset(volume), strict=True)]
    if max(map(abs, left)) < 1e-3:
        return source
    rank = source.rank
    matrix = np.eye(rank, rank + 1)
    matrix[-3:, -1] = left
    transform = neuroglancer.CoordinateSpaceTransform(output_dimensions=dimensions(volume), matrix=matrix)
    return neuroglancer.LayerDataSource(url=source, transform=transform)
