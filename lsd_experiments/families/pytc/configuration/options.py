"""What the texts of target options say: ``MODEL.TARGET_OPT`` has one for each group of channels of the network."""

QUANTISED = 11  # classes of a quantised distance
CHANNELS = {"0": 1, "1": 3, "2": 3, "3": 1, "4": 1, "5": 1, "6": 1, "7": 2}  # of families of targets


def is_quantised(target: str) -> bool:
    """Whether a target is a distance in classes: ``5``, ``5-2d``, ``5-3d``; or ``5-2d-0-1-5.0``, whose third number is 1."""
    parts = target.split("-")
    return parts[0] == "5" and (len(parts) < 5 or parts[3] != "0")


def configured_channels(target: str, do_2d: bool = False) -> int | None:
    """How many channels a target has; None for ``all``, the channels that are left; a ValueError if it is no target."""
    family, _, rest = target.partition("-")
    if target == "all":
        return None
    if is_quantised(target):
        return QUANTISED
    if family == "9":
        return int(rest.partition("-")[0])
    if family == "2" and do_2d:
        return 2
    if family not in CHANNELS:
        raise ValueError(f"{target!r} is no target")
    return CHANNELS[family]


def split(targets: list[str], channels: int, do_2d: bool = False) -> list[int]:
    """The channels of each target, of ``channels`` in all.

    :raises ValueError: if they are not as many
    """
    numbers = [configured_channels(target, do_2d) for target in targets]
    if None in numbers[:-1]:
        raise ValueError("only the last target can be 'all'")
    known = sum(number for number in numbers if number is not None)
    if numbers and numbers[-1] is None:
        numbers[-1] = channels - known
    elif known != channels:
        raise ValueError(f"the targets {targets} have {known} channels")
    return [int(number or 0) for number in numbers]
