"""A table of scores over networks, checkpoints, merge functions and thresholds: which is the best?

    python scores.py add SCORES.json [...] --db validation_results.db
    python scores.py show --db validation_results.db [--by xpress_erl_rand] [--top N] [--one-per-checkpoint] [--csv OUT.csv]

SCORES.json is what evaluate.py wrote. With scores_db in [evaluate] of its configuration, evaluate.py adds them itself.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments.scores.command import main

if __name__ == "__main__":
    main(__doc__)
