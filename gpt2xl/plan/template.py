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

``shade`` is a condition, written as ``each`` is: the cells where it holds are set off by their colour.
``repeat = "block"`` on a sheet repeats it for each transformer block (``{i}``); ``repeat = "head"`` on steps that
follow each other repeats these steps for each head (``{j}``). In formulas and texts ``{...}`` is replaced by a number.
Formulas are Excel's, with these additions, which become plain references when a workbook is planned:

``row``, ``col``
    the cells with this row's and this column's index
``at(x, down, right)``
    the cell of x in this row and this column, moved by that many cells; an x one cell wide or high stays there
``row_of(x)``, ``column_of(x)``
    all cells of x in this row, or in this column
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from gpt2xl.errors import TemplateError

Size = int | str

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
}
_ENTRY_KEYS: dict[str, dict[str, type]] = {
    "input": {"name": str, "title": str, "note": str, "cell": str},
    "table": {"name": str, "title": str, "note": str, "shape": list, "data": str, "beside": bool},
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
        "shade": str,
        "cell": str,
        "labels": str,
        "first": str,
        "columns": dict,
        "parts": dict,
        **dict.fromkeys(WAYS, str),
    },
}
_CHOICES = {
    "layout": ("form", "columns", "blocks"),
    "group": ("model", "tables", "weights"),
    "only": ("untied",),
    "numbers": ("decimal", "integer"),
    "style": ("heat", "decimal", "integer", "percent", "answer", "chip"),
}


@dataclass(frozen=True)
class Entry:
    """One input, table, parameter or step as its template has it, placeholders and all."""

    kind: str
    name: str
    title: str
    note: str
    shape: tuple[Size, Size]
    where: str
    way: str | None = None
    formula: str | None = None
    first: str | None = None
    data: str | None = None
    cell: str | None = None
    repeat: str | None = None
    loop: str | None = None
    style: str | None = None
    shade: str | None = None
    labels: str | None = None
    only: str | None = None
    beside: bool = False
    columns: Mapping[str, tuple[Size, Size]] = field(default_factory=dict)
    parts: Mapping[str, tuple[Size, Size]] = field(default_factory=dict)


@dataclass(frozen=True)
class SheetTemplate:
    """A sheet and its entries in reading order. `repeat` is "block" where the sheet stands once a block."""

    name: str
    title: str
    note: str
    layout: str
    group: str
    repeat: str | None
    reads: str | None
    writes: str | None
    row_labels: str | None
    column_labels: int | None
    numbers: str
    entries: tuple[Entry, ...]
    file: str


@dataclass(frozen=True)
class Axis:
    """What stands beside the rows (or above the columns) of an axis: a title, and a formula or data for its text."""

    title: str
    text: str | None = None
    data: str | None = None


@dataclass(frozen=True)
class Activation:
    """An activation function as a formula of x, one array formula for the block or one ordinary formula a cell."""

    way: str
    formula: str


@dataclass(frozen=True)
class Document:
    """A folder of templates, read."""

    sheets: tuple[SheetTemplate, ...]
    axes: Mapping[str, Axis]
    activations: Mapping[str, Activation]
    scales: Mapping[str, str]


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
    unknown = set(content) - {"sheet", *_ENTRY_KEYS}
    if unknown or "sheet" not in content:
        raise TemplateError(f"{path.name}: {f'unknown section [{min(unknown)}]' if unknown else 'there is no [sheet]'}")
    sheet = content["sheet"]
    _check(sheet, _SHEET_KEYS, {"name"}, f"{path.name}, [sheet]")
    # tomllib keeps the order of keys but gathers tables of one name: an entry's place among entries of other kinds is
    # lost, so inputs, tables and parameters come before the steps of their sheet.
    entries = tuple(
        _entry(kind, raw, f"{path.name}, [[{kind}]] {raw.get('name', '')}".rstrip())
        for kind in _ENTRY_KEYS
        for raw in content.get(kind, [])
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
        entries=entries,
        file=path.name,
    )


def _entry(kind: str, raw: dict[str, Any], where: str) -> Entry:
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
    if "first" in raw and "triangle" not in raw:
        raise TemplateError(f"{where}: `first` belongs to a triangle")
    return Entry(
        kind=kind,
        name=raw["name"],
        title=raw["title"],
        note=raw.get("note", ""),
        shape=(shape[0], shape[1]),
        where=where,
        way=ways[0] if ways else None,
        formula=_one_line(raw[ways[0]]) if ways else None,
        first=_one_line(raw["first"]) if "first" in raw else None,
        data=raw.get("data"),
        cell=raw.get("cell"),
        repeat=raw.get("repeat"),
        loop=raw.get("loop"),
        style=raw.get("style"),
        shade=raw.get("shade"),
        labels=raw.get("labels"),
        only=raw.get("only"),
        beside=raw.get("beside", False),
        columns=_spans(raw.get("columns", {}), where),
        parts=_spans(raw.get("parts", {}), where),
    )


def _check(raw: Mapping[str, Any], keys: Mapping[str, type], required: set[str], where: str) -> None:
    for key, value in raw.items():
        if key not in keys:
            raise TemplateError(f"{where}: unknown key `{key}`; known are {', '.join(keys)}")
        if type(value) is not keys[key]:
            raise TemplateError(f"{where}: `{key}` is to be of type {keys[key].__name__}, not {value!r}")
        if key in _CHOICES and value not in _CHOICES[key]:
            raise TemplateError(f"{where}: `{key}` is one of {', '.join(_CHOICES[key])}, not {value!r}")
        if key == "repeat" and value not in ("block", "head"):
            raise TemplateError(f'{where}: `repeat` is "block" or "head", not {value!r}')
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
        _check(raw, {"title": str, "text": str, "data": str}, {"title"}, f"{path.name}, [{letter}]")
        axes[letter] = Axis(raw["title"], raw.get("text"), raw.get("data"))
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
            if entry.shade is not None:
                yield f"{entry.where}, `shade`", entry.shade
    for letter, axis in document.axes.items():
        if axis.text is not None:
            yield f"axes.toml, [{letter}]", axis.text
    for name, activation in document.activations.items():
        yield f"activations.toml, {name}", activation.formula
    for name, formula in document.scales.items():
        yield f"scales.toml, {name}", formula
