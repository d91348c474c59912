"""Loops over millions of numbers, compiled when they are first called (numba).

They run without Python's lock, so that threads share the cores. What was compiled is kept on the disk, by the file that
a function is in. One that calls those of other files (`inner` ones) stands in a function that is told their `contents`,
and names these, or the disk would keep what is out of date.

numba takes half a second to import and each of these some seconds to compile, once on a machine: modules of such
functions are imported where there is enough to do.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numba

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

Whole = Any  # a number that is an int outside of compiled functions and 64 bits inside

_Function = TypeVar("_Function", bound="Callable[..., object]")


def compiled(function: _Function) -> _Function:
    """`function`, of numbers and arrays alone, compiled."""
    try:
        faster: _Function = numba.njit(function, cache=True, nogil=True, error_model="numpy")
    except RuntimeError:  # nowhere to keep it: neither beside the file nor in the user's folder for such things
        faster = numba.njit(function, nogil=True, error_model="numpy")
    return faster


def inner(function: _Function) -> _Function:
    """`function` as a part of `compiled` ones, with which the disk keeps it: it may call those of any file."""
    faster: _Function = numba.njit(function, nogil=True, error_model="numpy")
    return faster


def contents(*modules: ModuleType) -> str:
    """What tells these modules' files from all earlier and later ones."""
    files = (Path(module.__file__ or "") for module in modules)
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
