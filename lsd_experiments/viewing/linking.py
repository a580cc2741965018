"""``view.py --link``: a link to neuroglancer's page that shows precomputed and OME-Zarr volumes of this machine.

The page reads chunks by itself, of the resolution that it needs, from a server of files here; no Python is between them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lsd_experiments.arrays import Volume, open_volume
from lsd_experiments.arrays.addresses import Address
from lsd_experiments.arrays.local import kind_of, open_directory
from lsd_experiments.arrays.ome import tables
from lsd_experiments.arrays.precomputed import Precomputed
from lsd_experiments.errors import UserError
from lsd_experiments.viewing import shaders
from lsd_experiments.viewing.file_server import FileServer
from lsd_experiments.viewing.layers import Kind, contrast, guess_kind
from lsd_experiments.viewing.lazy import dimensions
from lsd_experiments.viewing.viewer import PANEL

PAGE = "https://neuroglancer-demo.appspot.com"
COARSEST = 64  # voxels to a pixel at the start, at most: there are coarser levels


@dataclass(frozen=True)
class Linked:
    """A volume that neuroglancer reads itself: ``path`` in ``directory``, of format ``kind``, as it calls that."""

    name: str
    directory: Path
    path: str
    kind: str
    volume: Volume
    is_labels: bool


def linked_volumes(names: Sequence[str]) -> list[Linked]:
    """The volumes of ``names``: directories, or ``directory:image`` of an OME-Zarr.

    :raises UserError: if one is of a format that neuroglancer does not read with its voxel size
    """
    found = [_linked(name) for name in names]
    if not found:
        raise UserError("nothing to link: name a config with [export], or precomputed and OME-Zarr volumes with -f FILE")
    return found


def _linked(name: str) -> Linked:
    container, _, image = name.rpartition(":") if ":" in name and not Path(name).exists() else (name, "", "")
    directory = Path(container)
    kind = kind_of(directory) if directory.is_dir() else None
    if not directory.exists():
        raise UserError(f"{container}: no such directory. --link is for precomputed and OME-Zarr volumes of this machine")
    if kind is not None:
        tree: Any = open_directory(Address(container, None, "file", container))
        title = directory.name.partition(".")[0]
        if isinstance(tree, Precomputed):
            return Linked(title, directory, "", "precomputed", open_volume(container), tree.info.get("type") == "segmentation")
        if kind in ("zarr2", "zarr3") and tables(tree.attrs(image).get("multiscales"), name):
            volume = open_volume(container, image or None)
            is_labels = "image-label" in tree.attrs(image) or guess_kind(volume) in (Kind.LABELS, Kind.MASK)
            return Linked(image.rpartition("/")[2] or title, directory, image, kind, volume, is_labels)
    raise UserError(f"{name}: neither precomputed nor an OME-Zarr image, which neuroglancer reads with their voxel sizes. "
                    "Write one with convert.py --format precomputed, or leave out --link")


def link(volumes: Sequence[Linked], server: FileServer, page: str = PAGE) -> str:
    """The link to ``page`` that shows ``volumes``, which ``server`` serves by their numbers."""
    import neuroglancer

    return str(neuroglancer.to_url(link_state(volumes, server), prefix=page.rstrip("/")))


def link_state(volumes: Sequence[Linked], server: FileServer) -> Any:
    """What the link says (neuroglancer.ViewerState)."""
    import neuroglancer

    first = volumes[0].volume
    state = neuroglancer.ViewerState()
    state.dimensions = neuroglancer.CoordinateSpace(names=["z", "y", "x"], units="nm", scales=first.voxel_size)
    state.display_dimensions = ["x", "y", "z"]
    state.position = [(o + e) / 2 / v for o, e, v in zip(first.offset, first.end, first.voxel_size, strict=True)]
    extent = max(n * v for n, v in zip(first.shape[1:], first.voxel_size[1:], strict=True))
    state.cross_section_scale = min(extent / min(first.voxel_size) / PANEL, COARSEST)
    state.layout = "4panel"
    for number, each in enumerate(volumes):
        state.layers.append(name=f"{each.name} ({number})" if each.name in [v.name for v in volumes[:number]] else each.name,
                            layer=_layer(each, _source(each, f"{each.kind}://{server.url(str(number), each.path)}")))
    return state


def _source(each: Linked, url: str) -> Any:
    """``url``, of OME-Zarr half a voxel further: neuroglancer takes the translation as the centre of the first voxel."""
    import neuroglancer

    if each.kind == "precomputed":
        return url
    space = dimensions(each.volume)
    matrix = np.eye(len(space.names), len(space.names) + 1)
    matrix[-3:, -1] = 0.5
    transform = neuroglancer.CoordinateSpaceTransform(output_dimensions=space, matrix=matrix)
    return neuroglancer.LayerDataSource(url=url, transform=transform)


def _layer(each: Linked, source: Any) -> Any:
    import neuroglancer

    if each.is_labels:
        return neuroglancer.SegmentationLayer(source=source)
    channels = each.volume.channels or 1
    low, high = contrast(each.volume)
    controls = {"normalized": {"range": [low, high], "window": [low, high]}}
    shader = shaders.GREY if channels < 3 else shaders.rgb((0, 1, 2))
    return neuroglancer.ImageLayer(source=source, shader=shader, shader_controls=controls)
