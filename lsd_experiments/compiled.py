"""How the loops of this package are compiled."""

import logging
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, overload

import numba

logger = logging.getLogger(__name__)
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


@overload
def compiled(function: Callable[Parameters, Result], /) -> Callable[Parameters, Result]: ...


@overload
def compiled(**options: Any) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]: ...


def compiled(function: Callable[..., Any] | None = None, /, **options: Any) -> Callable[..., Any]:
    """``function`` compiled by numba with its ``options``; it lets other threads run, and is kept on disk if there is a place.

    numba keeps it where ``NUMBA_CACHE_DIR`` says, else beside the source, else in the user's cache directory. Where none of
    these can be written, as in a container without a home directory, each process compiles it anew. A kept function is
    renewed when its own file changes, not when a file that it imports does: what is inlined into a function, and each value
    that it takes from outside, stands in the function's file.
    """
    if function is None:
        return lambda function: compiled(function, **options)
    try:
        kernel: Callable[..., Any] = numba.njit(cache=True, nogil=True, **options)(function)
    except RuntimeError as error:  # no writable place at all
        logger.debug("%s: compiled anew by each process (%s)", function.__name__, error)
        kernel = numba.njit(nogil=True, **options)(function)
    return kernel
