"""Train the MTLSD network until iteration N, from the newest checkpoint that exists.

    python train.py 400 --data ../../../demo/train.json

Numbers: zebra finch's, with less augmentation. Axes are (z, y, x).
"""

from functools import partial

from lsd_experiments.families.lsd import serial_sections
from lsd_experiments.targets import Affinities, LocalShapeDescriptors
from lsd_experiments.training import Adam, Experiment, main

EXPERIMENT = Experiment(
    dataset="../dataset.toml",
    network="train_net.json",  # mknet.py writes it
    targets=(
        LocalShapeDescriptors(sigma=120, counted="labels_mask"),  # sigma in nm
        Affinities(masked=True),
    ),
    sampling=partial(serial_sections, control_point_spacing=(4, 40, 40), jitter_sigma=(0, 1, 1), max_misalign=0),
    boundary_axes=(1, 2),  # along which a voxel is taken off each object where it ends
    optimizer=Adam(learning_rate=0.5e-4),
)

if __name__ == "__main__":
    main(EXPERIMENT)
