"""Training samples of the CellMap challenge, 128³ voxels and two classes from OME-Zarr on disk, beside cellmap-data.

    python -m venv peer && peer/bin/pip install cellmap-data
    python benchmarks/cellmap_loader.py --peer peer/bin/python               # 20 samples each: some minutes

On one thread each, without worker processes; raw and two classes from chunks of 64³ (zstd), places at random in a crop of 400³.
"as stored": no spatial transforms. "mirrored, transposed": both at random. "rotated": these, and about all axes, by any angle, as
the challenge's example of 3-D has it. Ours is there twice: with what was read last kept, up to 0.5 GiB, which holds all of this
crop after some samples; and with nothing kept, so that each sample is read anew, as the peer does. Values are scaled, and made
binary, by both.

    python benchmarks/cellmap_loader.py --memory      # of batches of 4 of 192³ with 8 workers, all processes together
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common import HEADER, THREADS, Run, forget_peak, machine, memory, rows

SHAPE, CROP, RAW = 128, 400, 480
VOXEL = (8.0, 8.0, 8.0)
CLASSES = ("nuc", "er")
EM, LABELS = "recon-1/em/fibsem-uint8", "recon-1/labels/groundtruth/crop1"
FLIPS = {"mirror": {"axes": {"x": 0.5, "y": 0.5, "z": 0.5}}, "transpose": {"axes": ["x", "y", "z"]}}
SPATIAL: dict[str, Any] = {"as stored": {}, "mirrored, transposed": FLIPS,
                           "rotated": FLIPS | {"rotate": {"axes": {axis: [-180, 180] for axis in "xyz"}}}}


def write_data(path: Path) -> None:
    """A dataset that looks like tissue from afar: smooth blobs, and noise."""
    from scipy.ndimage import gaussian_filter

    from lsd_experiments.families.cellmap.synthetic import put_image

    random = np.random.default_rng(0)
    smooth = gaussian_filter(random.standard_normal((RAW // 4,) * 3).astype(np.float32), 3).repeat(4, 0).repeat(4, 1).repeat(4, 2)
    raw = np.clip(128 + 600 * smooth + random.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)
    begin = (RAW - CROP) // 2
    inside = smooth[(slice(begin, begin + CROP),) * 3]
    put_image(path / "a.zarr", EM, raw, VOXEL, (0.0, 0.0, 0.0))
    for label, values in zip(CLASSES, (inside > 0.03, inside < -0.02), strict=True):
        put_image(path / "a.zarr", f"{LABELS}/{label}", values.astype(np.uint16), VOXEL, tuple(begin * v for v in VOXEL))
    place = path / "a.zarr"
    (path / "datasplit.csv").write_text(f'"train","{place}","{EM}","{place}","{LABELS}/[{",".join(CLASSES)}]"\n')


def ours(path: Path, spatial: dict[str, Any], count: int, limit: int) -> Callable[[], None]:
    from lsd_experiments.families.cellmap.configuration import defaults
    from lsd_experiments.families.cellmap.data.samples import Samples

    settings = defaults(path).replace(input_array_info={"shape": (SHAPE,) * 3, "scale": VOXEL}, batch_size=1,
                                      spatial_transforms=spatial, force_all_classes=False)
    samples = Samples(settings, "train", memory=limit)
    for number in range(count if limit else 1):
        samples.sample(1000 + number, 0)
    return lambda: [samples.sample(number, 0) for number in range(count)] and None


def kept(path: Path, spatial: dict[str, Any], count: int) -> Callable[[], None]:
    return ours(path, spatial, count, 2**29)


def anew(path: Path, spatial: dict[str, Any], count: int) -> Callable[[], None]:
    return ours(path, spatial, count, 0)


def peer(path: Path, spatial: dict[str, Any], count: int) -> Callable[[], None]:
    import torch
    import torchvision.transforms.v2 as T
    from cellmap_data import CellMapDataset
    from cellmap_data.transforms.augment import Binarize, NaNtoNum

    info = {"shape": (SHAPE,) * 3, "scale": VOXEL}
    scaled = T.Compose([T.ToDtype(torch.float, scale=True), NaNtoNum({"nan": 0})])
    binary = T.Compose([T.ToDtype(torch.float), Binarize(0.5)])
    dataset = CellMapDataset(
        f"{path}/a.zarr/{EM}", f"{path}/a.zarr/{LABELS}/[{','.join(CLASSES)}]", CLASSES, {"input": info}, {"output": info},
        pad=True, spatial_transforms=spatial or None, raw_value_transforms=scaled, target_value_transforms=binary,
        force_has_data=True)
    places = np.random.default_rng(0).integers(0, len(dataset), count + 1)

    def sample(index: int) -> None:
        made = dataset[int(index)]
        assert tuple(made["output"].shape) == (2, SHAPE, SHAPE, SHAPE)

    sample(places[-1])
    return lambda: [sample(index) for index in places[:-1]] and None


CANDIDATES = {"ours, kept": kept, "ours, read anew": anew, "cellmap-data": peer}


def run(name: str, python: str, path: Path, work: str, count: int) -> Run:
    """One run in a process of its own."""
    command = [python, __file__, "--only", name, "--work", work, "--data", str(path), "--samples", str(count)]
    told = subprocess.run(command, env=os.environ | dict.fromkeys(THREADS, "1"), stdout=subprocess.PIPE, check=True, text=True)
    return Run(*json.loads(told.stdout.splitlines()[-1]))


def measure(options: argparse.Namespace) -> None:
    import torch

    torch.set_num_threads(1)
    call = CANDIDATES[options.only](options.data, SPATIAL[options.work], options.samples)
    forget_peak()
    held, cpu, wall = memory("VmRSS"), time.process_time(), time.perf_counter()
    call()
    print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu, memory("VmHWM"), held]))


def measure_memory(path: Path) -> None:
    """The greatest sum over this process and its workers, of memory that each has alone or its part of what they share."""
    from lsd_experiments.families.cellmap.configuration import defaults
    from lsd_experiments.families.cellmap.data.loading import load_batches
    from lsd_experiments.families.cellmap.data.samples import Samples

    settings = defaults(path).replace(input_array_info={"shape": (192,) * 3, "scale": VOXEL}, batch_size=4,
                                      spatial_transforms=SPATIAL["rotated"], force_all_classes=False)
    seen, over = [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(0.3):
            seen.append(sum(map(proportional, [os.getpid(), *children(os.getpid())])))

    watching = threading.Thread(target=watch)
    watching.start()
    for batch in load_batches(Samples(settings, "train"), range(6), {"num_workers": 8}):
        shape = tuple(batch.input.shape)
    over.set()
    watching.join()
    most = max(seen)
    print(f"8 workers, batches of {shape} with {len(CLASSES)} classes: {most:.2f} GiB at most")


def children(process: int) -> list[int]:
    return [int(pid) for task in Path(f"/proc/{process}/task").iterdir() for pid in (task / "children").read_text().split()]


def proportional(process: int) -> float:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except (OSError, ProcessLookupError):  # it ended
        return 0.0
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=20, metavar="N", help="of each candidate (default: 20)")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of each, of which the best counts (default: 3)")
    parser.add_argument("--peer", metavar="PYTHON", help="of an environment with cellmap-data")
    parser.add_argument("--memory", action="store_true", help="measure the memory of eight workers")
    for name in ("--only", "--work"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        return measure(options)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        write_data(path)
        if options.memory:
            return measure_memory(path)
        print(machine(), HEADER, sep="\n")
        pythons = {name: options.peer if name == "cellmap-data" else sys.executable for name in CANDIDATES}
        for work in SPATIAL:
            turns = [{name: run(name, python, path, work, options.samples) for name, python in pythons.items() if python}
                     for _ in range(options.repeat)]
            best = {name: Run(*(min(getattr(turn[name], key) for turn in turns) for key in ("wall", "cpu", "peak", "held")))
                    for name in turns[0]}
            print(rows(f"{options.samples} samples, {work}", best))
            print("patches per CPU second: " + ", ".join(f"{name} {options.samples / one.cpu:.1f}" for name, one in best.items()))


if __name__ == "__main__":
    main()
