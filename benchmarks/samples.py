"""Training samples of the published zebrafinch MTLSD pipeline beside gunpowder's and lsds' own nodes, in one run.

    python benchmarks/samples.py                # about a minute
    python benchmarks/samples.py --batches 10 --repeat 3

Both make batches of 84 x 268 x 268 voxels of raw and 48 x 56 x 56 of targets with the same parameters, each in one thread,
out of the same volume: raw and labels of the FIB-25 sample, or drawn ones, as if they had zebrafinch's voxels. The first batch
is not measured. That the batches are alike is what tests/training/test_statistics.py looks at.
"""

import argparse
import runpy
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common import FIB25, fib25_labels, machine, take_turns
from networks_common import NETWORKS, TRAINING

from lsd_experiments import frameworks
from lsd_experiments.datasets import load_dataset

SETUP = Path(__file__).resolve().parent.parent / "02_train" / "zebrafinch" / "mtlsd"
ZEBRAFINCH, EXPERIMENT = load_dataset(SETUP), runpy.run_path(str(SETUP / "train.py"))["EXPERIMENT"]
NETWORK = NETWORKS["zebrafinch"]
OUTPUT = NETWORK.output_shape(TRAINING)
MARGIN = (30, 180, 180)  # of raw around the labels, mirrored


def write_volume(path: Path) -> str:
    import zarr
    from numcodecs import GZip

    source, labels = fib25_labels()
    if FIB25.exists():
        raw = zarr.open(str(FIB25), "r")["volumes/raw"][:]
    else:
        from lsd_experiments.synthetic import synthesize

        raw = synthesize((160, 250, 250), (8, 8, 8), seed=0).raw
    raw = np.pad(raw, [(m, m) for m in MARGIN], mode="reflect")
    root = zarr.open_group(zarr.DirectoryStore(str(path)), mode="w")
    size = np.array(ZEBRAFINCH.voxel_size)
    for name, array, begin in ((ZEBRAFINCH.raw, raw, (0, 0, 0)), (ZEBRAFINCH.labels, labels, MARGIN),
                               (ZEBRAFINCH.labels_mask, np.ones(labels.shape, np.uint8), MARGIN)):
        made = root.create_dataset(name, data=array, chunks=(64, 64, 64), compressor=GZip(5))
        made.attrs.put({"resolution": size.tolist(), "offset": (size * begin).tolist()})
    return source


def padding() -> tuple[int, ...]:
    from lsd_experiments.training.padding import label_padding

    return label_padding(EXPERIMENT, ZEBRAFINCH.voxel_size, OUTPUT)


def timed(pipeline: Any, batches: int, without: tuple[str, ...] = ()) -> Callable[[], None]:
    import gunpowder as gp

    from lsd_experiments.training.pipeline import batch_request

    request = batch_request(EXPERIMENT, ZEBRAFINCH, TRAINING, OUTPUT)
    for key in [key for key in request.array_specs if key.identifier in without]:
        del request[key]
    gp.build(pipeline).__enter__()

    def make(seed: int) -> None:
        seeded = request.copy()
        seeded._random_seed = seed
        pipeline.request_batch(seeded)

    make(0)
    return lambda: [make(seed) for seed in range(1, 1 + batches)] and None


def ours(container: str, batches: int) -> Callable[[], None]:
    frameworks.import_gunpowder()
    from lsd_experiments.training.data import open_sample
    from lsd_experiments.training.pipeline import batch_pipeline
    from lsd_experiments.training.places import find_places

    sample = open_sample(ZEBRAFINCH, container)
    samples = [(sample, find_places(sample, OUTPUT, padding(), EXPERIMENT.min_masked))]
    return timed(batch_pipeline(EXPERIMENT, ZEBRAFINCH, samples, 1), batches)


def published(container: str, batches: int) -> Callable[[], None]:
    frameworks.import_gunpowder()
    import gunpowder as gp
    from published_samples import published_augmentation, published_source, published_targets

    pipeline = published_source(ZEBRAFINCH, container, padding()) + published_augmentation()
    return timed(pipeline + published_targets() + gp.Stack(1), batches,
                 without=("WEIGHTS_LSDS",))  # there, it is the labels mask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=4, help="of each process (default: 4)")
    parser.add_argument("--repeat", type=int, default=1, help="processes of each candidate (default: 1)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        container = str(Path(directory) / "volume.zarr")
        source = write_volume(Path(container))
        runs = take_turns({"ours": (ours, container, options.batches),
                           "gunpowder, lsds": (published, container, options.batches)}, options.repeat)
    print(f"{machine()}, 1 thread; labels: {source}; {options.batches} batches of {TRAINING} -> {OUTPUT}")
    print("| samples | s per batch | CPU s per batch | batches per CPU s | ratio (CPU) | peak GiB |\n|---|---|---|---|---|---|")
    for name, run in runs.items():
        seconds = run.cpu / options.batches
        print(f"| {name} | {run.wall / options.batches:.2f} | {seconds:.2f} | {1 / seconds:.2f} | "
              f"{run.cpu / runs['ours'].cpu:.1f} | {run.peak:.2f} |")


if __name__ == "__main__":
    main()
