#!/bin/sh
# The published training: 400 000 iterations, 24 workers, a checkpoint each 20 000. More options go to train.py.
cd "$(dirname "$0")" || exit 1
python mknet.py > /dev/null && exec python train.py 400000 --num-workers 24 --save-every 20000 --snapshot-every 5000 "$@"
