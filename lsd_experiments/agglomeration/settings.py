"""What ``[agglomerate]`` in a configuration of the pipeline may say; defaults as published."""

from pydantic import field_validator

from lsd_experiments.agglomeration.functions import MERGE_FUNCTIONS, check_merge_function
from lsd_experiments.errors import UserError
from lsd_experiments.fragments.settings import PositiveSize, Size
from lsd_experiments.settings import Settings

assert "hist_quant_75" in MERGE_FUNCTIONS


class AgglomerateSettings(Settings):
    """How fragments are agglomerated.

    :param merge_function: one of :data:`~lsd_experiments.agglomeration.MERGE_FUNCTIONS`. The paper has hist_quant_50
        for zebrafinch, hist_quant_75 for hemi and fib25
    :param block_size: (z, y, x) in nm whose fragments one worker agglomerates at a time; a multiple of that of the
        fragments (default: the same)
    :param context: (z, y, x) in nm that it reads more on each side; a multiple of the voxel size, at least one voxel
    """

    merge_function: str = "hist_quant_75"
    block_size: PositiveSize | None = None
    context: Size = (248, 248, 248)

    @field_validator("merge_function")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            check_merge_function(name)
        except UserError as error:
            raise ValueError(str(error)) from error
        return name
