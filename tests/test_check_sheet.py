"""The sheet Check: live, for the prompt the file was built with; and student copies, which are marked by it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from checkpoints import random_checkpoint
from click.testing import CliRunner, Result
from openpyxl.worksheet.formula import ArrayFormula
from validators import ooxml_errors

import gpt2xl
from gpt2xl.commands import main
from gpt2xl.model.checkpoint import Checkpoint
from gpt2xl.model.forward import NumpyReference
from gpt2xl.model.steps import step_names

PROMPT = "The cat sat"
SIZES = {"max_tokens": 6, "max_chars": 16}
SMALL = {"max_tokens": 4, "max_chars": 4}


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of three letters with two blocks, as the embedded one has, for what is changed by another program."""
    return random_checkpoint(tmp_path_factory.mktemp("letters") / "model", n_embd=8, n_positions=8, vocab="letters")


@pytest.fixture(scope="module")
def whole(letters: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "whole.xlsx"
    gpt2xl.build("abc", path, model=letters, **SMALL)
    return path


def edited(path: Path, target: Path, name: str, formula: str) -> gpt2xl.Workbook:
    """A copy with another array formula in the cells of a step, as another program writes it, and recalculated."""
    book = openpyxl.load_workbook(path)
    sheet, cells = book.defined_names[name].attr_text.split("!")
    corner = cells.split(":")[0].replace("$", "")
    worksheet = book[sheet.strip("'")]
    worksheet[corner] = ArrayFormula(cells.replace("$", ""), f"={formula}")
    book.save(target)
    wb = gpt2xl.Workbook.open(target)
    wb.recalculate()
    return wb


def test_every_step_of_the_reference_is_compared(wb: gpt2xl.Workbook, tiny: Checkpoint) -> None:
    names = np.ravel(wb["check.step"]).tolist()
    assert names == step_names(tiny.config)
    assert wb["check.summary"] == f"All {len(names)} steps agree with the reference."
    assert set(np.ravel(wb["check.verdict"])) == {"pass"}
    assert set(np.ravel(wb["check.difference"])) == {0.0}  # but for rounding
    steps = NumpyReference(tiny).run(tiny.vocabulary.encode("The cat sat on the"))
    for name, value in zip(names, np.ravel(wb["check.reference"]), strict=True):
        expected = np.atleast_2d(steps[name].T).T[-1, 0]
        assert value == expected
        np.testing.assert_array_equal(np.ravel(wb[f"reference.{name}"]), steps[name].ravel())


def test_a_changed_weight_fails_from_there_on(wb: gpt2xl.Workbook) -> None:
    weight = wb["h.1.mlp.c_fc.bias"].copy()
    weight[0, 5] += 0.01
    wb["h.1.mlp.c_fc.bias"] = weight
    verdicts = dict(zip(np.ravel(wb["check.step"]), np.ravel(wb["check.verdict"]), strict=True))
    assert verdicts["h.1.ln_2"] == "pass"
    assert verdicts["h.1.mlp.pre"] == verdicts["logits"] == "FAIL"
    assert wb["check.summary"].endswith("The first is h.1.mlp.pre.")


def test_a_broken_formula_is_found(whole: Path, tmp_path: Path) -> None:
    wb = edited(whole, tmp_path / "broken.xlsx", "h.0.resid_mid", "h.0.resid_pre + h.0.attn.out + 0.001")
    assert wb["check.summary"].endswith("The first is h.0.resid_mid.")
    wb = edited(whole, tmp_path / "text.xlsx", "h.0.resid_mid", 'h.0.resid_pre & "x"')
    assert wb["check.summary"].endswith("The first is h.0.resid_mid.")


def test_after_an_edit_of_the_prompt_the_reference_does_not_apply(wb: gpt2xl.Workbook) -> None:
    wb["prompt"] = "The cat sat on The"
    assert wb["check.summary"].startswith(
        "The prompt has been edited, so the reference does not apply: it is for «The cat"
    )
    assert set(np.ravel(wb["check.verdict"])) == {"–"}
    assert set(np.ravel(wb["check.difference"])) == {""}
    wb["prompt"] = "The cat sat on the"
    assert wb["check.summary"].startswith("All ")


BLANK = ["ln_1", "h.*.mlp.post", "attn.z"]
ASKED = ["h.0.ln_1", "h.0.attn.z", "h.0.mlp.post", "h.1.mlp.post"]


@pytest.fixture(scope="module")
def copy(letters: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student copy of the small model."""
    path = tmp_path_factory.mktemp("exercise") / "student.xlsx"
    gpt2xl.build("abc", path, model=letters, blank=BLANK, **SMALL)
    return path


def test_a_student_copy_has_blank_cells_and_open_marks(tmp_path: Path) -> None:
    path = tmp_path / "student.xlsx"
    gpt2xl.build(PROMPT, path, blank=BLANK, **SIZES)
    wb = gpt2xl.Workbook.open(path)
    assert np.ravel(wb["exercise.step"]).tolist() == ASKED
    assert np.ravel(wb["exercise.mark"]).tolist() == ["open"] * 4
    assert wb["exercise.summary"] == "0 of 4 answers right"
    assert "this is not the model" in wb["exercise.note"]
    for name in ASKED:
        assert set(np.ravel(np.asarray(wb[name], dtype=object))) == {None}
    book = openpyxl.load_workbook(path, read_only=True)
    shown = [cell.value for sheet in book for row in sheet.iter_rows() for cell in row if isinstance(cell.value, str)]
    assert not [text for text in shown if text.startswith("{=") and "h.0.ln_1.mean" in text]
    book.close()
    assert ooxml_errors(path) == []


def test_answers_are_marked_live(copy: Path, tmp_path: Path) -> None:
    right = "(h.0.resid_pre - h.0.ln_1.mean) / SQRT(h.0.ln_1.var + 1E-5) * h.0.ln_1.weight + h.0.ln_1.bias"
    wb = edited(copy, tmp_path / "right.xlsx", "h.0.ln_1", right)
    assert np.ravel(wb["exercise.mark"]).tolist()[0] == "right"
    assert wb["exercise.summary"] == "1 of 4 answers right"
    wb = edited(copy, tmp_path / "wrong.xlsx", "h.0.ln_1", right.replace("1E-5", "1E-3"))
    assert np.ravel(wb["exercise.mark"]).tolist()[0] == "wrong"
    wb["prompt"] = "cab"
    assert "reference does not apply" in wb["exercise.summary"]
    assert wb["exercise.note"] == wb["exercise.summary"]


@pytest.mark.parametrize("answer", ["1 / 0", '"x"', "h.0.ln_1.meen"])
def test_an_answer_that_is_no_number_is_wrong(answer: str, copy: Path, tmp_path: Path) -> None:
    wb = edited(copy, tmp_path / "wrong.xlsx", "h.0.ln_1", answer)
    assert np.ravel(wb["exercise.mark"]).tolist() == ["wrong", "open", "open", "open"]
    assert wb["exercise.difference"][0, 0] == ""


def test_where_steps_give_no_numbers_sentences_say_so(copy: Path) -> None:
    wb = gpt2xl.Workbook.open(copy)
    sentence = "the formulas of some step give no numbers."
    assert [wb[name].partition(": ")[2] for name in ("next_token", "generated_end", "attribution.says")] == [
        sentence
    ] * 3
    assert isinstance(wb["next_token_id"], gpt2xl.ExcelError)
    assert wb["next_token.bytes"] == ""


def test_a_setting_that_cannot_be_used_is_no_mistake_of_the_formulas(wb: gpt2xl.Workbook) -> None:
    wb["temperature"] = -1
    assert wb["check.summary"] == wb["state"] != ""
    wb["temperature"] = 0
    assert wb["check.summary"].startswith("All ")


def test_the_solution_is_the_key(tmp_path: Path) -> None:
    path = tmp_path / "key.xlsx"
    gpt2xl.build(PROMPT, path, blank=BLANK, solution=True, **SIZES)
    wb = gpt2xl.Workbook.open(path)
    wb.recalculate()
    assert np.ravel(wb["exercise.mark"]).tolist() == ["right"] * 4
    assert wb["exercise.note"] == "All answers are right."
    assert gpt2xl.check(path, reference="numpy").ok


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


def test_check_says_what_is_left_blank(copy: Path) -> None:
    result = invoke("check", copy, "--reference", "numpy")
    assert result.exit_code == 1
    assert "  OPEN  h.0.ln_1 " in result.stdout
    assert f"left blank for a student, and all that follows waits for it: {', '.join(ASKED)}" in result.stdout
    record = json.loads(invoke("check", copy, "--reference", "numpy", "--json").stdout)
    assert record["prompts"][0]["blank"] == ASKED
    assert record["prompts"][0]["first_divergence"] == "h.0.ln_1"


def test_run_says_what_is_left_blank(copy: Path, letters: Path, tmp_path: Path) -> None:
    result = invoke("run", copy)
    assert result.exit_code == 2
    assert (
        f"a student copy, and there is no prediction before these steps are filled in: {', '.join(ASKED)};"
        in result.stderr
    )
    gpt2xl.build("abc", tmp_path / "stream.xlsx", model=letters, blank=["h.1.attn.out"], **SMALL)
    result = invoke("run", tmp_path / "stream.xlsx", "--prompt", "cab")
    assert result.exit_code == 0
    assert "a student copy, not the model: h.1.attn.out blank or wrong" in result.stdout
    gpt2xl.build("abc", tmp_path / "last.xlsx", model=letters, blank=["probs"], **SMALL)
    assert "these steps are filled in: probs; fill" in invoke("run", tmp_path / "last.xlsx").stderr
    edited(copy, tmp_path / "wrong.xlsx", "h.0.attn.z", "h.0.resid_pre * 0").save(tmp_path / "wrong.xlsx")
    assert ", ".join(ASKED) in invoke("run", tmp_path / "wrong.xlsx").stderr


def test_run_says_nothing_of_a_finished_copy(letters: Path, tmp_path: Path) -> None:
    gpt2xl.build("abc", tmp_path / "key.xlsx", model=letters, blank=["h.1.attn.out"], solution=True, **SMALL)
    record = json.loads(invoke("run", tmp_path / "key.xlsx", "--json").stdout)
    assert "unfinished" not in record
    wrong = edited(tmp_path / "key.xlsx", tmp_path / "wrong.xlsx", "h.1.attn.out", "h.1.resid_pre * 0")
    wrong.save(tmp_path / "wrong.xlsx")
    assert json.loads(invoke("run", tmp_path / "wrong.xlsx", "--json").stdout)["unfinished"] == ["h.1.attn.out"]


def test_the_usual_exercise_from_the_command_line(tmp_path: Path) -> None:
    model = random_checkpoint(tmp_path / "model", n_layer=1, n_head=1, n_embd=4)
    options = ["--model", model, "--max-tokens", 4, "--max-chars", 4]
    result = invoke("build", "abc", "-o", tmp_path / "a.xlsx", "--exercise", *options)
    assert result.exit_code == 0
    assert "left blank: h.0.ln_1, h.0.attn.pattern.0, h.0.mlp.post, h.0.resid_post, probs" in result.stderr
    assert invoke("build", "abc", "-o", tmp_path / "b.xlsx", "--solution", *options).exit_code == 0
    assert gpt2xl.check(tmp_path / "b.xlsx", model=model, reference="numpy").ok


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--blank", "attn.q"],
            "'attn.q' is none of the steps that can be left blank: embed, resid_pre, ln_1, attn.scores,",
        ),
        (["--plain", "--exercise"], "leave out one of the two"),
    ],
)
def test_what_cannot_be_is_one_sentence(options: list[str], words: str, tmp_path: Path) -> None:
    result = invoke("build", "a", "-o", tmp_path / "a.xlsx", *options)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_plain_workbook_is_the_model_alone(tmp_path: Path, short_wb: gpt2xl.Workbook) -> None:
    path = tmp_path / "plain.xlsx"
    gpt2xl.build(PROMPT, path, plain=True, **SIZES)
    plain, full = gpt2xl.Workbook.open(path), short_wb
    assert {"Map", "Lens", "Check", "Reference", "Words near words", "Temperature"}.isdisjoint(plain.sheets)
    assert set(plain.sheets) < set(full.sheets)
    named = {(sheet, str(rect)): text for sheet, rect, text in full.formulas()}
    # A plain workbook is steered by a typed direction alone, with no undisturbed run beside it.
    model = [formula for formula in plain.formulas() if formula[0] not in ("What if", "Steering")]
    different = [str(rect) for sheet, rect, text in model if named[sheet, str(rect)] != text]
    # That looks at the array formulas of all sheets, of which it has fewer.
    assert different == [str(plain.book.resolve("array_cells")[1])]
    assert plain["next_token"] == full["next_token"]
    assert gpt2xl.check(path, reference="numpy").ok
    assert ooxml_errors(path) == []
