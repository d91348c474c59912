"""Values: what a cell, a range and a step of an evaluation hold.

Everything is float64 arrays. Beside the numbers stands one byte a cell that says what the number means
(`gpt2xl.a1`: NUMBER, BLANK, TEXT, BOOL, ERROR): a truth value is 0 or 1, an error its index in
`ERROR_TEXTS`, a text the index of its string in the book's `TextPool`. So a text moves through IF, INDEX
or TRANSPOSE as a number does, and pure numbers need no second array at all.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpt2xl.a1 import BLANK, BOOL, ERROR, ERROR_TEXTS, NUMBER, TEXT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Objects = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class ExcelError:
    """An error value such as `#N/A`; equal to another of the same text."""

    text: str

    def __post_init__(self) -> None:
        if self.text not in ERROR_TEXTS:
            raise ValueError(f"{self.text} is no error value")

    def __str__(self) -> str:
        return self.text

    @property
    def code(self) -> int:
        """Its index in `ERROR_TEXTS`."""
        return ERROR_TEXTS.index(self.text)


NULL = ExcelError("#NULL!")
DIV0 = ExcelError("#DIV/0!")
VALUE = ExcelError("#VALUE!")
REF = ExcelError("#REF!")
NAME = ExcelError("#NAME?")
NUM = ExcelError("#NUM!")
NA = ExcelError("#N/A")
ERRORS = tuple(ExcelError(text) for text in ERROR_TEXTS)

Scalar: TypeAlias = float | str | bool | ExcelError | None

# The kind of an array that holds truth values only: shared, and broadcast where a full array is needed.
# An array with this very kind may keep its numbers as numpy booleans.
BOOLS: Bytes = np.full((1, 1, 1), BOOL, np.uint8)
BOOLS.flags.writeable = False


_AT_A_TIME = 1 << 21  # numbers of an `Unread` matrix: 16 MiB
_FEW = 16  # one row in so many is few


class Source(Protocol):
    """What a plain reference reads from."""

    def vector(self) -> Floats:
        """Its numbers as one contiguous vector."""


def all_numbers(kind: NDArray[Any]) -> bool:
    """Whether cells of these kinds are plain numbers; one kind broadcast to millions of cells is looked at once."""
    return not (kind if any(kind.strides) else kind[:1, :1]).any()


class Value:
    """Cells during an evaluation, with three axes: lanes, rows, columns.

    A lane is one cell of a filled formula; an array formula has one. ``kind`` is None for pure numbers, else
    an array that broadcasts to the shape of ``num``. ``ranged`` says that the cells come from a reference
    or an array constant: functions over ranges then skip texts and truth values instead of converting them.
    ``source`` can give the numbers of a plain reference as one contiguous vector, and keeps it. ``beyond`` is how many
    blank cells more a whole column or row has than are held here.
    """

    __slots__ = ("beyond", "kind", "num", "ranged", "source")

    def __init__(
        self, num: NDArray[Any], kind: Bytes | None = None, ranged: bool = False, source: Source | None = None
    ) -> None:
        self.num = num
        self.kind = kind
        self.ranged = ranged
        self.source = source
        self.beyond = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Lanes, rows, columns."""
        lanes, rows, columns = self.num.shape
        return lanes, rows, columns

    @property
    def kinds(self) -> Bytes:
        """The kind of every cell, in full."""
        if self.kind is None:
            return np.zeros(self.shape, np.uint8)
        return np.broadcast_to(self.kind, self.shape)

    def mask(self, kind: int) -> NDArray[np.bool_]:
        """Where the cells are of this kind."""
        result: NDArray[np.bool_] = self.kinds == kind
        return result


class Held(Protocol):
    """Finite numbers that are kept elsewhere, [rows, columns]."""

    def __getitem__(self, part: tuple[slice, slice], /) -> Floats: ...


class Unread(Value):
    """A large matrix of numbers that are read as they are wanted: all of them by `num`, each time anew."""

    __slots__ = ("_held", "_rows", "columns", "rows")

    def __init__(self, held: Held, part: tuple[slice, slice]) -> None:
        self._held = held
        self._rows = part
        self.rows, self.columns = (each.stop - each.start for each in part)
        self.kind = None
        self.ranged = True
        self.source = None
        self.beyond = 0

    @property
    def num(self) -> Floats:  # type: ignore[override]  # written by nobody
        """[1, rows, columns]."""
        return self._held[self._rows][np.newaxis]

    @property
    def shape(self) -> tuple[int, int, int]:
        return 1, self.rows, self.columns

    def some(self, begin: int, end: int) -> Floats:
        """[end - begin, columns]: rows, counted from 0."""
        rows, columns = self._rows
        return self._held[rows.start + begin : rows.start + end, columns]

    def parts(self) -> Iterator[tuple[int, Floats]]:
        """All rows, some at a time, and the number of the first."""
        step = max(1, _AT_A_TIME // self.columns)
        for begin in range(0, self.rows, step):
            yield begin, self.some(begin, min(begin + step, self.rows))

    def pick(self, row: NDArray[np.intp], column: NDArray[np.intp]) -> Floats:
        """The numbers at these places, which broadcast to each other; few rows are read for few."""
        row, column = np.broadcast_arrays(row, column)
        which = np.unique(row)
        if len(which) * _FEW > self.rows:
            everything: Floats = self.num[0, row, column]
            return everything
        found = np.empty(row.shape)
        for number in which.tolist():
            here = row == number
            found[here] = self.some(number, number + 1)[0, column[here]]
        return found


def number(value: float) -> Value:
    """One number, in every lane."""
    return Value(np.full((1, 1, 1), value, np.float64))


def error(what: ExcelError, shape: tuple[int, ...] = (1, 1, 1)) -> Value:
    """One error, in every cell of `shape`."""
    return Value(np.full(shape, what.code, np.float64), np.full((1, 1, 1), ERROR, np.uint8))


# The value of an argument left out between two commas.
MISSING = Value(np.zeros((1, 1, 1)), np.full((1, 1, 1), BLANK, np.uint8))


class TextPool:
    """The strings of a book, each kept once and known by its index.

    ``epoch`` is what dates that texts spell count from: 0, or 1462 where a book's day 0 is 1 January 1904.
    """

    def __init__(self, epoch: int = 0) -> None:
        self.epoch = epoch
        self._strings: Objects = np.empty(64, object)
        self._folded = np.full(64, -1, np.int64)
        self._ids: dict[str, int] = {}
        self._free: list[int] = []
        self._size = 0
        self.pinned: set[int] = set()  # constants of compiled formulas: never swept
        self.add("")
        self.pinned.add(0)

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, text: str) -> int:
        """The index of `text`, new or known. The empty string is 0."""
        known = self._ids.get(text)
        if known is not None:
            return known
        if self._free:
            index = self._free.pop()
        else:
            index = self._size
            self._size += 1
            if index == len(self._strings):
                self._strings = np.concatenate([self._strings, np.empty(index, object)])
                self._folded = np.concatenate([self._folded, np.full(index, -1, np.int64)])
        self._strings[index] = text
        self._folded[index] = -1
        self._ids[text] = index
        return index

    def add_all(self, texts: Iterable[str]) -> Floats:
        """The indices of many strings, as numbers."""
        add = self.add
        return np.array([add(text) for text in texts], np.float64)

    def get(self, num: NDArray[Any]) -> Objects:
        """The strings behind an array of indices."""
        found: Objects = self._strings[num.astype(np.intp)]
        return found

    def text(self, index: float) -> str:
        """The string behind one index."""
        found: str = self._strings[int(index)]
        return found

    def folded(self, num: NDArray[Any]) -> NDArray[np.int64]:
        """One number for each text, equal for texts that differ only in case."""
        index = num.astype(np.intp)
        result = self._folded[index]
        if (result < 0).any():
            for unknown in np.unique(index[result < 0]).tolist():
                self._folded[unknown] = self.add(fold(self._strings[unknown]))
            result = self._folded[index]
        return result

    def sweep(self, live: Iterable[int]) -> None:
        """Forget every string whose index is neither in `live` nor pinned."""
        keep = {*live, *self.pinned}
        keep.update(int(self._folded[index]) for index in list(keep) if self._folded[index] >= 0)
        for text, index in list(self._ids.items()):
            if index not in keep:
                del self._ids[text]
                self._strings[index] = None
                self._folded[index] = -1
                self._free.append(index)


@lru_cache(maxsize=1 << 12)
def collated(text: str) -> tuple[tuple[tuple[int, str], ...], str]:
    """What an order of texts compares: signs before digits before letters, letters without case, and without their
    accents as long as something else differs (as Excel and LibreOffice order in Western languages)."""
    folded = fold(text)
    if folded.isascii() and folded.isalpha():
        return tuple((2, letter) for letter in folded), folded
    plain = (letter for letter in unicodedata.normalize("NFD", folded) if not unicodedata.combining(letter))
    return tuple((2 if letter.isalpha() else 1 if letter.isdigit() else 0, letter) for letter in plain), folded


def fold(text: str) -> str:
    """What case-insensitive comparison compares."""
    return text if text.isascii() and text.islower() else text.lower()


@dataclass(slots=True, eq=False)
class Array:
    """Cells at the border of the engine, rows x columns: what `take` and `get` return and `put` accepts.

    ``kind`` is None where all cells are numbers; ``text`` holds the strings where `kind` is TEXT.
    """

    num: Floats
    kind: Bytes | None = None
    text: Objects | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return self.num.shape[0], self.num.shape[1]

    def item(self, row: int = 0, column: int = 0) -> Scalar:
        """One cell as a Python value; None where it is blank."""
        kind = NUMBER if self.kind is None else self.kind[row, column]
        if kind == NUMBER:
            return float(self.num[row, column])
        if kind == TEXT:
            return "" if self.text is None else str(self.text[row, column])
        if kind == BOOL:
            return bool(self.num[row, column])
        return None if kind == BLANK else ERRORS[int(self.num[row, column])]

    def tolist(self) -> list[list[Scalar]]:
        """All cells as Python values, row by row."""
        if self.kind is None:
            return [list(row) for row in self.num.tolist()]
        rows, columns = self.shape
        return [[self.item(row, column) for column in range(columns)] for row in range(rows)]

    def equals(self, other: Array) -> bool:
        """Whether every cell is the same, numbers bit for bit (but -0 is 0)."""
        if self.shape != other.shape:
            return False
        if self.kind is None and other.kind is None:
            return bool(np.array_equal(self.num, other.num))
        return self.tolist() == other.tolist() and (np.array_equal(_kinds(self), _kinds(other)))

    @classmethod
    def of(cls, values: object) -> Array:
        """An array from one value, a list of values (a row), a list of lists, or a numpy array.

        Raises `TypeError`, `ValueError` or `OverflowError` for what cells cannot hold.
        """
        if isinstance(values, Array):
            return values
        if isinstance(values, np.ndarray) and values.ndim > 2:
            raise ValueError(f"cells have two dimensions, not {values.ndim}")
        if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
            num = np.atleast_2d(values).astype(np.float64, copy=False)
            if values.dtype == bool:
                return cls(num, np.full(num.shape, BOOL, np.uint8))
            return cls(num)
        if isinstance(values, np.ndarray):
            values = values.tolist()
        if not isinstance(values, (list, tuple)):
            values = [[values]]
        rows = [row if isinstance(row, (list, tuple)) else None for row in values]
        table: list[Sequence[Any]] = [row for row in rows if row is not None]
        if len(table) != len(rows):
            table = [values]
        if len({len(row) for row in table}) > 1:
            raise ValueError("the rows of a list of lists differ in length")
        shape = (len(table), len(table[0]) if table else 0)
        num, kind, text = np.zeros(shape), np.zeros(shape, np.uint8), np.full(shape, "", object)
        for i, row in enumerate(table):
            for j, item in enumerate(row):
                num[i, j], kind[i, j], text[i, j] = _cell(item)
        if not kind.any():
            return cls(num)
        return cls(num, kind, text if (kind == TEXT).any() else None)


def _kinds(array: Array) -> Bytes:
    return np.zeros(array.num.shape, np.uint8) if array.kind is None else array.kind


def _cell(item: object) -> tuple[float, int, str]:
    """Number, kind and text of one Python value."""
    if item is None:
        return 0.0, BLANK, ""
    if isinstance(item, str):
        return 0.0, TEXT, item
    if isinstance(item, (bool, np.bool_)):
        return float(item), BOOL, ""
    if isinstance(item, ExcelError):
        return float(item.code), ERROR, ""
    if isinstance(item, (int, float, np.integer, np.floating)):
        return float(item), NUMBER, ""
    raise TypeError(f"a cell cannot hold a {type(item).__name__}")
