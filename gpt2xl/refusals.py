"""Models of which no workbook is made though they were read: too large for a sheet, or without a number to answer."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from gpt2xl.a1 import ERROR
from gpt2xl.errors import LimitError
from gpt2xl.formula import Book
from gpt2xl.formula.values import NA
from gpt2xl.model.checkpoint import Checkpoint
from gpt2xl.model.config import Config
from gpt2xl.model.generation import PREFIX
from gpt2xl.model.steps import not_finite, step_names
from gpt2xl.plan.dimensions import Capacity


def too_large(
    error: LimitError, checkpoint: Checkpoint, capacity: Capacity, attempt: Callable[[int | None, Capacity], object]
) -> LimitError:
    """The sentence for `error`. Options are offered by trial: `attempt` plans with so many tokens alone (None: all).

    That takes no longer than the plan itself, which was given up early.
    """
    smallest = {
        "--vocab": (_least_vocab(checkpoint), capacity),
        "--max-tokens": (None, replace(capacity, max_tokens=1)),
        "--max-chars": (None, replace(capacity, max_chars=1)),
        "--generate": (None, replace(capacity, generate=1)),
    }
    helping = [
        option
        for option, (vocab, less) in smallest.items()
        if (vocab or less != capacity) and _fits(attempt, vocab, less)
    ]
    config = checkpoint.config
    sizes = (
        f"n_embd {config.n_embd:,}, n_inner {config.n_inner:,}, n_head {config.n_head:,}, n_positions "
        f"{config.n_positions:,}, {max(config.vocab_size, checkpoint.vocabulary.size):,} tokens"
    )
    held = f"a prompt of up to {capacity.max_tokens:,} tokens and {capacity.max_chars:,} characters"
    more = f" and {capacity.generate:,} that follow" if capacity.generate > 1 else ""
    way_out = "".join(f" or a smaller {option}" for option in helping)
    return LimitError(
        f"{checkpoint.name!r} with {sizes}, {held}{more} is too large: {error}; take a smaller model{way_out}"
    )


def _least_vocab(checkpoint: Checkpoint) -> int | None:
    """The least that --vocab takes; None where it cannot be given."""
    vocabulary = checkpoint.vocabulary
    return None if vocabulary.files is None else max(max(vocabulary.byte_ids) + 1, 1)


def _fits(attempt: Callable[[int | None, Capacity], object], vocab: int | None, capacity: Capacity) -> bool:
    try:
        attempt(vocab, capacity)
    except LimitError:
        return False
    return True


def check_answer(book: Book, names: Collection[str], config: Config) -> None:
    """Raise `ModelError`, with the first step that is no number, where a workbook with these names predicts nothing."""

    def fails(name: str) -> bool:
        if name not in names:
            return False
        found = book.get(*book.resolve(name))
        # `#N/A` is no mistake: it stands after the end of a generated text.
        return found.kind is not None and bool(((found.kind == ERROR) & (found.num != NA.code)).any())

    if any(map(fails, ("next_token_id", "logits", "generated_ids", "corrupted.logits"))):
        steps = (prefix + step for prefix in ("", PREFIX, "corrupted.") for step in step_names(config))
        raise not_finite(next(filter(fails, steps), "logits"))
