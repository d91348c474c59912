"""GPT-2 as a live spreadsheet: `build` makes a workbook, `Workbook` opens and recalculates one."""

from __future__ import annotations

__version__ = "0.1.0"

from gpt2xl.convert import Built, build
from gpt2xl.errors import Gpt2xlError
from gpt2xl.formula import ExcelError
from gpt2xl.verify import check
from gpt2xl.workbook import Workbook

__all__ = ["Built", "ExcelError", "Gpt2xlError", "Workbook", "__version__", "build", "check"]
