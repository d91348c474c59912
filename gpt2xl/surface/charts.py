"""Native charts of what names refer to (openpyxl)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openpyxl.chart import BarChart, LineChart, Reference, ScatterChart
from openpyxl.chart import Series as Plotted
from openpyxl.chart.label import DataLabelList
from openpyxl.chart.series import SeriesLabel
from openpyxl.chart.shapes import GraphicalProperties
from openpyxl.chart.text import RichText, Text
from openpyxl.chart.title import Title
from openpyxl.drawing.text import CharacterProperties, Paragraph, ParagraphProperties, RegularTextRun
from openpyxl.worksheet.worksheet import Worksheet

from gpt2xl.plan.document import Chart
from gpt2xl.plan.plan import Place

# Blue, vermillion and green of the palette, which differ in lightness too.
_COLOURS = ("0072B2", "D55E00", "009E73")
_MARKERS = ("circle", "triangle", "square")


def add_chart(worksheet: Worksheet, chart: Chart, names: Mapping[str, Place], sheets: Mapping[str, Worksheet]) -> None:
    """Draw `chart` at its cell; the series refer to the cells of `names`."""

    def reference(name: str) -> Reference:
        rect = names[name].rect
        return Reference(
            sheets[names[name].sheet], min_col=rect.left, max_col=rect.right, min_row=rect.top, max_row=rect.bottom
        )

    drawn: Any = {"bar": BarChart, "line": LineChart, "scatter": ScatterChart}[chart.kind]()
    for place, series in enumerate(chart.series):
        x = reference(series.x) if series.x else None
        plotted = Plotted(reference(series.values), xvalues=x if chart.kind == "scatter" else None)
        plotted.tx = SeriesLabel(v=series.title)
        _colour(plotted, chart.kind, place)
        drawn.series.append(plotted)
        if x is not None and chart.kind != "scatter":
            drawn.set_categories(x)
    drawn.title = _words(chart.title, 11)
    drawn.width, drawn.height = chart.width, chart.height
    for axis, title in ((drawn.x_axis, chart.x_title), (drawn.y_axis, chart.y_title)):
        axis.title = _words(title, 9) if title else None
        axis.delete = False
        axis.txPr = RichText(p=[Paragraph(pPr=_font(9), endParaRPr=_font(9).defRPr)])
    if chart.kind == "bar":
        drawn.type = "bar"
        drawn.gapWidth = 40
        drawn.x_axis.scaling.orientation = "maxMin"
        drawn.y_axis.majorGridlines = None
        drawn.y_axis.scaling.min, drawn.y_axis.scaling.max = 0, 1
        drawn.y_axis.delete = True
        drawn.x_axis.tickLblSkip = 1
        drawn.dataLabels = DataLabelList()
        drawn.dataLabels.showVal = True
        drawn.dataLabels.numFmt = "0.0%"
        for what in ("showSerName", "showCatName", "showLegendKey", "showPercent", "showLeaderLines"):
            setattr(drawn.dataLabels, what, False)
    if chart.kind == "line":
        drawn.y_axis.scaling.min, drawn.y_axis.scaling.max = 0, 1
        drawn.y_axis.number_format = "0%"
    if len(chart.series) == 1:
        drawn.legend = None
    else:
        drawn.legend.position = "b"
    worksheet.add_chart(drawn, chart.cell)


def _words(title: str, size: int) -> Title:
    """A title in letters of `size` points."""
    paragraph = Paragraph(pPr=_font(size), r=[RegularTextRun(rPr=_font(size).defRPr, t=title)])
    return Title(tx=Text(rich=RichText(p=[paragraph])), overlay=False)


def _font(size: int) -> ParagraphProperties:
    return ParagraphProperties(defRPr=CharacterProperties(sz=100 * size, b=False))


def _colour(series: Any, kind: str, place: int) -> None:
    colour = _COLOURS[place % len(_COLOURS)]
    if kind == "bar":
        series.graphicalProperties = GraphicalProperties(solidFill=colour)
        return
    series.marker.symbol = _MARKERS[place % len(_MARKERS)]
    series.marker.size = 7
    series.marker.graphicalProperties = GraphicalProperties(solidFill=colour)
    series.marker.graphicalProperties.line.solidFill = colour
    if kind == "scatter":
        series.graphicalProperties.line.noFill = True
    else:
        series.graphicalProperties.line.solidFill = colour
    series.smooth = False
