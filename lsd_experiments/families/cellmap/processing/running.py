"""Run the stages of one class of one crop, one after the other."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from lsd_experiments.arrays import Volume, open_volume
from lsd_experiments.blockwise import Workers
from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.classes import INSTANCES
from lsd_experiments.families.cellmap.places import open_class
from lsd_experiments.families.cellmap.processing import functions
from lsd_experiments.families.cellmap.processing.reading import Processing
from lsd_experiments.families.cellmap.processing.settings import ClassSettings
from lsd_experiments.families.cellmap.processing.stages import Job, blocks_stage, final_stage, join_stage, table_path
from lsd_experiments.families.cellmap.split.finding import split_container
from lsd_experiments.geometry import Box, to_nm
from lsd_experiments.pipeline.running import run_planned
from lsd_experiments.stages import Stage

FEW = 8  # blocks that this process does by itself
PROBE = 32  # voxels along each axis of what process_func is tried on


def process_class(path: str, out: str, label: str, processing: Processing, overwrite: bool = False) -> str:
    """Make what is submitted, at ``out``, of the prediction at ``path``; what was made, in words.

    :raises UserError: if the prediction is none, or the settings do not fit it
    """
    job = _job(path, out, label, processing)
    run = _runner(job, overwrite)
    prediction = open_class(path)
    method = job.settings.method_of(label, prediction.channels)
    if job.gives_ids is None and method in ("watershed", "affinities"):
        _agglomerate(job, method, run, prediction)
        parts = "fragments"
    elif method == "threshold" and job.settings.minimum_size == 1 and not job.gives_ids:
        return run(lambda: blocks_stage(job, "mask" if job.gives_ids is None else "function", job.out, "process"))
    else:
        parts = _components(job, run)
    report = run(lambda: final_stage(job, open_volume(job.container, parts)))
    return f"{report}, {_count(job)} objects" if job.is_instance else report


def _job(path: str, out: str, label: str, processing: Processing) -> Job:
    container, dataset = split_container(out)
    made = Path(container).parent / "intermediate" / f"{Path(container).stem}_{dataset.replace('/', '_')}.zarr"
    settings = processing.of(label)
    gives_ids = None
    if processing.uses_function(label):
        settings = settings.model_copy(update={"method": "components" if label in INSTANCES else "threshold"})
        gives_ids = _gives_ids(path, settings, processing) and label in INSTANCES
    is_instance = settings.method_of(label, open_class(path).channels) != "threshold"
    return Job(label, path, (container, dataset), str(made), settings, processing, is_instance, gives_ids)


def _gives_ids(path: str, settings: ClassSettings, processing: Processing) -> bool:
    """Whether ``process_func`` gives ids, as it does for a part of the prediction: whole numbers, or floats above 1.

    :raises UserError: if it fails, or gives ids of single sections
    """
    assert processing.process_func is not None
    prediction, shape = open_class(path), processing.shape
    begin = [max(0, (n - PROBE) // 2) for n in prediction.shape]
    flat = shape.index(1) if shape and 1 in shape else None
    found = functions.call(processing.process_func, prediction.read(Box.of_shape((PROBE,) * 3, begin).intersect(prediction.box)),
                           flat, processing.batch_size)
    is_mask = found.dtype == bool or (found.dtype.kind == "f" and found.max(initial=0) <= 1)
    if not is_mask and flat is not None and found.max(initial=0) > 1:
        raise UserError(f"{processing.path}: process_func gives ids of single sections, which are not those of the next. Give a "
                        "mask, or input_array_info of several sections")
    return not is_mask and flat is None


def _runner(job: Job, overwrite: bool) -> Callable[[Callable[[], Stage]], str]:
    workers: Workers = job.processing.workers
    few = FEW if workers.kind == "local" else 0

    def run(plan: Callable[[], Stage]) -> str:
        return run_planned(plan, lambda: workers, job.container, {job.container, job.out[0]}, overwrite, few=few)
    return run


def _components(job: Job, run: Callable[[Callable[[], Stage]], str]) -> str:
    """The parts of blocks, and which of them are one; the dataset of the parts."""
    from lsd_experiments.components.blockwise import labeling_stage
    from lsd_experiments.components.settings import ComponentsSettings

    parts = "ids" if job.gives_ids else "parts"
    if job.gives_ids:
        run(lambda: blocks_stage(job, "function", (job.container, parts)))
    else:
        run(lambda: blocks_stage(job, "mask" if job.gives_ids is None else "function", (job.container, "mask")))
        mask = open_volume(job.container, "mask")
        size = to_nm(job.settings.in_blocks(mask.shape), mask.voxel_size)
        components = ComponentsSettings(connectivity=job.settings.connectivity, parts_dataset=parts, block_size=size)
        run(lambda: labeling_stage(open_volume(job.container, "mask"), components))
    run(lambda: join_stage(job, open_volume(job.container, parts)))
    return parts


def _agglomerate(job: Job, method: str, run: Callable[[Callable[[], Stage]], str], prediction: Volume) -> None:
    from lsd_experiments.agglomeration.blockwise import agglomeration_stage
    from lsd_experiments.agglomeration.settings import AgglomerateSettings
    from lsd_experiments.fragments.blockwise import fragments_stage
    from lsd_experiments.fragments.settings import FragmentsSettings
    from lsd_experiments.segmentation.blockwise import luts_stage, read_luts_provenance
    from lsd_experiments.segmentation.luts import lut_path
    from lsd_experiments.segmentation.settings import FindSegmentsSettings

    settings, function, threshold = job.settings, job.settings.merge_function, job.settings.merge_threshold
    container, database = job.container, str(Path(job.container) / "graph.db")
    if method == "affinities" and (prediction.channels or 1) < 3:
        raise UserError(f"{prediction.name} has {prediction.channels or 1} channel(s); affinities have three, to the neighbours "
                        "along z, y, x. Take the method watershed, or components")
    run(lambda: blocks_stage(job, "mask", (container, "mask")))  # or fragments reach into the background
    run(lambda: blocks_stage(job, method, (container, "affs")))

    def affs() -> Volume:
        return open_volume(container, "affs")

    def fragments() -> Volume:
        return open_volume(container, "fragments")

    size = to_nm(settings.in_blocks(prediction.shape), prediction.voxel_size)
    halo = to_nm(tuple(max(1, n) for n in settings.context), prediction.voxel_size)
    making = FragmentsSettings(fragments_in_xy=False, block_size=size, context=halo, min_seed_distance=settings.min_seed_distance,
                               foreground_threshold=settings.threshold, mask_file=container, mask_dataset="mask")
    run(lambda: fragments_stage(affs(), container, "fragments", database, making, parity=False))
    scoring = AgglomerateSettings(merge_function=function, context=halo)
    run(lambda: agglomeration_stage(affs(), fragments(), database, scoring))
    finding = FindSegmentsSettings(thresholds_minmax=(threshold, 1), thresholds_step=1)
    run(lambda: luts_stage(fragments(), database, function, None, finding, parity=False))
    table = lut_path(container, function, threshold)
    run(lambda: join_stage(job, fragments(), table, read_luts_provenance(fragments(), function)))


def _count(job: Job) -> int:
    from lsd_experiments.segmentation.luts import read_lut

    return int(np.max(read_lut(table_path(job))[1], initial=0))
