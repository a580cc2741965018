"""zarr 3, plain (attributes ``resolution`` and ``offset`` in nm, z y x) or OME-Zarr 0.5; shards or not."""

import json
import math
from typing import Any

from lsd_experiments.arrays import axes
from lsd_experiments.arrays.addresses import Address
from lsd_experiments.arrays.remote_store import Server
from lsd_experiments.arrays.tensor_arrays import TensorArray, check_metadata
from lsd_experiments.arrays.zarrs import Zarr
from lsd_experiments.errors import UserError

METADATA = "zarr.json"
LABEL = "image-label"  # OME's mark of labels
MOST = 2**27  # chunks in a shard, whose index holds 16 bytes of each


class Zarr3(Zarr):
    """The zarr 3 container at ``address``; ``store`` gives its files."""

    def __init__(self, address: Address, store: Any, server: Server | None) -> None:
        super().__init__(address.name, store)
        self.address, self.server = address, server
        self._kept: dict[str, dict[str, Any]] = {}

    def array(self, path: str) -> TensorArray | None:
        """The array at ``path``, or None if there is none."""
        meta, where = self._meta(path), f"{self.container}:{path}"
        if meta.get("node_type") != "array":
            return None
        chunks = _chunks(meta)
        check_metadata(meta.get("shape"), chunks, meta.get("data_type"), where)
        shape = meta["shape"]
        return TensorArray(self.address, self.server, path, {"driver": "zarr3"}, list(range(len(shape))), shape,
                           meta["data_type"], chunks, _fill(meta))

    def attrs(self, path: str) -> dict[str, Any]:
        """The attributes of the group or array at ``path``; those of OME's ``ome`` among them, and a level's mark of labels."""
        attrs = self._own_attrs(path)
        is_level = bool(path) and self._meta(path).get("node_type") == "array"
        if is_level and LABEL in self._own_attrs(path.rpartition("/")[0]):
            attrs = {LABEL: {}, **attrs}
        return attrs

    def _own_attrs(self, path: str) -> dict[str, Any]:
        attrs = self._meta(path).get("attributes") or {}
        if not isinstance(attrs, dict):
            raise UserError(f"{self.container}:{path}: its attributes are {str(attrs)[:80]}, no table. Correct its {METADATA}")
        ome = attrs.get("ome")
        return {**attrs, **(ome if isinstance(ome, dict) else {})}

    def children(self, path: str) -> list[str]:
        """The names in the group at ``path``; where nothing is listed, those that metadata tell."""
        return [name for name in super().children(path) if name != METADATA]

    def _named(self, path: str) -> list[str] | None:
        return super()._named(path) or axes.clean(self._meta(path).get("dimension_names"))

    def _consolidated(self) -> Any:
        stored = self._meta("").get("consolidated_metadata")
        return stored.get("metadata") if isinstance(stored, dict) else None

    def _meta(self, path: str) -> dict[str, Any]:
        """What ``zarr.json`` of ``path`` says; empty if there is none."""
        if path not in self._kept:
            self._kept[path] = self._read(path)
        return self._kept[path]

    def _read(self, path: str) -> dict[str, Any]:
        where = f"{self.container}:{path}"
        with self._readable(path):
            stored = self.store.get(f"{path}/{METADATA}".lstrip("/"))
            meta = None if stored is None else json.loads(bytes(stored))
        if stored is None:
            return {}
        if not isinstance(meta, dict) or meta.get("node_type") not in ("array", "group"):
            raise UserError(f"{where}: its {METADATA} is {str(meta)[:80]}, of no array or group. Fetch or make it again")
        if meta.get("zarr_format") != 3:
            raise UserError(f"{where}: 'zarr_format' is {str(meta.get('zarr_format'))[:80]}, in its {METADATA}. It is damaged: "
                            "fetch or make it again")
        return meta


def _chunks(meta: dict[str, Any]) -> Any:
    """What is read at once: of shards, their parts."""
    chunks: Any = _configured(meta.get("chunk_grid")).get("chunk_shape")
    codecs = meta.get("codecs")
    first = codecs[0] if isinstance(codecs, list) and codecs else None
    if not isinstance(first, dict) or first.get("name") != "sharding_indexed":
        return chunks
    inner: Any = _configured(first).get("chunk_shape")
    is_good = _is_lengths(inner) and _is_lengths(chunks) and math.prod(chunks) // math.prod(inner) < MOST
    return inner if is_good else None


def _configured(value: Any) -> dict[str, Any]:
    found = value.get("configuration") if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _is_lengths(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(v, int) and v > 0 for v in values)


def _fill(meta: dict[str, Any]) -> Any:
    """The value of what was never written, as far as it is a number in words."""
    value = meta.get("fill_value", 0)
    if isinstance(value, (bool, int, float)):
        return value
    return {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}.get(str(value), 0)
