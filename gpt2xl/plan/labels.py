"""What stands beside rows and above columns: indices from 0, and texts where an axis has some."""

from __future__ import annotations

from collections.abc import Mapping

from gpt2xl.a1 import Rect
from gpt2xl.formula import unparse
from gpt2xl.formula.tree import Reference
from gpt2xl.plan import expand
from gpt2xl.plan.document import Axis, Entry
from gpt2xl.plan.layout import Spot
from gpt2xl.plan.plan import Label, Place, Sheet


def add_labels(sheet: Sheet, entry: Entry, spot: Spot, axes: Mapping[str, Axis], scope: expand.Scope) -> None:
    """Index and text beside the rows (once for a band) and above the columns."""
    rect = spot.rect
    if sheet.layout == "form":
        _form_labels(sheet, spot)
        return
    beside = _column(rect, 1)
    band = [label for label in sheet.labels if label.rect.left == 1 and label.rect.intersects(beside)]
    if not band or max(label.rect.bottom for label in band) < rect.bottom:
        for label in band:
            sheet.labels.remove(label)
        index = _column(rect, spot.row_label)
        sheet.labels.append(Label(index, "index"))
        if sheet.layout == "blocks":
            _text(sheet, axes.get(str(entry.shape[0])), _column(rect, 2), index, scope)
    if entry.style == "heat" and entry.beside:
        # The texts in column B may be out of sight; the gap to the left has room for them once more.
        _text(sheet, axes.get(str(entry.shape[0])), _column(rect, rect.left - 1), _column(rect, spot.row_label), scope)
    if rect.width > 1:
        index = Rect(spot.column_label, rect.left, spot.column_label, rect.right)
        sheet.labels.append(Label(index, "index"))
        text = Rect(index.top - 1, rect.left, index.top - 1, rect.right)
        if sheet.layout == "blocks":
            _text(sheet, axes.get(str(entry.shape[1])), text, index, scope)


def add_later_labels(
    sheet: Sheet, entry: Entry, spot: Spot, later: Rect, axes: Mapping[str, Axis], scope: expand.Scope
) -> None:
    """Position and text beside the rows of generated tokens (once for a band), and above their columns; above columns
    alone, which token it is, counted from 0.
    """
    axis = axes.get(str(entry.shape[0]))
    if axis is None or axis.later is None or axis.later_text is None:
        index = Rect(spot.column_label, spot.rect.left, spot.column_label, later.right)
        sheet.labels.append(Label(index, "index"))
        return
    position, words = scope.places[axis.later], scope.places[axis.later_text]
    columns = [(1, position), (2, words)] if spot.first_of_band else []
    if entry.style == "heat" and entry.beside:
        columns.append((spot.rect.left - 1, words))
    for column, place in columns:
        sheet.labels.append(Label(_column(later, column), "formula", _reference(place, 0, fixed=False)))
    for token in range(later.width - spot.rect.width):
        column = spot.rect.right + 1 + token
        for row, place in ((spot.column_label, position), (spot.column_label - 1, words)):
            sheet.labels.append(Label(Rect(row, column, row, column), "formula", _reference(place, token, fixed=True)))


def _reference(place: Place, row: int, *, fixed: bool) -> str:
    top, left = place.rect.top + row, place.rect.left
    return unparse(Reference(top, left, top, left, fixed, True, fixed, True, place.sheet), file=True)


def add_part_label(sheet: Sheet, spot: Spot, part: str, rect: Rect) -> None:
    """The name of a part above its first column; where several begin there, of the narrowest."""
    cell = Rect(spot.column_label - 1, rect.left, spot.column_label - 1, rect.left)
    sheet.labels[:] = [label for label in sheet.labels if label.rect != cell]
    sheet.labels.append(Label(cell, "text", part))


def _form_labels(sheet: Sheet, spot: Spot) -> None:
    """On a form, labels where the sheet has a row or column for them (0 where it has none)."""
    rect = spot.rect
    labels = []
    if rect.height > 1 and spot.row_label:
        labels.append(_column(rect, spot.row_label))
    if rect.width > 1 and spot.column_label:
        labels.append(Rect(spot.column_label, rect.left, spot.column_label, rect.right))
    for label in labels:
        if not any(known.rect.contains(label) for known in sheet.labels):
            sheet.labels[:] = [known for known in sheet.labels if not label.contains(known.rect)]
            sheet.labels.append(Label(label, "index"))


def _text(sheet: Sheet, axis: Axis | None, rect: Rect, index: Rect, scope: expand.Scope) -> None:
    if axis is None:
        return
    if axis.data is not None:
        sheet.labels.append(Label(rect, "data", axis.data))
    elif axis.text is not None:
        tree = expand.read(axis.text, "axes.toml")
        sheet.labels.append(Label(rect, "formula", expand.label(tree, rect, index, scope).text))


def _column(rect: Rect, column: int) -> Rect:
    return Rect(rect.top, column, rect.bottom, column)
