"""The setting ``--raw-range``, see :mod:`lsd_experiments.intensity`; imported wherever options are, without NumPy."""

import math
from collections.abc import Sequence

from lsd_experiments.errors import UserError

Setting = str | tuple[float, float] | tuple[str, str]

TYPE = "type"
WHICH = ("which raw becomes 0 and which 1: two numbers, two percentiles like 0.1%% 99.9%%, or the word type, for the range of "
         "its type")  # the help


def parse(given: str | Sequence[float | str], key: str = "--raw-range") -> Setting:
    """The setting that a command line's words, or a configuration's value, stand for.

    :raises UserError: if they are none, or the first of two is not below the second; ``key`` is how messages call it
    """
    parts = [given] if isinstance(given, str) else list(given)
    if parts == [TYPE]:
        return TYPE
    wrong = UserError(f"{key}: {' '.join(map(str, parts))} is neither '{TYPE}', nor two numbers, nor two percentiles like "
                      "0.1% 99.9%, of which the first is the smaller. Give one of them")
    percent = [str(part).endswith("%") for part in parts]
    if len(parts) != 2 or percent[0] != percent[1]:
        raise wrong
    try:
        low, high = (float(str(part).removesuffix("%")) for part in parts)
    except ValueError:
        raise wrong from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high) or (percent[0] and not 0 <= low < high <= 100):
        raise wrong
    return (f"{low:g}%", f"{high:g}%") if percent[0] else (low, high)
