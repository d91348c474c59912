"""Native charts of what names refer to (openpyxl)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from openpyxl.chart import BarChart, LineChart, Reference, ScatterChart
from openpyxl.chart import Series as Plotted
from openpyxl.chart.data_source import StrRef
from openpyxl.chart.label import DataLabelList
from openpyxl.chart.series import SeriesLabel
from openpyxl.chart.shapes import GraphicalProperties
from openpyxl.chart.text import RichText, Text
from openpyxl.chart.title import Title
from openpyxl.drawing.text import CharacterProperties, Paragraph, ParagraphProperties, RegularTextRun
from openpyxl.worksheet.worksheet import Worksheet

from gpt2xl.plan.document import Chart, Series
from gpt2xl.plan.plan import Place

# Blue, vermillion and green of the palette, which differ in lightness too.
_COLOURS = ("0072B2", "D55E00", "009E73")
_MARKERS = ("circle", "triangle", "square")
_KINDS = {"bar": BarChart, "columns": BarChart, "amounts": BarChart, "line": LineChart, "points": ScatterChart}


def add_chart(worksheet: Worksheet, chart: Chart, names: Mapping[str, Place], sheets: Mapping[str, Worksheet]) -> None:
    """Draw `chart` at its cell; the series refer to the cells of `names`."""

    def reference(name: str) -> Reference:
        rect = names[name].rect
        return Reference(
            sheets[names[name].sheet], min_col=rect.left, max_col=rect.right, min_row=rect.top, max_row=rect.bottom
        )

    drawn: Any = _KINDS[chart.kind]()
    for place, series in enumerate(chart.series):
        if chart.kind == "points":
            drawn.series += _points(series, place, reference)
            continue
        plotted = Plotted(reference(series.values))
        plotted.tx = SeriesLabel(v=series.title)
        _colour(plotted, chart.kind, place)
        drawn.series.append(plotted)
        if series.x is not None:
            drawn.set_categories(reference(series.x))
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
        drawn.dataLabels = _labels("showVal")
        drawn.dataLabels.numFmt = "0.0%"
    if chart.kind == "points":
        drawn.scatterStyle = "lineMarker"
        for axis in (drawn.x_axis, drawn.y_axis):
            axis.tickLblPos = "low"
            axis.number_format = "0.0"
            axis.majorGridlines = None
    if chart.kind == "amounts":
        drawn.x_axis.tickLblPos = "low"  # below the columns that point down
        drawn.y_axis.number_format = "General"
    if chart.kind in ("line", "columns"):
        drawn.y_axis.scaling.min, drawn.y_axis.scaling.max = 0, 1
        drawn.y_axis.number_format = "0%"
    if len(chart.series) == 1 or chart.kind == "points":
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
    if kind in ("bar", "columns", "amounts"):
        series.invertIfNegative = False
        series.graphicalProperties = GraphicalProperties(solidFill=colour)
        return
    series.marker.symbol = _MARKERS[place % len(_MARKERS)]
    series.marker.size = 7
    series.marker.graphicalProperties = GraphicalProperties(solidFill=colour)
    series.marker.graphicalProperties.line.solidFill = colour
    if kind == "points":
        series.graphicalProperties.line.noFill = True
    else:
        series.graphicalProperties.line.solidFill = colour
    series.smooth = False


def _points(series: Series, place: int, reference: Callable[[str], Reference]) -> Iterator[Any]:
    """A series a point, because a point can show the name of its series and nothing else that stands in a cell."""
    values, across = reference(series.values), reference(series.x or series.values)
    words = reference(series.labels) if series.labels else None
    for row in range(values.max_row - values.min_row + 1):
        plotted = Plotted(_cell(values, row), xvalues=_cell(across, row))
        _colour(plotted, "points", place)
        if words is not None:
            plotted.tx = SeriesLabel(strRef=StrRef(str(_cell(words, row))))
            plotted.dLbls = _labels("showSerName")
            plotted.dLbls.position = "r"
        yield plotted


def _cell(cells: Reference, row: int) -> Reference:
    """The cell of a column in that row of it."""
    at = cells.min_row + row
    return Reference(cells.worksheet, min_col=cells.min_col, max_col=cells.min_col, min_row=at, max_row=at)


def _labels(shown: str) -> DataLabelList:
    """Labels at the points or bars that show one thing."""
    labels = DataLabelList()
    for what in ("showVal", "showSerName", "showCatName", "showLegendKey", "showPercent", "showLeaderLines"):
        setattr(labels, what, what == shown)
    return labels
