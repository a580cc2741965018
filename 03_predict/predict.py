"""Apply a trained network to raw, blockwise: affinities and LSDs.

    python predict.py CONFIG [--num-workers N] [--overwrite]
"""

from lsd_experiments.pipeline.command import main

if __name__ == "__main__":
    main("predict", __doc__)
