"""The XPRESS challenge: axons of mouse white matter in x-ray holographic nano-tomography.

Its baseline's sampling and checkpoints, sparse masks, regions, scores' command, submission, and a synthetic challenge.
"""

from lsd_experiments.families.xpress.sampling import tomography

__all__ = ["tomography"]
