"""What SUBTOTAL leaves out: rows that are hidden, and other subtotals (ECMA-376 part 1, 18.17.7: SUBTOTAL)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from gpt2xl.a1 import Rect
    from gpt2xl.formula.unit import Block


class Uncounted:
    """Hidden rows, by sheet, and the cells with subtotals."""

    def __init__(self) -> None:
        self._hidden: dict[str, tuple[frozenset[int], frozenset[int]]] = {}
        self._subtotals: dict[str, list[Rect]] | None = None

    def hide(self, sheet: str, rows: Iterable[int], filtered: Iterable[int]) -> None:
        """Which rows of a sheet are hidden, and which of them by a filter."""
        self._hidden[sheet.lower()] = frozenset(rows), frozenset(filtered)

    def forget(self) -> None:
        """Look for subtotals anew: formulas have changed."""
        self._subtotals = None

    def mask(self, blocks: Iterable[Block], sheet: str, rect: Rect, *, hidden: bool) -> NDArray[np.bool_] | None:
        """The cells of a rectangle that do not count, with all `hidden` rows or those alone that a filter hides; None
        where all count."""
        if self._subtotals is None:
            self._subtotals = defaultdict(list)
            for block in blocks:
                if "SUBTOTAL(" in block.text.upper():
                    self._subtotals[block.sheet.lower()].append(block.rect)
        mask = np.zeros(rect.shape, bool)
        every, filtered = self._hidden.get(sheet.lower(), (frozenset(), frozenset()))
        for row in every if hidden else filtered:
            if rect.top <= row <= rect.bottom:
                mask[row - rect.top] = True
        for other in self._subtotals.get(sheet.lower(), ()):
            if other.intersects(rect):
                top, left = max(other.top, rect.top) - rect.top, max(other.left, rect.left) - rect.left
                mask[top : other.bottom - rect.top + 1, left : other.right - rect.left + 1] = True
        return mask if mask.any() else None
