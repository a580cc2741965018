"""ACRLSD: auto-context, affinities from raw and from LSDs that a frozen network makes of it
(Sheridan et al., Nature Methods 2023).

    python mknet.py      # prints the U-Net; writes train_net.json and config.json

Shapes are (z, y, x) in voxels; FIB-25 voxels are (8, 8, 8) nm.
"""

from lsd_experiments.cli import described
from lsd_experiments.networks import Head, Input, Network, write

NETWORK = Network(
    num_fmaps=12, fmap_inc_factor=6,
    downsample_factors=((2, 2, 2), (2, 2, 2), (3, 3, 3)),
    inputs=(Input("raw", channels=1), Input("lsds", channels=10)),  # of ../lsd
    heads=(Head("affs", channels=3),),
)

if __name__ == "__main__":
    with described(__doc__):
        write(NETWORK, "train_net", input_shape=(196, 196, 196))  # -> (92, 92, 92), from raw (304, 304, 304)
        write(NETWORK, "config", input_shape=(364, 364, 364))     # -> (260, 260, 260)
