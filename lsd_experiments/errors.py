"""What a user did wrong, said in one line."""

import difflib
import re
from collections.abc import Iterable

# A URL's password, or one among a database's parameters.
PASSWORD = re.compile(r"(\w:/{0,2}[^\s/@:]*:)(?!password@)[^\s@]*(?=@)|(password\s*=\s*)('[^']*'|[^\s&]+)", re.IGNORECASE)


class UserError(Exception):
    """A mistake that its user can mend: one line that names the file or key, what was found and what to do.

    Every command reports it without a traceback and ends with status 2 (see :mod:`lsd_experiments.cli`).
    """


class Unavailable(UserError):
    """What all blocks need is not there, like a database: a run ends at once, instead of going on with other blocks."""


class NoVoxelSize(UserError):
    """A volume that does not say how large its voxels are."""


class NotListed(UserError):
    """A server gives what is asked for by name, and does not tell what is there."""


class Passing(UserError):
    """What may be over in a while, like a server that is overloaded: a block that ends in it is tried again."""


def without_passwords(text: str) -> str:
    """``text`` with ``***`` for what looks like the password of a URL or of a database's parameters."""
    return PASSWORD.sub(lambda match: f"{match[1] or match[2]}***", text)


def nearest(word: str, known: Iterable[str]) -> str:
    """The hint ``; did you mean 'x'?`` for the known word nearest to ``word``, or nothing if none is near."""
    matches = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {matches[0]!r}?" if matches else ""
