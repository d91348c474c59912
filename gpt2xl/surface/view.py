"""Widths, heights, frozen panes, tabs and pages of a sheet."""

from __future__ import annotations

from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.worksheet import Worksheet

from gpt2xl.a1 import Rect
from gpt2xl.plan.layout import HEADINGS
from gpt2xl.plan.plan import Sheet
from gpt2xl.surface.colours import TABS

_NOTE_HEIGHTS = {"blocks": 38.0, "columns": 80.0}
_TITLE_HEIGHT = 30.0  # two lines in a narrow column
_WIDTHS = {"form": 11.0, "columns": 14.0, "blocks": 9.5}


def arrange(worksheet: Worksheet, sheet: Sheet) -> None:
    """A sheet of the plan as its layout asks."""
    widest = max((len(item.name) for item in sheet.items), default=0) if sheet.layout == "columns" else 0
    worksheet.sheet_format.defaultColWidth = max(_WIDTHS[sheet.layout], float(widest))
    worksheet.sheet_format.baseColWidth = 10
    if sheet.layout == "form":
        for column, width in sheet.widths.items():
            worksheet.column_dimensions[column].width = width
        if sheet.freeze != Rect(1, 1, 1, 1):
            worksheet.freeze_panes = str(sheet.freeze)
        for row, height in sheet.heights.items():
            worksheet.row_dimensions[int(row)].height = height
    else:
        worksheet.column_dimensions["A"].width = 9.0
        if sheet.layout == "blocks":
            worksheet.column_dimensions["B"].width = 14.0
        worksheet.freeze_panes = str(sheet.freeze)
        rows = HEADINGS[sheet.layout]
        for item in sheet.items:
            worksheet.row_dimensions[item.heading.top + rows.note].height = _NOTE_HEIGHTS[sheet.layout]
            if sheet.layout == "columns":
                worksheet.row_dimensions[item.heading.top].height = _TITLE_HEIGHT
    page(worksheet, sheet.group, grid=sheet.layout != "form")


def page(worksheet: Worksheet, group: str, *, grid: bool) -> None:
    """What every sheet has: as wide as a page of paper, the colour of its group."""
    worksheet.page_setup.orientation = "landscape"
    worksheet.page_setup.fitToHeight = 0
    worksheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    worksheet.sheet_view.showGridLines = grid
    worksheet.sheet_properties.tabColor = TABS[group]
