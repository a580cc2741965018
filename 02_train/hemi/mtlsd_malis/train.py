"""Train the MTLSD network with the MALIS loss until iteration N, from the newest checkpoint that exists.

    python train.py 400000

Numbers: the published training scripts (funkelab/lsd_experiments, hemi setups 17 to 26). Axes are (z, y, x).
"""

from lsd_experiments.families.lsd import isotropic
from lsd_experiments.targets import Affinities, LocalShapeDescriptors
from lsd_experiments.training import Adam, Experiment, Malis, Phase, main

EXPERIMENT = Experiment(
    dataset="../dataset.toml",
    network="train_net.json",  # mknet.py writes it
    targets=(
        LocalShapeDescriptors(sigma=80, counted="foreground"),  # sigma in nm
        Affinities(masked=True),
    ),
    sampling=isotropic,
    boundary_axes=(0, 1, 2),  # along which a voxel is taken off each object where it ends
    optimizer=Adam(learning_rate=0.5e-4),
    phases=(Phase(after=10_000, target="affs", loss=Malis()),),  # iterations of the weighted squared error first
)

if __name__ == "__main__":
    main(EXPERIMENT)
