"""How far the stages of a configuration are, from what is on disk: also while another shell, or machine, runs them.

    python status.py CONFIG
"""

from lsd_experiments.pipeline.command import main

if __name__ == "__main__":
    main("status", __doc__)
