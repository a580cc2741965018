"""Parts of gpu.py that run what users run: training with its batches, and blockwise prediction."""

import contextlib
import os
import re
import runpy
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from gpu_parts import Options, backend, put, small
from networks_common import BLOCKS, NETWORKS

from lsd_experiments.networks import Network
from lsd_experiments.scenario import copy_experiment, run_script

ROOT = Path(__file__).resolve().parent.parent
FIB25 = ROOT.parent / "shared/data/fib25/training_sample2_z0-160.zarr"
RAN = re.compile(r"the networks ran \d+ times, ([\d.]+) s of ([\d.]+) s")  # in a worker's log
QUARTER = ("--num-fmaps", "3", "--input-shape", "148", "148", "148")  # of fib25 mtlsd: 3, 18, 108, 648 feature maps


def measure_wait(options: Options) -> None:
    """Which share of an iteration of zebrafinch mtlsd the training waits for its batch, with published augmentation."""
    check_gpu_apart(options)
    work = Path(options.work) / "wait"
    data = make_labelled(work, (30, 60, 60) if options.toy else (100, 350, 350), (20, 9, 9))
    setup = make_setup(options, work, "zebrafinch/mtlsd")
    workers = 1 if options.toy else max(1, min(10, (os.cpu_count() or 1) - 2))
    taken = train_timed(setup, options.seconds * 0.6, 3 if options.toy else 10**6, "--data", data, "--num-workers", workers,
                        "--precision", "float32" if options.toy else "bfloat16")
    put_training("zebrafinch mtlsd", taken, f"{workers} processes that make batches")


def measure_train(options: Options) -> None:
    """fib25 mtlsd at a quarter of full width, for the time that is left."""
    check_gpu_apart(options)
    work = Path(options.keep or Path(options.work) / "train")
    data = options.data or (FIB25 if FIB25.exists() and not options.toy else None)
    data = data or make_labelled(work, (40, 60, 60) if options.toy else (160, 250, 250), (8, 8, 8))
    setup = make_setup(options, work, "fib25/mtlsd")
    workers = 1 if options.toy else max(1, min(10, (os.cpu_count() or 1) - 2))
    taken = train_timed(setup, options.seconds - 30, 3 if options.toy else 10**6, "--data", data, "--num-workers", workers,
                        "--seed", "25", "--learning-rate", "5e-4", *(() if options.toy else QUARTER))
    put_training("fib25 mtlsd, a quarter of full width", taken, f"{workers} processes that make batches, {Path(str(data)).name}")


def check_gpu_apart(options: Options) -> None:
    """As :func:`check_gpu`, in another process: the training forks before its framework has begun."""
    code = "import sys; sys.path[:0] = sys.argv[2:]; import argparse, gpu_parts; " \
           "gpu_parts.check_gpu(argparse.Namespace(toy=False), sys.argv[1])"
    if not options.toy:
        command = [sys.executable, "-c", code, backend(), str(ROOT), str(ROOT / "benchmarks")]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr.strip().splitlines()[-1])


def make_labelled(work: Path, shape: tuple[int, int, int], voxel_size: tuple[int, int, int]) -> Path:
    """A synthetic volume with labels."""
    from lsd_experiments.arrays import create_volume
    from lsd_experiments.synthetic import synthesize

    made = synthesize(shape, voxel_size, seed=1)
    for name, values in {"volumes/raw": made.raw, "volumes/labels/neuron_ids": made.labels}.items():
        volume = create_volume(str(work / "made.zarr"), name, values.shape, voxel_size, (0, 0, 0), values.dtype)
        volume.write(volume.box, values)
    return work / "made.zarr"


def make_setup(options: Options, work: Path, name: str) -> Path:
    """A copy of an experiment, with the files of its network."""
    setup = copy_experiment(ROOT / "02_train" / name, work / name.replace("/", "_") / "mtlsd")
    run_script(setup, "mknet.py", check=True, stdout=subprocess.DEVNULL)
    if options.toy:
        from lsd_experiments.networks import write

        network = small(NETWORKS[name.partition("/")[0]])
        with contextlib.redirect_stdout(sys.stderr):
            write(network, str(setup / "train_net"), network.smallest_input_shape)
    return setup


def train_timed(setup: Path, seconds: float, iterations: int, *arguments: object) -> list[tuple[float, float, float]]:
    """Of each iteration: seconds in all, seconds of its step, and its loss. The training ends with a checkpoint."""
    from lsd_experiments import networks
    from lsd_experiments.training import options
    from lsd_experiments.training.preparing import prepare

    experiment = runpy.run_path(str(setup / "train.py"))["EXPERIMENT"]
    more = ("--minutes", max(seconds, 1) / 60, "--snapshot-every", 10**6, "--save-every", 10**6)
    parsed = options.parser(None, experiment).parse_args([str(word) for word in (iterations, *arguments, *more)])
    training = prepare(experiment, networks.read(setup / experiment.network), setup, options.from_arguments(parsed))
    assert training is not None, f"{setup} has been trained before"
    steps, taken, process, one = [], [], training.step.process, training.one

    def timed_process(*given: Any) -> Any:
        begin = time.perf_counter()
        found = process(*given)
        steps.append(time.perf_counter() - begin)
        return found

    def timed_one(*given: Any) -> float:
        begin = time.perf_counter()
        loss = one(*given)
        taken.append((time.perf_counter() - begin, steps[-1], loss))
        return loss

    training.step.process, training.one = timed_process, timed_one  # type: ignore[method-assign]
    training.run()
    return taken


def measure_workers(options: Options) -> None:
    """Blockwise prediction of the same volume by one worker and by two, which share the GPU: the whole command."""
    check_gpu_apart(options)
    from lsd_experiments.arrays import create_volume

    work = Path(options.work) / "workers"
    network = small(NETWORKS["zebrafinch"]) if options.toy else NETWORKS["zebrafinch"]
    shape = network.smallest_input_shape if options.toy else BLOCKS["zebrafinch"]
    volume = tuple((2 if options.toy else 3) * size for size in network.output_shape(shape))  # blocks along each axis
    raw = create_volume(str(work / "raw.zarr"), "volumes/raw", volume, (20, 9, 9), (0, 0, 0), np.uint8)
    raw.write(raw.box, np.random.default_rng(0).integers(0, 255, volume, np.uint8))
    setup = work / "zebrafinch" / "mtlsd"
    put_checkpoint(setup, network, shape)
    spans = {}
    for workers in (1, 2):
        config = work / f"config_{workers}.toml"
        config.write_text(CONFIG.format(setup=setup, raw=work / "raw.zarr", out=work / f"out_{workers}.zarr", workers=workers))
        begin = time.perf_counter()
        done = run_script(ROOT / "03_predict", "predict.py", config, capture_output=True)
        seconds = time.perf_counter() - begin
        if done.returncode:
            raise SystemExit(f"{workers} workers: {done.stderr.strip().splitlines()[-1]}")
        logs = sorted((work / f"out_{workers}.zarr/.blockwise/predict/logs").rglob("*.err"))
        ran = [found[-1] for log in logs if (found := RAN.findall(log.read_text()))]
        spans[workers] = max(float(whole) for _, whole in ran)
        put(what=f"zebrafinch mtlsd, {workers} worker{'s' * (workers > 1)}", candidate=backend(), precision="bfloat16",
            with_copies=spans[workers], note=f"from the first block to the last, of {seconds:.1f} s of the whole command; the "
            f"networks ran {' s, '.join(busy for busy, _ in ran)} s of it")
    put(what="two workers beside one", candidate=backend(), note=f"{spans[1] / spans[2]:.2f} times as fast, without their start")


CONFIG = """
setup = "{setup}"
raw_file = "{raw}"
out_file = "{out}"
[workers]
num_workers = {workers}
[predict]
precision = "bfloat16"
[fragments]
fragments_in_xy = true
block_size = [1000, 999, 999]
context = [200, 180, 180]
"""


def put_checkpoint(setup: Path, network: Network, shape: tuple[int, int, int]) -> None:
    """A directory with a random network, made on the CPU: this process leaves the GPU to the workers."""
    from lsd_experiments import frameworks
    from lsd_experiments.checkpoints import save_checkpoint
    from lsd_experiments.networks import write

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    frameworks.import_keras()
    setup.mkdir(parents=True)
    with contextlib.redirect_stdout(sys.stderr):  # what it prints is no row
        write(network, str(setup / "config"), shape)
    save_checkpoint(network.build(network.smallest_input_shape), setup, network, 1, {"voxel_size": [20, 9, 9]})
    del os.environ["CUDA_VISIBLE_DEVICES"]
    if visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible


def put_training(what: str, taken: list[tuple[float, float, float]], note: str) -> None:
    """The row of a training: its iteration, and the share of it that is not the step."""
    if not taken:
        put(what=what, candidate=backend(), note=f"no iteration was done; {note}")
        return
    counted = taken[len(taken) // 2:]  # the first ones find batches that were made during compilation
    whole, steps = (float(np.sum([one[index] for one in counted])) for index in (0, 1))
    last = [one[2] for one in taken[-max(1, len(taken) // 10):]]
    put(what=what, candidate=backend(), with_copies=whole / len(counted),
        note=f"{len(taken)} iterations; waits {100 * (1 - steps / whole):.1f} % of the last {len(counted)}; "
             f"loss {taken[0][2]:.4f} first, {np.mean(last):.4f} at the end; {note}")
