"""What the channels of a network are, by the targets that it was trained for, and how they turn with the image."""

from collections.abc import Sequence

from lsd_experiments.families.pytc.configuration import Config
from lsd_experiments.families.pytc.configuration.options import split
from lsd_experiments.networks import Head
from lsd_experiments.prediction.turning import Ensemble, Source, Turn, head_sources, turns

NAMES = {"0": "foreground", "1": "polarity", "2": "affs", "3": "small_objects", "4": "contour", "5": "distance",
         "6": "signed_distance", "7": "flow", "9": "classes", "all": "others"}
AUGMENTED = {None: ("", ""), 0: ("", ""), 4: ("yx", ""), 8: ("yx", "yx"), 16: ("zyx", "yx")}  # flips, transposes
SUFFIXES = {None: "", 0: "", 4: "_xy", 8: "_txy", 16: "_tzyx"}
CENTRED = "v2"  # affinities between the voxels on both sides of one


def heads_of(config: Config) -> tuple[Head, ...]:
    """A head for each target, in the order of channels; several of one kind are numbered from 0."""
    targets = config.MODEL.TARGET_OPT
    channels = split(targets, config.MODEL.OUT_PLANES, config.DATASET.DO_2D)
    names = [NAMES[target.partition("-")[0]] for target in targets]
    heads = []
    for number, (target, name, count) in enumerate(zip(targets, names, channels, strict=True)):
        unique = name if names.count(name) == 1 else f"{name}{names[:number].count(name)}"
        heads.append(Head(unique, count, neighborhood=neighborhood(target, count)))
    return tuple(heads)


def neighborhood(target: str, channels: int) -> tuple[tuple[int, int, int], ...] | None:
    """Of affinities, the neighbours (z, y, x) that a voxel is compared with; None of other targets, and of centred affinities."""
    family, *rest = target.split("-")
    if family != "2" or rest[-1:] == [CENTRED]:
        return None
    steps = [int(step) for step in rest[:3]] if len(rest) >= 3 else [1, 1, 1]
    z, y, x = (-step for step in steps)
    return ((z, 0, 0), (0, y, 0), (0, 0, x))[3 - channels:]  # of sections, y and x


def ensemble_of(config: Config, parity: bool) -> Ensemble:
    """The turns of ``INFERENCE.AUG_NUM``, and how their outputs are combined.

    :param parity: channels are neither exchanged nor shifted, as published
    :raises UserError: if it is not known how a target turns, or the network does not take what is turned
    """
    number = config.INFERENCE.AUG_NUM
    flips, transposes = AUGMENTED[min(number, 8) if number and config.DATASET.DO_2D else number]
    _, y, x = config.MODEL.INPUT_SIZE
    if transposes and config.MODEL.ARCHITECTURE == "unetr" and y != x:
        raise config.wrong("INFERENCE.AUG_NUM", f"is {number}, so that y and x change places, but unetr takes one size "
                           f"alone, {config.MODEL.INPUT_SIZE}. Make y and x equal, or take 4")
    several = turns(flips, transposes)
    sources = {}
    for head, target in zip(heads_of(config), config.MODEL.TARGET_OPT, strict=True):
        if target.startswith("7") and number and not parity:
            raise config.wrong("INFERENCE.AUG_NUM", f"is {number}, but it is not known how target {target} turns. Leave it out")
        centred = head.neighborhood is None and target.startswith("2") and not parity
        sources[head.name] = tuple(
            _exchanged(turn, head.channels) if centred else head_sources(head, turn, parity) for turn in several)
    return Ensemble(several, sources, config.INFERENCE.AUG_MODE)


def _exchanged(turn: Turn, channels: int) -> tuple[Source, ...]:
    """Of affinities that look as far to both sides: channels go with their axes, and nothing is shifted."""
    first = 3 - channels
    return tuple(Source(turn.order.index(axis) - first) for axis in range(first, 3))


def suffix(config: Config) -> str:
    """What the published names of outputs say of the turns."""
    number = config.INFERENCE.AUG_NUM
    return SUFFIXES[min(number, 8) if number and config.DATASET.DO_2D else number]


def channel_slices(heads: Sequence[Head]) -> dict[str, slice]:
    """Of each head, its channels among all."""
    found, begin = {}, 0
    for head in heads:
        found[head.name] = slice(begin, begin + head.channels)
        begin += head.channels
    return found
