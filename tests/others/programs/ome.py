"""zarr 3, tensorstore, ome-zarr and its validator: ``ome.py write DIRECTORY`` and ``ome.py read PATH``, which prints JSON."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import tensorstore as ts
import zarr

warnings.simplefilter("ignore")
SCALE, BEGIN = (40.0, 9.0, 4.6), (80.0, 27.0, 13.8)


def write(directory):
    """raw.npy of ``directory`` by each of them."""
    values = np.load(directory / "raw.npy")
    attrs = {"resolution": SCALE, "offset": BEGIN}
    for name, more in (("plain.zarr", {}), ("sharded.zarr", {"shards": (16, 16, 32)})):
        group = zarr.open_group(directory / name, mode="w", zarr_format=3)
        group.create_array("volumes/raw", data=values, chunks=(8, 8, 16), attributes=attrs, dimension_names=tuple("zyx"), **more)
    info = {"driver": "neuroglancer_precomputed", "kvstore": {"driver": "file", "path": f"{directory}/ts.precomputed/"}}
    scale = {"resolution": SCALE[::-1], "voxel_offset": (3, 3, 2), "size": values.shape[::-1], "encoding": "raw",
             "chunk_size": (16, 8, 8)}
    meta = {"type": "image", "data_type": values.dtype.name, "num_channels": 1}
    ts.open({**info, "scale_metadata": scale, "multiscale_metadata": meta, "create": True}).result()[..., 0].write(
        values.T).result()
    write_ome(directory / "ome.zarr", values)


def write_ome(path, values):
    from ome_zarr.writer import write_multiscale

    levels = [values, values[:, ::2, ::2]]
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    transforms = []
    for factors in ((1, 1, 1), (1, 2, 2)):
        scale = [s * f for s, f in zip(SCALE, factors, strict=True)]
        begin = [b + (v - s) / 2 for b, v, s in zip(BEGIN, scale, SCALE, strict=True)]
        transforms.append([{"type": "scale", "scale": scale}, {"type": "translation", "translation": begin}])
    group = zarr.open_group(path, mode="w", zarr_format=3)
    write_multiscale(levels, group, axes=axes, coordinate_transformations=transforms)


def read(path):
    """What each of them makes of the OME-Zarr, or plain array, at ``path``."""
    node = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        return {"arrays": [node[:].tolist()], "attributes": dict(node.attrs), "dtype": str(node.dtype), "shards": node.shards}
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader
    from ome_zarr_models import open_ome_zarr

    model = open_ome_zarr(node)
    found = next(iter(Reader(parse_url(path))()))
    transforms = found.metadata["coordinateTransformations"]
    return {"arrays": [np.asarray(level).tolist() for level in found.data], "dtype": str(found.data[0].dtype.name),
            "axes": [axis["name"] for axis in found.metadata["axes"]], "model": type(model).__name__,
            "scales": [level[0]["scale"] for level in transforms],
            "translations": [level[1]["translation"] for level in transforms]}


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]))
    else:
        json.dump(read(sys.argv[2]), sys.stdout)
