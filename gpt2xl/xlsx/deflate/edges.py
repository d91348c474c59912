"""What stands before each row's first number: the end of the row before, and the row's own beginning.

That is the same for all rows but for some of it, such as the row's number and labels. What is the same is copied from
the row before it, where that is near enough; the rest are literals. After the last row there is an end alone.
"""

from __future__ import annotations

import numpy as np

from gpt2xl.xlsx.compiled import Whole, compiled
from gpt2xl.xlsx.deflate.codes import DISTANCE_SYMBOLS, FARTHEST, LENGTHS, LONGEST
from gpt2xl.xlsx.numbers import Array

_WORTH_IT = 4  # bytes of a match
TOKEN_LENGTH = 16  # bits of a token below its length, which are its distance; a literal has no length


def tokens_of_edges(characters: Array, starts: Array, sizes: Array, width: int) -> tuple[Array, Array]:
    """The matches and literals of all edges (int64), and where each row's end among them.

    `characters` are the whole text; numbers of `sizes` characters are at `starts`.
    """
    rows = len(starts) // width
    first = starts[::width].astype(np.int64)
    lasts = starts[width - 1 :: width].astype(np.int64) + sizes[width - 1 :: width]
    begins, ends = np.concatenate(([0], lasts)), np.concatenate((first, [len(characters)]))
    tokens, ends_of_tokens = np.empty(int((ends - begins).sum()), np.int64), np.empty(rows + 1, np.int64)
    count = _tokens(characters, begins, ends, tokens, ends_of_tokens)
    return tokens[:count], ends_of_tokens


@compiled
def _tokens(characters: Array, begins: Array, ends: Array, tokens: Array, ends_of_tokens: Array) -> Whole:
    count = 0
    for row in range(len(begins)):
        at, end = begins[row], ends[row]
        while at < end:
            longest = distance = 0
            if row:  # in step with the row before from the beginning on, or up to the end
                for back in (begins[row] - begins[row - 1], end - ends[row - 1]):
                    length = 0
                    while (
                        back <= min(at, FARTHEST)
                        and at + length < end
                        and length < LONGEST
                        and characters[at + length] == characters[at + length - back]
                    ):
                        length += 1
                    if length > longest:
                        longest, distance = length, back
            if longest >= _WORTH_IT:
                tokens[count] = longest << TOKEN_LENGTH | distance
                at += longest
            else:
                tokens[count] = characters[at]
                at += 1
            count += 1
        ends_of_tokens[row] = count
    return count


@compiled
def count_tokens(tokens: Array, literals: Array, distances: Array) -> None:
    """Add how often the symbols of literals and lengths and those of distances occur."""
    for token in tokens:
        if token >> TOKEN_LENGTH:
            literals[LENGTHS[token >> TOKEN_LENGTH, 0]] += 1
            distances[DISTANCE_SYMBOLS[token & (1 << TOKEN_LENGTH) - 1]] += 1
        else:
            literals[token] += 1
