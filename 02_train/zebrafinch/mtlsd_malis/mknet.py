"""MTLSD with the MALIS loss for affinities, trained jointly with LSDs (Sheridan et al., Nature Methods 2023).

    python mknet.py      # prints the U-Net; writes train_net.json and config.json

Shapes are (z, y, x) in voxels; zebrafinch voxels are (20, 9, 9) nm.
"""

from lsd_experiments.cli import described
from lsd_experiments.networks import Head, Network, write

NETWORK = Network(
    num_fmaps=12, fmap_inc_factor=5, num_fmaps_out=14,
    downsample_factors=((1, 3, 3), (1, 3, 3), (3, 3, 3)),
    heads=(Head("lsds", channels=10, checkpoint_name="embedding"),  # its name in the published checkpoint
           Head("affs", channels=3)),
)

if __name__ == "__main__":
    with described(__doc__):
        write(NETWORK, "train_net", input_shape=(84, 268, 268))  # -> (48, 56, 56)
        write(NETWORK, "config", input_shape=(96, 484, 484))     # -> (60, 272, 272)
