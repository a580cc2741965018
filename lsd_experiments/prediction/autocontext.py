"""Auto-context: a network that takes LSDs, of a network that was trained before it and is frozen.

The first network makes LSDs [10, z, y, x] in [0, 1] of raw. They are quantized to uint8, times 255 and truncated, whether
they are stored or handed on, and the second network gets them in [0, 1]. Each takes its context off::

    raw    |------------------------------|     484     zebrafinch, y and x, in training
    LSDs        |--------------------|          272, of which the inner 268 are used
    affs               |------|                  56
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume, open_volume, to_unit_range
from lsd_experiments.errors import UserError
from lsd_experiments.networks.protocols import Model, NetworkLike
from lsd_experiments.networks.shapes import Shape
from lsd_experiments.prediction.block import to_disk_range
from lsd_experiments.prediction.loading import TrainedNetwork, find_trained, sha256
from lsd_experiments.provenance import AVERAGED, provenance_in
from lsd_experiments.stages.inputs import check_finished
from lsd_experiments.targets import LocalShapeDescriptors

logger = logging.getLogger(__name__)
LSDS = LocalShapeDescriptors.name  # the input, and the head of the first network, by name
SETUP = "../lsd"  # of the first network, beside the second's
PREDICTION, DATASET = "test_prediction.zarr", f"volumes/{LSDS}"  # what its predict_scan.py writes


def takes_lsds(network: NetworkLike) -> bool:
    """Whether ``network`` is the second of two."""
    return any(source.name == LSDS for source in network.inputs)


def find_lsd_network(
    directory: str | Path, setup: str | Path | None, iteration: int | str | None, record: Mapping[str, Any] | None
) -> TrainedNetwork:
    """The network that makes the LSDs for the one of ``directory``.

    :param setup: its directory (default: ``../lsd``, seen from ``directory``); ``iteration``: of its checkpoint.
    :param record: what the second network's checkpoint says of the first: it must be that one.
    :raises UserError: if there is none, it has no LSDs, or it is not that of ``record``.
    """
    setup = _lsd_setup(directory, setup, record)
    if iteration is None and record:
        iteration = record["iteration"]
    try:
        lsds = find_trained(setup, iteration)
    except UserError as error:
        name = Path(directory).resolve().name
        raise UserError(f"{name} needs the network that makes its LSDs, of --lsds-setup: {error}") from error
    channels = {head.name: head.channels for head in lsds.network.heads}
    if LSDS not in channels or takes_lsds(lsds.network):
        raise UserError(f"{setup}: makes {', '.join(channels)}, not LSDs from raw. Name another directory by --lsds-setup")
    if record and record["sha256"] != sha256(lsds.checkpoint.path):
        raise UserError(
            f"{lsds.checkpoint.path}: is not the checkpoint that {Path(directory).resolve().name} was trained with, which was "
            f"of iteration {record['iteration']}. Bring that one back, or train in another directory"
        )
    return lsds


def _lsd_setup(directory: str | Path, setup: str | Path | None, record: Mapping[str, Any] | None) -> Path:
    """The directory that was named, else the one that was trained with if it is still there, else ``../lsd``."""
    if setup is None and record and Path(record["setup"]).is_dir():
        setup = record["setup"]
    return Path(directory, SETUP).resolve() if setup is None else Path(setup).resolve()


def check_made_of(lsds: Volume, raw: Volume) -> None:
    """:raises UserError: if ``lsds`` say that they were made of another container than ``raw``'s."""
    made_of = provenance_in(lsds.attrs).get("inputs", {}).get("raw")
    name = made_of["name"] if isinstance(made_of, Mapping) else made_of
    if name and Path(raw.container).name not in name:
        raise UserError(f"{lsds.name}: was made of {name}, not of {raw.container}. Name LSDs of that volume, or that of these")


def open_lsds(trained: TrainedNetwork, setup: str | Path | None, container: str | None, dataset: str | None) -> Volume:
    """The predicted LSDs that the network ``trained`` takes; by default those that predict_scan.py of ``setup`` wrote.

    :raises UserError: if they are not there, not finished, or not LSDs; the command that makes them is named.
    """
    setup = _lsd_setup(trained.setup, setup, trained.checkpoint.record.get(LSDS))
    container = container or str(setup / PREDICTION)
    command = f"predict_scan.py in {setup}"
    try:
        lsds = open_volume(container, dataset, default=DATASET)
    except UserError as error:
        raise UserError(
            f"{trained.setup.name} needs LSDs at {container} ({dataset or DATASET}): {error}. Run {command} first, name others "
            "by --lsds-file, or pass --lsds-on-the-fly"
        ) from error
    check_finished(lsds, command)
    expected = next(source.channels for source in trained.network.inputs if source.name == LSDS)
    if lsds.channels != expected:
        raise UserError(f"{lsds.name}: has {lsds.channels or 'no'} channels, LSDs have {expected}. Name another dataset")
    made, trained_with = provenance_in(lsds.attrs), trained.checkpoint.record.get(LSDS) or {}
    made_by, others = made.get("inputs", {}).get("sha256_of_checkpoint"), trained_with.get("sha256")
    if made_by and others and made_by != others:
        logger.warning("%s: made by another LSD network than the one that %s was trained with", lsds.name, trained.variant)
    elif made_by and trained_with.get(AVERAGED) and not made.get("parameters", {}).get(AVERAGED):
        logger.warning("%s: made with the plain weights of the LSD network, of which %s was trained with the averages",
                       lsds.name, trained.variant)
    return lsds


def lsds_record(lsds: TrainedNetwork) -> dict[str, Any]:
    """``lsds`` for the record of the second network's checkpoint."""
    return {
        "setup": str(lsds.setup),
        "iteration": lsds.checkpoint.iteration,
        "sha256": sha256(lsds.checkpoint.path),
        **lsds.kind_of_weights,
    }


def raw_shape(lsds: NetworkLike, input_shape: Shape) -> Shape:
    """The raw (z, y, x) voxels of which the first network makes LSDs that cover ``input_shape``, with it in the middle."""
    shape = lsds.input_shape_for(input_shape)
    surplus = [r - c - i for r, c, i in zip(shape, lsds.context, input_shape, strict=True)]
    assert not any(s % 2 for s in surplus), f"LSDs of {shape} do not have {input_shape} in the middle"
    return shape


def predict_lsds(model: Model, raw: NDArray[Any]) -> NDArray[np.float32]:
    """The LSDs [10, z, y, x] of ``raw`` [z, y, x] in [-1, 1], as the second network gets them: multiples of 1/255."""
    return to_unit_range(to_disk_range(model.predict({"raw": raw})[LSDS]))
