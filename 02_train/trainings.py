"""A queue of trainings and of what follows each: runs what is not done yet, niced, one job at a time, and says what is left.

    python trainings.py QUEUE.toml OUT               # until all is done; Ctrl-C stops, the same command goes on
    python trainings.py QUEUE.toml OUT --status

QUEUE.toml says what the jobs are: docs/trainings.md. All that they make is in OUT, what they print in OUT/logs. Ctrl-C and
SIGTERM let a training save a checkpoint first. A job that is changed, to more iterations, say, is run again, and goes on.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments.trainings.command import main

if __name__ == "__main__":
    main(__doc__)
