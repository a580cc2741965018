"""One step of training of the published zebrafinch MTLSD network at full width on a CPU, beside PyTorch, in one run.

    python benchmarks/training_step.py                    # one to two minutes
    python benchmarks/training_step.py --repeat 3 --all

Forward, the published losses, backward and Adam, on the same raw, targets and weights, for 84 x 268 x 268 voxels of input;
batches are ready. Each candidate makes one step first, and is measured at the second one; candidates take turns. The losses
of both steps are compared: those of the second depend on the gradients of the first.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common import machine, take_turns
from networks_common import NETWORKS, TRAINING, draw_raw, machine_rate, set_weights, torch_network

from lsd_experiments.networks.layers import gflop

NETWORK = NETWORKS["zebrafinch"]
PASSES = 3  # of the network: forward, and twice as much backward
RATE = 0.5e-4  # of learning, as published


def draw_batch() -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Raw [1, 1, z, y, x], and by head targets and weights [1, c, z, y, x]."""
    random, shape = np.random.default_rng(2), NETWORK.output_shape(TRAINING)
    targets = {head.name: random.random((1, head.channels, *shape), np.float32) for head in NETWORK.heads}
    weights = {name: (random.random(target.shape, np.float32) < 0.9).astype(np.float32) for name, target in targets.items()}
    return draw_raw(TRAINING)[None, None], targets, weights


def ours(precision: str) -> Callable[[], tuple[float, float]]:
    from lsd_experiments import frameworks

    frameworks.import_keras()
    from lsd_experiments.targets import Affinities, SquaredError
    from lsd_experiments.training import Adam
    from lsd_experiments.training.options import TrainingOptions
    from lsd_experiments.training.trainable import TrainableModel

    options = TrainingOptions(1, learning_rate=RATE, precision=precision)
    losses = {head.name: SquaredError().in_keras(Affinities()) for head in NETWORK.heads}
    trainer = TrainableModel.start(NETWORK, TRAINING, options, Adam(), losses, seed=0, checkpoint=None)
    set_weights(trainer.model, NETWORK)
    raw, targets, weights = draw_batch()
    first = trainer.step({"raw": raw}, targets, weights)["loss"]
    return lambda: (first, trainer.step({"raw": raw}, targets, weights)["loss"])


def pytorch(precision: str, channels_last: bool) -> Callable[[], tuple[float, float]]:
    import torch

    layout = {"memory_format": torch.channels_last_3d if channels_last else torch.contiguous_format}
    module = torch_network(NETWORK).to(**layout)
    optimizer = torch.optim.Adam(module.parameters(), RATE, betas=(0.95, 0.999), eps=1e-8)
    raw, targets, weights = draw_batch()
    x = torch.from_numpy(raw).to(**layout)
    goals = {name: (torch.from_numpy(targets[name]), torch.from_numpy(weights[name])) for name in targets}

    def step() -> float:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            outputs = module(x)
        loss = sum((w * (outputs[name].float() - goal) ** 2).sum() / w.count_nonzero() for name, (goal, w) in goals.items())
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    first = step()
    return lambda: (first, step())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--repeat", type=int, default=1, help="processes of each candidate (default: 1)")
    parser.add_argument("--all", action="store_true", help="also PyTorch with channels first")
    options = parser.parse_args()

    threads = len(os.sched_getaffinity(0))
    candidates: dict[str, tuple[Any, ...]] = {"ours": (ours, options.precision),
                                              "PyTorch, channels last": (pytorch, options.precision, True)}
    if options.all:
        candidates["PyTorch, channels first"] = (pytorch, options.precision, False)
    wall_rate, cpu_rate = machine_rate(2, threads)
    operations = gflop(NETWORK, TRAINING) * PASSES
    print(f"{machine()}, {threads} threads; zebrafinch mtlsd, {TRAINING}, {options.precision}: {operations:,.0f} GFLOP; "
          f"float32 matrix products: {wall_rate:.0f} GFLOP/s, {cpu_rate:.0f} per second of CPU time")
    print("| step | s | CPU s | time / ours | CPU / ours | GFLOP per CPU s | of matrix products | peak GiB | losses |\n"
          "|---|---|---|---|---|---|---|---|---|")
    runs = take_turns(candidates, options.repeat, threads)
    for name, run in runs.items():
        rate = operations / run.cpu
        print(f"| {name} | {run.wall:.1f} | {run.cpu:.1f} | {run.wall / runs['ours'].wall:.2f} | "
              f"{run.cpu / runs['ours'].cpu:.2f} | {rate:.0f} | {rate / cpu_rate:.0%} | {run.peak:.1f} | "
              f"{run.result[0]:.6f}, {run.result[1]:.6f} |")


if __name__ == "__main__":
    main()
