"""cloud-volume: ``cloud.py write DIRECTORY`` and ``cloud.py read PATH``, which prints JSON."""

import json
import sys
from pathlib import Path

import numpy as np
from cloudvolume import CloudVolume

SCALE, BEGIN = (4.6, 9.0, 40.0), (3, 3, 2)


def write(directory):
    """raw.npy and labels.npy of ``directory`` in its encodings that lose nothing."""
    for name, encoding, values in (("raw", "raw", np.load(directory / "raw.npy")), ("png", "png", np.load(directory / "raw.npy")),
                                   ("labels", "compressed_segmentation", np.load(directory / "labels.npy"))):
        path = directory / f"{name}.precomputed"
        info = CloudVolume.create_new_info(
            1, "segmentation" if name == "labels" else "image", values.dtype.name, encoding, SCALE, BEGIN, values.shape[::-1],
            chunk_size=(16, 8, 8))
        volume = CloudVolume(f"precomputed://file://{path}", info=info, compress=False)
        volume.commit_info()
        volume[:] = values.T[..., None]


def read(path):
    """Its levels, x y z as they are stored."""
    levels = []
    for mip in CloudVolume(f"precomputed://file://{path}").available_mips:
        volume = CloudVolume(f"precomputed://file://{path}", mip=mip)  # a chunk that is not there is an error
        levels.append({"values": np.asarray(volume[:])[..., 0].T.tolist(), "offset": volume.voxel_offset.tolist(),
                       "resolution": [float(v) for v in volume.resolution]})
    return {"levels": levels, "type": volume.layer_type, "dtype": str(volume.dtype), "encoding": volume.encoding,
            "made": volume.provenance["processing"][0]["method"]["stage"]}


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]))
    else:
        json.dump(read(sys.argv[2]), sys.stdout)
