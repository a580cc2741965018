"""Train the MALIS network until iteration N, from the newest checkpoint that exists.

    python train.py 400000

Numbers: the published training scripts (funkelab/lsd_nm_experiments, 02_train/zebrafinch). Axes are (z, y, x).
"""

from lsd_experiments.families.lsd import serial_sections
from lsd_experiments.targets import Affinities
from lsd_experiments.training import Adam, Experiment, Malis, Phase, main

EXPERIMENT = Experiment(
    dataset="../dataset.toml",
    network="train_net.json",  # mknet.py writes it
    targets=(
        Affinities(masked=True),
    ),
    sampling=serial_sections,
    boundary_axes=(1, 2),  # along which a voxel is taken off each object where it ends
    optimizer=Adam(learning_rate=0.5e-4),
    phases=(Phase(after=10_000, target="affs", loss=Malis()),),  # iterations of the weighted squared error first
)

if __name__ == "__main__":
    main(EXPERIMENT)
