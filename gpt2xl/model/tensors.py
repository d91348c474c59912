"""Tensors by name, each read from its file when asked for: views of the mapped file where its numbers allow."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpt2xl.model.rounding import rounded

Array = NDArray[Any]  # of float32 or float64

# numpy has no bfloat16: its numbers come as these bits, the upper half of a float32.
BFLOAT16 = np.dtype("<u2")
# Numbers that are looked at at once. At 4 bytes each they fit a processor's cache.
_PIECE = 1 << 18
# What torch.compile and DistributedDataParallel put before every name, in either order.
_WRAPPED = re.compile(r"^(?:_orig_mod\.|module\.)+")


@dataclass(frozen=True)
class Stored:
    """One tensor as its file has it: its shape, and how to get a view of the numbers in the type they are stored in.

    `raw` gives float64, float32, float16, or the bits of bfloat16.
    """

    shape: tuple[int, ...]
    raw: Callable[[], NDArray[Any]]

    @property
    def transposed(self) -> Stored:
        """[a, b] -> [b, a], still a view."""
        return replace(self, shape=self.shape[::-1], raw=lambda: self.raw().T)

    def first(self, rows: int) -> Stored:
        """[a, ...] -> [rows, ...], still a view."""
        return replace(self, shape=(rows, *self.shape[1:]), raw=lambda: self.raw()[:rows])


class Tensors(Mapping[str, Array]):
    """Tensors by name as float32, or float64 where they are stored so: what the file says, digit for digit.

    Those of float32 and float64 are views of the mapped file. `shape(name)` is known without touching the numbers.
    With `digits` all are float64 rounded to so many significant digits, each time that they are asked for.
    """

    def __init__(self, entries: Mapping[str, Stored], digits: int | None = None) -> None:
        self._entries = dict(entries)
        self._digits = digits

    def __getitem__(self, name: str) -> Array:
        return self._numbers(self._entries[name].raw())

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def shape(self, name: str) -> tuple[int, ...]:
        return self._entries[name].shape

    def stored(self, name: str) -> Stored:
        return self._entries[name]

    def dtype(self, name: str) -> np.dtype[Any]:
        """float64 where the numbers are stored so or rounded, else float32."""
        wide = self._digits is not None or self._entries[name].raw().dtype == np.float64
        return np.dtype(np.float64 if wide else np.float32)

    def rows(self, name: str, rows: slice | list[int]) -> Array:
        """Some rows of a tensor, without touching the others."""
        return self._numbers(self._entries[name].raw()[rows])

    def pieces(self, name: str) -> Iterator[Array]:
        """All numbers of a tensor, in the order in which they are stored, a few at a time."""
        raw = self._entries[name].raw()
        flat = (raw.T if raw.flags.f_contiguous else raw).reshape(-1)
        for start in range(0, flat.size, _PIECE):
            yield self._numbers(flat[start : start + _PIECE])

    def renamed(self, names: Mapping[str, str]) -> Tensors:
        """The tensors named by the keys of `names` under its values, in its order."""
        return Tensors({new: self._entries[old] for old, new in names.items()}, self._digits)

    def first_rows(self, names: Collection[str], count: int) -> Tensors:
        """The same, but of the tensors in `names` only the first `count` rows."""
        entries = {name: entry.first(count) if name in names else entry for name, entry in self._entries.items()}
        return Tensors(entries, self._digits)

    def rounded(self, digits: int) -> Tensors:
        """The same numbers with `digits` significant digits."""
        return Tensors(self._entries, digits)

    def _numbers(self, raw: NDArray[Any]) -> Array:
        return _widened(raw) if self._digits is None else rounded(_widened(raw), self._digits)


def _widened(raw: NDArray[Any]) -> Array:
    """The same numbers as float32 or float64; exact, since every float16 and bfloat16 is a float32 too."""
    if raw.dtype == BFLOAT16:
        bits = raw.astype(np.uint32)
        bits <<= 16
        return bits.view(np.float32)
    return raw if raw.dtype == np.float64 else raw.astype(np.float32, copy=False)


def unwrapped(names: Iterable[str]) -> dict[str, str]:
    """Each name of a state_dict, and what it was before the model was compiled or distributed.

    All stay as they are where two would become one: such a file holds more than one model.
    """
    found = {name: _WRAPPED.sub("", name) for name in names}
    return found if len(set(found.values())) == len(found) else {name: name for name in found}
