"""Train the XPRESS baseline until iteration N, from the newest checkpoint that exists.

    python train.py 400000

Numbers: trivoldus28/xray-challenge-eval, segmentation/networks/reference_setup, commit 52f8c45. Axes are (z, y, x).
"""

from lsd_experiments.families.xpress import tomography
from lsd_experiments.targets import DIRECT, Affinities, SquaredError
from lsd_experiments.training import Adam, Experiment, main

EXPERIMENT = Experiment(
    dataset="../dataset.toml",
    network="train_net.json",  # mknet.py writes it
    targets=(
        Affinities(
            neighborhood=(
                *DIRECT,
                (-3, 0, 0), (0, -3, 0), (0, 0, -3),
                (-9, 0, 0), (0, -9, 0), (0, 0, -9),
                (-27, 0, 0), (0, -27, 0), (0, 0, -27),
            ),
            masked=True,
            loss=SquaredError("sum_of_weights"),
        ),
    ),
    sampling=tomography,
    boundary_axes=(0, 1, 2),  # along which a voxel is taken off each object where it ends
    min_masked=0.1,  # few voxels are labelled
    label_padding=(32, 32, 32),
    optimizer=Adam(learning_rate=2.5e-5),
    save_every=20_000,
    snapshot_every=5_000,
)

if __name__ == "__main__":
    main(EXPERIMENT)
