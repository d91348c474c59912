"""Switches and steering in the workbook: exactly the model when unused, the reference's numbers when used."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import random_checkpoint
from click.testing import CliRunner
from sharing import Lent

import gpt2xl
from gpt2xl.commands import main
from gpt2xl.engines.document import CellError
from gpt2xl.engines.ironcalc import IronCalc
from gpt2xl.engines.libreoffice import LibreOffice
from gpt2xl.plan.template import load_templates, template_folder

PROMPT = "The cat sat"
WIDTH = 12


@pytest.fixture(scope="module")
def books(short: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The embedded model and a random one of three letters, for short prompts."""
    folder = tmp_path_factory.mktemp("what-if")
    model = random_checkpoint(folder / "model", n_layer=3, n_head=3, n_embd=WIDTH, seed=5, tied=False, vocab="letters")
    gpt2xl.build("abc", folder / "random.xlsx", model=model, max_tokens=5, max_chars=6)
    return {"tiny": short, "random": folder / "random.xlsx"}


@pytest.fixture(scope="module")
def opened(books: dict[str, Path]) -> dict[str, Lent]:
    """The same workbooks, open."""
    return {name: Lent.open(path) for name, path in books.items()}


def settings(name: str, heads: int, blocks: int, width: int) -> dict[str, Any]:
    """The inputs of one what-if, by name."""
    ones = np.ones((blocks, heads))
    block = np.ones((blocks, 1))
    direction = np.linspace(-1, 1, width).reshape(1, -1)
    if name.startswith("head "):
        ones[tuple(map(int, name[5:].split(".")))] = 0
        return {"switch.heads": ones}
    block[blocks - 1] = 0
    return {
        "attention": {"switch.attention": block},
        "mlp": {"switch.mlp": block},
        "positions": {"switch.positions": 0},
        "mask": {"switch.mask": 0},
        "steered": {"steer.vector": direction, "steer.block": 1, "steer.scale": 2.5},
        "several": {
            "switch.heads": np.tril(ones), "switch.mlp": block, "switch.attention": block[::-1], "switch.mask": 0,
            "switch.positions": 0, "steer.vector": direction, "steer.block": blocks - 1, "steer.scale": -0.75,
        },
    }[name]  # fmt: skip


OTHERS = ("attention", "mlp", "positions", "mask", "steered", "several")
SIZES = {"tiny": (4, 2, 64), "random": (3, 3, WIDTH)}
CASES = [
    *(("random", name) for name in (*(f"head {i}.{j}" for i in range(3) for j in range(3)), *OTHERS)),
    *(("tiny", name) for name in ("head 0.3", "head 1.1", "several")),
]


def with_settings(opened: dict[str, Lent], model: str, name: str, path: Path) -> Path:
    workbook = opened[model]
    heads, blocks, width = SIZES[model]
    for ref, value in settings(name, heads, blocks, width).items():
        workbook[ref] = value
    workbook.save(path)
    workbook.take_back()
    return path


@pytest.mark.parametrize(("model", "name"), CASES, ids=lambda case: str(case))
def test_every_step_is_the_references_with_hooks(
    opened: dict[str, Lent], model: str, name: str, tmp_path: Path
) -> None:
    path = with_settings(opened, model, name, tmp_path / "book.xlsx")
    assert np.abs(gpt2xl.Workbook.open(path)["logits"] - opened[model]["logits"]).max() > 1e-6
    verdict = gpt2xl.check(path)
    assert verdict.ok
    assert max(step.max_abs_diff for step in verdict.prompts[0].steps) < 1e-9
    # The undisturbed run stands beside it, and is the reference's without hooks.
    assert {"clean.logits", "clean.probs"} <= {step.name for step in verdict.prompts[0].steps}


def test_the_numpy_reference_is_switched_too(opened: dict[str, Lent], tmp_path: Path) -> None:
    assert gpt2xl.check(with_settings(opened, "random", "several", tmp_path / "book.xlsx"), reference="numpy").ok


def test_a_wrong_switch_would_be_found(opened: dict[str, Lent], tmp_path: Path, monkeypatch: Any) -> None:
    """The reference is switched as the workbook is: with another head off, the first step to differ is its z."""
    path = with_settings(opened, "random", "head 1.2", tmp_path / "book.xlsx")
    read = gpt2xl.verify.read_settings

    def other(workbook: Any) -> Any:
        found = read(workbook)
        found.typed.heads[1] = [1, 0, 1]
        return found

    monkeypatch.setattr(gpt2xl.verify, "read_settings", other)
    assert gpt2xl.check(path, reference="numpy").prompts[0].first_divergence == "h.1.attn.z.1"


def without_interventions(folder: Path) -> Path:
    """The templates without a switch in any formula of the model."""
    templates = Path(shutil.copytree(template_folder(), folder / "templates"))
    for file, old, new in (
        ("32_embedding.toml", "OR(col <= row, switch.mask = 0)", "col <= row"),
        ("32_embedding.toml", " * switch.positions", ""),
        ("41_block.toml", " + part(steer.at, 1, 1, 0, {i}) * steer.direction", ""),
        ("41_block.toml", " * part(switch.heads, 1, 1, {i}, {j})", ""),
        ("41_block.toml", " * part(switch.attention, 1, 1, {i})", ""),
        ("41_block.toml", " * part(switch.mlp, 1, 1, {i})", ""),
    ):
        text = (templates / file).read_text(encoding="utf-8")
        assert old in text
        (templates / file).write_text(text.replace(old, new), encoding="utf-8")
    return templates


def test_with_everything_on_no_bit_differs(short_wb: gpt2xl.Workbook, tmp_path: Path, monkeypatch: Any) -> None:
    documents = load_templates(without_interventions(tmp_path))
    monkeypatch.setattr(gpt2xl.convert, "load_templates", lambda: documents)
    gpt2xl.build(PROMPT, tmp_path / "bare.xlsx", max_tokens=6, max_chars=16, plain=True)
    bare, book = gpt2xl.Workbook.open(tmp_path / "bare.xlsx"), short_wb
    compared = 0
    for name in bare.names:
        one, other = bare[name], book[name]
        if isinstance(one, np.ndarray) and one.dtype == np.float64:
            assert np.array_equal(one, other), name
            compared += one.size
    assert compared > 100_000


def test_the_undisturbed_run_is_the_main_one_bit_by_bit(books: dict[str, Path]) -> None:
    usual, workbook = gpt2xl.Workbook.open(books["random"]), gpt2xl.Workbook.open(books["random"])
    heads, blocks, width = SIZES["random"]
    for ref, value in settings("several", heads, blocks, width).items():
        workbook[ref] = value
    steps = [name.removeprefix("clean.") for name in workbook.names if name.startswith("clean.")]
    compared = {step for step in steps if step in usual}
    assert {"embed", "h.2.attn.v", "h.1.attn.z", "h.2.resid_post", "ln_f.last", "logits", "probs"} <= compared
    for step in compared:
        assert np.array_equal(workbook[f"clean.{step}"], usual[step]), step
    assert not np.array_equal(workbook["logits"], usual["logits"])


def test_the_change_in_probability(short_wb: gpt2xl.Workbook) -> None:
    workbook = short_wb
    usual, word = workbook["probs"].copy(), workbook["next_token"]
    index = int(workbook["next_token_id"])
    assert (workbook["clean.next_token"], workbook["clean.change"], workbook["what_if.line"]) == (word, 0, "")
    assert workbook["clean.prob"] == usual[index, 0]
    workbook["switch.attention"] = 0
    assert workbook["clean.next_token_id"] == index
    assert workbook["clean.prob"] == usual[index, 0]
    assert workbook["clean.change"] == workbook["probs"][index, 0] - usual[index, 0] != 0
    assert f"Undisturbed: «{word}» with " in workbook["what_if.line"]


def test_it_costs_nothing_while_nothing_is_switched(short_wb: gpt2xl.Workbook) -> None:
    """Behind its gate every cell of the undisturbed run is 0."""
    workbook = short_wb
    steps = [name for name in workbook.names if name.startswith("clean.") and name.removeprefix("clean.") in workbook]
    shown = {"clean.next_token_id", "clean.next_token", "clean.ln_f.position", "clean.logits.id"}
    assert len(steps) > 50
    assert [name for name in steps if name not in shown and np.any(workbook[name])] == []


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "half a head": ({"switch.heads": 0.5}, "switch.heads on the sheet What if"),
    "a head of text": ({"switch.heads": "off"}, "switch.heads on the sheet What if"),
    "minus one": ({"switch.mlp": -1}, "switch.mlp on the sheet What if"),
    "two": ({"switch.attention": 2}, "switch.attention on the sheet What if"),
    "nearly one": ({"switch.positions": 1 - 1e-14}, "switch.positions on the sheet What if"),
    "true": ({"switch.mask": True}, "switch.mask on the sheet What if"),
    "a block too many": ({"steer.block": 99}, "steer.block on the sheet Steering must be a whole number from 0 to"),
    "half a block": ({"steer.block": 0.5}, "steer.block on the sheet Steering must be a whole number from 0 to"),
    "a block of text": ({"steer.block": "last"}, "steer.block on the sheet Steering must be a whole number from 0 to"),
    "a scale of text": ({"steer.scale": "much"}, "steer.scale on the sheet Steering is no number"),
    "a vector of text": ({"steer.vector": "x"}, "steer.vector on the sheet Steering holds no number"),
    "no such direction": ({"steer.from": "north"}, "steer.from on the sheet Steering must be vector or words"),
    "no such word": (
        {"steer.from": "words", "steer.words": "qzx qzx"},
        "steer.words on the sheet Steering is no single token",
    ),
}


@pytest.mark.parametrize(("inputs", "sentence"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_used_is_a_sentence(short_wb: gpt2xl.Workbook, inputs: dict[str, Any], sentence: str) -> None:
    workbook = short_wb
    for ref, value in inputs.items():
        workbook[ref] = value
    assert sentence in workbook["next_token"]
    assert str(workbook["next_token_id"]) == "#N/A"
    assert workbook["summary"] == workbook["what_if.summary"] == workbook["next_token"]


@pytest.fixture(scope="module")
def witnesses() -> Iterator[dict[str, Any]]:
    if shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    pytest.importorskip("ironcalc")
    with LibreOffice() as office, IronCalc() as ironcalc:
        yield {"libreoffice": office, "ironcalc": ironcalc}


@pytest.mark.parametrize("engine", ["libreoffice", "ironcalc"])
def test_the_other_engines(witnesses: dict[str, Any], books: dict[str, Path], engine: str) -> None:
    """One document open in the other program, set to one what-if after the other, beside our engine's numbers."""
    for model, (heads, blocks, width) in SIZES.items():
        ours = gpt2xl.Workbook.open(books[model])
        with witnesses[engine].open(books[model]) as theirs:
            for name in ("head 0.1", *OTHERS):
                inputs = settings(name, heads, blocks, width)
                before = {ref: ours[ref] for ref in inputs}
                for ref, value in inputs.items():
                    ours[ref] = value
                    theirs.set(ref, value)
                for step in ("logits", "clean.logits", "clean.probs", "clean.change"):
                    np.testing.assert_allclose(theirs.get_numbers(step), ours[step], rtol=1e-9, atol=1e-12)
                assert theirs.get("what_if.summary")[0][0] == ours["what_if.summary"]
                for ref, value in before.items():
                    ours[ref] = value
                    theirs.set(ref, value)


@pytest.mark.parametrize("engine", ["libreoffice", "ironcalc"])
def test_the_other_engines_refuse_too(witnesses: dict[str, Any], books: dict[str, Path], engine: str) -> None:
    with witnesses[engine].open(books["random"]) as theirs:
        ours = gpt2xl.Workbook.open(books["random"])
        for ref, value, usual in (("switch.mask", 0.5, 1), ("steer.block", "x", 0), ("steer.from", "w", "vector")):
            theirs.set(ref, value)
            ours[ref] = value
            assert theirs.get("next_token")[0][0] == ours["next_token"]
            assert isinstance(theirs.get("next_token_id")[0][0], CellError)
            theirs.set(ref, usual)
            ours[ref] = usual


@pytest.mark.parametrize("engine", ["libreoffice", "ironcalc"])
def test_check_reads_the_settings_for_every_engine(opened: dict[str, Lent], engine: Any, tmp_path: Path) -> None:
    if engine == "libreoffice" and shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    path = with_settings(opened, "random", "several", tmp_path / "book.xlsx")
    assert gpt2xl.check(path, engine=engine).ok


def test_the_difference_of_two_words_embeddings(short_wb: gpt2xl.Workbook, tiny: Any, tmp_path: Path) -> None:
    workbook = short_wb
    workbook["steer.from"] = "words"
    workbook["steer.words"] = np.array([["dog"], ["cat"]], object)
    workbook["steer.scale"] = 4
    dog, cat = (tiny.vocabulary.encode(f" {word}")[0] for word in ("dog", "cat"))
    wte = tiny.tensors["wte"].astype(np.float64)
    np.testing.assert_array_equal(workbook["steer.direction"][0], wte[dog] - wte[cat])
    workbook.save(tmp_path / "book.xlsx")
    assert gpt2xl.check(tmp_path / "book.xlsx").ok


def test_the_live_check_says_that_its_reference_does_not_apply(short_wb: gpt2xl.Workbook) -> None:
    workbook = short_wb
    assert workbook["check.summary"].startswith("All ")
    workbook["switch.mask"] = 0
    assert "so the reference does not apply" in workbook["check.summary"]
    assert set(np.ravel(workbook["check.verdict"])) == {"–"}


def test_a_plain_workbook_has_switches_and_a_vector(tmp_path: Path) -> None:
    path = tmp_path / "plain.xlsx"
    gpt2xl.build(PROMPT, path, max_tokens=6, max_chars=16, plain=True)
    workbook = gpt2xl.Workbook.open(path)
    assert "steer.from" not in workbook
    for ref, value in settings("several", 4, 2, 64).items():
        workbook[ref] = value
    workbook.save(path)
    assert gpt2xl.check(path).ok
    result = CliRunner().invoke(main, ["run", str(path), "--set", "switch.mask=0.5"])
    assert result.exit_code == 2
    assert "switch.mask on the sheet What if is neither 1 (on) nor 0 (off)" in result.stderr
