"""Which of many rectangles meet a given one.

Rectangles are kept in classes of height (powers of two), each sorted by its first row: those of a class that can
meet a row range are neighbours, found by two binary searches, and the columns are compared with numpy.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from gpt2xl.a1 import Rect


class RectIndex:
    """An index over (rectangle, number) pairs that does not change once built."""

    def __init__(self, entries: Iterable[tuple[Rect, int]]) -> None:
        classes: dict[int, list[tuple[int, int, int, int, int]]] = defaultdict(list)
        for rect, number in entries:
            classes[(rect.bottom - rect.top).bit_length()].append(
                (rect.top, rect.bottom, rect.left, rect.right, number)
            )
        self._classes: list[tuple[int, NDArray[np.int64], NDArray[np.int64]]] = []
        for size, rows in classes.items():
            table = np.array(rows, np.int64)
            table = table[np.argsort(table[:, 0], kind="stable")]
            # One row for each side, so that a slice of it is contiguous.
            self._classes.append(((1 << size) - 1, table[:, 0].copy(), np.ascontiguousarray(table.T)))

    def meeting(self, rect: Rect) -> list[int]:
        """The numbers of all rectangles that share a cell with `rect`."""
        return next(self.meeting_each([rect]))

    def meeting_each(self, rects: Sequence[Rect]) -> Iterator[list[int]]:
        """The same for one rectangle after the other, when it is asked for; where to look is found for all at once."""
        rows = np.array([(rect.top, rect.bottom) for rect in rects], np.int64).reshape(-1, 2)
        spans = [
            (
                table,
                tops.searchsorted(rows[:, 0] - reach, "left").tolist(),
                tops.searchsorted(rows[:, 1], "right").tolist(),
            )
            for reach, tops, table in self._classes
        ]
        for place, rect in enumerate(rects):
            found: list[int] = []
            for table, firsts, lasts in spans:
                first, last = firsts[place], lasts[place]
                if first == last:
                    continue
                if last - first == 1:
                    _, bottom, left, right, number = table[:, first].tolist()
                    if bottom >= rect.top and left <= rect.right and right >= rect.left:
                        found.append(number)
                    continue
                part = table[:, first:last]
                meets = (part[1] >= rect.top) & (part[2] <= rect.right) & (part[3] >= rect.left)
                found.extend(part[4][meets].tolist())
            yield found
