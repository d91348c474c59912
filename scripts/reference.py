"""Write what the pages under docs/ take from the program itself: commands, functions, names, the picture.

    python scripts/reference.py [--check]

Pages say where: between `<!-- reference: NAME -->` and `<!-- end -->` stands what is made here, everything else is
written by hand. `--check` writes nothing and fails if something is out of date.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path

import click

from gpt2xl import lessons
from gpt2xl.commands import main as program
from gpt2xl.convert import plan_for
from gpt2xl.formula import parse
from gpt2xl.formula.registry import FUNCTIONS
from gpt2xl.formula.tree import Call, walk
from gpt2xl.model.checkpoint import load_checkpoint
from gpt2xl.plan.dimensions import Capacity
from gpt2xl.plan.document import Entry, SheetTemplate
from gpt2xl.plan.plan import Plan
from gpt2xl.plan.template import load_templates, template_folder
from gpt2xl.surface.colours import GREY, INK, ROLES
from gpt2xl.surface.diagram import Cell, read_diagram

DOCS = Path(__file__).parents[1] / "docs"
PICTURE = "pictures/how-it-works.svg"
_SECTION = re.compile(r"(<!-- reference: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_WIDTH = 79


def pages() -> dict[Path, str]:
    """Each file that is made here, wholly or in part, with what it should hold."""
    found = {DOCS / PICTURE: picture()}
    for path in sorted(DOCS.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        if _SECTION.search(text):
            found[path] = _SECTION.sub(lambda at: f"{at[1]}\n{SECTIONS[at[2]]().strip()}\n\n{at[3]}", text)
    return found


# Commands


def commands() -> str:
    """Every command with its usage, what it does and its options, as `--help` has them."""
    parts = []
    for name, command in program.commands.items():
        context = click.Context(command, info_name=f"gpt2xl {name}", terminal_width=_WIDTH, max_content_width=_WIDTH)
        usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
        options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
        rows = [record for option in options if (record := option.get_help_record(context))]
        lines = [f"## {name}", "", f"`{usage}`", "", command.get_short_help_str(limit=10_000), ""]
        lines += ["| option | |", "| --- | --- |"]
        lines += [f"| `{_cell(option)}` | {_cell(words)} |" for option, words in rows]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _cell(text: str) -> str:
    """Words as they stand in a table's cell."""
    return " ".join(text.split()).replace("|", "\\|")


# Formulas


def first_plan() -> Plan:
    """The plan of the README's first workbook."""
    checkpoint = load_checkpoint("tiny")
    return plan_for(checkpoint, Capacity(16, 80), lessons.reference(checkpoint, "The cat sat on the", short=False))


def functions_used() -> str:
    """The functions of the first workbook's formulas: in how many of them, and the first step with one."""
    count: Counter[str] = Counter()
    first: dict[str, str] = {}
    for step in first_plan().steps():
        for formula in step.formulas:
            for name in _called(formula.text):
                count[name] += 1
                first.setdefault(name, step.name)
    others = {name for activation in load_templates().activations.values() for name in _called(activation.formula)}
    lines = ["| function | formulas | the first |", "| --- | ---: | --- |"]
    lines += [f"| `{name}` | {count[name]:,} | `{first[name]}` |" for name in sorted(count)]
    lines += [
        f"| `{name}` | | with another activation |" for name in sorted((others & FUNCTIONS.keys()) - count.keys())
    ]
    return "\n".join(lines)


def _called(formula: str) -> set[str]:
    return {node.name for node in walk(parse(formula)) if isinstance(node, Call)}


def names() -> str:
    """Every defined name, sheet by sheet, in the order of the templates."""
    parts = []
    for sheet in load_templates().sheets:
        rows = [row for entry in sheet.entries for row in _names_of(entry)]
        if rows:
            parts.append("\n".join([f"### {_plain(sheet.name)}", "", *_about(sheet), "| name | cells | |"]))
            parts[-1] += "\n| --- | --- | --- |\n" + "\n".join(rows)
    steps = (
        "`reference.` before the name of a step is what numpy computes for the first prompt, on the sheet Reference."
    )
    return "\n\n".join([*parts, "### Others", f"{steps} Numbers beside rows: {', '.join(_indices())}."])


def _indices() -> list[str]:
    """The names of rows' numbers, which no template lists."""
    plan = first_plan()
    listed = {_general(name) for sheet in load_templates().sheets for name in _listed(sheet)}
    others = [name for name in plan.names if _general(name) not in listed and not name.startswith("reference.")]
    return [f"`{name}`" for name in others]


def _listed(sheet: SheetTemplate) -> Iterator[str]:
    for entry in sheet.entries:
        yield from (entry.name, *entry.columns, *entry.parts)


def _general(name: str) -> str:
    """A name without the numbers of blocks and heads."""
    return re.sub(r"(?<=\.)(?:\{[ij]\}|[0-9]+)(?=\.|$)", "#", name)


def _about(sheet: SheetTemplate) -> list[str]:
    repeated = ["One sheet a block.", ""] if sheet.repeat == "block" else []
    only = [f"Only with what `{sheet.only}` says.", ""] if sheet.only else []
    return repeated + only


def _names_of(entry: Entry) -> Iterator[str]:
    kind = "input: " if entry.kind == "input" else ""
    yield f"| `{_plain(entry.name)}` | {_shape(entry.shape)} | {kind}{_plain(entry.title)} |"
    for name, (_, width) in entry.columns.items():
        yield f"| `{_plain(name)}` | {_shape((entry.shape[0], width))} | columns of `{_plain(entry.name)}` |"
    for name, (_, height) in entry.parts.items():
        yield f"| `{_plain(name)}` | {_shape((height, entry.shape[1]))} | rows of `{_plain(entry.name)}` |"


def _shape(shape: tuple[int | str, int | str]) -> str:
    return "1" if shape == (1, 1) else " × ".join(str(size) for size in shape)


def _plain(text: str) -> str:
    """A template's text with the letters of blocks and heads in place of placeholders."""
    return _cell(text.replace("{i}", "i").replace("{j}", "j").replace("{step}", "step"))


def engine_functions() -> str:
    """Every function of the engine with the number of its arguments."""
    shown = []
    for name in sorted(FUNCTIONS):
        least, most = FUNCTIONS[name].signature.least, FUNCTIONS[name].signature.most
        count = f"{least}+" if most == 255 else f"{least}" if least == most else f"{least}-{most}"
        shown.append(f"`{name}` {count}")
    listed = textwrap.fill(", ".join(shown) + ".", 120, break_long_words=False, break_on_hyphens=False)
    return f"{len(shown)} functions, each with the number of its arguments:\n\n{listed}"


# The picture

_BOX, _ARROW, _ROW, _TOP, _EDGE = (150, 40), 108, 58, 64, 16


def picture() -> str:
    """The map of the embedded model's workbook as SVG: every box a step in its role's colour, with its sheet."""
    plan = first_plan()
    checkpoint = load_checkpoint("tiny")
    words = {"activation": checkpoint.config.activation_function}
    diagram = read_diagram(template_folder() / "map.toml", plan, words)
    places = {item.name: (item.role, sheet.name) for sheet in plan.sheets for item in sheet.items}
    top, left = min(cell.row for cell in diagram.cells), min(cell.column for cell in diagram.cells)
    width = max(_x(cell.column - left) for cell in diagram.cells) + _BOX[0] + _EDGE
    height = _TOP + (max(cell.row for cell in diagram.cells) - top + 1) * _ROW + 44
    body = [part for cell in diagram.cells for part in _drawn(cell, cell.row - top, cell.column - left, places)]
    used = [role for role in ROLES if role in {places[cell.step][0] for cell in diagram.cells if cell.step}]
    body += _legend(used, height - 24)
    head = f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" fill="#{INK}"'
    title = "From the prompt cell to the next token"
    words_below = (
        "The embedded model, as its sheet Map has it: what a box does, and the sheet where its formulas stand."
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {head}>',
        f"<title>{title}</title>",
        f'<rect width="{width}" height="{height}" fill="#FFFFFF"/>',
        f'<text x="{_EDGE}" y="26" font-size="18" font-weight="bold">{title}</text>',
        f'<text x="{_EDGE}" y="46" fill="#{GREY}">{words_below}</text>',
        *body,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _x(column: int) -> int:
    """Where a column begins: boxes and arrows take turns."""
    return _EDGE + (column + 1) // 2 * _BOX[0] + column // 2 * _ARROW


def _drawn(cell: Cell, row: int, column: int, places: dict[str, tuple[str, str]]) -> Iterator[str]:
    x, y = _x(column), _TOP + row * _ROW
    wide = _BOX[0] if column % 2 == 0 else _ARROW
    middle = x + wide / 2
    if cell.step is None:
        yield f'<text x="{middle:g}" y="{y + 25}" text-anchor="middle" fill="#{GREY}">{escape(cell.words)}</text>'
        return
    role, sheet = places[cell.step]
    yield (
        f'<rect x="{x + 2}" y="{y}" width="{wide - 4}" height="{_BOX[1]}" rx="5" fill="#{ROLES[role].heading}" '
        f'stroke="#{INK}" stroke-width="0.7"/>'
    )
    yield f'<text x="{middle:g}" y="{y + 17}" text-anchor="middle" font-weight="bold">{escape(cell.words)}</text>'
    yield f'<text x="{middle:g}" y="{y + 32}" text-anchor="middle" font-size="10">{escape(sheet)}</text>'


def _legend(roles: list[str], y: int) -> Iterator[str]:
    for number, role in enumerate(roles):
        x = _EDGE + number * 130
        tint = ROLES[role].heading
        yield f'<rect x="{x}" y="{y - 11}" width="14" height="14" rx="3" fill="#{tint}" stroke="#{INK}"/>'
        yield f'<text x="{x + 20}" y="{y}">{role}</text>'


SECTIONS: dict[str, Callable[[], str]] = {
    "commands": commands,
    "functions-used": functions_used,
    "names": names,
    "engine-functions": engine_functions,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if something is out of date")
    check = parser.parse_args().check
    wanted = pages()
    old = [path for path in wanted if not path.is_file() or path.read_text(encoding="utf-8") != wanted[path]]
    if check and old:
        sys.exit(f"out of date: {', '.join(path.name for path in old)}; run python scripts/reference.py")
    for path in old:
        path.write_text(wanted[path], encoding="utf-8")


if __name__ == "__main__":
    main()
