"""Pauses between tries of what a server did not answer: each about twice as long as the one before, up to a longest one."""

import random

MOST_DOUBLINGS = 60


def growing_pause(tries: int, first: float, longest: float) -> float:
    """Seconds to wait after so many ``tries`` in vain, from 1: of random length, as Amazon asks, so that clients spread.

    :param first: seconds that the first pause lasts at most, and ``longest`` any
    """
    return random.uniform(0.5, 1) * min(longest, first * 2.0 ** min(tries - 1, MOST_DOUBLINGS))
