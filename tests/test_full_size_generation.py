"""Generation once at GPT-2 small's size: 124 million random parameters, 50,257 tokens, rows of 768."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checkpoints import random_checkpoint

import gpt2xl


@pytest.mark.slow
def test_generation_at_gpt2s_size(tmp_path: Path) -> None:
    folder = random_checkpoint(
        tmp_path / "model",
        n_layer=12,
        n_head=12,
        n_embd=768,
        n_positions=1024,
        vocab_size=50257,
        vocab="words",
        initializer_range=0.02,
    )
    path = tmp_path / "book.xlsx"
    gpt2xl.build("The cat", path, model=folder, generate=3, max_tokens=4, max_chars=8, plain=True, compression="fast")
    verdict = gpt2xl.check(path)
    (greedy,) = verdict.prompts
    assert verdict.ok
    assert len(greedy.generated_ids) == 3
    assert {"generated.h.11.mlp.out", "generated.logits"} <= {step.name for step in greedy.steps}

    workbook = gpt2xl.Workbook.open(path)
    workbook["temperature"], workbook["top_k"], workbook["top_p"] = 1.3, 5000, 0.9
    workbook["random"] = np.array([[0.2], [0.9999], [0.6]])
    workbook.save(tmp_path / "sampled.xlsx")
    del workbook
    verdict = gpt2xl.check(tmp_path / "sampled.xlsx")
    (sampled,) = verdict.prompts
    assert verdict.ok
    assert sampled.generated_ids != greedy.generated_ids
    assert next(step for step in sampled.steps if step.name == "sampling.probs").max_abs_diff < 1e-9
