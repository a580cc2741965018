"""neuroglancer's precomputed volumes: a directory with ``info``, and one for each scale.

Metadata are in x, y, z: ``resolution`` in nm, ``voxel_offset`` in voxels of its scale. Here all is z, y, x, in nm.
The container itself stands for its full resolution, the first scale; the others are datasets, named by their ``key``.
"""

import json
import os
from pathlib import Path
from typing import Any

from lsd_experiments.arrays.addresses import Address
from lsd_experiments.arrays.metadata import Place, triple
from lsd_experiments.arrays.remote_store import Server
from lsd_experiments.arrays.tensor_arrays import TensorArray, check_metadata
from lsd_experiments.errors import UserError

TYPE, SEGMENTATION = "type", "segmentation"  # of info
ORDER = [3, 2, 1, 0]  # stored are x, y, z, channel
PACKED = {".gz": "gunzip -r", ".br": "brotli -d --rm", ".zstd": "zstd -d --rm"}  # chunks' names, as cloud-volume writes files
LOOKED_AT = 1000  # names in a scale's directory, at most


class Precomputed:
    """The volume at ``address``; ``store`` gives its files."""

    def __init__(self, address: Address, store: Any, server: Server | None) -> None:
        self.container, self.address, self.server = address.name, address, server
        self.info = _info(store.get("info"), address.name)
        self.scales = self.info["scales"]
        self.names = [_name(scale, number) for number, scale in enumerate(self.scales)]

    def array(self, path: str) -> TensorArray | None:
        """The scale ``path``, [c, z, y, x]; the first one, if that is empty."""
        number = 0 if not path else self.names.index(path) if path in self.names else None
        if number is None:
            return None
        scale, where = self.scales[number], f"{self.container}:{self.names[number]}"
        listed = scale.get("chunk_sizes")
        chunk = listed[0] if isinstance(listed, list) and listed else None
        size, channels, dtype = scale.get("size"), self.info.get("num_channels", 1), str(self.info.get("data_type")).lower()
        stored = [*size, channels] if isinstance(size, list) else []
        chunks = [*chunk, channels] if isinstance(chunk, list) else []
        check_metadata(stored, chunks, dtype, where)
        if len(stored) != 4:
            raise UserError(f"{where}: its size is {size}, which is not x, y, z. It is damaged: fetch or make it again")
        self._check_files(scale, where)
        return TensorArray(self.address, self.server, path, {"driver": "neuroglancer_precomputed", "scale_index": number}, ORDER,
                           stored[::-1], dtype, chunks[::-1])

    def attrs(self, path: str) -> dict[str, Any]:
        """Whether it is a segmentation, or an image."""
        return {TYPE: self.info[TYPE]} if TYPE in self.info else {}

    def children(self, path: str) -> list[str]:
        """The names of the scales."""
        return [] if path else self.names

    def identity(self, path: str) -> str:
        """The scales are different ones."""
        return path

    def world(self, path: str, offset_only: bool = False) -> Place:
        """Voxel size and offset of the scale ``path`` in nm, z y x."""
        scale, where = self.scales[self.names.index(path) if path else 0], f"{self.container}:{path}"
        size = triple(_turned(scale.get("resolution")), f"{where}: 'resolution' (x, y, z)", positive=True)
        begin = triple(_turned(scale.get("voxel_offset", [0, 0, 0])), f"{where}: 'voxel_offset' (x, y, z)")
        return size, tuple(b * s for b, s in zip(begin, size, strict=True))

    def axes(self, path: str) -> list[str]:
        """Always the same."""
        return ["c", "z", "y", "x"]

    def _check_files(self, scale: dict[str, Any], where: str) -> None:
        """:raises UserError: if this is a directory here whose chunks tensorstore would take for absent"""
        if self.address.scheme != "file":
            return
        directory = Path(self.address.path, str(scale.get("key")))
        if not directory.is_dir():
            raise UserError(f"{where}: its directory {directory} is not there. Fetch it, or name another scale")
        with os.scandir(directory) as entries:
            for _, entry in zip(range(LOOKED_AT), entries, strict=False):
                suffix = Path(entry.name).suffix
                if suffix in PACKED:
                    raise UserError(f"{where}: its chunks are compressed as files ({entry.name}), which only cloud-volume reads. "
                                    f"Decompress all in {directory} ({PACKED[suffix]}), or write it with compress=False")


def is_precomputed(path: Path) -> bool:
    """Whether the directory ``path`` looks like a precomputed volume."""
    try:
        with (path / "info").open("rb") as file:
            return file.read(64).lstrip().startswith(b"{")
    except OSError:
        return False


def _info(stored: Any, container: str) -> dict[str, Any]:
    """:raises UserError: if it is none of a volume"""
    try:
        info: Any = json.loads(bytes(stored)) if stored is not None else None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{container}: its info cannot be read ({error}). Fetch or make it again") from error
    if info is None:
        raise UserError(f"{container}: no precomputed volume (it has no info, or not for all to read). Name the directory that "
                        "holds it")
    kind = info.get("@type", "neuroglancer_multiscale_volume") if isinstance(info, dict) else info
    if kind != "neuroglancer_multiscale_volume":
        raise UserError(f"{container}: its info is of a {str(kind)[:40]!r}, not of a volume. Name a volume")
    if "graph" in info:
        raise UserError(f"{container}: a graphene volume, whose segmentation changes, is not read. Name one that was flattened")
    scales = info.get("scales")
    if not isinstance(scales, list) or not scales or not all(isinstance(scale, dict) for scale in scales):
        raise UserError(f"{container}: 'scales' of its info is {str(scales)[:80]}, not a list of tables. Fetch or make it again")
    return dict(info)


def _name(scale: dict[str, Any], number: int) -> str:
    """What a scale is called: its key, if that may be a name."""
    key = scale.get("key")
    parts = key.split("/") if isinstance(key, str) else [""]
    return f"s{number}" if any(part in ("", ".", "..", "-") for part in parts) else str(key)


def _turned(values: Any) -> Any:
    return values[::-1] if isinstance(values, list) else values
