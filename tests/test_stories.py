"""The stories under examples/: their commands run as they stand, and say what the pages say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from gpt2xl.commands import main

STORIES = sorted((Path(__file__).parents[1] / "examples" / "stories").glob("[0-9]*.md"))


def test_there_are_five_and_the_index_names_them() -> None:
    index = (STORIES[0].parent / "README.md").read_text(encoding="utf-8")
    assert len(STORIES) == 5
    assert re.findall(r"\]\(([^)]+)\)", index) == [story.name for story in STORIES]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.stem)
def test_the_commands_say_what_the_page_says(story: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = ""
    checked = 0
    for language, content in re.findall(r"```(\w+)\n(.*?)```", story.read_text(encoding="utf-8"), re.DOTALL):
        if language == "text":
            lines = content.splitlines()
            assert [line for line in lines if line not in said] == []
            checked += len(lines)
            said = ""
            continue
        for command in content.splitlines():
            result = CliRunner().invoke(main, shlex.split(command)[1:])
            assert result.exit_code == 0, result.output
            said += result.stdout
    assert checked
