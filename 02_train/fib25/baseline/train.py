"""Train the baseline network until iteration N, from the newest checkpoint that exists.

    python train.py 400000

Numbers: the published training scripts (funkelab/lsd_experiments, fib25 setups 11 and 12). Axes are (z, y, x).
"""

from lsd_experiments.families.lsd import isotropic
from lsd_experiments.targets import Affinities
from lsd_experiments.training import Adam, Experiment, main

EXPERIMENT = Experiment(
    dataset="../dataset.toml",
    network="train_net.json",  # mknet.py writes it
    targets=(
        Affinities(masked=False),
    ),
    sampling=isotropic,
    boundary_axes=(0, 1, 2),  # along which a voxel is taken off each object where it ends
    optimizer=Adam(learning_rate=0.5e-4),
)

if __name__ == "__main__":
    main(EXPERIMENT)
