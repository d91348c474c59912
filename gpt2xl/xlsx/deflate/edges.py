"""What stands before each row's first number: the end of the row before, and the row's own beginning.

That is the same for all rows but for some of it, such as the row's number and labels. What is the same is copied from
the row before it, where that is near enough; the rest are literals. After the last row there is an end alone.
"""

from __future__ import annotations

import numpy as np

from gpt2xl.xlsx.compiled import Whole, inner
from gpt2xl.xlsx.deflate.codes import DISTANCE_SYMBOLS, FARTHEST, LENGTHS, LONGEST
from gpt2xl.xlsx.numbers import Array

_WORTH_IT = 4  # bytes of a match
TOKEN_LENGTH = 16  # bits of a token below its length, which are its distance; a literal has no length


@inner
def edge_tokens(words: Array, begin: Whole, end: Whole, begin_before: Whole, end_before: Whole, tokens: Array) -> Whole:
    """The matches and literals of the edge from `begin` to `end` into `tokens` (int64); returns how many.

    `words` are the text up to there, in which the edge of the row before is at `begin_before`, `end_before`; of
    the first row its own.
    """
    characters = words.view(np.uint8)
    at, count = begin, 0
    while at < end:
        longest = distance = 0
        if begin > begin_before:  # in step with the row before from the beginning on, or up to the end
            for back in (begin - begin_before, end - end_before):
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
    return count


@inner
def count_tokens(tokens: Array, times: Whole, literals: Array, distances: Array) -> None:
    """Add how often the symbols of literals and lengths and those of distances occur, so many times each."""
    for token in tokens:
        if token >> TOKEN_LENGTH:
            literals[LENGTHS[token >> TOKEN_LENGTH, 0]] += times
            distances[DISTANCE_SYMBOLS[token & (1 << TOKEN_LENGTH) - 1]] += times
        else:
            literals[token] += times
