"""The layout of the package: which module may import which. Read from the imports, not from running anything."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "gpt2xl"

# For each part, the parts of the package that it may import. What is not listed may import nothing of ours.
ALLOWED = {
    "errors": set(),
    "a1": {"errors"},
    "formula": {"errors", "a1"},
    "xlsx": {"errors", "a1"},
    "model": {"errors", "a1"},
    "plan": {"errors", "a1", "formula", "model.config"},
    "engines": {"errors", "a1"},
    "decimals": {"xlsx"},
    "tables": {"model"},
    "lessons": {"errors", "model", "plan", "tables"},
    "refusals": {"a1", "errors", "formula", "model", "plan"},
    "workbook": {"errors", "a1", "formula", "xlsx"},
    "audit": {"errors", "a1", "formula", "shown", "workbook"},
    "shown": {"errors", "formula"},
    "explain": {"a1", "formula", "shown", "workbook"},
    "inputs": {"a1", "errors", "workbook"},
    "answer": {"errors", "formula", "workbook"},
    "surface": {"a1", "errors", "formula", "plan", "xlsx"},
    "outlook": {"plan", "xlsx"},
    "convert": {
        *("", "decimals", "errors", "a1", "formula", "lessons", "model", "outlook", "plan", "refusals", "surface"),
        *("tables", "xlsx"),
    },
    "stopping": set(),
    "verdict": set(),
    "settings": {"errors", "model", "workbook"},
    "verify": {"errors", "engines", "model", "settings", "verdict", "workbook"},
    "commands": {
        "",
        "errors",
        "answer",
        "audit",
        "convert",
        "explain",
        "inputs",
        "outlook",
        "shown",
        "stopping",
        "verify",
        "workbook",
    },
    "__main__": {"commands"},
    "": {"convert", "errors", "formula", "verify", "workbook"},
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    """The part of the package that a file belongs to: a folder, a module, or "" for gpt2xl itself."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py") if first != "__init__.py" else ""


def imports(path: Path) -> set[str]:
    """What a file imports of the package, as dotted names below it, wherever in the file the import stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "gpt2xl":
            below = node.module.removeprefix("gpt2xl").lstrip(".")
            if below:
                found.add(below)
            else:
                found |= {"" if alias.name == "__version__" else alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("gpt2xl.") for alias in node.names if alias.name.startswith("gpt2xl.")}
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    part = part_of(path)
    for name in imports(path):
        allowed = name == part or name.startswith(f"{part}.") if part else False
        allowed = allowed or any(name == other or (other and name.startswith(f"{other}.")) for other in ALLOWED[part])
        assert allowed, f"{path.relative_to(PACKAGE)} imports {name or 'gpt2xl itself'}"


def test_only_commands_imports_click() -> None:
    using = [
        path.name
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "click" for alias in node.names)
    ]
    assert using == ["commands.py"]


def test_cli_is_a_docstring_and_a_call() -> None:
    tree = ast.parse((PACKAGE.parent / "cli.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    assert len(tree.body) == 3


def test_every_package_has_a_docstring() -> None:
    for path in modules():
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{path} says nothing of itself"


def modules_imported(path: Path, named: dict[str, Path]) -> set[str]:
    """The modules of the package that a file imports, for types alone too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "gpt2xl":
            below = node.module.removeprefix("gpt2xl").lstrip(".")
            for alias in node.names:
                if alias.name == "__version__":
                    continue  # a constant that stands before all imports
                inner = f"{below}.{alias.name}".lstrip(".")
                candidates = (inner, f"{inner}.__init__", below, f"{below}.__init__".lstrip("."))
                found |= set([name for name in candidates if name in named][:1])
    return found


def test_no_module_imports_itself_in_a_circle() -> None:
    """A circle of imports for types alone is a circle of ideas all the same."""
    named = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in modules()}
    needs = {name: modules_imported(path, named) for name, path in named.items()}
    assert len(needs["formula.compiler"]) > 3
    TopologicalSorter(needs).prepare()


def functions_with(decorator: str, tree: ast.AST) -> list[ast.FunctionDef]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(each, ast.Name) and each.id == decorator for each in node.decorator_list)
    ]


def imported(tree: ast.AST) -> set[str]:
    """The last part of each module that is imported, or imported from."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {(node.module or "").split(".")[-1] for node in nodes} | {name.name for node in nodes for name in node.names}


def test_what_is_compiled_is_kept_for_all_files_it_is_of() -> None:
    """What numba keeps on the disk is out of date when the function's own file changes, and then only, or when a name
    around the function stands for something else."""
    trees = {path: ast.parse(path.read_text()) for path in modules()}
    kept = {path: {function.name for function in functions_with("compiled", tree)} for path, tree in trees.items()}
    inner = {path: {function.name for function in functions_with("inner", tree)} for path, tree in trees.items()}
    everywhere = set().union(*kept.values(), *inner.values())
    assert len(everywhere) > 10
    assert sum(map(len, (*kept.values(), *inner.values()))) == len(everywhere), "two of one name hide from this test"
    files = {path.stem for path in trees if kept[path] or inner[path]}
    several = 0
    for path, tree in trees.items():
        told = {
            argument.id
            for call in ast.walk(tree)
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "contents"
            for argument in call.args
            if isinstance(argument, ast.Name)
        }
        for function in functions_with("compiled", tree):
            used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
            of_others = {
                node.value.id
                for node in ast.walk(function)
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr in everywhere
            }
            assert (used - of_others) & everywhere <= kept[path], (path, function.name)
            if of_others:
                several += 1
                assert of_others <= told, (path, function.name)
                assert function not in tree.body
                assert "files" in used
        for other in (other for other in trees if other.stem in told and told):
            assert imported(trees[other]) & files <= told, (path, other)
    assert several == 2
