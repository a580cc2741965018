"""All stages, from raw to an evaluated segmentation.

    python run.py CONFIG [--num-workers N] [--overwrite] [--from STAGE]

What is there already is not made again: with --overwrite it is, with --from STAGE from that stage on. Without a setup in
the configuration, prediction is left out; without [evaluate], evaluation.
"""

from lsd_experiments.pipeline.command import main

if __name__ == "__main__":
    main("run", __doc__)
