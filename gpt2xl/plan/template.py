"""Reading templates/: strict keys, formulas parsed, references only backwards.

A folder of templates is a document: its files are read in the order of their names, the steps of a file from top to
bottom. Each file describes a sheet (``[sheet]``) and what stands on it:

``[[input]]``
    a cell that a person may change
``[[table]]``
    constants that the tokenizer brings (``data`` says which)
``[[parameter]]``
    a tensor of the checkpoint, under its name there
``[[step]]``
    formulas, in one of these ways: ``each`` (an ordinary formula in each cell), ``array`` (an array formula in
    each cell), ``block`` (one array formula for the whole block), ``triangle`` (an ordinary formula in each of the
    first n - c cells of column c; ``first`` is that of column 0), ``activation`` (the activation function that the
    model's configuration names, of the block named here)

``[[text]]``, ``[[chart]]``
    on a form: words in a cell, and charts of what names refer to

``shades`` has conditions, written as ``each`` is: the cells where one holds are set off by its colour. ``columns`` and
``parts`` name ranges of columns inside a step, once a head or block where the name has ``{j}`` or ``{i}``; a step with
``parts`` has a formula for each of them. ``per = "block"`` writes each row (or column, if there are as many as blocks)
with its own ``{i}``, ``per = "head"`` each cell of blocks × heads with its ``{i}`` and ``{j}``, ``per = "check"`` each
row with the ``{step}`` that the reference has for it, ``per = "exercise"`` with the step that is left blank.
``per = "halving"`` writes each row with its ``{power}`` of two, ``per = "new"`` each with its ``{n}``, the number of
the generated token, whose own cells the names of steps then mean (``first`` is the formula of the first); ``per =
"later"`` does so for those that have rows of their own.
``generated = true`` on a sheet makes its steps go on for the tokens that follow the first, under names that begin with
``generated.``: steps with T rows below them, steps of one column beside them. The formula is the same, for one row or
column: a name means that token's row or column of the step, in the second factor of MMULT all rows up to it. A step's
``generated`` is the formula where it is another one (``each``, ``block``; ``own`` for the columns of the generated
tokens themselves), with ``{g}``, the number of the row or column.
``patched`` is the formula in the run with a row copied from the main run: x is the usual one, names are the main run's.
``repeat = "block"`` on a sheet repeats it for each transformer block (``{i}``); ``repeat = "head"`` on steps that
follow each other repeats these steps for each head (``{j}``). In formulas and texts ``{...}`` is replaced by a number,
``{arrays}`` by a count of all cells around array formulas on other sheets.
Formulas are Excel's, with these additions, which become plain references when a workbook is planned:

``row``, ``col``
    the cells with this row's and this column's index
``at(x, down, right)``
    the cell of x in this row and this column, moved by that many cells; an x one cell wide or high stays there
``row_of(x)``, ``column_of(x)``
    all cells of x in this row, or in this column
``part(x, rows, columns, down, right)``
    that many cells of x, the first ones where no numbers say how far from its corner
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from gpt2xl.errors import TemplateError
from gpt2xl.plan.document import Activation, Axis, Chart, Document, Entry, Series, SheetTemplate, Size, Text

WAYS = ("each", "array", "block", "triangle", "activation")
# What scores may be divided by, by (scale_attn_weights, scale_attn_by_inverse_layer_idx).
SCALES = {"neither": (False, False), "width": (True, False), "layer": (False, True), "both": (True, True)}
_SHEET_KEYS = {
    "name": str,
    "title": str,
    "note": str,
    "layout": str,
    "group": str,
    "repeat": str,
    "reads": str,
    "writes": str,
    "row_labels": str,
    "numbers": str,
    "column_labels": int,
    "surface": bool,
    "generated": bool,
    "only": str,
    "freeze": str,
    "widths": dict,
    "heights": dict,
}
_ENTRY_KEYS: dict[str, dict[str, type]] = {
    "input": {
        "name": str,
        "title": str,
        "note": str,
        "cell": str,
        "shape": list,
        "data": str,
        "value": object,
        "style": str,
        "across": int,
        "only": str,
    },
    "table": {
        "name": str,
        "title": str,
        "note": str,
        "shape": list,
        "data": str,
        "beside": bool,
        "labels": str,
        "cell": str,
        "style": str,
        "repeat": str,
        "only": str,
    },
    "parameter": {"name": str, "title": str, "note": str, "shape": list, "only": str},
    "step": {
        "name": str,
        "title": str,
        "note": str,
        "shape": list,
        "repeat": str,
        "beside": bool,
        "loop": str,
        "style": str,
        "shades": dict,
        "cell": str,
        "labels": str,
        "first": str,
        "patched": str,
        "role": str,
        "math": str,
        "source": str,
        "columns": dict,
        "parts": dict,
        "per": str,
        "generated": dict,
        "only": str,
        "across": int,
        **dict.fromkeys(WAYS, str),
    },
}
_TEXT_KEYS = {"cell": str, "text": str, "style": str, "link": str, "across": int}
_CHART_KEYS = {
    "kind": str,
    "title": str,
    "cell": str,
    "width": float,
    "height": float,
    "x_title": str,
    "y_title": str,
    "series": list,
}
_SERIES_KEYS = {"values": str, "title": str, "x": str, "labels": str}
_CONVERTED = {"first", "shades", "columns", "parts", "generated"}
_GENERATED_KEYS = {"each": str, "block": str, "own": str}
_AXIS_KEYS = ("text", "data", "later", "later_text")
_ROLES = {"input": "input", "table": "parameter", "parameter": "parameter"}
_CHOICES = {
    "layout": ("form", "columns", "blocks"),
    "group": ("front", "model", "guide", "tables", "weights", "runs"),
    "only": (
        *("untied", "exercise", "vocab", "digits", "loss", "generated"),
        *("full", "plain", "undisturbed", "alone", "corrupted"),
    ),
    "per": ("block", "head", "check", "exercise", "halving", "new", "later"),
    "numbers": ("decimal", "integer"),
    "role": ("activation", "intermediate", "output"),
    "kind": ("bar", "columns", "amounts", "line", "points"),
    "style": (
        *("heat", "stream", "signed", "parameter", "decimal", "integer", "percent", "scientific", "masked", "mark"),
        "links",
        *(
            "answer",
            "sentence",
            "state",
            "fact",
            "count",
            "faint",
            "token",
            "chip",
            "chip id",
            "word",
            "setting",
            "small word",
            "small number",
            "switch",
            "remark",
            "number",
        ),
        *("text", "title", "note", "strong", "link", "legend input", "legend parameter"),
        *("legend activation", "legend intermediate", "legend output", "legend padding"),
    ),
}


def template_folder(architecture: str = "gpt2") -> Path:
    """The folder of templates, in an installed package or in a checkout."""
    installed = Path(str(resources.files("gpt2xl"))) / "templates" / architecture
    return installed if installed.is_dir() else Path(__file__).parents[2] / "templates" / architecture


@cache
def load_templates(folder: Path | None = None) -> Document:
    """Read a folder of templates; raises `TemplateError` that names file, step and what is wrong."""
    folder = folder or template_folder()
    files = sorted(path for path in folder.glob("*.toml") if path.name[0].isdigit())
    if not files:
        raise TemplateError(f"there are no templates in {folder}")
    sheets = tuple(_sheet(path) for path in files)
    return Document(
        sheets, _axes(folder / "axes.toml"), _activations(folder / "activations.toml"), _scales(folder / "scales.toml")
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise TemplateError(f"{path.name}: {error}") from None


def _sheet(path: Path) -> SheetTemplate:
    content = _read(path)
    unknown = set(content) - {"sheet", "text", "chart", *_ENTRY_KEYS}
    if unknown or "sheet" not in content:
        raise TemplateError(f"{path.name}: {f'unknown section [{min(unknown)}]' if unknown else 'there is no [sheet]'}")
    sheet = content["sheet"]
    _check(sheet, _SHEET_KEYS, {"name"}, f"{path.name}, [sheet]")
    # tomllib keeps the order of keys but gathers tables of one name: an entry's place among entries of other kinds is
    # lost, so inputs, tables and parameters come before the steps of their sheet.
    entries = tuple(
        _entry(kind, number, raw, f"{path.name}, [[{kind}]] {raw.get('name', '')}".rstrip())
        for kind in _ENTRY_KEYS
        for number, raw in enumerate(content.get(kind, []), start=1)
    )
    return SheetTemplate(
        name=sheet["name"],
        title=sheet.get("title", ""),
        note=sheet.get("note", ""),
        layout=sheet.get("layout", ""),
        group=sheet.get("group", "model"),
        repeat=sheet.get("repeat"),
        reads=sheet.get("reads"),
        writes=sheet.get("writes"),
        row_labels=sheet.get("row_labels"),
        column_labels=sheet.get("column_labels"),
        numbers=sheet.get("numbers", "decimal"),
        surface=sheet.get("surface", False),
        generated=sheet.get("generated", False),
        only=sheet.get("only"),
        freeze=sheet.get("freeze"),
        widths=sheet.get("widths", {}),
        heights=sheet.get("heights", {}),
        entries=entries,
        texts=tuple(_text(raw, f"{path.name}, [[text]] {raw.get('cell', '')}") for raw in content.get("text", [])),
        charts=tuple(_chart(raw, f"{path.name}, [[chart]] {raw.get('cell', '')}") for raw in content.get("chart", [])),
        file=path.name,
    )


def _text(raw: dict[str, Any], where: str) -> Text:
    _check(raw, _TEXT_KEYS, {"cell", "text"}, where)
    return Text(**raw)


def _chart(raw: dict[str, Any], where: str) -> Chart:
    _check(raw, _CHART_KEYS, set(_CHART_KEYS), where)
    for series in raw["series"]:
        _check(series, _SERIES_KEYS, {"values", "title"}, where)
    return Chart(**{**raw, "series": tuple(Series(**series) for series in raw["series"])})


def _entry(kind: str, number: int, raw: dict[str, Any], where: str) -> Entry:
    required = (
        {"name", "title"} | ({"shape"} if kind != "input" else {"cell"}) | ({"data"} if kind == "table" else set())
    )
    _check(raw, _ENTRY_KEYS[kind], required, where)
    shape = tuple(raw.get("shape", (1, 1)))
    if len(shape) != 2 or not all(isinstance(size, int | str) for size in shape):
        raise TemplateError(f"{where}: a shape has two sizes, rows and columns, not {list(shape)}")
    ways = [way for way in WAYS if way in raw]
    if kind == "step" and len(ways) != 1:
        raise TemplateError(f"{where}: a step has one of {', '.join(WAYS)}, this one has {', '.join(ways) or 'none'}")
    if "first" in raw and "triangle" not in raw and raw.get("per") != "new":
        raise TemplateError(f'{where}: `first` belongs to a triangle or to `per = "new"`')
    _check(raw.get("generated", {}), _GENERATED_KEYS, set(), f"{where}, `generated`")
    same = {field.name for field in fields(Entry)} - {"shape", "where", "number", "role", "formula", *_CONVERTED}
    return Entry(
        **{"note": "", **{key: value for key, value in raw.items() if key in same}},
        kind=kind,
        shape=(shape[0], shape[1]),
        where=where,
        number=number if kind == "step" else 0,
        role=raw.get("role", _ROLES.get(kind, "intermediate")),
        way=ways[0] if ways else None,
        formula=_one_line(raw[ways[0]]) if ways else None,
        first=_one_line(raw["first"]) if "first" in raw else None,
        shades={colour: _one_line(condition) for colour, condition in raw.get("shades", {}).items()},
        columns=_spans(raw.get("columns", {}), where),
        parts=_spans(raw.get("parts", {}), where),
        generated={way: _one_line(formula) for way, formula in raw.get("generated", {}).items()},
    )


def _check(raw: Mapping[str, Any], keys: Mapping[str, type], required: set[str], where: str) -> None:
    for key, value in raw.items():
        if key not in keys:
            raise TemplateError(f"{where}: unknown key `{key}`; known are {', '.join(keys)}")
        if keys[key] is not object and type(value) is not keys[key]:
            raise TemplateError(f"{where}: `{key}` is to be of type {keys[key].__name__}, not {value!r}")
        if key in _CHOICES and value not in _CHOICES[key]:
            raise TemplateError(f"{where}: `{key}` is one of {', '.join(_CHOICES[key])}, not {value!r}")
        if key == "repeat" and value not in ("block", "head", "check"):
            raise TemplateError(f'{where}: `repeat` is "block", "head" or "check", not {value!r}')
    missing = required - set(raw)
    if missing:
        raise TemplateError(f"{where}: the key `{min(missing)}` is missing")


def _spans(raw: Mapping[str, Any], where: str) -> dict[str, tuple[Size, Size]]:
    for name, span in raw.items():
        if not isinstance(span, list) or len(span) != 2:
            raise TemplateError(f"{where}: `{name}` is to be [first column, number of columns], not {span!r}")
    return {name: (span[0], span[1]) for name, span in raw.items()}


def _one_line(formula: str) -> str:
    return " ".join(formula.split()) if "\n" in formula else formula


def _axes(path: Path) -> dict[str, Axis]:
    axes = {}
    for letter, raw in _read(path).items():
        _check(raw, dict.fromkeys(("title", *_AXIS_KEYS), str), {"title"}, f"{path.name}, [{letter}]")
        axes[letter] = Axis(raw["title"], *(raw.get(key) for key in _AXIS_KEYS))
    return axes


def _activations(path: Path) -> dict[str, Activation]:
    activations = {}
    for name, raw in _read(path).items():
        ways = {"block": raw} if isinstance(raw, str) else raw
        if not isinstance(ways, dict) or set(ways) not in ({"block"}, {"each"}):
            raise TemplateError(f"{path.name}: `{name}` is to be a formula of x or {{ each = formula }}, not {raw!r}")
        ((way, formula),) = ways.items()
        activations[name] = Activation(way, formula)
    return activations


def _scales(path: Path) -> dict[str, str]:
    raw = _read(path)
    _check(raw, dict.fromkeys(SCALES, str), set(SCALES), path.name)
    return raw


def formulas(document: Document) -> Iterator[tuple[str, str]]:
    """Every formula of a document with the words that say where it stands."""
    for sheet in document.sheets:
        for entry in sheet.entries:
            if entry.formula is not None and entry.way != "activation":
                yield f"{entry.where}, `{entry.way}`", entry.formula
            if entry.first is not None:
                yield f"{entry.where}, `first`", entry.first
            for way, formula in entry.generated.items():
                yield f"{entry.where}, `generated`, {way}", formula
            if entry.patched is not None:
                yield f"{entry.where}, `patched`", entry.patched
            for colour, condition in entry.shades.items():
                yield f"{entry.where}, `shades`, {colour}", condition
    for letter, axis in document.axes.items():
        if axis.text is not None:
            yield f"axes.toml, [{letter}]", axis.text
    for name, activation in document.activations.items():
        yield f"activations.toml, {name}", activation.formula
    for name, formula in document.scales.items():
        yield f"scales.toml, {name}", formula
