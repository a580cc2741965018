"""One training step and one prediction block of the published zebrafinch MTLSD network, at full width.

    python benchmarks/full_width.py [--steps 3]

Prints the time of each step after the first (which compiles), the rate in GFLOP/s, and the peak memory of the process, on
this machine. Inputs are random: the cost does not depend on them. There is no peer: see the ratios of the other scripts.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time

import numpy as np

from lsd_experiments import frameworks
from lsd_experiments.networks import Head, Network
from lsd_experiments.networks.layers import gflop, parameters

NETWORK = Network(
    num_fmaps=12,
    fmap_inc_factor=5,
    num_fmaps_out=14,
    downsample_factors=((1, 3, 3), (1, 3, 3), (3, 3, 3)),
    heads=(Head("lsds", channels=10, checkpoint_name="embedding"), Head("affs", channels=3)),
)
WORK = {"train": (84, 268, 268), "predict": (96, 484, 484)}  # published input shapes
PASSES = {"train": 3, "predict": 1}  # of the network: forward, and twice as much backward


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3, help="measured steps of each kind (default: 3)")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--only", choices=tuple(WORK), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(options.only, options.steps, options.precision)))
        return
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"zebrafinch mtlsd, {parameters(NETWORK):,} parameters, {options.precision}; {machine}")
    for kind, shape in WORK.items():
        command = [sys.executable, __file__, "--only", kind, "--steps", str(options.steps), "--precision", options.precision]
        seconds, peak = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.splitlines()[-1])
        median = statistics.median(seconds)
        rate = gflop(NETWORK, shape) * PASSES[kind] / median
        print(f"{kind:8} {shape} -> {NETWORK.output_shape(shape)}: {median:6.1f} s ({min(seconds):.1f} to {max(seconds):.1f}), "
              f"{rate:5.0f} GFLOP/s, peak {peak:.1f} GiB")



def measure(kind, steps, precision):
    """Seconds of each step after the first, and the peak memory in GiB."""
    frameworks.import_keras()
    run = training(precision) if kind == "train" else prediction(precision)
    run()
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def training(precision):
    from lsd_experiments.training.trainer import Trainer

    trainer = Trainer.start(NETWORK, WORK["train"], 0.5e-4, precision, seed=0, checkpoint=None)
    rng = np.random.default_rng(0)
    shape = NETWORK.output_shape(WORK["train"])
    inputs = {"raw": rng.random((1, 1, *WORK["train"]), np.float32) * 2 - 1}
    targets = {head.name: rng.random((1, head.channels, *shape), np.float32) for head in NETWORK.heads}
    weights = {name: np.ones_like(target) for name, target in targets.items()}
    return lambda: trainer.step(inputs, targets, weights)


def prediction(precision):
    from lsd_experiments.prediction.block import predict_block

    model = NETWORK.build(WORK["predict"], precision)
    raw = np.random.default_rng(0).random(WORK["predict"], np.float32) * 2 - 1
    return lambda: predict_block(model, {"raw": raw})


if __name__ == "__main__":
    main()
