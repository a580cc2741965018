"""What may be asked of a prediction."""

from dataclasses import dataclass
from typing import Any

from lsd_experiments.geometry import Nanometres
from lsd_experiments.networks.network import Shape
from lsd_experiments.raw_range import Setting

RAW = "volumes/raw"  # the dataset, where none is named
OF_LSDS = ("lsds_file", "lsds_dataset", "lsds_on_the_fly", "lsds_setup", "lsds_iteration")


@dataclass(frozen=True)
class PredictionSettings:
    """What to predict, as JSON values.

    ``setup``: the experiment's directory. ``raw_file``: None for the one that its dataset calls predicted. ``raw_range``: which
    values are 0 and 1 to the network, see :mod:`lsd_experiments.intensity` (None: as the checkpoint says). ``iteration``: of the
    checkpoint (None: the newest). ``roi_offset`` and ``roi_shape``: nm, in the world; without them all of raw is predicted, or
    with ``shrink`` the part whose context is raw too. ``input_shape``: voxels that a block reads (None: config.json's).
    ``seamless``: see :mod:`lsd_experiments.prediction.passes`.

    Networks that take LSDs read ``lsds_dataset`` of ``lsds_file`` (None: what predict_scan.py of ``lsds_setup`` wrote), and
    predict where these are; or, with ``lsds_on_the_fly``, have the network of ``lsds_setup`` (None: ``../lsd``) make them of raw.
    """

    setup: str
    raw_file: str | None
    out_file: str
    raw_dataset: str | None = None
    raw_range: Setting | None = None
    iteration: int | None = None
    roi_offset: Nanometres | None = None
    roi_shape: Nanometres | None = None
    shrink: bool = False
    input_shape: Shape | None = None
    precision: str = "float32"
    seamless: bool = False
    lsds_file: str | None = None
    lsds_dataset: str | None = None
    lsds_on_the_fly: bool = False
    lsds_setup: str | None = None
    lsds_iteration: int | None = None

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "PredictionSettings":
        """From what ``dataclasses.asdict`` gave, after a way through JSON."""
        given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
        return cls(**given)
