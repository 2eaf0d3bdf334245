"""numba's compiler as this package uses it."""

from collections.abc import Callable

import numba


def compiled(function: Callable | None = None, **options: bool) -> Callable:
    """numba.njit, its result kept on disk for the next process where there is a place for it.

    numba raises RuntimeError where neither the package's folder nor the user's cache folder can be written (a read-only
    install without a home); there every process compiles again. What is kept is known by the time of the function's own
    file: whoever changes a compiled function that another file calls touches that file as well.
    """
    if function is None:
        return lambda later: compiled(later, **options)
    try:
        return numba.njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:
        return numba.njit(nogil=True, **options)(function)
