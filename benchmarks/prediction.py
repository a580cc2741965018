"""Prediction of a published block at full width on a CPU, beside the same network in PyTorch, in one run.

    python benchmarks/prediction.py                     # zebrafinch, 96 x 484 x 484: two to three minutes
    python benchmarks/prediction.py --network fib25     # 268 x 268 x 268: ten minutes
    python benchmarks/prediction.py --precision bfloat16

Both get the same raw and weights, and their outputs are compared. Each candidate predicts the block once, so that memory is
at hand and all is compiled, and is measured when it does so again; candidates take turns. Operations are those of
convolutions as they are defined: fewer multiplications with equal output show as a higher rate, which may exceed that of the
machine's matrix products.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common import Run, machine, take_turns
from networks_common import BLOCKS, NETWORKS, draw_raw, machine_rate, set_weights, torch_network

from lsd_experiments.networks.layers import gflop

Outputs = dict[str, np.ndarray]
KEPT = (slice(None), *[slice(None, None, 4)] * 3)  # of the outputs, to compare


def ours(name: str, shape: tuple[int, int, int], precision: str, quick: bool = True) -> Callable[[], Outputs]:
    from lsd_experiments import frameworks

    frameworks.import_keras()
    from lsd_experiments.prediction.block import predict_block

    raw = draw_raw(shape)
    model = set_weights(NETWORKS[name].build(shape, precision, quick), NETWORKS[name])
    predict_block(model, {"raw": raw})
    return lambda: {head: values[KEPT].copy() for head, values in predict_block(model, {"raw": raw}).items()}


def pytorch(name: str, shape: tuple[int, int, int], precision: str, channels_last: bool) -> Callable[[], Outputs]:
    import torch

    layout = {"memory_format": torch.channels_last_3d if channels_last else torch.contiguous_format,
              "dtype": getattr(torch, precision)}
    module = torch_network(NETWORKS[name]).eval().to(**layout)
    raw = torch.from_numpy(draw_raw(shape))[None, None].to(**layout)

    def call() -> Outputs:
        with torch.inference_mode():
            return {head: values[0].float().contiguous().numpy()[KEPT].copy() for head, values in module(raw).items()}

    call()
    return call


def row(name: str, label: str, run: Run, reference: Run, operations: float, rate: float) -> str:
    difference = max(float(np.abs(run.result[head] - values).max()) for head, values in reference.result.items())
    gflops = operations / run.cpu
    return (f"| {name} | {label} | {run.wall:.1f} | {run.cpu:.1f} | {run.wall / reference.wall:.2f} | "
            f"{run.cpu / reference.cpu:.2f} | {gflops:.0f} | {gflops / rate:.0%} | {run.peak:.1f} | {difference:.0e} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, default="zebrafinch")
    parser.add_argument("--input-shape", type=int, nargs=3, metavar=("Z", "Y", "X"), help="instead of the published one")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--repeat", type=int, default=1, help="processes of each candidate (default: 1)")
    parser.add_argument("--all", action="store_true", help="also PyTorch with channels first, and our plain layers")
    options = parser.parse_args()

    threads = len(os.sched_getaffinity(0))
    shape = tuple(options.input_shape or BLOCKS[options.network])
    network, arguments = NETWORKS[options.network], (options.network, shape, options.precision)
    candidates: dict[str, tuple[Any, ...]] = {"ours": (ours, *arguments), "PyTorch, channels last": (pytorch, *arguments, True)}
    if options.all:
        candidates["PyTorch, channels first"] = (pytorch, *arguments, False)
        candidates["ours, plain layers"] = (ours, *arguments, False)
    wall_rate, cpu_rate = machine_rate(2, threads)
    operations = gflop(network, shape)
    print(f"{machine()}, {threads} threads; {options.network} mtlsd, {shape} -> {network.output_shape(shape)}, "
          f"{options.precision}: {operations:,.0f} GFLOP; float32 matrix products: {wall_rate:.0f} GFLOP/s, "
          f"{cpu_rate:.0f} per second of CPU time")
    print("| block | candidate | s | CPU s | time / ours | CPU / ours | GFLOP per CPU s | of matrix products | peak GiB | "
          "greatest difference |\n|---|---|---|---|---|---|---|---|---|---|")
    runs = take_turns(candidates, options.repeat, threads)
    for label, run in runs.items():
        print(row(options.network, label, run, runs["ours"], operations, cpu_rate), flush=True)


if __name__ == "__main__":
    main()
