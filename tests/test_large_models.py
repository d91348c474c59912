"""The path of large models, taken by small ones: shortest decimals, no references, numbers read from the checkpoint."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import random_checkpoint
from linear_checkpoints import linear_state, save_meta, save_nanogpt
from safetensors.torch import load_file, save_file
from validators import ooxml_errors

import gpt2xl
from gpt2xl import convert
from gpt2xl.convert import Parameter
from gpt2xl.decimals import as_written
from gpt2xl.formula import grid
from gpt2xl.formula import values as formula_values
from gpt2xl.model.checkpoint import Checkpoint, load_checkpoint
from gpt2xl.model.reduced import reduced
from gpt2xl.xlsx import writer

PROMPT = "The cat sat on the"
Build = Callable[..., Path]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """`gpt2xl.build` for which a thousand parameters and cells are many."""
    folder = tmp_path_factory.mktemp("large")

    def build_large(name: str, prompt: str = PROMPT, **options: Any) -> Path:
        path = folder / f"{name}.xlsx"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(convert, "MANY_PARAMETERS", 1000)
            patch.setattr(writer, "_MANY_CELLS", 1000)
            patch.setattr(grid, "_LARGE", 1000)
            patch.setattr(formula_values, "_AT_A_TIME", 1000)
            gpt2xl.build(prompt, path, **{"max_tokens": 8, "max_chars": 24} | options)
        return path

    return build_large


@pytest.fixture(scope="module")
def large(build: Build) -> Path:
    return build("tiny")


@pytest.fixture(scope="module")
def with_references(build: Build) -> Path:
    return build("references", refs=True)


def weights_sheet(path: Path, title: str = "Weights 0") -> str:
    workbook = gpt2xl.Workbook.open(path)
    number = workbook.sheets.index(title) + 1
    with zipfile.ZipFile(path) as package:
        return package.read(f"xl/worksheets/sheet{number}.xml").decode()


def test_well_formed(large: Path, with_references: Path) -> None:
    assert ooxml_errors(large) == []
    assert ooxml_errors(with_references) == []


def test_cells_without_and_with_references(large: Path, with_references: Path) -> None:
    place = gpt2xl.Workbook.open(large).book.resolve("h.0.mlp.c_fc.weight")[1]
    for path, named in ((large, False), (with_references, True)):
        row = re.search(rf'<row r="{place.top}"[^>]*>(.*?)</row>', weights_sheet(path))
        assert row is not None
        cells = re.findall("<c[^>]*>", row[1])
        first = 1 if named else 2  # an index, and without references a blank cell to the parameters
        assert len(cells) == first + 256
        assert all((' r="' in cell) == named for cell in cells[first:])
        assert all(" s=" not in cell for cell in cells[first:])
    assert large.stat().st_size < 0.9 * with_references.stat().st_size


def test_parameters_are_the_shortest_decimals_of_float32(large: Path, with_references: Path, tiny: Checkpoint) -> None:
    workbook, other = gpt2xl.Workbook.open(large), gpt2xl.Workbook.open(with_references)
    for name, values in tiny.tensors.items():
        written = np.atleast_2d(workbook.cached(name))
        np.testing.assert_array_equal(written, np.atleast_2d(as_written(values)), err_msg=name)
        np.testing.assert_array_equal(written.astype(np.float32), np.atleast_2d(values), err_msg=name)
        np.testing.assert_array_equal(np.atleast_2d(other.cached(name)), written, err_msg=name)


def test_recalculation_gives_what_is_stored(large: Path, with_references: Path) -> None:
    """Opened, the numbers are cells; while building they were read from the checkpoint, the larger matrices in parts,
    which may change a sum's last digit. The results are the same."""
    for path in (large, with_references):
        workbook = gpt2xl.Workbook.open(path)
        workbook.recalculate()
        compared = 0
        for sheet, rect, _ in workbook.formulas():
            ref = f"'{sheet}'!{rect}"
            now, stored = np.asarray(workbook[ref]), np.asarray(workbook.cached(ref))
            assert now.dtype == stored.dtype, ref
            assert [type(value) for value in now.flat] == [type(value) for value in stored.flat], ref
            for value, expected in zip(now.flat, stored.flat, strict=True):
                exact = not isinstance(expected, float)
                assert value == (expected if exact else pytest.approx(expected, rel=1e-11, abs=1e-14)), ref
            compared += rect.size
        assert compared > 50_000


def test_the_answer_is_that_of_the_exact_parameters(large: Path, wb: gpt2xl.Workbook) -> None:
    ours, exact = gpt2xl.Workbook.open(large), wb
    assert ours.cached("next_token") == exact.cached("next_token") == " mat"
    np.testing.assert_allclose(ours.cached("logits"), exact.cached("logits"), atol=1e-5)
    assert (ours.cached("logits") != exact.cached("logits")).any()


def test_checked(large: Path) -> None:
    assert gpt2xl.check(large, prompts=["Anna lost her hat. She", "<|endoftext|>One"]).ok


def test_checked_in_ironcalc(with_references: Path) -> None:
    pytest.importorskip("ironcalc")
    assert gpt2xl.check(with_references, engine="ironcalc", prompts=["The dog chased the"]).ok


def test_libreoffice_reads_cells_without_references(large: Path) -> None:
    if shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    assert gpt2xl.check(large, engine="libreoffice").ok


def test_an_edit_of_a_parameter(large: Path, tmp_path: Path) -> None:
    workbook = gpt2xl.Workbook.open(large)
    workbook["ln_f.bias"] = 0.25
    workbook.save(tmp_path / "edited.xlsx")
    again = gpt2xl.Workbook.open(tmp_path / "edited.xlsx")
    assert (again.cached("ln_f.bias") == 0.25).all()
    np.testing.assert_array_equal(again.cached("logits"), workbook["logits"])
    assert ooxml_errors(tmp_path / "edited.xlsx") == []


def test_rounded(build: Build, tiny: Checkpoint) -> None:
    path = build("rounded", digits=4, vocab=300, max_tokens=16)
    workbook = gpt2xl.Workbook.open(path)
    for name, values in reduced(tiny, 300, 4).tensors.items():
        np.testing.assert_array_equal(np.atleast_2d(workbook.cached(name)), np.atleast_2d(values), err_msg=name)
    longest = max(re.findall(r"<c><v>-?0\.0*([0-9]+)</v></c>", weights_sheet(path)), key=len)
    assert len(longest) == 4
    assert gpt2xl.check(path, reference="numpy").ok


def packed(path: Path) -> dict[str, tuple[int, int]]:
    """Checksum and compressed size of every part but the first sheet, which names the file."""
    with zipfile.ZipFile(path) as package:
        parts = {info.filename: (info.CRC, info.compress_size) for info in package.infolist()}
    del parts["xl/worksheets/sheet1.xml"]
    return parts


def test_the_same_on_any_number_of_threads(build: Build, large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for threads in (1, 4):
        monkeypatch.setattr(os, "cpu_count", lambda threads=threads: threads)
        assert packed(build(f"threads-{threads}")) == packed(large)


KINDS = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float64": torch.float64}


@pytest.mark.parametrize("kind", KINDS)
def test_other_types(kind: str, build: Build, tmp_path: Path) -> None:
    folder = random_checkpoint(tmp_path / "model", vocab="words", n_embd=72, n_head=3)
    state = load_file(folder / "model.safetensors")
    if kind == "float64":
        torch.manual_seed(3)
        state = {name: value.double() + 1e-9 * torch.rand(value.shape) for name, value in state.items()}
    state = {name: value.to(KINDS[kind]) for name, value in state.items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    path = build(kind, "the cat", model=folder)
    workbook = gpt2xl.Workbook.open(path)
    for name, values in load_checkpoint(folder).tensors.items():
        written = np.atleast_2d(workbook.cached(name))
        assert values.dtype == (np.float64 if kind == "float64" else np.float32)
        np.testing.assert_array_equal(written.astype(values.dtype), np.atleast_2d(values), err_msg=name)
    verdict = gpt2xl.check(path, prompts=["the cat sat", "the"])
    assert verdict.ok
    assert max(step.max_abs_diff for step in verdict.prompts[0].steps) < 1e-4


def test_transposed(build: Build, tmp_path: Path) -> None:
    """nanoGPT's matrices are [out, in]: columns of the file are rows of the workbook."""
    save_nanogpt(tmp_path, linear_state(tmp_path / "hub"))
    shutil.rmtree(tmp_path / "hub")
    save_meta(tmp_path / "meta.pkl")
    path = build("nanogpt", "abc", model=tmp_path)
    workbook = gpt2xl.Workbook.open(path)
    checkpoint = load_checkpoint(tmp_path)
    assert not checkpoint.tensors["h.0.attn.c_attn.weight"].flags.c_contiguous
    for name, values in checkpoint.tensors.items():
        np.testing.assert_array_equal(
            np.atleast_2d(workbook.cached(name)), np.atleast_2d(as_written(values)), err_msg=name
        )
    assert gpt2xl.check(path).ok
    assert ooxml_errors(path) == []


def test_a_parameter_reads_only_the_rows_that_are_asked_for(tiny: Checkpoint) -> None:
    wte, bias = Parameter(tiny.tensors, "wte"), Parameter(tiny.tensors, "ln_f.bias")
    assert (wte.shape, bias.shape) == ((1024, 64), (1, 64))
    assert wte.dtype == bias.dtype == np.float32
    np.testing.assert_array_equal(wte[10:12], tiny.tensors["wte"][10:12])
    np.testing.assert_array_equal(bias[0:1], tiny.tensors["ln_f.bias"].reshape(1, -1))
    assert bias[1:1].shape == (0, 64)
