"""How predicted descriptors (LSDs) agree with those of the ground truth: the correlation of each channel, and its error.

    python evaluate_lsds.py test_prediction.zarr volumes/lsds sample.zarr volumes/labels/neuron_ids --sigma 120

Inside of objects, where both overlap, or in an ROI (z y x, nm). An error below that of a constant, and a correlation near 1, say
that a channel was learned. Prints a table; --out writes it as JSON, which 02_train/report.py takes beside other results.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments import cli
from lsd_experiments.evaluation import descriptors_command

if __name__ == "__main__":
    parser = cli.parser(__doc__)
    descriptors_command.add_arguments(parser)
    cli.run(descriptors_command.command, parser)
