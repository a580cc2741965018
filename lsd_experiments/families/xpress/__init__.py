"""The XPRESS challenge: axons of mouse white matter in x-ray holographic nano-tomography."""

from lsd_experiments.families.xpress.sampling import tomography

__all__ = ["tomography"]
