"""The surprise of every token of the prompt, against the loss that transformers computes for it."""

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
from test_witnesses import differences
from transformers import GPT2LMHeadModel
from validators import ooxml_errors

import gpt2xl
from gpt2xl.commands import main
from gpt2xl.engines.ironcalc import IronCalc
from gpt2xl.engines.libreoffice import LibreOffice
from gpt2xl.model.checkpoint import load_checkpoint

TINY = Path(gpt2xl.__file__).parent / "data" / "tiny"
SIZES = {"max_tokens": 9, "max_chars": 24}
PROMPT = "The cat sat on the"


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("loss") / "loss.xlsx"
    gpt2xl.build(PROMPT, path, loss=True, **SIZES)
    return path


@torch.no_grad()
def losses(folder: Path, prompt: str) -> tuple[np.ndarray, float]:
    """The surprise of every token but the first in bits, and transformers' loss, both in float64."""
    model: Any = GPT2LMHeadModel.from_pretrained(folder).double().eval()
    ids = torch.tensor([load_checkpoint(folder).vocabulary.encode(prompt)])
    found = model(ids, labels=ids)
    each = torch.nn.functional.cross_entropy(found.logits[0, :-1], ids[0, 1:], reduction="none")
    # transformers makes float32 of the logits before it takes the mean
    assert float(found.loss) == pytest.approx(float(each.mean()), rel=1e-6)
    return each.numpy() / np.log(2), float(each.mean())


def agrees(wb: gpt2xl.Workbook, folder: Path) -> None:
    bits, loss = losses(folder, str(wb["prompt"]))
    column = np.asarray(wb["loss.bits"], dtype=object)[:, 0].tolist()
    assert column[0] == ""
    assert set(column[len(bits) + 1 :]) <= {""}
    np.testing.assert_allclose(np.array(column[1 : len(bits) + 1]), bits, rtol=1e-9, atol=1e-12)
    assert wb["loss.mean"] == pytest.approx(bits.mean(), rel=1e-9)
    assert wb["loss.nats"] == pytest.approx(loss, rel=1e-9)
    assert wb["perplexity"] == pytest.approx(np.exp(loss), rel=1e-9)


@pytest.mark.parametrize("prompt", [PROMPT, "Tom lost his hat. Tom", "aa"])
def test_the_embedded_model(prompt: str, book: Path) -> None:
    wb = gpt2xl.Workbook.open(book)
    wb["prompt"] = prompt
    agrees(wb, TINY)


@pytest.mark.parametrize(
    "config", [{"tied": False}, {"n_layer": 1, "n_head": 1, "n_embd": 4, "vocab": "words"}], ids=str
)
def test_other_models(config: dict[str, Any], tmp_path: Path) -> None:
    folder = random_checkpoint(tmp_path / "model", **config)
    gpt2xl.build("the cat", tmp_path / "book.xlsx", model=folder, loss=True, **SIZES)
    agrees(gpt2xl.Workbook.open(tmp_path / "book.xlsx"), folder)
    assert gpt2xl.check(tmp_path / "book.xlsx", model=folder, prompts=["the cat", "a"]).ok


def test_one_token_has_no_loss_and_too_many_have_none_either(book: Path) -> None:
    wb = gpt2xl.Workbook.open(book)
    wb["prompt"] = "a"
    assert set(np.ravel(np.asarray(wb["loss.bits"], dtype=object))) == {""}
    assert wb["loss.mean"] == wb["perplexity"] == gpt2xl.ExcelError("#N/A")
    assert wb["next_token_id"] >= 0
    assert wb["loss.state"].startswith("One token has none before it")
    wb["prompt"] = "a" * 25
    assert wb["loss.state"] == wb["state"] != ""
    assert set(np.ravel(np.asarray(wb["loss.bits"], dtype=object))) == {gpt2xl.ExcelError("#N/A")}
    assert wb["loss.mean"] == gpt2xl.ExcelError("#N/A")


def test_what_was_expected_instead(book: Path) -> None:
    wb = gpt2xl.Workbook.open(book)
    checkpoint = load_checkpoint("tiny")
    model: Any = GPT2LMHeadModel.from_pretrained(TINY).double().eval()
    ids = checkpoint.vocabulary.encode(PROMPT)
    best = model(torch.tensor([ids])).logits[0].argmax(dim=-1).tolist()
    texts = [
        checkpoint.vocabulary.text(guess) if guess != token else "" for guess, token in zip(best, ids[1:], strict=False)
    ]
    assert np.ravel(wb["loss.expected"]).tolist()[: len(ids)] == ["", *texts]
    assert len(set(texts)) > 1


def test_check_and_the_live_check_compare_it(book: Path, tmp_path: Path) -> None:
    names = {"loss.bits", "loss.mean", "loss.nats", "perplexity"}
    for reference in ("torch", "numpy"):
        verdict = gpt2xl.check(book, prompts=[PROMPT, "a"], reference=reference)
        assert verdict.ok
        assert names < {step.name for step in verdict.prompts[0].steps}
    wb = gpt2xl.Workbook.open(book)
    assert names < set(np.ravel(wb["check.step"]))
    assert wb["check.summary"].startswith("All ")
    result = CliRunner().invoke(main, ["check", str(book), "--reference", "numpy", "--prompt", "a", "--json"])
    assert {
        step["max_abs_diff"] for step in json.loads(result.stdout)["prompts"][0]["steps"] if step["name"] in names
    } == {0}
    weight = wb["ln_f.bias"]
    weight[0, 5] += 0.01
    wb["ln_f.bias"] = weight
    wb.save(tmp_path / "wrong.xlsx")
    verdict = gpt2xl.check(tmp_path / "wrong.xlsx", reference="numpy")
    assert names < {step.name for step in verdict.prompts[0].steps if not step.ok}


def test_it_is_an_option_and_is_counted(wb: gpt2xl.Workbook, tmp_path: Path) -> None:
    assert "loss.bits" not in wb
    assert {"Loss", "Loss at work"}.isdisjoint(wb.sheets)
    outlooks: list[Any] = []
    path = tmp_path / "plain.xlsx"
    built = gpt2xl.build(PROMPT, path, loss=True, plain=True, announce=outlooks.append, **SIZES)
    without = gpt2xl.build(PROMPT, tmp_path / "without.xlsx", plain=True, announce=outlooks.append, **SIZES)
    assert outlooks[0].formulas == built.formulas
    assert outlooks[0].cells == pytest.approx(built.cells, rel=0.01)
    assert outlooks[0].size == pytest.approx(built.size, rel=0.15)
    assert built.formulas - without.formulas >= 1024 * SIZES["max_tokens"]
    agrees(gpt2xl.Workbook.open(path), TINY)
    assert ooxml_errors(path) == []
    assert "--loss" in str(gpt2xl.Workbook.open(path)["made.with"])


def test_every_formula_cell_in_other_engines(book: Path) -> None:
    assert ooxml_errors(book) == []
    pytest.importorskip("ironcalc")
    with IronCalc() as ironcalc:
        assert differences(ironcalc.open(book), book) == []
    if shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    with LibreOffice() as office:
        assert differences(office.open(book), book) == []
