"""Make of the predictions what is submitted: a mask of each class, and of nuclei a number for each.

    python process_3D.py              # the same: csc process process_3D.py
    csc pack-results                  # then: data/submission.zip

What may be said of a class: docs/cellmap.md.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

classes = ["nuc", "er"]
processing = {
    "*": {"threshold": 0.5},  # of all, where their own table does not say it
    "nuc": {"method": "components", "minimum_size": 1000},
}

# A function of your own, in place of these: it gets a tensor [1, 1, z, y, x] of logits, as they were predicted,
# and gives a mask, or numbers of objects, which are joined over the blocks that it is called for.
#
# input_array_info = {"shape": (128, 128, 128), "scale": (8, 8, 8)}
#
# def process_func(x):
#     return x > 0

if __name__ == "__main__":
    from lsd_experiments.families.cellmap import command

    command.main(["process", __file__, *sys.argv[1:]])
