"""evaluate_skeletons.py on 100 000 nodes in a segmentation of 1 Gvoxel, as users run it: seconds and peak memory of the command.

    python benchmarks/skeletons.py                      # 1000^3 voxels of uint64, written first: two minutes
    python benchmarks/skeletons.py --side 400 --nodes 10000

Segments are bars of 20 x 20 voxels along x, cut every 125 voxels and numbered in the order of a shuffle; every 50th bar is one
with its neighbour. Skeletons run along bars, in jumps of about 4 voxels, and every 20th moves on to the next bar. What it must
stay below: 60 s, 2 GB.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common import HEADER, machine, rows, run_apart

from lsd_experiments.arrays import create_volume
from lsd_experiments.geometry import Box
from lsd_experiments.skeletons import Skeletons, write_skeletons

VOXEL_SIZE, OFFSET = (33, 33, 33), (3300, 3300, 3300)
BAR, PIECE, CHUNK = 20, 125, 128
STEP = 4  # voxels from node to node


def write_segmentation(container: str, side: int) -> Callable[[], None]:
    return lambda: _write_segmentation(container, side)


def _write_segmentation(container: str, side: int) -> None:
    bars, pieces = -(-side // BAR), -(-side // PIECE)
    names = np.random.default_rng(0).permutation(bars * bars * pieces).astype(np.uint64) + np.uint64(1)
    names = names.reshape(bars, bars, pieces)
    flat = names.reshape(-1, pieces)
    flat[50::50] = flat[49:-1:50][:len(flat[50::50])]
    volume = create_volume(container, "volumes/segmentation", (side,) * 3, VOXEL_SIZE, OFFSET, np.uint64, chunks=(CHUNK,) * 3)
    for block in volume.box.blocks((CHUNK, side, side)):
        part = block.intersect(volume.box)
        z, y, x = (np.arange(begin, end) for begin, end in zip(part.begin, part.end, strict=True))
        values = names[np.ix_(z // BAR, y // BAR, x // PIECE)]
        values[z % BAR == 0] = 0  # a boundary, which some nodes are on
        volume.write(Box(part.begin, part.end), values)


def trace(side: int, nodes: int) -> Skeletons:
    """Lines along x, from one end of the volume to the other."""
    random = np.random.default_rng(1)
    per_line = side // STEP
    lines = -(-nodes // per_line)
    bars = side // BAR
    at = random.choice(bars * (bars - 1), lines, replace=False)
    x = np.tile(np.arange(per_line) * STEP + 0.5, lines)
    start = np.stack([at // (bars - 1), at % (bars - 1)], axis=1) * BAR + BAR / 2
    zy = np.repeat(start, per_line, axis=0) + random.uniform(-BAR / 2 + 0.1, BAR / 2 - 0.1, (lines * per_line, 2))
    moved = (np.repeat(np.arange(lines) % 20 == 0, per_line)) & (x > side / 2)
    zy[moved, 1] += BAR
    positions = (np.column_stack([zy, x]) * VOXEL_SIZE + OFFSET)[:nodes]
    first = np.arange(nodes - 1)
    return Skeletons.of(positions, np.stack([first, first + 1], axis=1)[(first + 1) % per_line != 0])


def command(*arguments: str) -> Callable[[], str]:
    """The command, in this process from its first import on."""
    def run() -> str:
        from lsd_experiments.families.xpress.evaluation import main, parser

        main(parser("").parse_args([str(argument) for argument in arguments]))
        return Path(f"{arguments[-1]}.json").read_text()
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=1000, help="voxels (default: 1000)")
    parser.add_argument("--nodes", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        container, skeletons, out = (f"{directory}/{name}" for name in ("segmentation.zarr", "skeletons.csv", "scores"))
        written = run_apart(write_segmentation, container, options.side)
        write_skeletons(skeletons, trace(options.side, options.nodes))
        print(f"{machine()}\n\n{HEADER}")
        run = run_apart(command, container, skeletons, "--print-errors", "--out", out)
        print(rows(f"{options.nodes} nodes in {options.side**3 / 1e9:.3g} Gvoxel", {"evaluate_skeletons.py": run}))
        print(f"\nwriting the segmentation took {written.wall:.0f} s\n{run.result.split('provenance')[0]}")


if __name__ == "__main__":
    main()
