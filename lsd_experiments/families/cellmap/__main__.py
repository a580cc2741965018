"""``python -m lsd_experiments.families.cellmap`` is ``csc``."""

from lsd_experiments.families.cellmap.command import main

main()
