"""Cell formats: fonts, fills, number formats, each registered once with the shell as an index in cellXfs."""

from __future__ import annotations

from typing import Any

from openpyxl import Workbook as Shell
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side

from gpt2xl.plan.plan import Item
from gpt2xl.surface.colours import AXIS, CODE, GREY, INK, LINK, PADDING, ROLES
from gpt2xl.xlsx import style_id

_LINE = Side(style="thin", color="BFBFBF")
_BOX = Border(left=_LINE, right=_LINE, top=_LINE, bottom=_LINE)
_WRAP = Alignment(wrap_text=True, vertical="top")
_CENTRE = Alignment(horizontal="center", vertical="center", wrap_text=True)
_LEFT = Alignment(horizontal="left", vertical="center")

# How numbers are shown. A weight that is as good as none is a dot, so that the others stand out; what stands behind
# the mask (-1E+30) is shown as the minus infinity that it stands for.
NUMBERS = {
    "decimal": "0.000",
    "parameter": "0.0000",
    "integer": "0",
    "percent": "0.0%",
    "scientific": "0.0E+00",
    "heat": '[<0.005]"·";0.00',
    "stream": "0.000",
    "signed": "+0.000;-0.000;0.000",
    "masked": '[<-1E+20]"−∞";[<0]-0.000;0.000',
}


class Styles:
    """The formats of one shell, by what they are for."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self.text = self._font(10)
        self.title = self._font(16, bold=True, color=INK)
        self.note = self._font(10, italic=True, color=GREY)
        self.wrapped = self._font(9, color=GREY, alignment=_WRAP)
        self.term = self._font(11, bold=True, color=INK, alignment=_WRAP)
        self.paragraph = self._font(10, alignment=_WRAP)
        self.strong = self._font(11, bold=True, color=INK)
        self.link = self._font(9, underline="single", color=LINK)
        self.name = self._font(9, bold=True, color=GREY)
        self.math = self._register(font=Font(name="Cambria Math", size=11, color=INK), number_format="@")
        self.code = self._register(font=Font(name="Consolas", size=9, color=CODE), number_format="@")
        self.source = self._font(8, italic=True, color=GREY)
        self.index = self._font(9, color="7F7F7F", fill=_fill(AXIS), number_format="0")
        self.label = self._font(10, color="404040", fill=_fill(AXIS), number_format="@")
        self.label_across = self._font(
            10, color="404040", fill=_fill(AXIS), number_format="@", alignment=Alignment(horizontal="right")
        )
        self.form_heading = self._font(10, bold=True, color=INK, alignment=Alignment(vertical="center"))
        self.headings = {
            role: self._font(11, bold=True, color=INK, fill=_fill(tint.heading)) for role, tint in ROLES.items()
        }
        self.narrow_headings = {
            role: self._font(11, bold=True, color=INK, fill=_fill(tint.heading), alignment=_WRAP)
            for role, tint in ROLES.items()
        }
        self.boxes = {
            role: self._font(
                10, underline="single", color=INK, fill=_fill(tint.heading), border=_BOX, alignment=_CENTRE
            )
            for role, tint in ROLES.items()
        }
        self.arrow = self._font(9, color=GREY, alignment=_CENTRE)
        # Of single cells of a form, and of its words, by the names that templates have for them.
        self.by_name = {
            "answer": self._font(
                26, bold=True, color="A34700", alignment=Alignment(horizontal="left", shrink_to_fit=True)
            ),
            "sentence": self._font(12, bold=True, color=INK, alignment=_LEFT),
            "state": self._font(11, bold=True, color=GREY, alignment=_LEFT),
            "fact": self._font(10, color=GREY, number_format="0", alignment=_LEFT),
            "count": self._font(10, number_format="#,##0", alignment=_LEFT),
            "faint": self._font(8, color=PADDING, number_format="0"),
            "token": self._font(11, bold=True, number_format="@"),
            "chip": self._font(11, bold=True, number_format="@", alignment=_CENTRE),
            "chip id": self._font(9, color=GREY, number_format="0", alignment=_CENTRE),
            "word": self._input(11),
            "small word": self._input(10),
            "setting": self._input(12, "General"),
            "small number": self._input(10, "General"),
            "switch": self._input(11, "General"),
            "remark": self._font(10, color=GREY),
            "number": self._font(16, bold=True, color="A34700", number_format="0.000", alignment=_LEFT),
            "mark": self._font(10, bold=True, border=_BOX, alignment=_CENTRE),
            "text": self._font(10, alignment=Alignment(horizontal="left", shrink_to_fit=True)),
            "title": self.title,
            "note": self._font(10, color=GREY, alignment=_WRAP),
            "strong": self.strong,
            "links": self._font(10, underline="single", color=LINK),
            "link": self._font(10, underline="single", color=LINK),
            **{f"legend {role}": self._font(10, fill=_fill(tint.heading), border=_BOX) for role, tint in ROLES.items()},
            "legend padding": self._font(10, color=PADDING, border=_BOX),
        }
        self.input = self._input(14)
        self.answer = self._font(10, fill=_fill(ROLES["input"].heading), number_format=NUMBERS["decimal"])
        self._cells: dict[tuple[str, str | None], int] = {}

    def of(self, item: Item, layout: str) -> int:
        """The format of an item's cells."""
        if item.blank:
            return self.answer
        if item.style in self.by_name:
            return self.by_name[item.style]
        if item.kind == "input":
            return self.input
        usual = {"parameter": "parameter", "table": None}.get(item.kind, "decimal" if layout == "blocks" else None)
        return self._of_role(item.role, item.style or usual)

    def _of_role(self, role: str, numbers: str | None) -> int:
        key = role, numbers
        if key not in self._cells:
            properties: dict[str, Any] = {"font": Font(name="Calibri", size=10)}
            colour = ROLES[role].cells
            if colour is not None:
                properties["fill"] = _fill(colour)
            if numbers is not None:
                properties["number_format"] = NUMBERS[numbers]
            self._cells[key] = self._register(**properties)
        return self._cells[key]

    def _input(self, size: int, number_format: str = "@") -> int:
        return self._font(
            size,
            bold=True,
            fill=_fill(ROLES["input"].heading),
            border=Border(*[Side(style="medium", color="8A7A00")] * 4),
            number_format=number_format,
            alignment=Alignment(wrap_text=True, vertical="center"),
        )

    def _font(
        self,
        size: int,
        *,
        bold: bool = False,
        italic: bool = False,
        underline: str | None = None,
        color: str = "000000",
        **properties: Any,
    ) -> int:
        font = Font(name="Calibri", size=size, bold=bold, italic=italic, underline=underline, color=color)
        return self._register(font=font, **properties)

    def _register(self, **properties: Any) -> int:
        return style_id(self._shell, **properties)


def _fill(color: str) -> PatternFill:
    return PatternFill("solid", start_color=color, end_color=color)
