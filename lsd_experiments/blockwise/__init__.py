"""Work on a volume in blocks, by worker processes, resumably.

A stage names a *worker factory*, a function of this package that takes the stage's settings (JSON values) and gives the
function that works on one block. Each worker process calls the factory once, so that it can open volumes and load a
network, and then gets blocks until none is left.

Boxes are in voxels of the volume's own grid. The blocks tile the total box from its first voxel; the last ones reach
over its end, so that every block has the same shape, and the block function clips what it writes:

    total      |---------------------------|
    write      |--------|--------|--------|--------|     shape: write_shape
    read     |------------|                              write grown by context; may reach outside of the total box
"""

from lsd_experiments.blockwise.blocks import Block, block_number, count_blocks
from lsd_experiments.blockwise.engine import BlocksFailedError, BlockTask, run_blockwise
from lsd_experiments.blockwise.workers import Workers, WorkersConfig, check_workers, count_workers

__all__ = ["Block", "BlockTask", "BlocksFailedError", "Workers", "WorkersConfig", "block_number", "check_workers",
           "count_blocks", "count_workers", "run_blockwise"]
