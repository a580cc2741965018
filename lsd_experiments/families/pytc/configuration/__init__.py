"""Configurations of PyTorch Connectomics: YAML files and ``KEY VALUE`` pairs, typed and checked."""

from lsd_experiments.families.pytc.configuration.merging import load
from lsd_experiments.families.pytc.configuration.tree import Config

__all__ = ["Config", "load"]
