"""Configurations: Python files as published, or TOML for what needs no code.

    settings = read(Path("train_3D.py"))
    settings.classes, settings.checkpoint_path(3)

A Python file is code, and is run as such, with all that whoever runs it may do. The names are those of the published examples.
"""

from lsd_experiments.families.cellmap.configuration.reading import defaults, read
from lsd_experiments.families.cellmap.configuration.settings import PARAMETERS, ArrayInfo, Settings

__all__ = ["PARAMETERS", "ArrayInfo", "Settings", "defaults", "read"]
