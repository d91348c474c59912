"""A checkpoint with less in it: its first tokens alone, its parameters rounded.

Training a byte-level BPE adds one token a merge, so that the ids of a vocabulary are in the order of its merges, and
its first K tokens are what training would have given had it stopped there (Sennrich et al. 2016, arXiv:1508.07909).
"""

from __future__ import annotations

from dataclasses import replace

from gpt2xl.errors import LimitError, ModelError
from gpt2xl.model.checkpoint import Checkpoint
from gpt2xl.model.rounding import MOST_DIGITS
from gpt2xl.model.vocabulary import Vocabulary


def reduced(checkpoint: Checkpoint, vocab: int | None, digits: int | None) -> Checkpoint:
    """What a workbook holds that was built with `--vocab` and `--digits`, None where these were not given.

    Raises `ModelError` and `LimitError` as `first_tokens` and `rounded` do.
    """
    checkpoint = checkpoint if vocab is None else first_tokens(checkpoint, vocab)
    return checkpoint if digits is None else rounded(checkpoint, digits)


def rounded(checkpoint: Checkpoint, digits: int) -> Checkpoint:
    """Every parameter rounded to `digits` significant digits; raises `LimitError` unless these are 1 to 17."""
    if not 1 <= digits <= MOST_DIGITS:
        raise LimitError(
            f"--digits is {digits:,}; it goes from 1 to {MOST_DIGITS}, with which every number stays what it is"
        )
    return replace(checkpoint, tensors=checkpoint.tensors.rounded(digits))


def first_tokens(checkpoint: Checkpoint, count: int) -> Checkpoint:
    """The checkpoint with the tokens that have ids below `count`, the merges that make them, and their embeddings.

    Special tokens from there on are ordinary text. Raises `ModelError` for a vocabulary that is not in merge order,
    `LimitError` for a `count` that leaves out a byte's own token, which some texts would lose, or is more than there
    are.
    """
    whole = checkpoint.vocabulary
    if whole.files is None:
        raise ModelError(
            f"the vocabulary of {checkpoint.name!r} is one of characters, not of merges; leave out --vocab"
        )
    misplaced = _out_of_order(whole)
    if misplaced is not None:
        raise ModelError(
            f"the vocabulary of {checkpoint.name!r} is not in merge order (token {misplaced} stands before one that is "
            f"made earlier), so that its first tokens are no vocabulary of their own; leave out --vocab"
        )
    least, most = max(max(whole.byte_ids) + 1, 1), checkpoint.config.vocab_size
    if not least <= count <= most:
        raise LimitError(
            f"--vocab is {count:,}; it goes from {least:,}, the tokens of single bytes, to {most:,}, all of the model's"
        )
    files = whole.files.first(count)
    if moved := [text for text, id_ in files.special.items() if files.tokenizer.token_to_id(text) != id_]:
        raise ModelError(
            f"the special token {moved[0]!r} of {checkpoint.name!r} has an id between those of other tokens, and gets "
            f"another in a smaller vocabulary; leave out --vocab"
        )
    return replace(
        checkpoint,
        config=replace(checkpoint.config, vocab_size=count),
        tensors=checkpoint.tensors.first_rows(("wte", "lm_head.weight"), count),
        vocabulary=Vocabulary.from_files(files),
    )


def _out_of_order(vocabulary: Vocabulary) -> int | None:
    """The first token that stands before a byte's own, one that it is made of, or one made earlier; None if none."""
    made: set[int] = set()
    newest = max(vocabulary.byte_ids)
    for left, right, result in vocabulary.merges:
        if result not in made:
            if result < newest:
                return result
            newest = result
            made.add(result)
        if result <= max(left, right):
            return result
    return None
