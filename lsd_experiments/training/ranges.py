"""How the raw of a training becomes [0, 1]: one range for all volumes of a type, noted in the checkpoints.

See :mod:`lsd_experiments.intensity`.
"""

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

from lsd_experiments import intensity
from lsd_experiments.arrays import Volume
from lsd_experiments.arrays.advice import convert_command
from lsd_experiments.checkpoints import Checkpoint
from lsd_experiments.checkpoints.torch_weights import TorchCheckpoint
from lsd_experiments.errors import UserError
from lsd_experiments.intensity import NOTE, Range
from lsd_experiments.prediction.loading import TrainedNetwork
from lsd_experiments.raw_range import Setting
from lsd_experiments.training.data import Sample

logger = logging.getLogger(__name__)
FAINT = 1 / 4  # of the joint range: a volume that fills less is named


def scaled_samples(
    samples: Sequence[Sample],
    asked: Setting | None,
    checkpoint: Checkpoint | None,
    lsds: TrainedNetwork | None,
    usual: Setting | None = None,
) -> tuple[list[Sample], dict[str, Any], str | None]:
    """``samples`` with their ranges, the note for the checkpoints, and a line that says the ranges, if that is worth one.

    If ``asked`` is None, the ranges are those of the ``checkpoint`` that goes on, or of the network that makes the LSDs; where
    there is neither, what ``usual`` says of the dataset.

    :raises UserError: if raw is of one value, or ``asked`` is another range than that of the network that makes the LSDs
    """
    before = checkpoint or (lsds.checkpoint if lsds else None)
    ranges: dict[str, Range] = {}
    held: dict[str, Range] = {}
    said = []
    for kind, volumes in _by_kind([sample.raw for sample in samples]).items():
        data = _held(volumes, asked)
        found, why = _range(volumes, data, asked, before, usual)
        _check_lsds(volumes[0], found, asked, lsds)
        ranges[kind], held[kind] = found, data
        if why:
            said.append(f"{kind} from {intensity.show(found)}, {why}")
    note = {"setting": asked, "ranges": ranges, "held": held}
    scaled = [dataclasses.replace(sample, raw_range=ranges[intensity.kind_of(sample.raw.dtype)]) for sample in samples]
    return scaled, note, f"raw becomes [0, 1]: {'; '.join(said)}" if said else None


def _by_kind(raws: Sequence[Volume]) -> dict[str, list[Volume]]:
    kinds: dict[str, list[Volume]] = {}
    for raw in raws:
        kinds.setdefault(intensity.kind_of(raw.dtype), []).append(raw)
    return kinds


def _held(volumes: Sequence[Volume], asked: Setting | None) -> Range:
    """What the volumes hold together; one that fills little of it is named."""
    each = [intensity.held(intensity.sample(volume)) for volume in volumes]
    for volume, (low, high) in zip(volumes, each, strict=True):
        if asked is None:
            intensity.check_range((low, high), volume.name)
    low, high = min(low for low, _ in each), max(high for _, high in each)
    for volume, (least, most) in zip(volumes, each, strict=True):
        if most - least < FAINT * (high - low):
            logger.warning("%s holds %s, all volumes of its type %s: it will be faint. Scale it: %s",
                           volume.name, intensity.show((least, most)), intensity.show((low, high)),
                           convert_command(volume, "--range", f"{least:.17g}", f"{most:.17g}", "--dtype", "uint8"))
    return low, high


def _range(
    volumes: Sequence[Volume], data: Range, asked: Setting | None, before: Checkpoint | TorchCheckpoint | None,
    usual: Setting | None
) -> tuple[Range, str]:
    """The range of volumes of one type, and in words where it comes from; nothing of uint8's own, which nobody doubts."""
    dtype = volumes[0].dtype
    if asked is not None:
        return intensity.by_setting(volumes, asked), "as --raw-range says"
    if usual is not None and before is None:
        return intensity.by_setting(volumes, usual), "as dataset.toml says"
    note = before.record.get(NOTE) if before else None
    noted = intensity.noted_range(note, dtype)
    own = noted is None and dtype == "uint8"
    if own or noted == intensity.type_range(dtype) == (0, 255):
        return intensity.type_range(dtype), ""
    if noted is not None:
        return noted, f"as {before.path.name} was trained" if before else ""
    if before is not None and note is None:
        return intensity.as_before(dtype, data), f"as {before.path.name}, which does not say how it was trained, goes by the type"
    many = f"{len(volumes)} volumes hold" if len(volumes) > 1 else "the volume holds"
    return data, f"which is what {many} (--raw-range sets it)"


def _check_lsds(raw: Volume, found: Range, asked: Setting | None, lsds: TrainedNetwork | None) -> None:
    """Both networks get the same raw."""
    if lsds is None or asked is None:
        return
    note = lsds.checkpoint.record.get(NOTE)
    theirs = intensity.noted_range(note, raw.dtype) or (intensity.type_range(raw.dtype) if note is None else found)
    if theirs != found:
        raise UserError(f"--raw-range: {intensity.show(found)}, but {lsds.checkpoint.path}, which makes the LSDs, was trained on "
                        f"{raw.dtype} from {intensity.show(theirs)}. Leave --raw-range out")
