"""Several tokens in one recalculation: rows, ids and texts beside PyTorch's, where generation ends, and who agrees."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import random_checkpoint
from click.testing import CliRunner
from test_witnesses import differences, unequal
from transformers import GPT2LMHeadModel

import gpt2xl
from gpt2xl.commands import main
from gpt2xl.engines.document import CellError
from gpt2xl.engines.gnumeric import recalculate
from gpt2xl.engines.ironcalc import IronCalc
from gpt2xl.engines.libreoffice import LibreOffice
from gpt2xl.model.checkpoint import Checkpoint, load_checkpoint
from gpt2xl.model.steps import step_names

SAMPLING = {"temperature": 1.5, "top_k": 200, "top_p": 0.9, "random": [[0.1], [0.5], [0.97], [0.3], [0.65]]}


@pytest.fixture(scope="module")
def tiny_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five tokens of the embedded model."""
    path = tmp_path_factory.mktemp("generated") / "tiny.xlsx"
    gpt2xl.build("Anna lost her hat. She", path, generate=5, max_tokens=9, max_chars=24, plain=True)
    return path


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four tokens of another model: three blocks, a head of its own, the exact GELU a cell, a context of nine."""
    folder = random_checkpoint(
        tmp_path_factory.mktemp("other") / "model",
        n_layer=3,
        n_head=2,
        n_embd=12,
        n_inner=20,
        n_positions=9,
        vocab="words",
        tied=False,
        activation_function="gelu",
    )
    path = folder.parent / "other.xlsx"
    gpt2xl.build("The cat", path, model=folder, generate=4, max_tokens=9, max_chars=9, plain=True)
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sampled tokens of a small model, for programs that are slow."""
    folder = random_checkpoint(tmp_path_factory.mktemp("small") / "model", n_embd=4, vocab="words")
    path = folder.parent / "small.xlsx"
    gpt2xl.build("cat", path, model=folder, generate=3, max_tokens=3, max_chars=3, plain=True)
    return sampled(path, path.with_name("sampled.xlsx"), random=[[0.2], [0.7], [0.99]])


def sampled(path: Path, target: Path, **settings: Any) -> Path:
    """The same workbook with other settings."""
    workbook = gpt2xl.Workbook.open(path)
    for name, value in {**SAMPLING, **settings}.items():
        workbook[name] = np.array(value) if isinstance(value, list) else value
    workbook.save(target)
    return target


def names_compared(checkpoint: Checkpoint, *, sampled: bool) -> list[str]:
    names = [*step_names(checkpoint.config), *(["sampling.probs"] if sampled else [])]
    return [*names, *(f"generated.{name}" for name in names)]


def compared(verdict: gpt2xl.Verdict, checkpoint: Checkpoint, *, sampled: bool) -> None:
    """That every step is there, those of generated rows included, and is as PyTorch has it."""
    for comparison in verdict.prompts:
        assert comparison.first_divergence is None
        names = [step.name for step in comparison.steps]
        assert set(names_compared(checkpoint, sampled=sampled)) <= set(names)
        assert max(step.max_abs_diff for step in comparison.steps) < 1e-9
        assert comparison.generated_ids == comparison.reference_generated_ids
        assert comparison.generated_ids[0] == comparison.next_token_id
    assert verdict.ok


def test_greedy_as_pytorch(tiny_book: Path, tiny: Checkpoint) -> None:
    verdict = gpt2xl.check(tiny_book, prompts=["Anna lost her hat. She", "The dog chased the", "One, two,", "x"])
    compared(verdict, tiny, sampled=False)
    assert [len(comparison.generated_ids) for comparison in verdict.prompts] == [5, 5, 5, 5]
    rows = {step.name: step.shape for step in verdict.prompts[1].steps}
    tokens = len(verdict.prompts[1].token_ids)
    assert rows["generated.h.1.mlp.post"] == (4, 256)
    assert rows["generated.h.0.attn.pattern.3"] == (4, tokens + 4)
    assert rows["generated.logits"] == (1024, 4)


def test_greedy_as_transformers_generates(tiny_book: Path, tiny: Checkpoint) -> None:
    model = GPT2LMHeadModel.from_pretrained(tiny.folder, dtype=torch.float64)
    workbook = gpt2xl.Workbook.open(tiny_book)
    for prompt in ("Snow is", "Tom is here. He"):
        ids = torch.tensor([tiny.vocabulary.encode(prompt)])
        expected = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=5, do_sample=False, pad_token_id=0
        )[0, ids.shape[1] :]
        workbook["prompt"] = prompt
        found = [value for (value,) in workbook["generated_ids"].tolist() if isinstance(value, float)]
        assert found == expected.tolist()
        assert workbook["generated_text"] == tiny.vocabulary.decode(expected.tolist())


def test_sampled_as_pytorch(tiny_book: Path, tiny: Checkpoint, tmp_path: Path) -> None:
    greedy = gpt2xl.Workbook.open(tiny_book)["generated_text"]
    path = sampled(tiny_book, tmp_path / "sampled.xlsx")
    assert gpt2xl.Workbook.open(path).cached("generated_text") != greedy
    compared(gpt2xl.check(path, prompts=["Anna lost her hat. She", "The"]), tiny, sampled=True)
    compared(gpt2xl.check(path, reference="numpy"), tiny, sampled=True)


@pytest.mark.parametrize("engine", ["libreoffice", "ironcalc"])
def test_other_engines(engine: Any, tiny_book: Path, tiny: Checkpoint, tmp_path: Path) -> None:
    if engine == "libreoffice" and shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    if engine == "ironcalc":
        pytest.importorskip("ironcalc")
    path = sampled(tiny_book, tmp_path / "sampled.xlsx")
    compared(gpt2xl.check(path, engine=engine), tiny, sampled=True)
    compared(gpt2xl.check(tiny_book, engine=engine), tiny, sampled=False)


@pytest.mark.parametrize("settings", [None, {}, {"temperature": 0.7, "top_k": 0, "top_p": 0.5}])
def test_another_model(settings: dict[str, Any] | None, other: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(other.parent / "model")
    path = other
    if settings is not None:
        path = sampled(other, tmp_path / "sampled.xlsx", **settings, random=SAMPLING["random"][:4])
    verdict = gpt2xl.check(path, prompts=["The cat", "at", "s"])
    compared(verdict, checkpoint, sampled=settings is not None)
    assert max(len(comparison.generated_ids) for comparison in verdict.prompts) == 4  # the end may be sampled


def test_a_wrong_token_is_noticed(other: Path) -> None:
    verdict = gpt2xl.check(other)
    (comparison,) = verdict.prompts
    comparison.generated_ids[2] += 1
    assert not verdict.ok
    assert (
        verdict.as_json()["prompts"][0]["generated_ids"] != verdict.as_json()["prompts"][0]["reference_generated_ids"]
    )


def test_the_context_ends(other: Path) -> None:
    """The last position's token is the last that can be read; what follows from it is still generated."""
    workbook = gpt2xl.Workbook.open(other)
    for prompt, count in (("xxxxx", 4), ("xxxxxx", 4), ("xxxxxxx", 3), ("xxxxxxxx", 2), ("xxxxxxxxx", 1)):
        workbook["prompt"] = prompt
        ids = workbook["generated_ids"][:, 0].tolist()
        assert [isinstance(value, float) for value in ids] == [True] * count + [False] * (4 - count)
        assert ids[count:] == [gpt2xl.ExcelError("#N/A")] * (4 - count)
        sentence = f"The model's context of 9 tokens is full, so the text ends after {count} of 4 tokens."
        assert workbook["generated_end"] == ("" if count == 4 else sentence)
    verdict = gpt2xl.check(other, prompts=["xxxxxxx", "xxxxxxxxx"])
    compared_ids = [comparison.generated_ids for comparison in verdict.prompts]
    assert verdict.ok
    assert [len(ids) for ids in compared_ids] == [3, 1]


def test_the_text_ends(tiny_book: Path, tiny: Checkpoint) -> None:
    workbook = gpt2xl.Workbook.open(tiny_book)
    workbook["prompt"] = "The cat sat on the"
    assert workbook["generated_ids"].tolist()[2:] == [[float(tiny.end_id)]] + [[gpt2xl.ExcelError("#N/A")]] * 2
    assert workbook["generated_text"] == " mat.<|endoftext|>"
    assert workbook["generated_end"] == "The end-of-text token came, so the text ends after 3 of 5 tokens."
    verdict = gpt2xl.check(tiny_book, prompts=["The cat sat on the"])
    assert verdict.ok
    assert verdict.prompts[0].generated_ids[-1] == tiny.end_id


def test_a_prompt_that_does_not_fit(tiny_book: Path) -> None:
    workbook = gpt2xl.Workbook.open(tiny_book)
    workbook["prompt"] = "a" * 81
    assert all(value == gpt2xl.ExcelError("#N/A") for value in workbook["generated_ids"].ravel().tolist())
    assert workbook["generated_text"] == ""
    assert workbook["generated_end"] == workbook["next_token"]


def test_one_token_is_the_next_token(wb: gpt2xl.Workbook) -> None:
    assert wb["generated_ids"] == wb["next_token_id"]
    assert wb["generated_text"] == wb["next_token"]
    assert not any(name.startswith("generated.h.") for name in wb.names)


def test_run_prints_what_is_generated(tiny_book: Path) -> None:
    arguments = ["run", str(tiny_book), "--prompt", "The cat sat on the"]
    answer = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).stdout)
    assert answer["generated_ids"][0] == answer["next_token_id"]
    assert len(answer["generated_ids"]) == 3
    assert answer["generated_text"] == " mat.<|endoftext|>"
    shown = CliRunner().invoke(main, arguments).stdout
    assert "generated   ' mat.<|endoftext|>'" in shown
    assert "so the text ends after 3 of 5 tokens" in shown


def test_check_prints_what_is_generated(other: Path) -> None:
    shown = CliRunner().invoke(main, ["check", str(other), "--reference", "numpy"])
    assert shown.exit_code == 0
    (line,) = [line for line in shown.stdout.splitlines() if line.startswith("  generated [")]
    ids = line.removeprefix("  generated ").split(", reference ")
    assert ids[0] == ids[1]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--generate", "0"], "--generate is 0; it goes from 1 to 128"),
        (["--generate", "129"], "--generate is 129; it goes from 1 to 128"),
        (["--generate", "2", "--exercise"], "--generate would show a student the answers"),
    ],
)
def test_what_cannot_be_built(options: list[str], sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    result = CliRunner().invoke(main, ["build", "The", "-o", str(path), *options])
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert not path.exists()


def test_every_cell_in_libreoffice(small: Path) -> None:
    if shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    with LibreOffice() as office:
        assert differences(office.open(small), small) == []


def test_every_cell_in_ironcalc(small: Path) -> None:
    pytest.importorskip("ironcalc")
    with IronCalc() as ironcalc:
        assert differences(ironcalc.open(small), small) == []


def test_every_cell_in_gnumeric(small: Path, tmp_path: Path) -> None:
    if shutil.which("ssconvert") is None:
        pytest.skip("gnumeric is not installed")
    theirs = gpt2xl.Workbook.open(recalculate(small, tmp_path / "gnumeric.xlsx"))
    ours = gpt2xl.Workbook.open(small)
    for sheet, rect, _ in ours.formulas():
        stored, computed = ours.book.sheet(sheet).take(rect), theirs.book.sheet(sheet).take(rect)
        values = [
            [CellError(value.text) if isinstance(value, gpt2xl.ExcelError) else value for value in line]
            for line in computed.tolist()
        ]
        assert not unequal(stored, values).any(), f"{sheet}!{rect}"
