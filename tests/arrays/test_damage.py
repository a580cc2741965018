"""Hundreds of damaged containers: each gives the right values or one UserError, never another exception."""

import contextlib
import json
import random
import shutil
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

from lsd_experiments.arrays import list_datasets, open_volume
from lsd_experiments.errors import UserError

VALUES = np.random.default_rng(0).integers(1, 200, (6, 7, 8), np.uint8)
ATTRS = {"resolution": [40, 10, 5], "offset": [80, -30, 10], "units": ["nm"] * 3}
OME = [{"version": "0.4", "axes": [{"name": n, "type": "space", "unit": "nanometer"} for n in "zyx"], "datasets": [
    {"path": "raw", "coordinateTransformations": [{"type": "scale", "scale": [40, 10, 5]},
                                                  {"type": "translation", "translation": [80, -30, 10]}]}]}]
JSON = [None, True, 5, -6, 0, 10**12, 10**400, 1e400, float("nan"), "abc", "", [], {}, [1, 2], [0, 0, 0], [-1, 1, 1],
        [[1, 1, 1]], [None] * 3, {"a": 1}, ["nm", 5, None]]


def make(path: Path, kind: str) -> None:
    """A container of ``kind`` that holds one dataset."""
    if kind == "hdf5":
        with h5py.File(path, "w") as file:
            made = file.create_dataset("v/raw", data=VALUES, chunks=(3, 7, 8), compression="gzip")
            made.attrs.update(resolution=[40, 10, 5], offset=[80, -30, 10])
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        store = zarr.N5Store(str(path)) if kind == "n5" else zarr.DirectoryStore(str(path))
    group = zarr.open_group(store, mode="w").create_group("v")
    made = group.create_dataset("raw", data=VALUES, chunks=(3, 7, 8))
    if kind == "ome":
        group.attrs["multiscales"] = OME
    else:
        made.attrs.put({key: value[::-1] if kind == "n5" else value for key, value in ATTRS.items()})


def look(path: Path) -> str:
    """Open and read; what came of it."""
    with contextlib.suppress(UserError):
        list_datasets(path)
    volume, message = None, ""
    try:
        volume = open_volume(path, "v/raw")
        is_large = np.prod(volume.shape, dtype=float) > 10**6
        values = None if is_large else volume.read()
    except UserError as error:
        message = str(error)
    if message:
        assert "\n" not in message
        assert len(message) < 1000
        return "refused"
    assert volume is not None
    assert min(volume.shape) > 0
    if values is None:
        return "large"
    return "right" if np.array_equal(values, VALUES) else "read"


def mutations(value: object) -> list[object]:
    """``value`` with each of its parts replaced by each of JSON, and removed."""
    found: list[object] = list(JSON)
    items = list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    for key, part in items:
        for new in mutations(part):
            copy = value.copy()
            copy[key] = new
            found.append(copy)
        copy = value.copy()
        del copy[key]
        found.append(copy)
    return found


@pytest.mark.parametrize("kind", ["zarr", "n5", "ome"])
def test_every_value_of_metadata(tmp_path, kind) -> None:
    make(tmp_path / "a", kind)
    names = (".zarray", ".zattrs", ".zgroup", "attributes.json")
    count, files = 0, sorted(p for p in (tmp_path / "a").rglob("*") if p.name in names)
    assert look(tmp_path / "a") == "right"
    for file in files:
        original = file.read_bytes()
        changed = mutations(json.loads(original))
        for value in random.Random(1).sample(changed, min(len(changed), 250)):
            file.write_text(json.dumps(value))
            look(tmp_path / "a")
            count += 1
        file.write_bytes(original)
    assert count > 250
    assert look(tmp_path / "a") == "right"


@pytest.mark.parametrize("kind", ["zarr", "n5", "ome", "hdf5"])
def test_flipped_and_missing_bytes(tmp_path, kind) -> None:
    draw, found = random.Random(2), set()
    path = tmp_path / ("a.h5" if kind == "hdf5" else "a")
    make(path, kind)
    files = [path] if kind == "hdf5" else sorted(p for p in path.rglob("*") if p.is_file())
    for number in range(240):
        file = draw.choice(files)
        original = file.read_bytes()
        data = bytearray(original)
        if number % 3 == 0:
            data = data[:draw.randrange(len(data))]
        else:
            for _ in range(number % 3 * 2 - 1):
                data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        file.write_bytes(data)
        found.add(look(path))
        file.write_bytes(original)
    assert "refused" in found
    assert look(path) == "right"


@pytest.mark.parametrize("target", ["itself", "loop", "other file", "dangling", "good"])
def test_hdf5_links(tmp_path, target) -> None:
    make(tmp_path / "a.h5", "hdf5")
    shutil.copy(tmp_path / "a.h5", tmp_path / "b.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        if target == "loop":
            file["x"], file["y"] = h5py.SoftLink("/y"), h5py.SoftLink("/x")
        else:
            links = {"itself": h5py.SoftLink("/x"), "other file": h5py.ExternalLink("../b.h5", "/v/raw"),
                     "dangling": h5py.SoftLink("/none"), "good": h5py.SoftLink("/v/raw")}
            file["x"] = links[target]
        file["v/up"] = file["v"]  # a group in itself
    assert list_datasets(tmp_path / "a.h5")[0] == "v/raw"
    if target == "good":
        np.testing.assert_array_equal(open_volume(tmp_path / "a.h5", "x").read(), VALUES)
        return
    with pytest.raises(UserError, match={"other file": "another file", "dangling": "no dataset 'x'"}.get(target, "to itself")):
        open_volume(tmp_path / "a.h5", "x")
