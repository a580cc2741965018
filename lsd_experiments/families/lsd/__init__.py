"""The experiments of the paper (Sheridan et al., Nature Methods 2023)."""

from lsd_experiments.families.lsd.sampling import isotropic, serial_sections

__all__ = ["isotropic", "serial_sections"]
