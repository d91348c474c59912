"""Typed prompts: tokens, next token and logits as transformers has them, by each engine's numbers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prompts import TYPED

import gpt2xl
from gpt2xl.engines.document import Document
from gpt2xl.engines.ironcalc import IronCalc
from gpt2xl.engines.libreoffice import LibreOffice
from gpt2xl.model.checkpoint import Checkpoint


@pytest.fixture(scope="module")
def transformers_model(tiny: Checkpoint) -> tuple[Any, Any]:
    """transformers' own tokenizer and model, in float64, from the same folder."""
    import torch
    from transformers import AutoTokenizer, GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained(tiny.folder, dtype=torch.float64)
    return AutoTokenizer.from_pretrained(tiny.folder), model.eval()


def expected(transformers_model: tuple[Any, Any], prompt: str) -> tuple[list[int], Any]:
    """Ids of the prompt and the logits after its last token, as transformers computes them."""
    import torch

    tokenizer, model = transformers_model
    ids = tokenizer(prompt)["input_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, -1].numpy()
    return ids, logits


def agrees(document: Document, transformers_model: tuple[Any, Any], prompt: str) -> None:
    ids, logits = expected(transformers_model, prompt)
    document.set("prompt", prompt)
    assert [int(number) for number in document.get_numbers("token_ids")[:, 0]][: len(ids)] == ids
    assert document.get("n_tokens")[0][0] == len(ids)
    assert document.get("next_token_id")[0][0] == int(np.argmax(logits))
    np.testing.assert_allclose(document.get_numbers("logits")[:, 0], logits, rtol=0, atol=1e-6)


def test_twenty_prompts_the_longest_among_them(transformers_model: tuple[Any, Any]) -> None:
    lengths = [len(expected(transformers_model, prompt)[0]) for prompt in TYPED]
    assert len(TYPED) == 20
    assert max(lengths) == 16


@pytest.mark.parametrize("prompt", TYPED, ids=repr)
def test_our_engine(prompt: str, wb: gpt2xl.Workbook, transformers_model: tuple[Any, Any]) -> None:
    ids, logits = expected(transformers_model, prompt)
    wb["prompt"] = prompt
    token_ids = np.ravel(wb["token_ids"])
    assert token_ids[: len(ids)].tolist() == ids
    assert not token_ids[len(ids) :].any()
    assert wb["next_token_id"] == int(np.argmax(logits))
    np.testing.assert_allclose(np.ravel(wb["logits"]), logits, rtol=0, atol=1e-9)


@pytest.fixture(scope="module")
def in_libreoffice(first: Path) -> Iterator[Document]:
    if shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    with LibreOffice() as office:
        yield office.open(first)


@pytest.mark.parametrize("prompt", TYPED, ids=repr)
def test_libreoffice(prompt: str, in_libreoffice: Document, transformers_model: tuple[Any, Any]) -> None:
    agrees(in_libreoffice, transformers_model, prompt)


@pytest.fixture(scope="module")
def in_ironcalc(first: Path) -> Iterator[Document]:
    pytest.importorskip("ironcalc")
    with IronCalc() as ironcalc:
        yield ironcalc.open(first)


@pytest.mark.parametrize("prompt", TYPED, ids=repr)
def test_ironcalc(prompt: str, in_ironcalc: Document, transformers_model: tuple[Any, Any]) -> None:
    agrees(in_ironcalc, transformers_model, prompt)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("", "type a prompt"),
        ("a b c d e f g h i j k l m n o p q", "18 tokens and this workbook holds 16"),
        ("a" * 81, "81 characters and this workbook holds 80"),
        ("a" * 500, "500 characters and this workbook holds 80"),
    ],
)
def test_what_cannot_be_served_says_so(prompt: str, words: str, wb: gpt2xl.Workbook, in_libreoffice: Document) -> None:
    wb["prompt"] = prompt
    assert words in str(wb["next_token"])
    assert wb["next_token_id"] == gpt2xl.ExcelError("#N/A")
    assert wb["state"] == wb["next_token"] == wb["summary"]
    in_libreoffice.set("prompt", prompt)
    assert in_libreoffice.get("next_token")[0][0] == wb["next_token"]
    assert str(in_libreoffice.get("next_token_id")[0][0]) == "#N/A"
    wb["prompt"] = "The cat sat on the"
    assert wb["next_token"] == " mat"
