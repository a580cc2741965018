"""Which values of raw are 0 and 1 to a network in prediction: those of its training.

See :mod:`lsd_experiments.intensity`.
"""

import logging
from dataclasses import dataclass

from lsd_experiments import intensity
from lsd_experiments.arrays import Volume
from lsd_experiments.errors import UserError
from lsd_experiments.intensity import NOTE, Range
from lsd_experiments.prediction.loading import TrainedNetwork
from lsd_experiments.raw_range import Setting

logger = logging.getLogger(__name__)
OUTSIDE = 1 / 10  # of the range's width that raw may reach further
FAINT = 1 / 4  # of what the training held: raw that fills less of it is another's


@dataclass(frozen=True)
class RawRange:
    """The values of ``raw`` that are 0 and 1 to the network ``trained``.

    ``derived``: whether nothing but the volume itself says so. ``asked``: whether the user does.
    """

    low_high: Range
    raw: Volume
    trained: TrainedNetwork
    derived: bool
    asked: bool

    @property
    def is_the_types(self) -> bool:
        """Whether it is what versions before took for each volume of this type, which had no setting."""
        could = self.raw.dtype in intensity.DIVIDED or self.raw.dtype.kind == "f"
        return could and self.low_high == intensity.type_range(self.raw.dtype)

    def say(self) -> None:
        """Warn, in one line, if the range was chosen by the volume alone, or the volume is not like those of the training."""
        checkpoint, raw = self.trained.checkpoint, self.raw
        note = checkpoint.record.get(NOTE)
        if self.derived:
            known = f"was trained on {', '.join(note['ranges'])}" if note else "does not say what it was trained on"
            logger.warning("%s: raw of type %s is scaled from %s, which it holds, as %s %s. Set raw_range if that is wrong",
                           raw.name, raw.dtype, intensity.show(self.low_high), checkpoint.path.name, known)
            return
        theirs = intensity.noted_range(note, raw.dtype, "held")
        if theirs is None or self.asked:
            return
        ours, width = intensity.held(intensity.sample(raw, strict=False)), self.low_high[1] - self.low_high[0]
        outside = max(self.low_high[0] - ours[0], ours[1] - self.low_high[1]) > OUTSIDE * width
        if outside or ours[1] - ours[0] < FAINT * (theirs[1] - theirs[0]):
            logger.warning("%s holds %s, the raw that %s was trained on %s (%s are 0 and 1 to the network). Set raw_range if it "
                           "was recorded otherwise", raw.name, intensity.show(ours), checkpoint.path.name, intensity.show(theirs),
                           intensity.show(self.low_high))


def find_range(raw: Volume | None, asked: Setting | None, trained: TrainedNetwork) -> RawRange | None:
    """The range of ``raw`` for ``trained``, the first network that it goes into; None if no raw is read.

    :raises UserError: if a range is asked for and no raw is read, or raw is of one value and nothing else says its range
    """
    if raw is None:
        if asked is not None:
            raise UserError("the network reads no raw, but raw_range was given. Leave it out")
        return None
    if asked is not None:
        return RawRange(intensity.by_setting([raw], asked), raw, trained, derived=False, asked=True)
    note = trained.checkpoint.record.get(NOTE)
    noted = intensity.noted_range(note, raw.dtype)
    if noted is not None:
        return RawRange(noted, raw, trained, derived=False, asked=False)
    if raw.dtype == "uint8" or (note is None and raw.dtype == "uint16"):
        return RawRange(intensity.type_range(raw.dtype), raw, trained, derived=False, asked=False)
    data = intensity.held(intensity.sample(raw, strict=False))
    found = data if note else intensity.as_before(raw.dtype, data)
    derived = found == data and found != intensity.type_range(raw.dtype)
    return RawRange(intensity.check_range(found, raw.name), raw, trained, derived=derived, asked=False)
