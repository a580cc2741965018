"""A small MTLSD network for the synthetic volume of the demo: affinities and LSDs from raw, trained jointly.

    python mknet.py      # prints the U-Net; writes train_net.json and config.json

Shapes are (z, y, x) in voxels; synthetic voxels are (20, 9, 9) nm.
"""

from lsd_experiments.cli import described
from lsd_experiments.networks import Head, Network, write

NETWORK = Network(
    num_fmaps=8, fmap_inc_factor=3, num_fmaps_out=10,
    downsample_factors=((1, 2, 2), (1, 2, 2)),
    heads=(Head("lsds", channels=10),
           Head("affs", channels=3)),
)

if __name__ == "__main__":
    with described(__doc__):
        write(NETWORK, "train_net", input_shape=(40, 100, 100))  # -> (20, 60, 60)
        write(NETWORK, "config", input_shape=(52, 164, 164))     # -> (32, 124, 124)
