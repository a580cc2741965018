"""Look at a result in a browser: raw, affinities, LSDs, fragments, segmentation, ground truth.

    python view.py CONFIG                                      # what the config's stages read and made
    python view.py -f result.zarr -f sample.zarr:volumes/raw   # any containers, or one dataset of them
    python view.py CONFIG --link                               # what [export] wrote, as neuroglancer's page reads it itself

Prints the URL to open, and stays until Ctrl-C.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments.viewing import view_results

if __name__ == "__main__":
    view_results.main(__doc__)
