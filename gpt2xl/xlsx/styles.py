"""Cell formats for streamed cells, registered with openpyxl (ECMA-376 part 1, 18.8.10: cellXfs)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openpyxl.cell import WriteOnlyCell
from openpyxl.worksheet.worksheet import Worksheet

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.styles import Alignment, Border, Font, NamedStyle, PatternFill, Protection


def style_id(
    shell: Workbook,
    style: NamedStyle | str | None = None,
    *,
    font: Font | None = None,
    fill: PatternFill | None = None,
    border: Border | None = None,
    alignment: Alignment | None = None,
    protection: Protection | None = None,
    number_format: str | None = None,
) -> int:
    """The index in cellXfs of a named style, of single properties, or of a named style with some exchanged.

    The same combination has the same index.
    """
    # A cell of a sheet that is no part of the workbook: openpyxl registers styles with cells only.
    cell: Any = WriteOnlyCell(Worksheet(shell))
    if style is not None:
        cell.style = style
    properties = {
        "font": font,
        "fill": fill,
        "border": border,
        "alignment": alignment,
        "protection": protection,
        "number_format": number_format,
    }
    for name, value in properties.items():
        if value is not None:
            setattr(cell, name, value)
    return int(cell.style_id)
