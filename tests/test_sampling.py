"""What the sampling formulas choose, beside transformers' own logits processors."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import random_checkpoint
from numpy.typing import NDArray
from transformers import GPT2LMHeadModel

import gpt2xl
from gpt2xl import tables
from gpt2xl.convert import add_constants, add_formulas, empty_book, plan_for
from gpt2xl.engines.document import CellError, Engine
from gpt2xl.engines.ironcalc import IronCalc
from gpt2xl.engines.libreoffice import LibreOffice
from gpt2xl.formula import Array, Book
from gpt2xl.model.checkpoint import load_checkpoint
from gpt2xl.model.generation import Sampling, numpy_distribution, picked, torch_distribution
from gpt2xl.plan.dimensions import Capacity

Floats = NDArray[np.float64]
CASES = 1000


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Book:
    """A workbook of a model of 23 tokens whose logits are typed."""
    folder = random_checkpoint(
        tmp_path_factory.mktemp("few") / "model", vocab="letters", vocab_size=23, n_layer=1, n_head=1, n_embd=4
    )
    checkpoint = load_checkpoint(folder)
    plan = plan_for(checkpoint, Capacity(2, 2), None)
    sheets = [
        replace(sheet, items=[replace(item, formulas=()) if item.name == "logits" else item for item in sheet.items])
        for sheet in plan.sheets
    ]
    facts = {item.data: [""] for sheet in plan.sheets for item in sheet.items if item.data is not None}
    columns = facts | tables.columns(checkpoint.vocabulary, plan.sizes["K"]) | {"end.id": np.array([-1.0])}
    parameters = {name: np.atleast_2d(checkpoint.tensors[name]).astype(np.float64) for name in checkpoint.tensors}
    plan = replace(plan, sheets=tuple(sheets))
    made = empty_book(plan)
    for sheet in plan.sheets:
        add_constants(sheet, made, parameters, columns, "ab")
    add_formulas(plan, made)
    return made


def put(book: Book, name: str, values: float | Floats) -> None:
    sheet, rect = book.resolve(name)
    book.set(sheet, rect, Array.of(values))


def get(book: Book, name: str) -> Floats:
    return book.get(*book.resolve(name)).num


def sample(book: Book, logits: Floats, settings: Sampling) -> tuple[Floats, float]:
    """What the formulas sample from, and the id that they choose."""
    put(book, "logits", logits[:, None])
    put(book, "temperature", settings.temperature)
    put(book, "top_k", settings.top_k)
    put(book, "top_p", settings.top_p)
    put(book, "random", settings.random[0])
    return get(book, "sampling.probs")[:, 0], float(get(book, "next_token_id")[0, 0])


def cases() -> Iterator[tuple[Floats, Sampling]]:
    """Logits with few and many equals, and settings of all kinds."""
    random = np.random.default_rng(7)
    for number in range(CASES):
        logits = random.normal(0, 3, 23)
        if number % 3:
            logits = np.round(logits * (1, 0.5)[number % 2])  # many equals
        if number % 17 == 0:
            logits -= 800  # far from 0
        if number % 19 == 0:
            logits[random.integers(0, 23, 3)] = -900  # probabilities that are 0
        yield (
            logits,
            Sampling(
                temperature=float(random.choice([1e-9, 0.1, 0.7, 1.0, 1.3, 5.0, 1e6])),
                top_k=int(random.choice([0, 0, 1, 2, 5, 22, 23, 24, 1000])),
                top_p=float(random.choice([1.0, 1.0, 1e-9, 0.05, 0.3, 0.5, 0.9, 0.95, 0.999, 1 - 1e-12])),
                random=(float(random.choice([0.0, random.random(), random.random(), 0.999999])),),
            ),
        )


def on_an_edge(logits: Floats, settings: Sampling) -> bool:
    """Whether some probabilities add up to 1 - p but for rounding, where the order of addition decides.

    PyTorch adds upwards, one after the other, the formulas in the order of ids.
    """
    probs = numpy_distribution(logits, replace(settings, top_p=1.0))
    scores = logits / settings.temperature
    sums = np.cumsum(probs[np.argsort(scores, kind="stable")])
    return settings.top_p < 1 and bool(np.any(np.abs(sums - (1 - settings.top_p)) < 1e-15))


def test_a_thousand_settings(book: Book) -> None:
    compared = 0
    for logits, settings in cases():
        expected = torch_distribution(logits, settings)
        np.testing.assert_allclose(numpy_distribution(logits, settings), expected, rtol=1e-12, atol=1e-300)
        if on_an_edge(logits, settings):
            continue
        probs, chosen = sample(book, logits, settings)
        assert ((probs > 0) == (expected > 0)).all(), (logits, settings)
        np.testing.assert_allclose(probs, expected, rtol=1e-12, atol=1e-300)
        assert chosen == picked(expected, settings.random[0]), (logits, settings)
        compared += 1
    assert compared > 0.97 * CASES


@pytest.mark.parametrize(("top_p", "stay"), [(0.75, 6), (0.5, 4), (0.25, 2), (0.7, 6), (0.1, 1), (1e-6, 1)])
def test_of_equals_the_lower_ids_go_first(book: Book, top_p: float, stay: int) -> None:
    """Eight equals, of which exactly two, four, six may go: sums that have no rounding."""
    logits = np.full(23, -1000.0)
    logits[3:11] = 2.0
    settings = Sampling(1.0, 0, top_p)
    probs, _ = sample(book, logits, settings)
    assert np.flatnonzero(probs).tolist() == list(range(11 - stay, 11))
    assert np.flatnonzero(torch_distribution(logits, settings)).tolist() == list(range(11 - stay, 11))


@pytest.mark.parametrize(
    ("number", "chosen"), [(0.0, 0), (0.2499, 0), (0.25, 4), (0.5, 5), (0.75, 22), (1 - 1e-14, 22)]
)
def test_an_interval_begins_with_its_lower_end(book: Book, number: float, chosen: int) -> None:
    logits = np.full(23, -1000.0)
    logits[[0, 4, 5, 22]] = 2.0
    probs, found = sample(book, logits, Sampling(1.0, random=(number,)))
    assert found == chosen
    assert probs[[0, 4, 5, 22]].tolist() == [0.25] * 4
    assert get(book, "sampling.from")[0, 0] <= number < get(book, "sampling.to")[0, 0]
    assert get(book, "sampling.count")[0, 0] == 4


def test_temperature_0_is_the_most_probable_token(book: Book) -> None:
    logits = np.arange(23.0)
    logits[[5, 9]] = 40.0
    _, chosen = sample(book, logits, Sampling(0.0, top_k=3, top_p=0.1, random=(0.9,)))
    assert chosen == 5  # of equals the lowest id
    assert not get(book, "sampling.probs").any()


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workbook of a model in which many tokens have the same embedding, and so exactly the same logit."""
    folder = random_checkpoint(tmp_path_factory.mktemp("twins") / "model", n_layer=1, n_head=1, n_embd=4)
    model = GPT2LMHeadModel.from_pretrained(folder)
    with torch.no_grad():
        model.transformer.wte.weight[:] = model.transformer.wte.weight[torch.arange(257) % 19]
    model.save_pretrained(folder)
    path = folder.parent / "twins.xlsx"
    gpt2xl.build("ab", path, model=folder, max_tokens=2, max_chars=2, plain=True)
    return path


def programs() -> list[type[Engine]]:
    return [LibreOffice, IronCalc]


@pytest.mark.parametrize("program", programs(), ids=lambda program: program.__name__)
def test_other_programs(program: type[Engine], twins: Path) -> None:
    if program is LibreOffice and shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    if program is IronCalc:
        pytest.importorskip("ironcalc")
    kinds = [(0.5, 0, 1.0, 0.3), (1.0, 3, 1.0, 0.9), (2.0, 40, 0.8, 0.0), (1.0, 0, 0.33, 0.999), (0.0, 7, 0.5, 0.5)]
    with program() as engine:
        document = engine.open(twins)
        logits = document.get_numbers("logits")[:, 0]
        assert len(set(logits)) == 19
        for temperature, top_k, top_p, number in kinds:
            for name, value in (("temperature", temperature), ("top_k", top_k), ("top_p", top_p), ("random", number)):
                document.set(name, value)
            settings = Sampling(temperature, top_k, top_p, (number,))
            ((chosen,),) = document.get("next_token_id")
            if not temperature:
                assert chosen == int(np.argmax(logits))
                continue
            expected = torch_distribution(logits, settings)
            found = document.get_numbers("sampling.probs")[:, 0]
            assert ((found > 0) == (expected > 0)).all()
            np.testing.assert_allclose(found, expected, rtol=1e-9)
            assert chosen == picked(expected, number)


REFUSED = {
    "temperature": ([-1.0, "warm", True, 1e-200, 1e200], "The temperature cannot be used"),
    "top_k": ([-1.0, 1.5, "forty"], "Top k cannot be used"),
    "top_p": ([0.0, 1.5, -0.1, "most"], "Top p cannot be used"),
    "random": ([1.0, -0.5, "x", True], "A random number cannot be used"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_settings_that_cannot_be_used(name: str, twins: Path) -> None:
    workbook = gpt2xl.Workbook.open(twins)
    usual = workbook[name]
    values, sentence = REFUSED[name]
    for value in values:
        workbook[name] = value
        assert workbook["next_token_id"] == gpt2xl.ExcelError("#N/A")
        assert str(workbook["next_token"]).startswith(sentence)
        assert workbook["summary"] == workbook["next_token"]
        assert workbook["generated_ids"] == gpt2xl.ExcelError("#N/A")
    workbook[name] = usual
    assert isinstance(workbook["next_token_id"], float)


def test_settings_that_cannot_be_used_in_ironcalc(twins: Path) -> None:
    pytest.importorskip("ironcalc")
    with IronCalc() as engine:
        document = engine.open(twins)
        for name, (values, sentence) in REFUSED.items():
            ((usual,),) = document.get(name)
            for value in values:
                if value == 1e-200:
                    continue  # IronCalc takes it for 0
                document.set(name, value)
                assert str(document.get("next_token")[0][0]).startswith(sentence)
                assert isinstance(document.get("next_token_id")[0][0], CellError)
            document.set(name, usual)
            assert isinstance(document.get("next_token_id")[0][0], float)
