"""Where a value stands among others: binary search in sorted keys, exact search, wildcards."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpt2xl.a1 import BLANK, ERROR, NUMBER, TEXT
from gpt2xl.formula.values import TextPool, Value, collated

Positions = NDArray[np.intp]

# Exact search compares all pairs up to this many, and sorts the keys beyond.
_ALL_PAIRS = 1 << 20
_LIKE = re.IGNORECASE | re.DOTALL


def ascending(pool: TextPool, keys: Value, sought: Value) -> Positions:
    """For each sought cell the last key not above it, -1 for none; keys [lanes, 1, n] are taken as sorted.

    Only keys of the sought cell's own kind count, so that errors and blanks are passed over.
    """
    if keys.kind is None and sought.kind is None and len(keys.num) == 1:
        vector = keys.num[0, 0] if keys.source is None else keys.source.vector()
        return np.searchsorted(vector, sought.num, side="right") - 1
    return _by_kind(pool, keys, sought, lambda row, x: bisect_right(row, x) - 1)


def descending(pool: TextPool, keys: Value, sought: Value) -> Positions:
    """For each sought cell the last key not below it, where the keys are sorted downwards."""

    def last(row: list[Any], x: Any) -> int:
        return len(row) - bisect_left(row[::-1], x) - 1

    return _by_kind(pool, keys, sought, last)


def exact(pool: TextPool, keys: Value, sought: Value, *, wildcards: bool = True) -> Positions:
    """For each sought cell the first equal key, -1 for none; texts compare without case and may hold `*`, `?`, `~`."""
    lanes = max(len(keys.num), len(sought.num))
    if keys.kind is None and sought.kind is None:
        if keys.num.size * sought.num.size <= _ALL_PAIRS and sought.num.size == 1 and len(keys.num) == 1:
            equal = keys.num[0, 0] == sought.num.item()
            place = int(equal.argmax())
            return np.full((1, 1, 1), place if equal[place] else -1, np.intp)
        if len(keys.num) == 1:
            return _first_equal(keys.num[0, 0], sought.num)
        equal = keys.num == sought.num.reshape(len(sought.num), -1, 1)
        found = np.where(equal.any(axis=2), equal.argmax(axis=2), -1)
        return found.reshape(lanes, *sought.num.shape[1:])
    if len(keys.num) == 1 and sought.num.size == 1:
        return np.full((1, 1, 1), _first(pool, keys, sought, wildcards), np.intp)
    result = np.full((lanes, *sought.num.shape[1:]), -1, np.intp)
    key_kinds, sought_kinds = keys.kinds, sought.kinds
    tables: dict[int, dict[tuple[int, float], int]] = {}
    for lane in range(lanes):
        own = lane if len(keys.num) > 1 else 0
        if own not in tables:
            tables = {own: _table(pool, keys.num[own, 0], key_kinds[own, 0])}
        from_lane = lane if len(sought.num) > 1 else 0
        for row in range(sought.num.shape[1]):
            for column in range(sought.num.shape[2]):
                kind, num = int(sought_kinds[from_lane, row, column]), float(sought.num[from_lane, row, column])
                text = pool.text(num) if kind == TEXT else ""
                if wildcards and any(mark in text for mark in "*?~"):
                    place = _first_like(pool, keys.num[own, 0], key_kinds[own, 0], text)
                else:
                    place = tables[own].get(_key(pool, num, kind), -1)
                result[lane, row, column] = place
    return result


def _first(pool: TextPool, keys: Value, sought: Value, wildcards: bool) -> int:
    """The first key equal to a single cell."""
    kind, num = int(sought.kinds.item()), float(sought.num.item())
    kind = NUMBER if kind == BLANK else kind
    text = pool.text(num) if kind == TEXT else ""
    row, kinds = keys.num[0, 0], keys.kinds[0, 0]
    if wildcards and any(mark in text for mark in "*?~"):
        return _first_like(pool, row, kinds, text)
    equal = kinds == kind
    if kind == TEXT:
        equal[equal] = pool.folded(row[equal]) == pool.folded(np.array([num]))
    else:
        equal &= row == num
    place = int(equal.argmax())
    return place if equal[place] and kind != ERROR else -1


def _first_equal(keys: NDArray[np.float64], sought: NDArray[np.float64]) -> Positions:
    if keys.size * sought.size <= _ALL_PAIRS:
        equal = keys == sought[..., np.newaxis]
        return np.where(equal.any(axis=-1), equal.argmax(axis=-1), -1)
    arranged = np.argsort(keys, kind="stable")
    place = np.searchsorted(keys, sought, side="left", sorter=arranged)
    near = arranged[np.minimum(place, len(keys) - 1)]
    found: Positions = np.where((place < len(keys)) & (keys[near] == sought), near, -1)
    return found


def _key(pool: TextPool, num: float, kind: int) -> tuple[int, float]:
    """What equal cells share; a blank that is sought is the number 0."""
    if kind == TEXT:
        return kind, float(pool.folded(np.array([num]))[0])
    return (NUMBER if kind == BLANK else kind), num + 0.0


def _table(pool: TextPool, num: NDArray[np.float64], kind: NDArray[np.uint8]) -> dict[tuple[int, float], int]:
    """First place of every key; blank keys are never found."""
    texts = kind == TEXT
    if texts.any():
        num = num.copy()
        num[texts] = pool.folded(num[texts])
    result: dict[tuple[int, float], int] = {}
    for place, key in enumerate(zip(kind.tolist(), num.tolist(), strict=True)):
        if key[0] not in (BLANK, ERROR):
            result.setdefault(key, place)
    return result


def _first_like(pool: TextPool, num: NDArray[np.float64], kind: NDArray[np.uint8], text: str) -> int:
    like = wildcard(text)
    for place in np.flatnonzero(kind == TEXT).tolist():
        if like.fullmatch(pool.text(num[place])):
            return int(place)
    return -1


@lru_cache(maxsize=256)
def _pieces(text: str) -> list[str]:
    """What stands between the `*` of a text, as patterns: `?` is any character, `~` takes the next one as it is."""
    pieces, place = [""], 0
    while place < len(text):
        letter = text[place]
        if letter == "~":
            place += 1
            pieces[-1] += re.escape(text[place : place + 1])
        elif letter != "*":
            pieces[-1] += "." if letter == "?" else re.escape(letter)
        elif len(pieces) == 1 or pieces[-1]:
            pieces.append("")
        place += 1
    return pieces


# The first place for a piece is as good as any other for what follows, so that nothing is tried twice: a text of many
# stars takes no longer than one of few.
@lru_cache(maxsize=256)
def wildcard(text: str) -> re.Pattern[str]:
    """The pattern that matches a whole text with `*` (any characters), `?` (one) and `~` (the next one as it is)."""
    first, *rest = _pieces(text)
    middle = "".join(f"(?>.*?{piece})" for piece in rest[:-1])
    return re.compile(f"{first}{middle}.*{rest[-1]}" if rest else first, _LIKE)


def wildcard_place(sought: str, text: str, start: int) -> int:
    """Where a text with wildcards begins in another, from `start`; -1 if nowhere."""
    first = -1
    for piece in _pieces(sought):
        found = re.compile(piece, _LIKE).search(text, start)
        if found is None:
            return -1
        first = found.start() if first < 0 else first
        start = found.end()
    return first


def _by_kind(pool: TextPool, keys: Value, sought: Value, search: Any) -> Positions:
    """A search among the keys of each sought cell's own kind, lane by lane."""
    lanes = max(len(keys.num), len(sought.num))
    result = np.full((lanes, *sought.num.shape[1:]), -1, np.intp)
    key_kinds, sought_kinds = keys.kinds, sought.kinds
    rows: dict[tuple[int, int], tuple[list[Any], list[int]]] = {}
    for lane in range(lanes):
        own = lane if len(keys.num) > 1 else 0
        from_lane = lane if len(sought.num) > 1 else 0
        for row in range(sought.num.shape[1]):
            for column in range(sought.num.shape[2]):
                kind, num = int(sought_kinds[from_lane, row, column]), float(sought.num[from_lane, row, column])
                if kind == ERROR:
                    continue
                kind = NUMBER if kind == BLANK else kind
                if (own, kind) not in rows:
                    places = np.flatnonzero(key_kinds[own, 0] == kind)
                    among = keys.num[own, 0][places]
                    items = [collated(text) for text in pool.get(among)] if kind == TEXT else among.tolist()
                    rows[own, kind] = items, places.tolist()
                items, where = rows[own, kind]
                place = search(items, collated(pool.text(num)) if kind == TEXT else num)
                result[lane, row, column] = where[place] if place >= 0 else -1
    return result
