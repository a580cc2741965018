"""Training: from labelled volumes to checkpoints.

``pipeline`` is the published sequence of gunpowder nodes, ``trainer`` the Keras step, ``loop`` what runs until an iteration
and saves; ``targets`` makes what the heads are trained towards. Arrays in a batch are [z, y, x] or [c, z, y, x]; raw is in
[-1, 1] at the network, weights are non-negative and 0 where the loss does not look.

The iteration and the seed determine a batch, so that they are all the random state there is to restore.
"""

from lsd_experiments.training.command import main

__all__ = ["main"]
