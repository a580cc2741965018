"""The stages of one class of one crop, block by block: resumable, and up to date or made anew as all stages are.

``data/processed/intermediate/<dataset>_<crop>_<class>.zarr`` holds what is made on the way: mask, parts, fragments, tables.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume, open_volume
from lsd_experiments.blockwise import Block, BlockTask
from lsd_experiments.components.blockwise import shown_blocks
from lsd_experiments.components.joining import Ids, join, number_parts, touching_across
from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.places import VALUES, open_class
from lsd_experiments.families.cellmap.processing import functions
from lsd_experiments.families.cellmap.processing.reading import Processing, read_processing
from lsd_experiments.families.cellmap.processing.settings import ClassSettings
from lsd_experiments.geometry import Voxels
from lsd_experiments.provenance import fingerprint_of
from lsd_experiments.segmentation.luts import read_lut, write_lut
from lsd_experiments.stages import FilesArtifact, Show, Stage, VolumeArtifact
from lsd_experiments.stages.files import read_json
from lsd_experiments.stages.inputs import check_finished, describe_input, facts_of
from lsd_experiments.stages.volumes import BASE_MEMORY, open_output

FINAL, BLOCKS, JOIN = "process", "process_blocks", "process_join"  # stages
BYTES_PER_VOXEL = 40  # of a worker's memory, for each voxel that a block reads


@dataclass(frozen=True)
class Job:
    """One class of a crop. ``path``: of its prediction; ``out``: container and dataset of what is submitted."""

    label: str
    path: str
    out: tuple[str, str]
    container: str  # of what is made on the way
    settings: ClassSettings
    processing: Processing
    is_instance: bool
    gives_ids: bool | None = None  # of process_func; None: it is not used

    @property
    def name(self) -> str:
        """What messages call it."""
        return "/".join(self.out)


def is_logits(prediction: Volume, settings: ClassSettings) -> bool:
    """Whether the numbers are logits.

    :raises UserError: if they are of no type of a prediction
    """
    if prediction.dtype != np.uint8 and prediction.dtype.kind != "f":
        raise UserError(f"{prediction.name} is of type {prediction.dtype}; predictions are floats, or uint8. Name what csc "
                        "predict made")
    said = settings.values or prediction.attrs.get(VALUES)
    return prediction.dtype != np.uint8 and said != "probabilities"


def blocks_stage(job: Job, what: str, place: tuple[str, str], name: str = BLOCKS) -> Stage:
    """``mask``, ``affinities`` or ``watershed`` (which makes affinities, too), or ``function`` of the prediction."""
    prediction, settings = open_class(job.path), job.settings
    check_finished(prediction, "csc predict")
    shape = settings.in_blocks(prediction.shape)
    is_function = what == "function"
    flat = job.processing.shape.index(1) if is_function and job.processing.shape and 1 in job.processing.shape else None
    parameters = {"what": what, "block_shape": shape, "logits": is_logits(prediction, settings)}
    if is_function:
        parameters |= {"configuration": job.processing.digest, "ids": job.gives_ids, "instances": job.is_instance,
                       "halo": settings.context, "flat": flat, "batch_size": job.processing.batch_size}
    elif what == "mask":
        parameters["threshold"] = settings.threshold
    channels = {"affinities": prediction.channels, "watershed": 3}.get(what)
    output = VolumeArtifact(*place, prediction.shape, prediction.voxel_size, prediction.offset,
                            "uint64" if job.gives_ids and is_function else "uint8", shape, channels)
    context = settings.context if is_function else (int(what == "watershed"),) * 3
    memory = BASE_MEMORY + BYTES_PER_VOXEL * math.prod(n + 2 * c for n, c in zip(shape, context, strict=True))
    task = BlockTask(name, prediction.box, shape, f"{__name__}:make_worker", {
        **parameters, "path": job.path, "out": place, "file": str(job.processing.path)}, output.records, context, memory=memory)
    return Stage(name, parameters, {"prediction": describe_input(prediction)}, (output,), task,
                 facts_of(prediction))


def make_worker(values: dict[str, Any]) -> Callable[[Block], None]:
    """What works on one block; the arguments are those of :func:`blocks_stage`."""
    prediction, (out, note) = open_class(values["path"]), open_output(*values["out"])
    function = read_processing(values["file"]).process_func if values["what"] == "function" else None

    def process(block: Block) -> None:
        read, write = block.read.intersect(prediction.box), block.write.intersect(prediction.box)
        found, inside = prediction.read(read), write.shift([-b for b in read.begin]).slices
        if values["what"] == "function":
            assert function is not None, "a file that changed meanwhile"
            made = functions.call(function, found, values["flat"], values["batch_size"])[inside]
            made = _checked(made, values, write.begin, prediction)
        elif values["what"] == "mask":
            made = functions.above(found if found.ndim == 3 else found.max(0), values["threshold"], values["logits"])[inside]
        else:
            made = functions.as_bytes(found, values["logits"])
            if values["what"] == "watershed":
                made = functions.affinities_of(made if made.ndim == 3 else made.max(0))
            made = made[:, *inside]
        out.write(write, made)
        note(write)
    return process


def _checked(made: NDArray[Any], values: dict[str, Any], begin: Voxels, prediction: Volume) -> NDArray[Any]:
    """A mask, or parts that are numbered over all blocks."""
    if values["ids"]:
        return number_parts(functions.parts_of(made), begin, prediction.shape)
    if values["instances"] and made.max(initial=0) > 1:
        raise UserError(f"process_func gives {made.max():g} in voxels {begin} and on of {prediction.name}, and a mask elsewhere. "
                        "Give bool of a mask; of objects ids of an integer type, and input_array_info of several sections")
    return (made > 0).astype(np.uint8)


def join_stage(job: Job, parts: Volume, table: Path | None = None, made_table: dict[str, Any] | None = None) -> Stage:
    """The table from ``parts`` to objects, numbered 1, 2, ... in the order of their first voxels, without small ones.

    :param table: of fragments that are agglomerated; of others, what meets at blocks' borders is one
    :param made_table: its provenance
    """
    settings, artifact = job.settings, join_artifact(job)
    how = "table" if table is not None else "meeting" if job.gives_ids else "touching"
    parameters = {"how": how, "minimum_size": settings.minimum_size, "as_mask": not job.is_instance} | (
        {"connectivity": settings.connectivity} if how == "touching" else {})
    inputs = {"parts": describe_input(parts)} | ({"table": fingerprint_of(made_table)} if made_table else {})

    def touching(planes: Ids) -> Ids:
        if how == "meeting":
            return functions.meeting(planes)
        return touching_across(planes, settings.connectivity) if how == "touching" else np.zeros((0, 2), np.uint64)

    def work(made: dict[str, Any], anew: bool, show: Show) -> None:
        volume = open_volume(parts.container, parts.dataset)
        blocks = shown_blocks(volume.box, settings.in_blocks(volume.shape), show)
        together = None if table is None else _together(read_lut(table))
        found = join(volume, blocks, touching, settings.minimum_size, together)
        if not job.is_instance:
            found[1] = np.minimum(found[1], 1)
        write_lut(table_path(job), found)

    return Stage(JOIN, parameters, inputs, (artifact,), work, words=lambda: str(table_path(job)))


def _together(table: NDArray[np.uint64]) -> Ids:
    """[n, 2] each fragment with the first of its segment."""
    _, first, inverse = np.unique(table[1], return_index=True, return_inverse=True)
    return np.stack([table[0], table[0][first[inverse]]], axis=1)


def table_path(job: Job) -> Path:
    """The table from parts to objects."""
    return Path(job.container) / "luts" / "objects.npz"


def join_artifact(job: Job) -> FilesArtifact:
    """The table, and the file that says what made it."""
    return FilesArtifact(table_path(job).with_suffix(".json"), lambda made: [table_path(job)])


def final_stage(job: Job, parts: Volume) -> Stage:
    """The objects, or the mask of those that are large enough."""
    path, about = table_path(job), join_artifact(job).about
    shape = job.settings.in_blocks(parts.shape)
    output = VolumeArtifact(*job.out, parts.shape, parts.voxel_size, parts.offset, "uint64", shape)
    task = BlockTask(FINAL, parts.box, shape, "lsd_experiments.segmentation.blockwise:make_worker", {
        "fragments": (parts.container, parts.dataset), "segmentation": job.out, "lut": str(path)}, output.records,
        memory=BASE_MEMORY + BYTES_PER_VOXEL * math.prod(shape))
    table = {"name": path.name, "fingerprint": fingerprint_of(read_json(about))}
    return Stage(FINAL, {"block_shape": shape}, {"parts": describe_input(parts), "table": table}, (output,), task,
                 facts_of(parts))
