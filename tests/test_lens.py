"""The lens: what the model would say after every block, compared with numpy on the workbook's own residual streams."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checkpoints import random_checkpoint

import gpt2xl
from gpt2xl.model.checkpoint import load_checkpoint
from gpt2xl.model.forward import NumpyReference, layer_norm, softmax


def expected(model: str | Path, prompt: str) -> np.ndarray:
    """Probabilities of the whole vocabulary after every block: [blocks, V]."""
    checkpoint = load_checkpoint(model)
    steps = NumpyReference(checkpoint).run(checkpoint.vocabulary.encode(prompt))
    tensors = {name: values.astype(np.float64) for name, values in checkpoint.tensors.items()}
    head = tensors["wte" if checkpoint.config.tied else "lm_head.weight"]
    rows = [steps[f"h.{i}.resid_post"][-1] for i in range(checkpoint.config.n_layer)]
    normed = layer_norm(
        np.array(rows), tensors["ln_f.weight"], tensors["ln_f.bias"], checkpoint.config.layer_norm_epsilon
    )
    return softmax(normed @ head.T)


def agrees(wb: gpt2xl.Workbook, probs: np.ndarray) -> None:
    ids = wb["lens.token_ids"].astype(int)
    assert ids.shape == wb["lens.probs"].shape == (len(probs), min(5, probs.shape[1]))
    best = np.argsort(-probs, axis=1, kind="stable")[:, : ids.shape[1]]
    np.testing.assert_array_equal(ids, best)
    np.testing.assert_allclose(wb["lens.probs"], np.take_along_axis(probs, best, axis=1), rtol=1e-9)
    assert ids[-1, 0] == wb["next_token_id"]
    answer = probs[:, int(wb["next_token_id"])]
    np.testing.assert_allclose(np.ravel(wb["lens.answer"]), answer, rtol=1e-9)


@pytest.mark.parametrize("prompt", ["The cat sat on the", "Tom lost his hat.", "a"])
def test_the_embedded_model(prompt: str, wb: gpt2xl.Workbook) -> None:
    wb["prompt"] = prompt
    agrees(wb, expected("tiny", prompt))


@pytest.mark.parametrize("config", [{"n_layer": 1, "n_head": 1, "n_embd": 4}, {"n_layer": 4, "tied": False}])
def test_other_models(config: dict[str, int], tmp_path: Path) -> None:
    model = random_checkpoint(tmp_path / "model", **config)
    gpt2xl.build("abc", tmp_path / "book.xlsx", model=model, max_tokens=5, max_chars=8)
    agrees(gpt2xl.Workbook.open(tmp_path / "book.xlsx"), expected(model, "abc"))


def test_where_the_prompt_does_not_fit_the_lens_shows_nothing(wb: gpt2xl.Workbook) -> None:
    wb["prompt"] = "a" * 81
    assert set(wb["lens.token_ids"].ravel().tolist()) == {gpt2xl.ExcelError("#N/A")}


def test_the_lens_can_be_switched_off_and_a_large_model_begins_so(
    wb: gpt2xl.Workbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert wb["lens.on"] == 1
    wb["lens.on"] = 0
    assert set(wb["lens.logits"].ravel().tolist()) == {gpt2xl.ExcelError("#N/A")}
    assert set(wb["lens.tokens"].ravel().tolist()) == set(wb["lens.probs"].ravel().tolist()) == {""}
    monkeypatch.setattr("gpt2xl.convert.MANY_PARAMETERS", 1000)
    gpt2xl.build("Tom", tmp_path / "large.xlsx", max_tokens=4, max_chars=8)
    large = gpt2xl.Workbook.open(tmp_path / "large.xlsx")
    assert large["lens.on"] == 0
    assert set(large["lens.tokens"].ravel().tolist()) == {""}
    large["lens.on"] = 1
    assert large["lens.token_ids"][-1, 0] == large["next_token_id"]
