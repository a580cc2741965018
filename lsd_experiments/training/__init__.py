"""Training: from labelled volumes to checkpoints.

``experiment`` is what a ``train.py`` declares, ``training`` what one call of it does; ``pipeline`` is the published sequence of
gunpowder nodes, ``trainable`` the Keras step. Arrays in a batch are [z, y, x] or [c, z, y, x]; raw is in [-1, 1] at the network,
weights are non-negative and 0 where the loss does not look.

The iteration and the seed determine a batch, so that they are all the random state there is to restore.
"""

from lsd_experiments.targets.malis import Malis
from lsd_experiments.training.command import main
from lsd_experiments.training.experiment import Adam, Experiment, FirstNetwork, Phase

__all__ = ["Adam", "Experiment", "FirstNetwork", "Malis", "Phase", "main"]
