"""How the functions of this package are compiled."""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import numba

logger = logging.getLogger(__name__)
Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """``function`` compiled by numba, kept on disk if there is a place for it.

    numba keeps it beside the source, or in the user's cache directory where the installation is read-only. A kept
    function is renewed when its own file changes, not when a file that it imports does: what is inlined into a
    function stands in the function's file.
    """
    options = {"nogil": True, "error_model": "numpy", "fastmath": True}
    try:
        return numba.njit(cache=True, **options)(function)  # type: ignore[no-any-return]
    except RuntimeError as error:  # no writable place at all
        logger.debug("%s: compiled anew by each process (%s)", function.__name__, error)
        return numba.njit(**options)(function)  # type: ignore[no-any-return]
