"""The connected components of a mask, numbered.

    python extract_components.py CONFIG [--num-workers N] [--overwrite]
"""

from lsd_experiments.pipeline.command import main

if __name__ == "__main__":
    main("extract_components", __doc__)
