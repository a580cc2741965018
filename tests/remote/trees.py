"""Writes small trees by tensorstore: ``python trees.py raw.npy DIRECTORY``.

In a process of its own: tensorstore ends every process that is forked off one that uses it, and other tests fork.
"""

import sys
from pathlib import Path

import numpy as np
import tensorstore as ts

RESOLUTION, OFFSET = [40, 10, 4.6], [120, 30, 0]  # z, y, x
SHARDING = {"@type": "neuroglancer_uint64_sharded_v1", "hash": "identity", "preshift_bits": 1, "minishard_bits": 1,
            "shard_bits": 1, "minishard_index_encoding": "gzip", "data_encoding": "gzip"}
PRECOMPUTED = {"raw": {"encoding": "raw"}, "jpeg": {"encoding": "jpeg", "jpeg_quality": 100}, "png": {"encoding": "png"},
               "segmentation": {"encoding": "compressed_segmentation", "compressed_segmentation_block_size": [8, 8, 8]},
               "sharded": {"encoding": "raw", "sharding": SHARDING}}
INNER = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "zstd", "configuration": {"level": 3}}]
SHARDS = [{"name": "sharding_indexed", "configuration": {"chunk_shape": [2, 4, 3], "codecs": INNER}}]


def write(path: Path, driver: str, values: np.ndarray, **settings) -> None:
    """``values`` as they are to be stored, by ``driver``."""
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": f"{path}/"}, **settings}
    ts.open(spec, create=True).result()[...] = values


def zarr3(path: Path, values: np.ndarray, chunks: list[int], codecs: list, attributes: dict, names: list | None = None) -> None:
    grid = {"name": "regular", "configuration": {"chunk_shape": chunks}}
    metadata = {"shape": list(values.shape), "data_type": values.dtype.name, "chunk_grid": grid, "codecs": codecs,
                "attributes": attributes, **({"dimension_names": names} if names else {})}
    write(path, "zarr3", values, metadata=metadata)


def precomputed(path: Path, values: np.ndarray, scale: dict, factor: int = 1) -> None:
    """``values`` [z, y, x] as a scale with voxels ``factor`` times as large along y and x."""
    resolution = [4.6 * factor, 10 * factor, 40]
    stored = values.transpose()[..., None]
    metadata = {"size": list(stored.shape[:3]), "chunk_size": [4, 3, 2], "resolution": resolution,
                "voxel_offset": [0, 3 // factor, 3], "key": f"scale{factor}", **scale}
    write(path, "neuroglancer_precomputed", stored, scale_metadata=metadata,
          multiscale_metadata={"type": "image", "data_type": values.dtype.name, "num_channels": 1})


if __name__ == "__main__":
    raw, directory = np.load(sys.argv[1]), Path(sys.argv[2])
    world = {"resolution": RESOLUTION, "offset": OFFSET}
    zarr3(directory / "zarr3/volumes/raw", raw, [2, 4, 3], INNER, world)
    zarr3(directory / "sharded3/volumes/raw", raw, [4, 8, 6], SHARDS, world)
    zarr3(directory / "turned3/volumes/raw", raw.transpose(), [3, 4, 2], INNER, {key: v[::-1] for key, v in world.items()},
          ["x", "y", "z"])
    zarr3(directory / "channels3/volumes/raw", np.stack([raw, 255 - raw]), [1, 2, 4, 3], INNER, world)
    for level, values in (("0", raw), ("1", raw[:, ::2, ::2])):
        zarr3(directory / f"ome/em/{level}", values, [2, 4, 3], INNER, {})
    for name, scale in PRECOMPUTED.items():
        values = raw.astype(np.uint64) << 40 if name == "segmentation" else raw
        precomputed(directory / name, values, scale)
    precomputed(directory / "raw", raw[:, ::2, ::2], {"encoding": "raw"}, factor=2)
