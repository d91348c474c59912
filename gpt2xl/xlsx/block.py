"""What is streamed into a sheet: rectangles of values, with at most one formula each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from gpt2xl.a1 import Rect
    from gpt2xl.xlsx.numbers import Array, Rows

Mode = Literal["constant", "array", "fill", "cell"]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A rectangle of cells of one style.

    ``num`` [height, width] holds, or gives some rows at a time, numbers, booleans as 0 and 1, errors as indices of
    `gpt2xl.a1.ERROR_TEXTS`; ``kind`` (uint8, the kinds of `gpt2xl.a1`) may be None where all are numbers; ``text``
    (object) holds the strings where the kind is TEXT. ``style`` counts in cellXfs. ``formula`` is the text as it
    stands in the file, without "=" and with its `_xlfn.`; ``mode`` says what it is (ECMA-376 part 1, 18.18.6):

    * ``constant``: there is none;
    * ``array``: one array formula over the whole block, every cell with its value;
    * ``fill``: the first cell's formula filled over the block (a shared formula);
    * ``cell``: the formula of the block's only cell.
    """

    rect: Rect
    num: Array | Rows
    kind: Array | None = None
    text: Array | None = None
    style: int = 0
    formula: str | None = None
    mode: Mode = "constant"

    def __post_init__(self) -> None:
        for name, array in (("num", self.num), ("kind", self.kind), ("text", self.text)):
            if array is not None and array.shape != self.rect.shape:
                raise ValueError(f"{name} of {self.rect} has shape {array.shape}, not {self.rect.shape}")
        if (self.formula is None) != (self.mode == "constant"):
            raise ValueError(f"{self.rect}: mode {self.mode!r} with formula {self.formula!r}")
        if self.mode == "cell" and self.rect.size != 1:
            raise ValueError(f"{self.rect}: mode 'cell' is for one cell")
