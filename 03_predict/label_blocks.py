"""The connected parts of a mask in each block.

    python label_blocks.py CONFIG [--num-workers N] [--overwrite]
"""

from lsd_experiments.pipeline.command import main

if __name__ == "__main__":
    main("label_blocks", __doc__)
