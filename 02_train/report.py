"""A report of any set of experiments: one page that opens from disk, the same as Markdown, and its tables as CSV.

    python report.py ../03_predict/fib25_*.toml --out report/
    python report.py test/ --validation validation/ --out report/ --measure

RESULTS are configurations of 03_predict whose segmentations were evaluated, or directories with such. Trainings that differ in
their seed are one variant; how sure its rank is is asked of blocks of the volume, drawn anew. What is not there is a dash.
docs/results.md has more.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments.report.command import main

if __name__ == "__main__":
    main(__doc__)
