"""Which layers show a volume, by what kind of volume it is.

What a network predicts, or is trained towards, is [c, z, y, x]; each target says which channels are red, green and blue. Of
several layers, such as those of LSDs, only the first one is visible.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments import targets
from lsd_experiments.arrays import Volume, check_ids, check_labels, has_dataset, open_volume, precomputed, zarr3
from lsd_experiments.geometry import Box
from lsd_experiments.viewing import shaders
from lsd_experiments.viewing.lazy import dimensions, local_volume, voxel_offset
from lsd_experiments.viewing.skeletons import SkeletonView, skeleton_layer

SAMPLE = 64  # voxels along each axis, from the volume's centre, whose range sets the contrast
# Of labels, by their name: the masks in the same group, as create_masks.py and those of XPRESS write them.
MASKS = {"neuron_ids": ("labels_mask", "unlabeled_mask"),
         "training_gt_labels": ("training_gt_labels_mask", "training_gt_unlabeled_mask")}


class Kind(Enum):
    """What a volume shows that is of no target."""

    RAW = "raw"
    LABELS = "labels"
    MASK = "mask"


@dataclass(frozen=True)
class View:
    """A volume to be shown as ``name``.

    ``kind``: None is guessed from its dataset's name and type. ``masks``: of labels, on the same voxels; negative ids are 0
    where one of them is.
    """

    name: str
    volume: Volume
    kind: Kind | targets.Kind | None = None
    visible: bool = True
    masks: tuple[Volume, ...] = ()


def checked(view: View) -> View:
    """``view`` with its kind, and of labels with the masks that lie beside them.

    :raises UserError: if it is to show labels that are none, or hold negative ids that no mask takes out
    """
    kind = view.kind or guess_kind(view.volume)
    if kind is not Kind.LABELS:
        return replace(view, kind=kind)
    check_labels(view.volume)
    masks = tuple(_masks_of(view.volume)) if view.volume.dtype.kind == "i" else ()
    check_ids(view.volume, masks)
    return replace(view, kind=kind, masks=masks)


def _masks_of(labels: Volume) -> Iterator[Volume]:
    """The masks beside ``labels`` that are of the same voxels."""
    group, _, name = labels.dataset.rpartition("/")
    container, dataset = labels.place
    for mask in MASKS.get(name, ()) if dataset else ():
        path = f"{group}/{mask}".lstrip("/")
        if has_dataset(container, path):
            found = open_volume(container, path)
            if (found.shape, found.channels, found.voxel_size, found.offset) == (
                    labels.shape, None, labels.voxel_size, labels.offset):
                yield found


def layers(view: View | SkeletonView) -> Iterator[tuple[str, Any, bool]]:
    """The layers of ``view``: name, neuroglancer layer, and whether it is visible."""
    import neuroglancer

    if isinstance(view, SkeletonView):
        yield view.name, skeleton_layer(view.skeletons), view.visible
        return
    kind = view.kind or guess_kind(view.volume)
    source = _source(view, kind)
    if kind is Kind.LABELS:
        yield view.name, neuroglancer.SegmentationLayer(source=source), view.visible
    elif kind is Kind.MASK:
        yield view.name, neuroglancer.ImageLayer(source=source, shader=shaders.MASK, opacity=1.0), view.visible
    elif kind is Kind.RAW:
        yield view.name, _image(source, shaders.GREY, view.volume), view.visible
    else:
        yield from _target_layers(view, source, kind)


def guess_kind(volume: Volume) -> Kind | targets.Kind:
    """The kind by what it says, or the dataset's name (the container's, where that has none), or else by channels and type."""
    if volume.attrs.get(precomputed.TYPE) == precomputed.SEGMENTATION or zarr3.LABEL in volume.attrs:
        return Kind.LABELS
    *groups, name = volume.dataset.split("/")
    if re.fullmatch(r"s?\d+|", name):  # a scale level, of an image that may be the container itself; a file
        name = groups[-1] if groups else Path(volume.container).name.partition(".")[0]
    for target in targets.KNOWN:
        if target.is_shown_by(name, volume.channels):
            return target
    if "mask" in name:
        return Kind.MASK
    if "raw" in name or volume.channels is not None or volume.dtype.kind not in "iu":
        return Kind.RAW
    is_named_so = any(part in name for part in ("ids", "labels", "seg", "fragments"))
    is_wide = volume.dtype.itemsize >= 4 and (volume.dtype.kind == "u" or _centre(volume).min() >= 0)
    return Kind.LABELS if is_named_so or is_wide else Kind.RAW


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
    sample = _centre(volume)
    finite = sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if sample.dtype == np.uint8:
        return (0, 1) if high == 1 else (0, 255)
    if sample.dtype.kind == "f" and low >= 0 and 0.5 <= high <= 1:
        return 0, 1
    if low < 0:  # a gradient, or raw in [-1, 1]: 0 is the middle
        low, high = -max(-low, high), max(-low, high)
    return (low, high) if low < high else (low, low + 1)


def _centre(volume: Volume) -> NDArray[Any]:
    """A sample of the voxels."""
    begin = tuple(max(0, (n - SAMPLE) // 2) for n in volume.shape)
    return volume.read(Box.of_shape((SAMPLE,) * 3, begin).intersect(volume.box))


def _source(view: View, kind: Kind | targets.Kind) -> Any:
    """The data source; where the offset is not on the voxel grid, moved by what is left of it."""
    import neuroglancer

    volume = view.volume
    source = local_volume(volume, kind is Kind.LABELS, view.masks, kind is Kind.MASK)
    left = [o / v - n for o, v, n in zip(volume.offset, volume.voxel_size, voxel_offset(volume), strict=True)]
    if max(map(abs, left)) < 1e-3:
        return source
    rank = source.rank
    matrix = np.eye(rank, rank + 1)
    matrix[-3:, -1] = left
    transform = neuroglancer.CoordinateSpaceTransform(output_dimensions=dimensions(volume), matrix=matrix)
    return neuroglancer.LayerDataSource(url=source, transform=transform)
