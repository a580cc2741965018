"""Training steps and predictions with memory that is kept when it is freed, and with memory that is given back, in turns.

    python benchmarks/pages.py                            # some minutes
    python benchmarks/pages.py --fmaps 12 --input 196 --steps 2

Fib25's MTLSD network with fewer feature maps: forward, losses, backward and Adam, then predictions of as large a block. Page
faults and CPU time, of the kernel and of the program, are per step, without the first one.
"""

import argparse
import dataclasses
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common import machine, memory, run_apart
from networks_common import NETWORKS

from lsd_experiments import frameworks
from lsd_experiments.pages import keep_freed_pages


def steps(kept: bool, fmaps: int, size: int, count: int) -> Callable[[], dict[str, tuple[float, ...]]]:
    """Ready to measure: user s, system s, page faults per step, peak GiB, and the last loss."""
    if kept:
        keep_freed_pages()
    with frameworks.silence():  # not frameworks.import_keras, which keeps them
        import keras  # noqa: F401

    from lsd_experiments.targets import Affinities, SquaredError
    from lsd_experiments.training import Adam
    from lsd_experiments.training.options import TrainingOptions
    from lsd_experiments.training.trainable import TrainableModel

    network = dataclasses.replace(NETWORKS["fib25"], num_fmaps=fmaps, num_fmaps_out=fmaps + 2)
    shape = (size, size, size)
    losses = {head.name: SquaredError().in_keras(Affinities()) for head in network.heads}
    trainer = TrainableModel.start(network, shape, TrainingOptions(1), Adam(), losses, seed=0, checkpoint=None)
    random = np.random.default_rng(2)
    raw = {"raw": random.random((1, 1, *shape), np.float32) * 2 - 1}
    targets = {head.name: random.random((1, head.channels, *network.output_shape(shape)), np.float32) for head in network.heads}

    def train() -> float:
        return trainer.step(raw, targets, {name: np.ones_like(target) for name, target in targets.items()})["loss"]

    def measure() -> dict[str, tuple[float, ...]]:
        return {"training step": per_step(train, count), "prediction": per_step(lambda: trainer.predict(raw) and 0.0, count)}

    return measure


def per_step(step: Callable[[], Any], count: int) -> tuple[float, ...]:
    step()
    before = resource.getrusage(resource.RUSAGE_SELF)
    value = [step() for _ in range(count)][-1]
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = [getattr(after, key) - getattr(before, key) for key in ("ru_utime", "ru_stime", "ru_minflt")]
    return (*(number / count for number in used), memory("VmHWM"), value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fmaps", type=int, default=8, help="feature maps at level 0 (default: 8)")
    parser.add_argument("--input", type=int, default=148, help="voxels along each axis (default: 148)")
    parser.add_argument("--steps", type=int, default=3, help="that are measured in each process (default: 3)")
    parser.add_argument("--repeat", type=int, default=2, help="processes of each kind (default: 2)")
    parser.add_argument("--threads", type=int, default=1, help="that each computes with (default: 1)")
    options = parser.parse_args()
    print(f"{machine()}; fib25 mtlsd, {options.fmaps} feature maps, {options.input} cubed, {options.threads} threads\n"
          "| what | freed memory is | user s | system s | page faults | peak GiB | loss |\n|---|---|---|---|---|---|---|",
          flush=True)
    for _ in range(options.repeat):
        for kept in (False, True):
            run = run_apart(steps, kept, options.fmaps, options.input, options.steps, threads=options.threads)
            for what, (user, system, faults, peak, loss) in run.result.items():
                how = 'kept' if kept else 'given back'
                print(f"| {what} | {how} | {user:.2f} | {system:.2f} | {faults:,.0f} | {peak:.2f} | {loss:.7f} |", flush=True)


if __name__ == "__main__":
    main()
