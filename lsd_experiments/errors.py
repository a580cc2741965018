"""What a user did wrong, said in one line."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake that its user can mend: one line that names the file or key, what was found and what to do.

    Every command reports it without a traceback and ends with status 2 (see :mod:`lsd_experiments.cli`).
    """


class Unavailable(UserError):
    """What all blocks need is not there, like a database: a run ends at once, instead of going on with other blocks."""


class Passing(UserError):
    """What may be over in a while, like a server that is overloaded: a block that ends in it is tried again."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The hint ``; did you mean 'x'?`` for the known word nearest to ``word``, or nothing if none is near."""
    matches = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {matches[0]!r}?" if matches else ""
