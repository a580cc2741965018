"""One command from raw to segmentation, beside the sum of its parts: what scheduling, processes and records cost.

    python benchmarks/pipeline.py [--shape 250 250 250] [--setup DIRECTORY] [--cores 1]

Raw is the second FIB-25 cube at ../shared/data/fib25 where that is, else a synthetic volume of 8 nm. The network is fib25's
baseline with few feature maps, trained here for a minute if no --setup is given, so that fragments are like real ones in
size. The whole is ``03_predict/run.py`` with one worker at a time; the parts are the same blocks, worked on in one process by
the functions that workers call, one after the other, without scheduler, transport and records. TensorFlow takes all cores in
both, or as many as ``--cores`` says. Imports are a part, too: the one process needs them once. CPU seconds of a whole are of
all its processes, also of the ones that are killed when there is nothing left to do.
"""

import argparse
import contextlib
import ctypes
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import forget_peak, machine, memory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments.scenario import copy_experiment, run_script

ROOT = Path(__file__).resolve().parent.parent

FIB25 = ROOT.parent / "shared/data/fib25"
STAGES = ("predict", "extract_fragments", "agglomerate", "find_segments", "extract_segmentation")
NETWORK = ("--num-fmaps", "4", "--fmap-inc-factor", "3", "--input-shape", "148", "148", "148")
CONFIG = """
setup = "{setup}"
raw_file = "{raw}"
out_file = "{out}"

[workers]
num_workers = {workers}

[predict]
input_shape = [196, 196, 196]

[fragments]
fragments_in_xy = false
block_size = [1000, 1000, 1000]
context = [248, 248, 248]

[agglomerate]
merge_function = "hist_quant_75"
context = [248, 248, 248]

[find_segments]
thresholds_minmax = [0, 1]
thresholds_step = 0.02

[extract]
threshold = 0.5
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=(250, 250, 250), help="voxels of raw (default: 250 250 250)")
    parser.add_argument("--setup", type=Path, help="directory of a trained network (default: one is trained)")
    parser.add_argument("--cores", type=int, help="run on so many, one worker at a time (default: all, and two, too)")
    parser.add_argument("--iterations", type=int, default=40)
    parser.add_argument("--parts", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.parts:
        print(json.dumps(parts(options.parts)))
        return
    if options.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:options.cores])
    with tempfile.TemporaryDirectory() as directory:
        measure(Path(directory), options)


def measure(work: Path, options: argparse.Namespace) -> None:
    source = make_volumes(work, options.shape)
    setup = options.setup.resolve() if options.setup else train(work, options.iterations)
    print(f"{source}, {' x '.join(map(str, options.shape))} voxels; {machine()}\n")
    kinds = {"one": 1} if options.cores else {"one": 1, "two": 2}
    config = {name: write_config(work, name, setup, workers) for name, workers in {"parts": 1, **kinds}.items()}
    own = [sys.executable, __file__, "--parts", str(config["parts"])]
    measured = json.loads(subprocess.run(own, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()[-1])
    whole = {name: clock(config[name]) for name in kinds}
    print("| part | s | CPU s | peak GiB of the process |\n|---|---|---|---|")
    for name, (seconds, cpu, peak) in measured.items():
        print(f"| {name} | {seconds:.1f} | {cpu:.1f} | {peak:.2f} |")
    total, total_cpu = (sum(each[index] for each in measured.values()) for index in (0, 1))
    print(f"| sum of the parts | {total:.1f} | {total_cpu:.1f} | |")
    for name, words in (("one", "one worker at a time"), ("two", "two workers")):
        if name in whole:
            seconds, cpu = whole[name]
            print(f"| the whole, {words} | {seconds:.1f} ({100 * (seconds / total - 1):+.0f} %) "
                  f"| {cpu:.1f} ({100 * (cpu / total_cpu - 1):+.0f} %) | |")


def clock(config: Path) -> tuple[float, float]:
    """Seconds by the clock, and CPU seconds of all processes, of a whole run."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: those whose parent was killed become this one's
    begin, before = time.perf_counter(), _waited_for()
    run_script(ROOT / "03_predict", "run.py", config, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - begin
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    return seconds, _waited_for() - before


def _waited_for() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def parts(path: Path) -> dict[str, tuple[float, float, float]]:
    """Seconds by the clock and of CPU time, and peak memory in GiB meanwhile, of the imports and of each stage of ``path``."""
    begin = time.perf_counter()  # the CPU seconds of imports are those since the process began
    from lsd_experiments import frameworks
    from lsd_experiments.blockwise import BlockTask
    from lsd_experiments.blockwise.blocks import Block, block_number
    from lsd_experiments.blockwise.spec import load_factory
    from lsd_experiments.pipeline.configuration import load_pipeline
    from lsd_experiments.pipeline.plans import PLANNERS

    frameworks.import_keras()
    frameworks.import_gunpowder()
    config, measured = load_pipeline(path), {"imports, once": (time.perf_counter() - begin, time.process_time(), memory("VmHWM"))}
    for name in STAGES:
        forget_peak()
        begin, before = time.perf_counter(), time.process_time()
        stage = PLANNERS[name](config, {})
        stage.prepare(False, stage.made)
        if isinstance(stage.work, BlockTask):
            task = stage.work
            work_on = load_factory(task.factory)(dict(task.settings))
            for write in task.total.blocks(task.write_shape):
                number = block_number(task.total, task.write_shape, write.begin)
                work_on(Block(number, write.grow(task.context), write))
        else:
            stage.work(stage.made, False, lambda state: None)
        stage.finish()
        measured[name] = (time.perf_counter() - begin, time.process_time() - before, memory("VmHWM"))
    return measured


def make_volumes(work: Path, shape: tuple[int, ...]) -> str:
    """``raw.zarr`` of this shape, and ``train.zarr`` with labels; where they are from."""
    from lsd_experiments.arrays import create_volume, open_volume
    from lsd_experiments.geometry import Box
    from lsd_experiments.synthetic import synthesize

    here = FIB25.is_dir()
    if here:
        raw = open_volume(str(FIB25 / "training_sample1_raw.zarr"), "volumes/raw").read(Box.of_shape(tuple(shape)))
        train = {key: open_volume(str(FIB25 / "training_sample2_z0-160.zarr"), key).read()
                 for key in ("volumes/raw", "volumes/labels/neuron_ids")}
    else:
        raw = synthesize(tuple(shape), (8, 8, 8), seed=0).raw
        made = synthesize((160, 200, 200), (8, 8, 8), seed=1)
        train = {"volumes/raw": made.raw, "volumes/labels/neuron_ids": made.labels}
    for container, values in (("raw.zarr", {"volumes/raw": np.asarray(raw)}), ("train.zarr", train)):
        for key, array in values.items():
            volume = create_volume(str(work / container), key, array.shape, (8, 8, 8), (0, 0, 0), array.dtype)
            volume.write(volume.box, array)
    return "FIB-25 cube" if here else "synthetic volume"


def train(work: Path, iterations: int) -> Path:
    """The directory of a network trained for a moment."""
    setup = copy_experiment(ROOT / "02_train/fib25/baseline", work / "setup")
    for command in (["mknet.py"], ["train.py", iterations, "--data", work / "train.zarr", *NETWORK, "--learning-rate", "3e-3",
                                   "--seed", "0", "--num-workers", "1"]):
        run_script(setup, *command, check=True, stdout=subprocess.DEVNULL)
    return setup


def write_config(work: Path, name: str, setup: Path, workers: int) -> Path:
    (work / name).mkdir()
    path = work / name / "config.toml"
    path.write_text(CONFIG.format(setup=setup, raw=work / "raw.zarr", out=work / name / "out.zarr", workers=workers))
    return path


if __name__ == "__main__":
    main()
