"""Fetch the samples of the CREMI challenge.

    python fetch_cremi.py                                           # A, B and C: raw, neurons, clefts, partners
    python fetch_cremi.py --sample A+ B+ C+ --padded                # raw of the test volumes, with tissue around
    python fetch_cremi.py --source tutorial                         # im_C.h5, syn_C.h5 and the network of PyTorch Connectomics

They come from cremi.org to cremi/, with their SHA-256 in SHA256SUMS, and are looked at: format, datasets, resolution. The same
command goes on with what was interrupted, and does nothing where all is there.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments.families.cremi import fetching

if __name__ == "__main__":
    fetching.main(__doc__)
