"""What blocks cost beside the work in them, and what a second worker brings.

    python benchmarks/blockwise.py [--blocks 1000 10000 100000] [--tiles 2 2 2] [--directory D]

Prints, of one run on this machine:

- scheduling: the time per block of a stage that does nothing, and of each stage on a volume of zeros, where there is nothing to
  do but to read and to write, with two workers; the start of the workers, a second or two, counts;
- workers: the time of each stage with 1 and with 2 workers, on affinities of a synthetic volume (prediction: a small network with
  random weights), and their ratio, from the first block done to the last; beside the ratio that two processes reach here which
  share nothing, decompressing in their own memory: the machine's ceiling;
- content: fragments, edges and rows per Mvoxel, bytes and files.
"""

import argparse
import contextlib
import io
import json
import math
import os
import platform
import shutil
import sqlite3
import tempfile
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.blockwise import BlockTask, Workers, run_blockwise
from lsd_experiments.blockwise.noop import FACTORY
from lsd_experiments.geometry import Box
from lsd_experiments.pipeline.configuration import load_pipeline, with_num_workers
from lsd_experiments.pipeline.running import run_stage
from lsd_experiments.synthetic import synthesize

VOXEL_SIZE = (20, 9, 9)
SMALL = ((8, 8, 8), (1, 1, 1))  # block and context in voxels
USUAL = ((40, 120, 120), (8, 12, 12))
TILE = (120, 240, 240)
INPUT_SHAPE = (48, 132, 132)
STAGES = ("predict", "extract_fragments", "agglomerate", "extract_segmentation")
CONFIG = """out_file = "out.zarr"
raw_file = "out.zarr"
setup = "setup"
[fragments]
fragments_in_xy = true
block_size = {block}
context = {context}
[agglomerate]
merge_function = "hist_quant_50"
context = {context}
[extract]
threshold = 0.4
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, nargs="+", default=[1000, 10000], help="default: 1000 10000")
    parser.add_argument("--stage-blocks", type=int, nargs="+", default=[500, 2000], help="on zeros; default: 500 2000")
    parser.add_argument("--tiles", type=int, nargs=3, default=(2, 2, 2), help="copies of a synthetic volume along z, y, x")
    parser.add_argument("--directory", type=Path, help="where to write; emptied at the end (default: a temporary one)")
    options = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        measure_scheduling(Path(directory), options.blocks, options.stage_blocks)
        measure_workers(Path(directory) / "scaling", options.tiles)


def measure_scheduling(directory, idle_counts, stage_counts):
    print("\n| stage | blocks | s | ms per block |\n|---|---|---|---|")
    times = {"nothing": [report("nothing", count, idle(directory, count)) for count in idle_counts]}
    for count in stage_counts:
        for name, seconds in run_on_zeros(directory / str(count), count).items():
            times.setdefault(name, []).append(report(name, count, seconds))
    print("\n| stage | ms per further block |\n|---|---|")
    for name, seconds in times.items():
        counts = idle_counts if name == "nothing" else stage_counts
        steps = [1000 * (s - r) / (n - m) for r, s, m, n in zip(seconds, seconds[1:], counts, counts[1:], strict=False)]
        print(f"| {name} | {', '.join(f'{step:.3f}' for step in steps)} |")


def idle(directory, count):
    task = BlockTask("nothing", Box((0, 0, 0), (count, 1, 1)), (1, 1, 1), FACTORY, {}, directory / f"idle{count}",
                     workers=Workers(num_workers=2))
    clock = Clock()
    run_blockwise(task, clock.show)
    return clock.whole()


def run_on_zeros(directory, count):
    """Seconds of each stage but prediction on about ``count`` blocks of zeros."""
    directory.mkdir()
    per_axis = round(count ** (1 / 3))
    grid = (math.ceil(count / per_axis**2), per_axis, per_axis)
    block, context = SMALL
    shape = [b * n for b, n in zip(block, grid, strict=True)]
    create_volume(str(directory / "out.zarr"), "volumes/affs", shape, VOXEL_SIZE, (0, 0, 0), "uint8", channels=3)
    write_config(directory, block, context)
    return run_stages(directory, 2, STAGES[1:], Clock.whole)


def measure_workers(directory, tiles):
    directory.mkdir()
    affs, taken = np.tile(noisy_affinities(TILE), (1, *tiles)), {}
    shape = affs.shape[1:]
    with contextlib.redirect_stdout(io.StringIO()):
        write_setup(directory / "setup")
    write_config(directory, *USUAL)
    for number in (1, 2):
        shutil.rmtree(directory / "out.zarr", ignore_errors=True)
        (directory / "out.db").unlink(missing_ok=True)
        for dataset, values, channels in (("volumes/raw", affs[0], None), ("volumes/affs", affs, 3)):
            volume = create_volume(str(directory / "out.zarr"), dataset, shape, VOXEL_SIZE, (0, 0, 0), "uint8", channels=channels)
            volume.write(volume.box, values)
        taken[number] = run_stages(directory, number, STAGES[1:], Clock.without_start)
        print_content(directory, math.prod(shape)) if number == 2 else None
        shutil.rmtree(directory / "out.zarr" / "volumes" / "affs")  # not what the network gives
        taken[number] |= run_stages(directory, number, STAGES[:1], Clock.without_start)
    print("\n| stage | 1 worker, s | 2 workers, s | ratio |\n|---|---|---|---|")
    for name in STAGES:
        one, two = taken[1][name], taken[2][name]
        print(f"| {name} | {one:.1f} | {two:.1f} | {one / two:.2f} |")
    one, two = (decompress(number) for number in (1, 2))
    print(f"| the machine: two processes that share nothing | {one:.1f} | {two:.1f} | {one / two:.2f} |")


def decompress(number):
    """Seconds in which ``number`` processes decompress the same amount, in all."""
    with ProcessPoolExecutor(number) as pool:
        list(pool.map(_decompress, [1] * number))  # they have started
        start = time.monotonic()
        list(pool.map(_decompress, [600 // number] * number))
        return time.monotonic() - start


def _decompress(times):
    packed = zlib.compress(np.random.default_rng(0).integers(0, 16, 2**22, np.uint8).tobytes(), 5)
    for _ in range(times):
        zlib.decompress(packed)


def noisy_affinities(shape):
    """[3, z, y, x] uint8 of a synthetic volume's labels: boundaries are blurred and noisy."""
    from scipy.ndimage import gaussian_filter

    labels = synthesize(shape, VOXEL_SIZE, seed=1).labels
    rng = np.random.default_rng(1)
    affs = np.zeros((3, *shape), np.uint8)
    for axis in range(3):
        same = (labels == np.roll(labels, 1, axis)).astype(np.float32)
        noise = gaussian_filter(rng.normal(size=shape).astype(np.float32), 2)
        affs[axis] = np.clip(gaussian_filter(same, (0.5, 1, 1)) * 255 + noise / noise.std() * 25, 0, 255)
    return affs


def write_setup(directory):
    """A small network with random weights."""
    from lsd_experiments import checkpoints, networks
    from lsd_experiments.networks import Head, Network

    heads = (Head("affs", channels=3),)
    network = Network(num_fmaps=4, fmap_inc_factor=3, downsample_factors=((1, 2, 2), (1, 2, 2)), heads=heads)
    directory.mkdir()
    networks.write(network, "config", INPUT_SHAPE, directory)
    checkpoints.save_checkpoint(network.build(INPUT_SHAPE), directory, network, 1, {"voxel_size": VOXEL_SIZE, "seed": 0})


def write_config(directory, block, context):
    nm = [[n * v for n, v in zip(size, VOXEL_SIZE, strict=True)] for size in (block, context)]
    (directory / "config.toml").write_text(CONFIG.format(block=json.dumps(nm[0]), context=json.dumps(nm[1])))


def run_stages(directory, number, names, seconds_of):
    """Seconds of each stage with ``number`` workers, as ``seconds_of`` has them of a clock."""
    config = with_num_workers(load_pipeline(directory / "config.toml"), number)
    seconds = {}
    for name in names:
        if name == "extract_segmentation":
            run_stage("find_segments", config)
        clock = Clock()
        run_stage(name, config, show=clock.show)
        seconds[name] = seconds_of(clock)
    return seconds


class Clock:
    """What a stage says of itself, and when."""

    def __init__(self):
        self.seen = []

    def show(self, state):
        """Note how far the stage is."""
        self.seen.append((time.monotonic(), state["completed"]))

    def whole(self):
        """From the first word to the last."""
        return self.seen[-1][0] - self.seen[0][0]

    def without_start(self):
        """From the first block done to the last, with the first ones added in proportion."""
        (begin, first), (end, last) = next(seen for seen in self.seen if seen[1]), self.seen[-1]
        return (end - begin) * last / max(1, last - first)


def print_content(directory, voxels):
    graph = sqlite3.connect(directory / "out.db")
    (nodes,) = graph.execute("SELECT count(*) FROM nodes").fetchone()
    (rows,) = graph.execute("SELECT count(*) FROM edges_hist_quant_50").fetchone()
    (edges,) = graph.execute("SELECT count(*) FROM (SELECT DISTINCT u, v FROM edges_hist_quant_50)").fetchone()
    size = sum(path.stat().st_size for path in directory.glob("out.db*"))
    of_fragments, of_edges, of_rows = (f"{count * 1e6 / voxels:.0f}" for count in (nodes, edges, rows))
    print(f"\nper Mvoxel: {of_fragments} fragments, {of_edges} edges in {of_rows} rows; "
          f"{size / (nodes + rows):.0f} bytes of database per row")
    for dataset in ("affs", "fragments", "segmentation_40"):
        files = [path for path in (directory / "out.zarr" / "volumes" / dataset).iterdir() if not path.name.startswith(".")]
        stored = sum(path.stat().st_size for path in files)
        chunks = open_volume(str(directory / "out.zarr"), f"volumes/{dataset}").chunks
        print(f"{dataset}: {stored / voxels:.3f} bytes per voxel, {len(files)} files of chunks {list(chunks)}")


def report(name, count, seconds):
    print(f"| {name} | {count} | {seconds:.1f} | {1000 * seconds / count:.3f} |", flush=True)
    return seconds


if __name__ == "__main__":
    main()
