"""Download the container images that the paper's experiments ran in (gigabytes; an interrupted download goes on).

    python download_images.py                  # lsd:v0.8.img, the paper's
    python download_images.py --all            # lsd_legacy.img, too: newer libraries, for drivers on which the first one fails

This software does not need them. They hold TensorFlow 1.3 with CUDA 8, which today's GPUs and drivers do not run: they are for
those who have a machine of that time. The authors ran the first with `singularity exec --nv`, the second only with
`singularity run --nv`.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments.fetching import command

if __name__ == "__main__":
    command.images_main(__doc__)
