"""README.md: its commands and its Python are run as they stand there, but for the two that set up a machine."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from checkpoints import random_checkpoint
from click.testing import CliRunner

import gpt2xl
from gpt2xl.commands import main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[str]:
    """The lines of shell blocks that call gpt2xl alone, without their comments."""
    return [
        " ".join(shlex.split(line, comments=True) and [line.partition("  #")[0].strip()])
        for block in blocks("sh")
        for line in block.splitlines()
        if line.startswith("gpt2xl ")
    ]


@pytest.fixture
def folder(tmp_path: Path, first: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(first, tmp_path / "first.xlsx")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_set_up_is_two_commands() -> None:
    marked = re.findall(r"<!-- (\w+) -->\n```sh\n(.*?)\n```\n<!-- end -->", README)
    assert [name for name, _ in marked] == ["first", "tests"]
    assert all("\n" not in command for _, command in marked)


def test_every_command_is_shown() -> None:
    assert {command.split()[1] for command in commands()} == set(main.commands)


@pytest.fixture(scope="module")
def made(first: Path) -> dict[str, bytes]:
    """The workbooks that commands open, each made once: by the command's own test, or where that has not run."""
    return {"first.xlsx": first.read_bytes()}


def made_by(command: str) -> str:
    """The workbook that a command writes; "" for one that writes none."""
    found = re.search(r"(?:-o|--save) (\S+)", command)
    return found[1] if found else ""


def made_before(command: str) -> list[str]:
    """The commands that make the workbooks which a command opens, the first first."""
    makers = {made_by(each): each for each in commands() if made_by(each)}
    opened = [word for word in shlex.split(command)[2:3] if word in makers and makers[word] != command]
    return [each for word in opened for each in (*made_before(makers[word]), makers[word])]


@pytest.mark.parametrize("command", commands())
def test_commands_run(command: str, folder: Path, made: dict[str, bytes]) -> None:
    for before in made_before(command):
        name = made_by(before)
        if name in made:
            (folder / name).write_bytes(made[name])
            continue
        assert CliRunner().invoke(main, shlex.split(before)[1:]).exit_code == 0
        made[name] = (folder / name).read_bytes()
    arguments = shlex.split(command)[1:]
    if "path/to/checkpoint" in arguments:
        random_checkpoint(folder / "path/to/checkpoint", vocab="words")
    if "libreoffice" in arguments and shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "Traceback" not in result.output
    if name := made_by(command):
        made[name] = (folder / name).read_bytes()


def test_the_python_runs_and_gives_what_it_says(folder: Path) -> None:
    (code,) = blocks("python")
    names: dict[str, object] = {}
    for line in code.splitlines():
        expression, comment, said = line.partition("  # ")
        if comment:
            assert repr(eval(expression, names)) == said.strip()
        else:
            exec(line, names)
    assert (folder / "second.xlsx").is_file()


def test_the_pictures_are_there_one_of_every_sheet_and_together_small(wb: gpt2xl.Workbook) -> None:
    root = Path(__file__).parents[1]
    pages = {root: README, root / "docs": (root / "docs" / "pictures.md").read_text(encoding="utf-8")}
    shown = [folder / name for folder, page in pages.items() for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page)]
    assert all(picture.is_file() for picture in shown)
    assert {picture.resolve() for picture in shown} == set((root / "docs" / "pictures").resolve().glob("*.png"))
    assert sum(picture.stat().st_size for picture in set(shown)) < 2_000_000
    script = (root / "scripts" / "pictures.py").read_text(encoding="utf-8")
    kinds = {re.sub("[0-9]+$", "0", sheet) for sheet in wb.sheets}
    assert {sheet for sheet in kinds if f'"{sheet}"' not in script} == set()
