"""The scale levels of an image in a store: its metadata alone are read."""

import json
from typing import Any

from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.sources import Level, levels
from lsd_experiments.fetching.stores import Store, StoredObject

METADATA = (".zgroup", ".zattrs", ".zarray")


def metadata_of(store: Store, key: str) -> dict[str, tuple[StoredObject, bytes]]:
    """The metadata of the image at ``key`` and its levels, by their paths below it."""
    found = _read(store, f"{key}/.z", f"{key}/")
    attrs = _json(found.get(".zattrs", (None, b"{}"))[1], f"{store.name}: {key}/.zattrs")
    images = attrs.get("multiscales")
    datasets = images[0].get("datasets", []) if isinstance(images, list) and images and isinstance(images[0], dict) else []
    for dataset in datasets:
        path = dataset.get("path") if isinstance(dataset, dict) else None
        if isinstance(path, str) and path and ".." not in path:
            found |= _read(store, f"{key}/{path}/.z", f"{key}/")
    return found


def levels_of(store: Store, key: str, found: dict[str, tuple[StoredObject, bytes]]) -> dict[str, tuple[Level, str]]:
    """The levels that have a voxel size, by their paths below ``key``, each with what stands between the numbers of a chunk.

    :raises UserError: if there is none, so that it is not known where the image is
    """
    from zarr.storage import KVStore

    from lsd_experiments.arrays.zarr_arrays import repaired
    from lsd_experiments.arrays.zarrs import Zarr

    contents = {f"image/{path}": repaired(content, f"{store.name}:{key}/{path}") if path.endswith(".zarray") else content
                for path, (_, content) in found.items()}
    made = levels(Zarr(f"{store.name}/{key}", KVStore(contents)), "image")
    if not made or any(level.voxel_size is None or level.begin is None for level in made):
        raise UserError(f"{store.name}: {key}: is no OME-Zarr with scale and translation, so that it is not known where it is. "
                        "See to the manifest")
    paths = [level.name.rpartition(":image/")[2] for level in made]
    between = [_json(contents[f"image/{path}/.zarray"], path).get("dimension_separator") or "." for path in paths]
    return {path: (level, mark) for path, level, mark in zip(paths, made, between, strict=True)}


def _read(store: Store, prefix: str, below: str) -> dict[str, tuple[StoredObject, bytes]]:
    objects = [found for found in store.objects(prefix) if found.key.rpartition("/")[2] in METADATA]
    return {found.key.removeprefix(below): (found, b"".join(store.read(found, 0))) for found in objects}


def _json(content: bytes, where: str) -> dict[str, Any]:
    try:
        values = json.loads(content)
    except ValueError as error:
        raise UserError(f"{where}: is no JSON ({error}). Try again later") from error
    return values if isinstance(values, dict) else {}
