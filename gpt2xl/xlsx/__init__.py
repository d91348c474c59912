"""Files in the format .xlsx: a forward-only writer, a reader, and saving with changed values.

What belongs here knows zip files and XML, and nothing of formulas' meaning or of GPT-2.
"""

from gpt2xl.xlsx.block import Block
from gpt2xl.xlsx.compress import Compression
from gpt2xl.xlsx.numbers import Array, Rows
from gpt2xl.xlsx.output import refuse_unwritable
from gpt2xl.xlsx.package import DefinedName, Package, SheetInfo, open_package
from gpt2xl.xlsx.save import SheetChanges
from gpt2xl.xlsx.store import FormulaCell, SheetData
from gpt2xl.xlsx.styles import style_id
from gpt2xl.xlsx.tables import TablePart
from gpt2xl.xlsx.writer import write_workbook

__all__ = [
    "Array",
    "Block",
    "Compression",
    "DefinedName",
    "FormulaCell",
    "Package",
    "Rows",
    "SheetChanges",
    "SheetData",
    "SheetInfo",
    "TablePart",
    "open_package",
    "refuse_unwritable",
    "style_id",
    "write_workbook",
]
