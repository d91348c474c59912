"""Formats that follow the numbers: cells that a condition sets off, padding, heat maps, streams."""

from __future__ import annotations

from openpyxl.formatting.rule import ColorScaleRule, FormulaRule, Rule
from openpyxl.styles import Font, PatternFill
from openpyxl.styles.differential import DifferentialStyle
from openpyxl.styles.numbers import NumberFormat
from openpyxl.worksheet.worksheet import Worksheet

from gpt2xl.a1 import Rect
from gpt2xl.plan.plan import Item
from gpt2xl.surface.colours import HEAT, PADDING, ROLES, SHADES, STREAM
from gpt2xl.surface.styles import NUMBERS


def add_formats(worksheet: Worksheet, item: Item) -> None:
    """The conditional formats of an item's cells, those that matter more first."""
    add = worksheet.conditional_formatting.add
    cells = str(item.rect)
    for colour, condition in item.shades.items():
        add(cells, FormulaRule(formula=[condition], fill=PatternFill(bgColor=SHADES[colour])))
    if item.padded:
        # Rows past the prompt: the index in column A is at least the number of tokens.
        first = f"$A{item.rect.top}"
        add(cells, FormulaRule(formula=[f"{first}>=n_tokens"], font=Font(color=PADDING), stopIfTrue=True))
    if item.later is not None and item.padded:
        # Rows of generated tokens after the last: the row's token is no number.
        unused = f"ISERROR(INDEX(generated_ids,ROW()-{item.later.top - 1}))"
        add(str(item.later), FormulaRule(formula=[unused], font=Font(color=PADDING), stopIfTrue=True))
        cells = f"{cells} {item.later}"
    if item.style == "heat" or (item.style == "percent" and item.rect.size > 1):
        start, end = HEAT
        add(
            cells,
            ColorScaleRule(
                start_type="num", start_value=0, start_color=start, end_type="num", end_value=1, end_color=end
            ),
        )
    if item.style == "stream":
        low, zero, high = STREAM
        add(
            cells,
            ColorScaleRule(
                start_type="percentile", start_value=2, start_color=low, mid_type="num", mid_value=0, mid_color=zero,
                end_type="percentile", end_value=98, end_color=high,
            ),
        )  # fmt: skip

    if item.style == "signed" and item.rect.size > 1:
        # The same distance from 0 has the same depth of colour, whatever the signs.
        low, zero, high = STREAM
        largest = f"MAX(MAX({item.rect.absolute}),-MIN({item.rect.absolute}))"
        add(
            cells,
            ColorScaleRule(
                start_type="formula", start_value=f"-{largest}", start_color=low, mid_type="num", mid_value=0,
                mid_color=zero, end_type="formula", end_value=largest, end_color=high,
            ),
        )  # fmt: skip


def add_parameter_look(worksheet: Worksheet, rect: Rect) -> None:
    """The look of parameters for all cells of a rectangle, which then need no style of their own."""
    look = DifferentialStyle(
        numFmt=NumberFormat(numFmtId=200, formatCode=NUMBERS["parameter"]),
        fill=PatternFill(bgColor=ROLES["parameter"].cells),
    )
    worksheet.conditional_formatting.add(str(rect), Rule(type="expression", dxf=look, formula=["TRUE"]))
