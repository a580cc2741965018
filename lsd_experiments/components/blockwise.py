"""Connected components of a whole volume, block by block."""

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lsd_experiments.arrays import Volume, open_volume
from lsd_experiments.blockwise import Block, BlockTask, count_blocks
from lsd_experiments.components.joining import join_parts, label_parts
from lsd_experiments.components.settings import ComponentsSettings
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Voxels
from lsd_experiments.provenance import fingerprint_of, provenance_in
from lsd_experiments.segmentation.blockwise import relabeling_stage
from lsd_experiments.segmentation.luts import write_lut
from lsd_experiments.stages import FilesArtifact, Show, Stage, VolumeArtifact
from lsd_experiments.stages.files import read_json
from lsd_experiments.stages.inputs import check_finished, describe_input, facts_of
from lsd_experiments.stages.volumes import BASE_MEMORY, open_output
from lsd_experiments.thresholding.blockwise import block_shape

BYTES_PER_VOXEL = 40  # of a labelling worker's memory, for each voxel of a block


def labeling_stage(masks: Volume, settings: ComponentsSettings) -> Stage:
    """The connected parts of each block of ``masks``, beside it.

    :raises UserError: if it is not one mask, or the settings do not fit
    """
    check_finished(masks, "threshold")
    if masks.channels not in (None, 1):
        raise UserError(f"{masks.name} has {masks.channels} classes; components are those of one. Take one by channels in "
                        "[threshold], and a configuration for each class")
    write_shape = block_shape(masks, settings.block_size, "[components] block_size")
    output = VolumeArtifact(masks.container, settings.parts_dataset, masks.shape, masks.voxel_size, masks.offset, "uint64",
                            write_shape)
    task = BlockTask("label_blocks", masks.box, write_shape, f"{__name__}:make_worker", {
        "masks": (masks.container, masks.dataset), "parts": (output.container, output.dataset),
        "connectivity": settings.connectivity,
    }, output.records, memory=BASE_MEMORY + BYTES_PER_VOXEL * math.prod(write_shape), imports=(__name__, "scipy.ndimage"))
    return Stage("label_blocks", {"connectivity": settings.connectivity, "block_shape": write_shape},
                 {"masks": describe_input(masks)}, (output,), task, facts_of(masks))


def make_worker(values: dict[str, Any]) -> Callable[[Block], None]:
    """What works on one block; the arguments are those of :func:`labeling_stage`."""
    masks, (parts, note) = open_volume(*values["masks"]), open_output(*values["parts"])

    def process(block: Block) -> None:
        write = block.write.intersect(masks.box)
        mask = masks.read(write)
        parts.write(write, label_parts(mask.reshape(write.shape), write.begin, masks.shape, values["connectivity"]))
        note(write)
    return process


def joining_stage(parts: Volume, settings: ComponentsSettings) -> Stage:
    """The table from the parts to components; this process reads each block once."""
    check_finished(parts, "label_blocks")
    write_shape, artifact = _block_shape(parts), table_artifact(parts)

    def work(made: dict[str, Any], anew: bool, show: Show) -> None:
        volume = open_volume(parts.container, parts.dataset)
        lut = join_parts(volume, shown_blocks(volume.box, write_shape, show), settings.connectivity, settings.minimum_size)
        write_lut(_table(parts), lut)

    return Stage("join_blocks", {"connectivity": settings.connectivity, "minimum_size": settings.minimum_size},
                 {"parts": describe_input(parts)}, (artifact,), work, facts_of(parts),
                 words=lambda: str(_table(parts)))


def components_stage(parts: Volume, table: Mapping[str, Any] | None, settings: ComponentsSettings) -> Stage:
    """The components, in the container of their ``parts``.

    :param table: the provenance of the table as it will be; None: of the one that there is
    :raises UserError: if there is none of these parts
    """
    table, path = table or _finished_table(parts), _table(parts)

    def check() -> None:
        check_finished(parts, "label_blocks")
        if not (path.exists() and table_artifact(parts).is_as_written(path)):
            raise UserError(f"{path}: not there, or not the table that join_blocks wrote. Run join_blocks again")

    write_shape = _block_shape(parts)
    return relabeling_stage("extract_components", parts, path, settings.out_dataset, write_shape, {"block_shape": write_shape},
                            {"table": {"name": path.name, "fingerprint": fingerprint_of(table)}}, check)


def table_artifact(parts: Volume) -> FilesArtifact:
    """The table of ``parts``, and the file that says what made it."""
    return FilesArtifact(_table(parts).with_suffix(".json"), lambda made: [_table(parts)])


def _table(parts: Volume) -> Path:
    return Path(parts.container) / "luts" / "components" / f"{parts.dataset.replace('/', '_')}.npz"


def _finished_table(parts: Volume) -> dict[str, Any]:
    about = table_artifact(parts).about
    made = read_json(about) if about.exists() else {}
    if "finished" not in made:
        raise UserError(f"{about}: there is no finished table of {parts.name}. Run join_blocks first")
    if made["inputs"]["parts"]["fingerprint"] != describe_input(parts)["fingerprint"]:
        raise UserError(f"{about}: not of {parts.name} as it is now. Run join_blocks again")
    return made


def _block_shape(parts: Volume) -> Voxels:
    """The voxels of the blocks that ``parts`` were labelled in.

    :raises UserError: if it does not say
    """
    shape = provenance_in(parts.attrs).get("parameters", {}).get("block_shape")
    if shape is None:
        raise UserError(f"{parts.name} does not say how large its blocks were. Make it with label_blocks")
    return tuple(shape)


def shown_blocks(box: Box, write_shape: Voxels, show: Show) -> Iterator[Box]:
    """The blocks of ``box``; ``show`` is told of each that is done."""
    total = count_blocks(box, write_shape)
    for number, block in enumerate(box.blocks(write_shape)):
        show({"total": total, "completed": number, "skipped": 0, "failed": 0})
        yield block.intersect(box)
    show({"total": total, "completed": total, "skipped": 0, "failed": 0})
