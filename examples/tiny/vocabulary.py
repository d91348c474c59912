"""The tiny model's byte-level BPE, laid out exactly as GPT-2's own files are.

Ids 0..255 are the 256 bytes in the order of GPT-2's vocab.json ("!" is 0), id 256 + r is what merge
number r makes, and the last id is `<|endoftext|>`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

END_OF_TEXT = "<|endoftext|>"


def byte_symbols() -> list[str]:
    """The 256 symbols that stand for bytes in vocab.json, in GPT-2's order.

    Printable bytes stand for themselves and come first; the others are moved up to U+0100 and on, so
    that no symbol is a space or a control character. (`bytes_to_unicode` in GPT-2's encoder.py.)
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(b) for b in printable] + [chr(0x100 + n) for n in range(256 - len(printable))]


def train_bpe(texts: Iterable[str], vocab_size: int) -> list[tuple[str, str]]:
    """Learns vocab_size - 257 merges, most frequent pair first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    trainer = trainers.BpeTrainer(vocab_size=vocab_size - 1, initial_alphabet=byte_symbols(), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    merges = [(left, right) for left, right in json.loads(tokenizer.to_str())["model"]["merges"]]
    if len(merges) != vocab_size - 257 or len({a + b for a, b in merges}) != len(merges):
        # Two merges may spell one token; then ids would no longer be 256 + rank. Change the size by one.
        raise ValueError(f"{len(merges)} merges do not make {vocab_size - 257} different tokens")
    return merges


def vocabulary(merges: list[tuple[str, str]]) -> dict[str, int]:
    """Token -> id, in the order of the ids."""
    tokens = [*byte_symbols(), *(left + right for left, right in merges), END_OF_TEXT]
    return {token: i for i, token in enumerate(tokens)}


def save_vocabulary(merges: list[tuple[str, str]], folder: Path) -> None:
    """Writes vocab.json and merges.txt, the two files that define the tokenizer."""
    vocab_json = json.dumps(vocabulary(merges), ensure_ascii=False, indent=0, separators=(",", ":"))
    (folder / "vocab.json").write_text(vocab_json + "\n", encoding="utf-8", newline="\n")
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
