"""Fetch the weights of a published network.

    python fetch_checkpoint.py                                      # zebrafinch, baseline
    python fetch_checkpoint.py --dataset fib25 --variant mtlsd
    python fetch_checkpoint.py --dataset xpress                     # model_checkpoint_320000

They come as TensorFlow 1 wrote them, to 02_train/<dataset>/<variant>/: one iteration's .index, .data and .meta. The text file
`checkpoint`, which names the newest iteration of a training, is fetched only where there is none.
Those of XPRESS are one file, a pickle, which is fetched and never executed.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments.fetching import command

if __name__ == "__main__":
    command.checkpoint_main(__doc__)
