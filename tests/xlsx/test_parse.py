"""Runs of numbers, parsed in compiled loops: against Python's float, and against the slow way."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from xlsx_helpers import read, values, worksheet

from gpt2xl.xlsx.parse import RunReader

SEPARATOR = b"</v></c><c><v>"
CLOSE = b"</v></c>"

decimals = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(repr),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.from_regex(r"-?[0-9]{0,20}(\.[0-9]{0,20})?([eE][+-]?[0-9]{0,5})?", fullmatch=True),
    st.text("0123456789+-.eE ", max_size=8),
)


def json_number(text: str) -> float | None:
    if " " in text:  # which may stand around a number, and is left to the slow way
        return None
    try:
        number = json.loads(text, parse_int=float)
    except ValueError:
        return None
    return number if isinstance(number, float) else None


@settings(deadline=None, max_examples=500)
@given(texts=st.lists(decimals, min_size=1, max_size=12), rest=st.sampled_from([b"", b"</row>", b"<c/>", b"</v>"]))
@example(["9007199254740993"], b"")
@example(["1e22", "1e23"], b"")
@example(["0.1e-21", "0.1e-22"], b"")
@example(["-0", "00"], b"")
def test_what_is_parsed_is_exact(texts: list[str], rest: bytes) -> None:
    """As many as can be, each to the last bit; it stops before the first that cannot."""
    data = SEPARATOR.join(text.encode() for text in texts) + CLOSE + rest
    found, stop = RunReader(1 << 20).read(data, 0, len(data), SEPARATOR)
    expected = [json_number(text) for text in texts[: len(found)]]
    assert [struct.pack("d", number) for number in expected] == [struct.pack("d", number) for number in found]
    done = SEPARATOR.join(text.encode() for text in texts[: len(found)])
    assert stop == (len(done + CLOSE) if len(found) else 0)
    if len(found) < len(texts):
        left = json_number(texts[len(found)])
        digits = "".join(filter(str.isdigit, texts[len(found)].lower().partition("e")[0]))
        exponent = texts[len(found)].lower().partition("e")[2]
        assert left is None or len(digits) > 15 or exponent or "." in texts[len(found)]


def test_rows_below_each_other_are_one_array() -> None:
    reader = RunReader(1 << 16)
    rows = [SEPARATOR.join(b"%d" % (100 * row + place) for place in range(50)) + CLOSE for row in range(20)]
    parts = [reader.read(row, 0, len(row), SEPARATOR)[0] for row in rows]
    assert len({id(part.base) for part in parts}) == 1
    together = parts[0].base[: 20 * 50]
    np.testing.assert_array_equal(together, np.concatenate(parts))


def test_no_more_than_the_part_could_hold() -> None:
    """A part that is longer than it says is refused where it is inflated; until then nothing is overwritten."""
    row = SEPARATOR.join([b"7"] * 100) + CLOSE
    reader = RunReader(20)
    found, stop = reader.read(row, 0, len(row), SEPARATOR)
    assert (len(found), stop) == (0, 0)


@pytest.mark.parametrize("odd", ["<c><v>x</v></c>", '<c t="b"><v>1</v></c>', "<c><v>1e400</v></c>", "<c><v>-0</v></c>"])
@pytest.mark.parametrize("place", [0, 1, 40, 99])
def test_an_odd_cell_among_many(odd: str, place: int) -> None:
    cells = [f"<c><v>{number / 7!r}</v></c>" for number in range(100)]
    cells[place] = odd
    xml = worksheet("".join(f'<row r="{row}">{"".join(cells)}</row>' for row in (3, 4)))
    if odd in ("<c><v>x</v></c>", "<c><v>1e400</v></c>"):
        with pytest.raises(Exception, match="which is no number"):
            read(xml)
        return
    found = values(read(xml))
    assert len(found) == 200
    assert found["A3" if place else "B3"] == (0.0 if place else 1 / 7)
