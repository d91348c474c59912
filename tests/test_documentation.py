"""The pages: up to date with the program, linked, and with every command that they show run as it stands.

README.md's commands and the stories' are run by test_readme.py and test_stories.py; all others here.
"""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import click
import pytest
from checkpoints import random_checkpoint
from click.testing import CliRunner

import gpt2xl
from gpt2xl.commands import main

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
PAGES += [ROOT / "gpt2xl" / "data" / "tiny" / "README.md"]
RUN_ELSEWHERE = {ROOT / "README.md", *(ROOT / "examples" / "stories").glob("*.md")}
# What sets up a machine: .ci/run runs the first two as they stand there, the others are what apt and pip do.
SET_UP = ("pip install ", "apt install ")
COMPLETION = re.compile(r"_GPT2XL_COMPLETE=(\w+)_source")


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[str]:
    """The lines of a page's shell blocks, without comments."""
    found = re.findall(
        r"^```(?:sh|bash|console)\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    lines = [re.sub(r"\s{2,}# .*", "", line).strip() for block in found for line in block.splitlines()]
    return [line for line in lines if line]


def spans(page: Path) -> list[str]:
    """The commands in a page's text and in indented lines."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    found = re.findall(r"`((?:gpt2xl|python|pip install|apt install) [^`]+)`", text.replace("\n", " "))
    return found + [line.strip() for line in text.splitlines() if re.match(r" {4}(?:gpt2xl|python) ", line)]


BLOCKS = [(page, line) for page in PAGES for line in blocks(page)]
SPANS = sorted({(page, span) for page in PAGES for span in spans(page)})
OURS = [(page, line) for page, line in BLOCKS if line.startswith("gpt2xl ") and page not in RUN_ELSEWHERE]
SCRIPTS = sorted({tuple(shlex.split(span)[1:]) for _, span in SPANS if span.startswith("python ")})


def test_every_shown_command_is_of_a_kind_that_is_run() -> None:
    assert len(BLOCKS) > 20
    unknown = [
        f"{named(page)}: {line}"
        for page, line in BLOCKS
        if not (line.startswith(("gpt2xl ", *SET_UP)) or COMPLETION.search(line))
    ]
    assert unknown == []
    assert [span for _, span in SPANS if not span.startswith(("gpt2xl ", "python ", *SET_UP))] == []


@pytest.mark.parametrize(("page", "line"), OURS, ids=lambda value: named(value) if isinstance(value, Path) else value)
def test_commands_run(page: Path, line: str, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder with first.xlsx; a small random model stands in for checkpoints and for names on the hub."""
    assert page.is_file()
    monkeypatch.chdir(tmp_path)
    shutil.copy(first, tmp_path / "first.xlsx")
    arguments = shlex.split(line)[1:]
    if "--model" in arguments:
        random_checkpoint(tmp_path / arguments[arguments.index("--model") + 1], vocab="words")
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("page", "span"),
    [(page, span) for page, span in SPANS if span.startswith("gpt2xl ")],
    ids=lambda value: named(value) if isinstance(value, Path) else value,
)
def test_commands_in_a_sentence_exist_with_their_options(page: Path, span: str) -> None:
    words = span.split()[1:]
    if "COMMAND" in words or page.name == "commands.md":
        return
    command = main if words[0].startswith("-") else main.commands[words[0]]
    options = {option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]}
    options |= {"-h", "--help"}
    assert [word for word in words if word.startswith("-") and word.partition("=")[0] not in options] == []


@pytest.mark.parametrize("words", SCRIPTS, ids=" ".join)
def test_scripts_start(words: tuple[str, ...]) -> None:
    """Those that take minutes or other programs are asked for their help only."""
    script = ROOT / words[0]
    assert script.is_file()
    if "argparse" not in script.read_text(encoding="utf-8"):
        compile(script.read_text(encoding="utf-8"), script.name, "exec")
        return
    done = subprocess.run([sys.executable, script, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [word for word in words[1:] if word.startswith("--") and word not in done.stdout] == []


def test_completion_lines(tmp_path: Path) -> None:
    lines = [line for _, line in BLOCKS if COMPLETION.search(line)]
    assert [COMPLETION.search(line)[1] for line in lines] == ["bash", "zsh", "fish"]  # type: ignore[index]
    program = tmp_path / "gpt2xl"
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from gpt2xl.commands import main; main(prog_name='gpt2xl')"
    program.write_text(f"#!{sys.executable}\n{code}\n", encoding="utf-8")
    program.chmod(0o755)
    for line in lines:
        shell = COMPLETION.search(line)[1]  # type: ignore[index]
        if shutil.which(shell) is None:
            continue
        ask = {"bash": "complete -p gpt2xl", "zsh": "echo $_comps[gpt2xl]", "fish": "complete -c gpt2xl"}[shell]
        first = "autoload -U compinit; compinit -u\n" if shell == "zsh" else ""
        script = f'{first}PATH="{tmp_path}:$PATH"\n{line}\n{ask}\n'
        done = subprocess.run([shell, "-c", script], capture_output=True, text=True, check=False)
        assert "gpt2xl" in done.stdout, f"{line}: {done.stderr}"


# Up to date


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "reference.py"))


def test_what_is_made_from_the_program_is_current(reference: dict[str, Any]) -> None:
    wanted = reference["pages"]()
    assert {named(path) for path in wanted} >= {
        "docs/commands.md", "docs/formulas.md", "docs/pictures/how-it-works.svg",
    }  # fmt: skip
    old = [named(path) for path, text in wanted.items() if path.read_text(encoding="utf-8") != text]
    assert old == [], "run python scripts/reference.py"


def test_the_commands_page_has_every_option() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for name, command in main.commands.items():
        section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert isinstance(command, click.Command)
        options = [
            option for parameter in command.params if isinstance(parameter, click.Option) for option in parameter.opts
        ]
        assert [option for option in options if option not in section] == []


def test_the_formulas_page_has_every_name_of_the_first_workbook(wb: gpt2xl.Workbook) -> None:
    text = (ROOT / "docs" / "formulas.md").read_text(encoding="utf-8").partition("## Names in the workbook")[2]
    shown = {re.escape(name) for name in re.findall(r"`([a-z][^`]*)`", text)}
    kinds = [re.compile(re.sub(r"(?<=\\\.)[ij](?=\\\.|$)", "[0-9]+", name)) for name in shown]
    names = [name.removeprefix("reference.") for name in wb.names]
    assert len(names) > 200
    assert [name for name in names if not any(kind.fullmatch(name) for kind in kinds)] == []


# Linked


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("#"):
            assert (page.parent / target.partition("#")[0]).exists(), target


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\((docs/[a-z-]+\.md)\)", text))
    assert linked == {named(path) for path in (ROOT / "docs").glob("*.md")}
    assert len(text.splitlines()) < 140


def test_the_picture_is_a_picture_of_the_way() -> None:
    tree = ET.parse(ROOT / "docs" / "pictures" / "how-it-works.svg")
    words = [element.text for element in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert words.index("Prompt") < words.index("Token ids") < words.index("Logits") < words.index("Next token")
    assert "(pictures/how-it-works.svg)" in (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8")
