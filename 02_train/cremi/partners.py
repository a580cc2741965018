"""Find the two sides of each synaptic cleft: pairs of a presynaptic and a postsynaptic place, as a file of CREMI.

    python partners.py out.zarr volumes/components segmentation.zarr volumes/segmentation partners.hdf

The segment with the largest contact is presynaptic, or that with the largest --polarity; others with enough contact are
postsynaptic. evaluate.py --task partners scores the result.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lsd_experiments.families.cremi import sides_command

if __name__ == "__main__":
    sides_command.main(__doc__)
