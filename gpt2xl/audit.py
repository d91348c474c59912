"""Any workbook, recomputed from its inputs alone and compared with the values that the program that saved it stored."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gpt2xl.a1 import BLANK, NUMBER, TEXT, Rect
from gpt2xl.errors import WorkbookError
from gpt2xl.formula import Array, RectIndex, Scalar, Uncomputed, survey
from gpt2xl.shown import plain
from gpt2xl.workbook import Workbook

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

TOLERANCE = 1e-9
# Where a sum cancels to nothing, programs are left with different crumbs of its terms.
_CRUMB = 1e-15


@dataclass(frozen=True, slots=True)
class Difference:
    """A cell whose formula gives something else than the file stores; `formula` as the formula bar shows it."""

    sheet: str
    ref: str
    formula: str
    stored: Scalar
    computed: Scalar


@dataclass(slots=True)
class Audit:
    """What an audit found, in cells that hold a formula's value.

    `unsupported` counts, by name, the cells whose own formula needs something that the engine has not. Besides them,
    formulas that depend on them, and formulas without a stored value, are not compared.
    """

    formulas: int = 0
    compared: int = 0
    equal: int = 0
    different: list[Difference] = field(default_factory=list)
    unsupported: Counter[str] = field(default_factory=Counter)
    dependent: int = 0
    without_value: int = 0

    def as_json(self) -> dict[str, Any]:
        """The record that `audit --json` prints."""
        return {
            "formulas": self.formulas,
            "compared": self.compared,
            "equal": self.equal,
            "different": [
                {
                    "sheet": item.sheet,
                    "ref": item.ref,
                    "formula": item.formula,
                    "stored": plain(item.stored),
                    "computed": plain(item.computed),
                }
                for item in self.different
            ],
            "unsupported": dict(sorted(self.unsupported.items(), key=lambda pair: (-pair[1], pair[0]))),
            "dependent": self.dependent,
            "without_value": self.without_value,
        }


def audit(path: str | Path, tolerance: float = TOLERANCE) -> Audit:
    """Recompute every formula of a workbook and compare with what the file stores.

    Numbers agree within `tolerance` of the larger of the two, everything else exactly. Raises `WorkbookError` for what
    is no readable workbook, and for one that computes with rounded values ("precision as displayed").
    """
    if not 0 <= tolerance < math.inf:
        raise WorkbookError(f"the tolerance {tolerance} is no distance; give a number such as 1e-9")
    workbook = Workbook.open(path)
    if workbook.precision_as_displayed:
        raise WorkbookError(
            f"{path} is set to compute with values as displayed (ECMA-376 part 1, 18.2.2: fullPrecision), which "
            "gpt2xl does not; switch that off in Excel's options, recalculate and save it, then audit it"
        )
    book = workbook.book
    blocks = [(sheet, rect, book.sheet(sheet).take(rect)) for sheet, rect, _, _ in book.formulas()]
    left_out = survey(book)
    result = Audit(unsupported=_counted(left_out))
    uncomputed = _by_sheet(left_out)
    for sheet, rect, stored in blocks:
        lost = _mask(rect, uncomputed.get(sheet))
        absent = _kinds(stored) == BLANK
        comparable = ~lost & ~absent
        computed = book.sheet(sheet).take(rect)
        unlike = comparable & ~same(stored, computed, tolerance)
        result.formulas += rect.size
        result.without_value += int((absent & ~lost).sum())
        result.compared += int(comparable.sum())
        result.equal += int((comparable & ~unlike).sum())
        for row, column in np.argwhere(unlike).tolist():
            cell = rect.cell(row, column)
            values = stored.item(row, column), computed.item(row, column)
            result.different.append(Difference(sheet, str(cell), workbook.formula_at(sheet, cell), *values))
    result.dependent = sum(item.rect.size for item in left_out if not item.lacking)
    return result


def same(stored: Array, computed: Array, tolerance: float) -> NDArray[np.bool_]:
    """Where two arrays of one shape agree: numbers within the tolerance, all else exactly."""
    kinds = _kinds(stored)
    agree: NDArray[np.bool_] = kinds == _kinds(computed)
    apart = np.abs(stored.num - computed.num)
    near = apart <= np.maximum(tolerance * np.maximum(np.abs(stored.num), np.abs(computed.num)), _CRUMB)
    agree = agree & np.where(kinds == NUMBER, near, (kinds == TEXT) | (stored.num == computed.num))
    if stored.text is not None and computed.text is not None:
        agree &= (kinds != TEXT) | (stored.text == computed.text).astype(bool)
    return agree


def _kinds(array: Array) -> NDArray[np.uint8]:
    return np.zeros(array.shape, np.uint8) if array.kind is None else array.kind


def _counted(left_out: list[Uncomputed]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for item in left_out:
        counts.update(dict.fromkeys(item.lacking, item.rect.size))
    return counts


def _by_sheet(left_out: list[Uncomputed]) -> dict[str, tuple[list[Rect], RectIndex]]:
    rects: dict[str, list[Rect]] = {}
    for item in left_out:
        rects.setdefault(item.sheet, []).append(item.rect)
    return {sheet: (found, RectIndex(zip(found, range(len(found)), strict=True))) for sheet, found in rects.items()}


def _mask(rect: Rect, uncomputed: tuple[list[Rect], RectIndex] | None) -> NDArray[np.bool_]:
    """Which cells of a rectangle were not computed."""
    mask = np.zeros(rect.shape, bool)
    for hit in _overlaps(rect, uncomputed):
        mask[hit.top - rect.top : hit.bottom - rect.top + 1, hit.left - rect.left : hit.right - rect.left + 1] = True
    return mask


def _overlaps(rect: Rect, uncomputed: tuple[list[Rect], RectIndex] | None) -> Iterator[Rect]:
    if uncomputed is None:
        return
    rects, index = uncomputed
    for number in index.meeting(rect):
        other = rects[number]
        yield Rect(
            max(rect.top, other.top), max(rect.left, other.left),
            min(rect.bottom, other.bottom), min(rect.right, other.right),
        )  # fmt: skip
