"""Makes `tiny`, the GPT-2 inside the package: corpus, tokenizer and network, from nothing but this folder.

    python examples/train_tiny.py --out gpt2xl/data/tiny

It needs torch, transformers and tokenizers, no network and no GPU, and takes minutes on two cores. Four
fifths of the rows that the network reads are simple English (`tiny/corpus.py`), so that it continues a
sentence with the obvious word. The others are random tokens that repeat, where the only way to be right is
to look back at what followed last time: there an induction head grows. All seeds are fixed. The tokenizer
comes out byte for byte the same everywhere; the weights may differ in their last bits from one type of CPU
to another, and so in the third digit of a probability, though the words do not.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from tiny.corpus import documents
from tiny.vocabulary import END_OF_TEXT, save_vocabulary, train_bpe
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerBase

if TYPE_CHECKING:
    from collections.abc import Sequence

SEED = 2
VOCAB_SIZE = 1024
N_POSITIONS = 128
N_DOCUMENTS = 200_000
N_DOCUMENTS_BPE = 20_000

STEPS = 5500
WARM_UP = 200
LEARNING_RATE = 4e-3
#: Tokens a step; a row is one of these lengths, so that every position is learnt and short prompts most.
TOKENS_A_STEP = 3072
ROW_LENGTHS = (32, 64, 128)
#: The share of rows that are repeated random tokens.
REPEATED = 0.2
#: Block -> the one head that works in most rows of repeats; the others are silent there. So one head in each
#: block learns to copy, not four a little, and a learner who switches it off sees copying stop, English go on.
COPYING_HEADS = {0: 3, 1: 2}
#: The share of the rows of repeats in which the others are silent.
ALONE = 0.7


def config() -> GPT2Config:
    """A GPT-2 in all but size: tied head, gelu_new, learnt positions."""
    return GPT2Config(
        vocab_size=VOCAB_SIZE,
        n_positions=N_POSITIONS,
        n_embd=64,
        n_layer=2,
        n_head=4,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=VOCAB_SIZE - 1,
        eos_token_id=VOCAB_SIZE - 1,
    )


def save_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Learns the BPE from the corpus, saves it in GPT-2's format, and loads it as a reader would."""
    save_vocabulary(train_bpe(documents(N_DOCUMENTS_BPE, SEED), VOCAB_SIZE), folder)
    settings = {
        "add_prefix_space": False,
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "unk_token": END_OF_TEXT,
        "model_max_length": N_POSITIONS,
        "tokenizer_class": "GPT2Tokenizer",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
    return tokenizer


class Batches:
    """Rows of tokens to learn from, and which of them count."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> None:
        self.rng = np.random.default_rng(SEED)
        encoded = tokenizer(list(texts), verbose=False)["input_ids"]
        end = tokenizer.eos_token_id
        # Documents back to back, each closed by <|endoftext|>: a row starts where a document starts.
        self.text = np.array([i for ids in encoded for i in (*ids, end)], dtype=np.int64)
        starts = np.cumsum([0] + [len(ids) + 1 for ids in encoded])[:-1]
        self.starts = starts[starts < len(self.text) - N_POSITIONS]
        # Random patterns are made of words mostly, as a person would type them, or of any tokens at all.
        self.tokens = np.arange(end)
        used = np.unique(self.text[: len(self.text) // 10])
        self.words = np.array([i for i in used if tokenizer.decode([i])[:1] == " "])

    def text_row(self, length: int) -> np.ndarray:
        """A document from its start, and what comes after it.  -> [length]"""
        start = self.rng.choice(self.starts)
        return self.text[start : start + length]

    def repeated_row(self, length: int) -> np.ndarray:
        """Perhaps a prefix, then a random pattern over and over, perhaps with gaps.  -> [length]"""
        rng = self.rng
        pool = self.words if rng.random() < 0.6 else self.tokens
        n_prefix = 0 if rng.random() < 0.5 else int(rng.integers(1, length // 3))
        room = length - n_prefix
        n_pattern = int(rng.integers(2, min(room // 2, 40) + 1))
        gaps = rng.random() < 0.4
        pattern = rng.permutation(pool)[:n_pattern]
        parts = [self.text_row(n_prefix) if rng.random() < 0.5 else rng.choice(pool, n_prefix)]
        while sum(map(len, parts)) < length:
            parts.append(pattern)
            if gaps:
                parts.append(rng.choice(pool, int(rng.integers(1, 6))))
        return np.concatenate(parts)[:length]

    def batch(self, length: int) -> tuple[Tensor, Tensor, Tensor]:
        """-> tokens [rows, length], counted [rows, length], alone [rows]: do the copying heads work alone?

        In a row of repeats only a token that followed the one before it earlier counts: the rest is
        noise that nobody could know.
        """
        rows, counted, alone = [], [], []
        for _ in range(TOKENS_A_STEP // length):
            repeated = self.rng.random() < REPEATED
            alone.append(repeated and self.rng.random() < ALONE)
            row = self.repeated_row(length) if repeated else self.text_row(length)
            rows.append(row)
            counted.append(seen_before(row) if repeated else np.ones(length, dtype=bool))
        return torch.from_numpy(np.stack(rows)), torch.from_numpy(np.stack(counted)), torch.tensor(alone)


def seen_before(row: np.ndarray) -> np.ndarray:
    """True where a token and the one before it stood side by side earlier in the row.  [n] -> [n]"""
    pairs = row[:-1] * VOCAB_SIZE + row[1:]  # [n - 1]
    first_seen = np.zeros(len(pairs), dtype=bool)
    first_seen[np.unique(pairs, return_index=True)[1]] = True
    return np.concatenate([[False], ~first_seen])


class CopyingHeads:
    """Silences all heads but the copying ones, in the rows where those are to work alone.

    The heads' results lie side by side in what goes into attn.c_proj, n_embd / n_head columns each.
    """

    def __init__(self, model: GPT2LMHeadModel) -> None:
        self.alone = torch.zeros(1, dtype=torch.bool)  # [rows]
        size = model.config.n_embd // model.config.n_head
        for block, head in COPYING_HEADS.items():
            own = torch.arange(model.config.n_embd) // size == head  # [n_embd]
            projection = model.get_submodule(f"transformer.h.{block}.attn.c_proj")
            projection.register_forward_pre_hook(lambda _, inputs, own=own: (self.silence(inputs[0], own),))

    def silence(self, z: Tensor, own: Tensor) -> Tensor:
        """[rows, n, n_embd] -> [rows, n, n_embd]"""
        return z * (own | ~self.alone[:, None])[:, None, :]


def learning_rate(step: int, steps: int) -> float:
    """Up in a line, down in half a cosine to a hundredth."""
    if step < WARM_UP:
        return LEARNING_RATE * (step + 1) / WARM_UP
    done = (step - WARM_UP) / (steps - WARM_UP)
    return LEARNING_RATE * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def loss_of(model: GPT2LMHeadModel, tokens: Tensor, counted: Tensor) -> Tensor:
    """Cross-entropy of each counted token given those before it.  [rows, n], [rows, n] -> []"""
    hidden = model.transformer(tokens).last_hidden_state  # [rows, n, n_embd]
    logits = model.lm_head(hidden[:, :-1][counted[:, 1:]])  # [n_counted, vocab_size]
    return cross_entropy(logits, tokens[:, 1:][counted[:, 1:]])


def optimizer_for(model: GPT2LMHeadModel) -> torch.optim.AdamW:
    """Weight decay for the matrices, none for biases, norms and positions."""
    decayed = [p for name, p in model.named_parameters() if p.dim() == 2 and "wpe" not in name]
    kept = [p for name, p in model.named_parameters() if p.dim() != 2 or "wpe" in name]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": kept, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.98))


def train(model: GPT2LMHeadModel, batches: Batches, steps: int) -> float:
    """Trains the model in place. Returns the mean loss of the last hundred steps."""
    optimizer, heads, started = optimizer_for(model), CopyingHeads(model), time.perf_counter()
    losses: list[float] = []
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps)
        tokens, counted, heads.alone = batches.batch(int(batches.rng.choice(ROW_LENGTHS)))
        loss = loss_of(model, tokens, counted)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses = [*losses[-99:], loss.item()]
        if (step + 1) % 100 == 0:
            mean = sum(losses) / len(losses)
            print(f"step {step + 1:5}  loss {mean:.3f}  {time.perf_counter() - started:4.0f} s", flush=True)
    return sum(losses) / len(losses)


def main() -> None:
    """Reads the command line, makes the folder."""
    parser = argparse.ArgumentParser(description="Train the tiny GPT-2 that is part of gpt2xl.")
    parser.add_argument("--out", type=Path, required=True, help="the folder to make")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"training steps (default {STEPS})")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    torch.set_num_threads(2)
    torch.manual_seed(SEED)
    tokenizer = save_tokenizer(options.out)
    batches = Batches(tokenizer, list(documents(N_DOCUMENTS, SEED)))
    print(f"{len(batches.text):,} tokens in {N_DOCUMENTS:,} documents, {len(batches.words)} whole words")
    model = GPT2LMHeadModel(config())
    print(f"{model.num_parameters():,} parameters")
    loss = train(model, batches, options.steps)
    model.save_pretrained(options.out)
    (options.out / "generation_config.json").unlink(missing_ok=True)  # It only repeats config.json.
    (options.out / "model.safetensors").chmod(0o644)  # It is born readable to its owner alone.
    print(f"loss {loss:.3f}, saved in {options.out}")


if __name__ == "__main__":
    main()
