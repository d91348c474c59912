"""The letters that shapes are written in, and their values for one model and one workbook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from gpt2xl.errors import FormulaError, TemplateError
from gpt2xl.formula import parse
from gpt2xl.formula.tree import Binary, Name, Node, Number
from gpt2xl.model.config import Config


@dataclass(frozen=True)
class Capacity:
    """What one workbook can hold: tokens, characters, how many tokens it generates, how many likely next tokens it
    lists, at the end and after each block, and how many tokens it draws as points.
    """

    max_tokens: int
    max_chars: int
    generate: int = 1
    top: int = 10
    best: int = 5
    points: int = 12


def dimensions(
    config: Config, capacity: Capacity, *, vocabulary: int, merges: int, special: int, ranges: int
) -> dict[str, int]:
    """Every letter of a template's shapes with its number.

    `vocabulary` counts the tokenizer's ids, `merges` its merges, `special` its special tokens, and `ranges` the
    ranges of the table of character classes.

    A character takes up to two places (UTF-16) and up to four bytes (UTF-8); `W` is what is added to a symbol that
    begins a word: one more than any id, so that 2*W - 1 can stand for "nothing". The table of special tokens ends with
    an empty row, because INDEX into a single cell is no matter of course (docs/engines.md). `new` tokens are
    generated, of which `later` have rows of their own (the first comes from the prompt's); the first `halvings` powers
    of two add up to at least V.
    """
    rows = max(config.vocab_size, vocabulary)
    return {
        "T": capacity.max_tokens,
        "C": capacity.max_chars,
        "U": 2 * capacity.max_chars,
        "N": 4 * capacity.max_chars,
        "L": config.n_layer,
        "H": config.n_head,
        "D": config.n_embd,
        "d": config.n_embd // config.n_head,
        "F": config.n_inner,
        "P": config.n_positions,
        "V": config.vocab_size,
        "K": rows,
        "W": rows + 1,
        "M": merges,
        "M_rows": max(merges, 1),
        "S": special + 1,
        "R": ranges,
        "none": merges,
        "top": min(capacity.top, config.vocab_size),
        "best": min(capacity.best, config.vocab_size),
        "words": config.vocab_size,
        "near": min(capacity.top, config.vocab_size - 1),
        "points": capacity.points,
        "new": capacity.generate,
        "later": capacity.generate - 1,
        "halvings": config.vocab_size.bit_length(),
    }


def measure(expression: str | int, letters: Mapping[str, int]) -> int:
    """The value of a shape such as "3*D" or "N - 1"; raises `TemplateError` for anything but arithmetic on letters."""
    if isinstance(expression, int):
        return expression
    try:
        return _value(_read(expression), letters)
    except FormulaError as error:
        raise TemplateError(f"`{expression}` is no size: {error}") from None
    except KeyError as error:
        raise TemplateError(
            f"`{expression}` uses {error.args[0]!r}, which is none of the sizes {', '.join(sorted(letters))}"
        ) from None


@lru_cache(1024)
def _read(expression: str) -> Node:
    """Few sizes are asked for many times."""
    return parse(expression)


def _value(node: Node, letters: Mapping[str, int]) -> int:
    match node:
        case Number(value):
            return int(value)
        case Name(name=name):
            return letters[name]
        case Binary("+", left, right):
            return _value(left, letters) + _value(right, letters)
        case Binary("-", left, right):
            return _value(left, letters) - _value(right, letters)
        case Binary("*", left, right):
            return _value(left, letters) * _value(right, letters)
    raise TemplateError(f"a size is made of letters, numbers, + - and *, not of {type(node).__name__}")
