"""What ``[fragments]`` in a configuration of the pipeline may say; defaults as published."""

from typing import Annotated

from pydantic import Field

from lsd_experiments.settings import Settings

Nm = Annotated[float, Field(allow_inf_nan=False)]
PositiveNm = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Size = tuple[Nm, Nm, Nm]
PositiveSize = tuple[PositiveNm, PositiveNm, PositiveNm]
Unit = Annotated[float, Field(ge=0, le=1)]


class FragmentsSettings(Settings):
    """How fragments are made.

    :param affs_file: container of the affinities (default: the pipeline's ``out_file``)
    :param fragments_file: container to write to (default: the pipeline's ``out_file``)
    :param block_size: (z, y, x) in nm that one worker writes at a time; a multiple of the voxel size
    :param context: (z, y, x) in nm that it reads more on each side; a multiple of the voxel size
    :param fragments_in_xy: fragments within sections: true for anisotropic data
    :param epsilon_agglomerate: agglomerate up to this threshold within each block; 0 is not at all
    :param mask_file: container of a mask, 0 where there must be no fragment; its voxels may be larger than those of the
        affinities
    :param filter_fragments: remove fragments whose mean affinity is below this
    :param replace_sections: sections (z, in voxels of the affinities) without fragments
    :param min_seed_distance: seeds are the farthest from the boundary in a box of so many voxels
    :param foreground_threshold: voxels of a mean affinity above this are foreground; a network that was trained shortly on sparse
        labels leaves boundaries above the published half
    """

    fragments_in_xy: bool
    affs_file: str | None = None
    affs_dataset: str = "volumes/affs"
    fragments_file: str | None = None
    fragments_dataset: str = "volumes/fragments"
    block_size: PositiveSize = (1000, 1000, 1000)
    context: Size = (248, 248, 248)
    epsilon_agglomerate: Unit = 0
    mask_file: str | None = None
    mask_dataset: str | None = None
    filter_fragments: Unit = 0
    replace_sections: tuple[Annotated[int, Field(ge=0)], ...] = ()
    min_seed_distance: Annotated[int, Field(ge=1)] = 10
    foreground_threshold: Unit = 0.5
