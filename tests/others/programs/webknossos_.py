"""webknossos: ``webknossos_.py write DIRECTORY``."""

import sys
import warnings
from pathlib import Path

import numpy as np

warnings.simplefilter("ignore")


def write(directory):
    """raw.npy of ``directory`` as a layer, from (3, 3, 2)."""
    import webknossos

    values = np.load(directory / "raw.npy")
    dataset = webknossos.Dataset(directory / "webknossos", voxel_size=(4.6, 9, 40))
    dataset.write_layer("raw", "color", data=values.T[None], absolute_offset=(3, 3, 2), downsample=False)


if __name__ == "__main__":
    write(Path(sys.argv[2]))
