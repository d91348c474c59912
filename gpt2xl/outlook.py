"""What a workbook will be before it is made: cells, formulas, megabytes, and what opens it."""

from __future__ import annotations

from dataclasses import dataclass

from gpt2xl.plan.plan import Plan
from gpt2xl.xlsx import Compression

GOOGLE_SHEETS_CELLS = 10_000_000
OLD_LIBREOFFICE_COLUMNS = 1_024
EXCEL_32_BIT_MEMORY = 2_000_000_000
# A cell that holds a number, in a spreadsheet's memory: its value, its place among the others, its share of the rest.
_BYTES_IN_MEMORY = 24

# How many significant digits a parameter has in the file: of a float32's shortest decimal, of a float32 as a double.
FLOAT32_DIGITS = 7.5
FLOAT64_DIGITS = 16.0


@dataclass(frozen=True)
class Rates:
    """Bytes that a cell takes in the file, deflated: measured on the embedded model and on random ones."""

    digit: float  # a parameter, for every significant digit
    markup: float  # a parameter, whatever its digits
    reference: float  # a parameter that carries its reference, in addition
    whole: float  # a formula whose value is a whole number: the tokenizer's
    other: float  # any other formula with its value, a constant, a text, an index
    bare: float  # the part of the last two that is left where cells carry no references


RATES: dict[Compression, Rates] = {
    "fast": Rates(digit=0.62, markup=0.85, reference=2.5, whole=4.3, other=11.8, bare=0.55),
    "default": Rates(digit=0.6, markup=0.8, reference=2.8, whole=3.5, other=9.8, bare=0.6),
    "small": Rates(digit=0.6, markup=0.7, reference=2.8, whole=3.5, other=9.8, bare=0.55),
}


@dataclass(frozen=True)
class Outlook:
    """What `build` is about to make; `cells` and `size` (in bytes) are estimates, `columns` is the widest sheet's."""

    cells: int
    formulas: int
    size: int
    columns: int

    @property
    def opens_in(self) -> str:
        """What opens it, as half a sentence, with the limits that decide."""
        small = self.cells * _BYTES_IN_MEMORY <= EXCEL_32_BIT_MEMORY
        excel = "Excel" if small else "64-bit Excel (32-bit Excel has 2 GB of memory)"
        office = "LibreOffice"
        if self.columns > OLD_LIBREOFFICE_COLUMNS:
            office += f" 7.4 or later ({self.columns:,} columns; before, it had {OLD_LIBREOFFICE_COLUMNS:,})"
        fits = "within" if self.cells <= GOOGLE_SHEETS_CELLS else "beyond"
        return f"for {excel} and {office}; {fits} the {GOOGLE_SHEETS_CELLS:,} cells of Google Sheets"


def foresee(plan: Plan, compression: Compression, digits: float, *, references: bool) -> Outlook:
    """What comes of `plan` with parameters of so many significant digits, with or without cell references."""
    items = [item for sheet in plan.sheets for item in sheet.items]
    labels = [label for sheet in plan.sheets for label in sheet.labels]
    parameters = sum(item.rect.size for item in items if item.kind == "parameter")
    formulas = sum(rect.size for rect in plan.formula_rects())
    stored = sum(item.rect.size for item in items if item.kind in ("input", "table"))
    beside = sum(label.rect.size for label in labels if label.kind not in ("formula", "mark"))
    headings = sum(item.heading.width + 3 for item in items)
    others = formulas + stored + beside + headings
    whole = sum(formula.rect.size for item in items if item.style == "integer" for formula in item.formulas)
    rates = RATES[compression]
    each = digits * rates.digit + rates.markup + references * rates.reference
    besides = (whole * rates.whole + (others - whole) * rates.other) * (1.0 if references else rates.bare)
    return Outlook(
        cells=parameters + others,
        formulas=formulas,
        size=round(parameters * each + besides),
        columns=max(item.rect.right for item in items),
    )
