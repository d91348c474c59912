"""The formula engine: text to tokens to a tree to values over float64 arrays.

Knows no zip file and no GPT-2; imports `gpt2xl.errors`, `gpt2xl.a1` and numpy only.
"""

from gpt2xl.formula.book import Book
from gpt2xl.formula.grid import Grid
from gpt2xl.formula.parser import parse
from gpt2xl.formula.printer import unparse
from gpt2xl.formula.rectindex import RectIndex
from gpt2xl.formula.structured import Table
from gpt2xl.formula.survey import Uncomputed, survey
from gpt2xl.formula.tree import Node
from gpt2xl.formula.values import Array, ExcelError, Scalar

__all__ = [
    "Array",
    "Book",
    "ExcelError",
    "Grid",
    "Node",
    "RectIndex",
    "Scalar",
    "Table",
    "Uncomputed",
    "parse",
    "survey",
    "unparse",
]
