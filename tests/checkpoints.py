"""Small random checkpoints in Hugging Face format, written by transformers itself."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from gpt2xl.model.vocabulary import ALPHABET

END_OF_TEXT = "<|endoftext|>"
# A trained list in miniature: `Ġ` is the space of the byte alphabet.
MERGES = (
    ("Ġ", "t"), ("h", "e"), ("Ġ", "a"), ("i", "n"), ("Ġt", "he"), ("r", "e"), ("o", "n"), ("Ġ", "s"), ("a", "t"),
    ("e", "r"), ("Ġ", "c"), ("Ġc", "at"), ("l", "l"), ("Ġs", "at"), ("Ġ", "Ġ"), ("ĠĠ", "ĠĠ"), ("T", "he"), ("Ġ", "N"),
    ("o", "v"), ("b", "er"), ("N", "ov"), ("ĠN", "ov"), ("â", "Ģ"), ("âĢ", "Ļ"), ("1", "2"), ("'", "s"), ("Ċ", "Ċ"),
)  # fmt: skip


def random_checkpoint(
    folder: Path,
    *,
    n_layer: int = 2,
    n_head: int = 2,
    n_embd: int = 8,
    n_positions: int = 16,
    vocab: str = "bytes",
    merges: Iterable[tuple[str, str]] | None = None,
    tied: bool = True,
    seed: int = 0,
    **config: Any,
) -> Path:
    """Write a checkpoint with random weights into `folder` (made where missing) and return `folder`.

    `vocab` is "bytes" (256 bytes, `merges` or none, `<|endoftext|>` last), "words" (the same with `MERGES`),
    or "letters" (a, b, c, no merges, no `<|endoftext|>`). Other keywords go to GPT2Config.
    """
    folder.mkdir(parents=True, exist_ok=True)
    size = write_tokenizer(folder, vocab, merges)
    # wider than GPT-2's 0.02, so that attention patterns and activations leave their linear regions
    settings: dict[str, Any] = {"initializer_range": 0.3, "bos_token_id": None, "eos_token_id": None} | config
    torch.manual_seed(seed)
    model = GPT2LMHeadModel(
        GPT2Config(
            **{
                "n_layer": n_layer,
                "n_head": n_head,
                "n_embd": n_embd,
                "n_positions": n_positions,
                "vocab_size": size,
                "tie_word_embeddings": tied,
            }
            | settings
        )
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or ".ln_" in name:  # else all zeros and ones, which would hide mistakes
                parameter.add_(0.2 * torch.randn(parameter.shape))
    model.save_pretrained(folder)
    return folder


def write_tokenizer(folder: Path, vocab: str = "bytes", merges: Iterable[tuple[str, str]] | None = None) -> int:
    """Write vocab.json and merges.txt; returns the number of tokens."""
    pairs = list(merges if merges is not None else MERGES if vocab == "words" else ())
    tokens = ["a", "b", "c"] if vocab == "letters" else list(ALPHABET)
    tokens = list(dict.fromkeys([*tokens, *(left + right for left, right in pairs)]))
    if vocab != "letters":
        tokens.append(END_OF_TEXT)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}), encoding="utf-8")
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in pairs)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(tokens)
