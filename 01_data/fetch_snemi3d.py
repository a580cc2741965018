"""Fetch the volumes of SNEMI3D, and unpack them to snemi3d/.

    python fetch_snemi3d.py                  # zenodo's archive: image/{train,test}-input.tif and seg/train-labels.tif
    python fetch_snemi3d.py --test-labels    # the newer one, with seg/test-labels.h5, which the challenge kept to itself
    python fetch_snemi3d.py --dry-run        # how much it would be

100 x 1024 x 1024 voxels of 30 x 6 x 6 nm, CC BY 4.0. Archives are compared with the published MD5, if there is one, members with
their checksums. The same command goes on with what was interrupted, and does nothing where all is there; the archive stays
beside, in snemi3d/zenodo/ or snemi3d/huggingface/.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments.families.pytc import fetching

if __name__ == "__main__":
    fetching.main(__doc__)
