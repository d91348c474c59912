"""The constants of a tokenizer as columns of a sheet: vocabulary, merges, classes of characters."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from gpt2xl.model.vocabulary import Vocabulary

Column = NDArray[np.float64] | list[str]


@cache
def unicode_classes() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First code points and classes of the ranges in data/unicode_classes.json (made by scripts/unicode_classes.py)."""
    table = json.loads((resources.files("gpt2xl") / "data" / "unicode_classes.json").read_text(encoding="utf-8"))
    return np.array(table["start"], dtype=np.float64), np.array(table["class"], dtype=np.float64)


def specials(vocabulary: Vocabulary) -> list[tuple[str, int]]:
    """Special tokens, shorter ones first: of those that match at one place the last, the longest, is taken.

    The last row is empty and matches nothing.
    """
    return [*sorted(vocabulary.special.items(), key=lambda item: (len(item[0]), item[0])), ("", 0)]


def columns(vocabulary: Vocabulary, rows: int) -> dict[str, Column]:
    """What fills the templates' tables, by their `data` key.

    `rows` is the height of the vocabulary's sheet: ids of the model and of the tokenizer, whichever are more. Pair
    numbers are left x 2*(rows + 1) + right, sorted, below them a -1 so that a look-up always finds a row.
    """
    texts = [vocabulary.text(index) if index < vocabulary.size else "" for index in range(rows)]
    spelled = [vocabulary.tokens[index].hex(" ").upper() if index < vocabulary.size else "" for index in range(rows)]
    special = specials(vocabulary)
    merges = vocabulary.merges
    parts = np.array([(merge.left, merge.right, merge.result) for merge in merges], dtype=np.float64).reshape(-1, 3)
    keys = parts[:, 0] * (2 * (rows + 1)) + parts[:, 1]
    order = np.argsort(keys, kind="stable")
    starts, classes = unicode_classes()
    return {
        "vocabulary.text": texts,
        "vocabulary.bytes": spelled,
        "byte.id": np.array(vocabulary.byte_ids, dtype=np.float64),
        "special.text": [text for text, _ in special],
        "special.id": np.array([index for _, index in special], dtype=np.float64),
        "merges.left": _padded(parts[:, 0]),
        "merges.right": _padded(parts[:, 1]),
        "merges.result": _padded(parts[:, 2]),
        "merges.text": [texts[merge.result] for merge in merges] or [""],
        "merges.key": np.concatenate(([-1.0], keys[order])),
        "merges.rank": np.concatenate(([-1.0], order.astype(np.float64))),
        "unicode.start": starts,
        "unicode.class": classes,
    }


def _padded(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """At least one row: a sheet cannot name a column of none."""
    return column if len(column) else np.zeros(1)
