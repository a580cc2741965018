"""XPRESS baseline: affinities to direct and, as an auxiliary task, to farther neighbours from raw; predicts the direct ones.

    python mknet.py      # prints the U-Net; writes train_net.json and config.json

Shapes are (z, y, x) in voxels; XPRESS voxels are (33, 33, 33) nm.
"""

from lsd_experiments.cli import described
from lsd_experiments.networks import Head, Network, write

NETWORK = Network(
    num_fmaps=24, fmap_inc_factor=3,
    downsample_factors=((2, 2, 2), (2, 2, 2), (2, 2, 2)),
    heads=(Head("affs", channels=12, predicted=3),),
    architecture="funlib",
)

if __name__ == "__main__":
    with described(__doc__):
        write(NETWORK, "train_net", input_shape=(132, 132, 132))  # -> (40, 40, 40)
        write(NETWORK, "config", input_shape=(284, 284, 284))     # -> (192, 192, 192)
