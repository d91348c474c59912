"""What `build` says before it starts, its bar, and what it refuses: against what then comes of it."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from checkpoints import random_checkpoint
from click.testing import CliRunner

import gpt2xl
from gpt2xl import convert
from gpt2xl.commands import main
from gpt2xl.convert import plan_for
from gpt2xl.errors import LimitError
from gpt2xl.model.checkpoint import Checkpoint
from gpt2xl.outlook import Outlook
from gpt2xl.plan.dimensions import Capacity

ROOT = Path(__file__).parents[1]
PROMPT = "The cat sat on the"
SIZES: dict[str, Any] = {"max_tokens": 13, "max_chars": 18}


def announced(path: Path, **options: Any) -> tuple[Outlook, gpt2xl.Built, int]:
    """What was announced, what came of it, and how many cells were reported while writing."""
    outlooks: list[Outlook] = []
    written: list[int] = []

    def announce(outlook: Outlook) -> None:
        assert list(path.parent.iterdir()) == []
        outlooks.append(outlook)

    built = gpt2xl.build(PROMPT, path, announce=announce, progress=written.append, **options)
    (outlook,) = outlooks
    assert min(written) >= 0
    return outlook, built, sum(written)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "fast"},
        {"compression": "small"},
        {"digits": 2},
        {"digits": 6, "compression": "fast"},
        {"vocab": 300},
        {"max_tokens": 32, "max_chars": 120},
    ],
    ids=str,
)
def test_close_to_what_comes_of_it(options: dict[str, Any], tmp_path: Path) -> None:
    outlook, built, written = announced(tmp_path / "book.xlsx", **options)
    assert outlook.formulas == built.formulas
    assert outlook.cells == pytest.approx(built.cells, rel=0.01)
    assert outlook.size == pytest.approx(built.size, rel=0.15)
    assert written == built.cells


@pytest.mark.parametrize(
    "options", [SIZES, SIZES | {"digits": 3}, SIZES | {"refs": True}, SIZES | {"compression": "fast"}], ids=str
)
def test_close_for_large_models(options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert, "MANY_PARAMETERS", 1000)
    outlook, built, written = announced(tmp_path / "book.xlsx", **options)
    assert outlook.size == pytest.approx(built.size, rel=0.15)
    assert written == built.cells


def test_formulas_are_counted_as_info_counts_them(tmp_path: Path) -> None:
    options = ["--vocab", "256", "--max-tokens", "18", "--max-chars", "18"]
    result = CliRunner().invoke(main, ["build", PROMPT, "-o", str(tmp_path / "book.xlsx"), *options])
    assert result.exit_code == 0, f"{result.output}{result.exception!r}"
    counts = re.findall(r"([0-9,]+) of them formulas", result.stderr)
    facts = json.loads(CliRunner().invoke(main, ["info", str(tmp_path / "book.xlsx"), "--json"]).stdout)
    assert [int(count.replace(",", "")) for count in counts] == 2 * [facts["formulas"]]


def test_what_opens_it() -> None:
    small = Outlook(cells=423_363, formulas=1, size=1, columns=400)
    assert small.opens_in == "for Excel and LibreOffice; within the 10,000,000 cells of Google Sheets"
    wide = replace(small, columns=3_074)
    assert "LibreOffice 7.4 or later (3,074 columns; before, it had 1,024)" in wide.opens_in
    large = replace(wide, cells=124_500_000)
    assert large.opens_in.startswith("for 64-bit Excel (32-bit Excel has 2 GB of memory) and LibreOffice 7.4")
    assert large.opens_in.endswith("beyond the 10,000,000 cells of Google Sheets")
    assert "; within" in replace(small, cells=10_000_000).opens_in
    assert "; beyond" in replace(small, cells=10_000_001).opens_in


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_checkpoint(
        tmp_path_factory.mktemp("letters") / "model", n_layer=1, n_head=1, n_embd=2, n_positions=8, vocab="letters"
    )


def build_command(letters: Path, tmp_path: Path) -> list[str]:
    path = str(tmp_path / "book.xlsx")
    return [sys.executable, "cli.py", "build", "abc", "-o", path, "--model", str(letters), "--max-chars", "4"]


def on_a_terminal(command: list[str]) -> str:
    """What a command writes to standard error where that is a terminal."""
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()
    with subprocess.Popen(command, cwd=ROOT, stderr=slave, stdout=subprocess.DEVNULL) as process:
        os.close(slave)
        seen = b""
        while True:
            ready, _, _ = select.select([master], [], [], 60)
            try:
                piece = os.read(master, 1 << 16) if ready else b""
            except OSError:  # the other end is closed
                piece = b""
            if not piece:
                break
            seen += piece
    os.close(master)
    assert process.returncode == 0
    return seen.decode()


def test_a_bar_on_a_terminal_alone(letters: Path, tmp_path: Path) -> None:
    command = build_command(letters, tmp_path)
    shown = on_a_terminal(command)
    assert "writing  [####" in shown
    assert "100%" in shown
    piped = subprocess.run([*command, "--force"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "writing" not in piped.stderr
    assert len(piped.stderr.splitlines()) == 3
    assert piped.stdout == ""
    assert on_a_terminal([*command, "--force", "--quiet"]) == ""


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"n_embd": 5_461, "n_head": 1}, ["n_embd 5,461", "Weights 0", "columns 3 to 16385", "16,384 columns"]),
        ({"n_embd": 16_400, "n_head": 1}, ["n_embd 16,400", "sheet `"]),
        ({"n_inner": 16_383}, ["n_embd 64, n_inner 16,383", "Weights 0", "columns 3 to 16385"]),
        ({"n_positions": 1_048_570}, ["n_positions 1,048,570", "sheet `wpe`"]),
        ({"n_embd": 1_048_570, "n_head": 1}, ["n_embd 1,048,570"]),
    ],
    ids=str,
)
def test_shapes_that_fit_no_sheet(changes: dict[str, int], parts: list[str], tiny: Checkpoint) -> None:
    said = too_large(tiny, changes, Capacity(16, 80))
    for part in parts:
        assert part in said
    assert said.endswith("; take a smaller model")  # no option changes these


@pytest.mark.parametrize(
    ("changes", "capacity", "parts", "way_out"),
    [
        ({"vocab_size": 1_048_570}, Capacity(16, 80), ["1,048,570 tokens", "Vocabulary", "1,048,576 rows"], "--vocab"),
        ({"n_positions": 20_000}, Capacity(16_300, 80), ["a prompt of up to 16,300 tokens", "Block 0"], "--max-tokens"),
        ({"n_positions": 20_000}, Capacity(16, 80, 16_300), ["16,300 that follow", "16,384 columns"], "--generate"),
    ],
    ids=["vocab_size", "max_tokens", "generate"],
)
def test_shapes_that_an_option_makes_fit(
    changes: dict[str, int], capacity: Capacity, parts: list[str], way_out: str, tiny: Checkpoint
) -> None:
    said = too_large(tiny, changes, capacity)
    for part in parts:
        assert part in said
    assert said.endswith(f"; take a smaller model or a smaller {way_out}")


def too_large(tiny: Checkpoint, changes: dict[str, int], capacity: Capacity) -> str:
    with pytest.raises(LimitError) as caught:
        plan_for(replace(tiny, config=replace(tiny.config, **changes)), capacity, None)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("n_head", "n_embd"), [(16, 1024), (20, 1280), (25, 1600)], ids=["medium", "large", "xl"])
def test_larger_gpt2s_fit(n_head: int, n_embd: int, tiny: Checkpoint) -> None:
    """Two blocks of each, whose sheets are like those of all others."""
    config = replace(tiny.config, n_layer=2, n_head=n_head, n_embd=n_embd, n_inner=4 * n_embd, vocab_size=50_257)
    plan = plan_for(replace(tiny, config=replace(config, n_positions=1024)), Capacity(16, 80), None)
    assert sum(sheet.group == "weights" for sheet in plan.sheets) == 2 + 2 + 1
