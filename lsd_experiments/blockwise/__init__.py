"""Work on a volume in blocks, by worker processes, resumably.

A stage names a *worker factory*, a function of this package that takes the stage's settings (JSON values) and gives the
function that works on one block. Each worker process calls the factory once, so that it can open volumes and load a
network, and then gets blocks until none is left.

Boxes are in voxels of the volume's own grid. The blocks tile the total box from its first voxel; the last ones reach
over its end, so that every block has the same shape, and the block function clips what it writes::

    total      |---------------------------|
    write      |--------|--------|--------|--------|     shape: write_shape
    read     |------------|                              write grown by context; may reach outside of the total box

Who talks to whom::

    run_blockwise()          engine      the command: shows progress, holds the lock, sees Ctrl-C
        | asks, once for each stage (templates); JSON lines back, of how far it is
        |   template                     one process for all stages of a command: it has imported what the others need
    server                   server      its fork; one thread; ends with the command
        | schedule           daisy's scheduler: which block comes next; done_blocks: the record of those that are done
        | dispatch           who works on which block
        | monitor, restarts  how far the run is; which deaths of workers count against it
        | heartbeat          who is given up, since nothing is heard of it
        | processes          one process here for each worker: a fork (forks), which is the worker; or start_worker, which becomes
        |                    what starts one, with a prefix or in a container, or submits a job (cluster)
        | listener
        |   one TCP connection each, with the run's token: blocks out; done, failed, heartbeats in
        | connection
    worker 0, 1, 2, ...      worker      here, in a container, or on another machine; ends when its connection breaks
        | threads            which thread of it may take a block
    block function           of the stage: reads and writes volumes and the region graph itself

A block that raises goes back and is tried again after the others, by whichever worker is free, at most ``max_retries`` times;
then it is reported, and all others are done all the same. A block whose worker died, froze or lost its connection counts as
failed once, too, and is next worked on alone in its worker, while another worker takes the place of the one that is gone. The
run ends at once when what is wrong is the same for all blocks (a full disk, a mistake of the user), or when
``max_start_failures`` workers died one after the other and none did a block in between.

Logs: ``<records>/logs``, see :mod:`~lsd_experiments.blockwise.engine`.
"""

from lsd_experiments.blockwise.blocks import Block, block_number, count_blocks
from lsd_experiments.blockwise.engine import BlocksFailedError, BlockTask, run_blockwise
from lsd_experiments.blockwise.workers import Workers, WorkersConfig, check_workers, count_workers

__all__ = ["Block", "BlockTask", "BlocksFailedError", "Workers", "WorkersConfig", "block_number", "check_workers",
           "count_blocks", "count_workers", "run_blockwise"]
