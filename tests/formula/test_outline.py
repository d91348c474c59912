"""The quick key of relative formulas never says that two formulas are copies where the exact one does not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2xl.formula.lexer import outline, relative_key, tokenize

PIECES = [
    "A1", "$A1", "A$1", "$A$1", "B2", "$B$2", "XFE1", "XFD1", "AB12", "LOG10(A1)", "abc", "a.A1", "A1.b", "h.0.A1",
    '"A1"',
    '"A2"', '"a""A1"', "'A1 x'!A1", "'A2 x'!A2", "Sheet1!A1", "A1!B2", "A:B", "$A:B", "1:2", "TRUE", "1E5", "A1:B2",
    "_A1", "A1_", "A\\1", "A1?", "R1C1", "Z9", "SUM(A1,B2)", "A01",
]  # fmt: skip
OPERATORS = ["+", "&", "=", "<>", " "]


@settings(max_examples=600, deadline=None, database=None)
@given(
    st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(OPERATORS)), min_size=1, max_size=3),
    st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(OPERATORS)), min_size=1, max_size=3),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
)
def test_equal_outlines_are_copies(
    one: list[tuple[str, str]], other: list[tuple[str, str]], here: tuple[int, int], there: tuple[int, int]
) -> None:
    texts = ["".join(piece + operator for piece, operator in parts) + "0" for parts in (one, other)]
    drawn = [outline(text, *cell) for text, cell in zip(texts, (here, there), strict=True)]
    if drawn[0] is not None and drawn[0] == drawn[1]:
        assert relative_key(tokenize(texts[0]), *here) == relative_key(tokenize(texts[1]), *there)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("A1+$B1+C$1", "A2+$B2+C$1", True),
        ("A1", "A3", False),
        ('A1&"A1"', 'A2&"A1"', True),
        ('A1&"A1"', 'A2&"A2"', False),
        ("XFE1", "XFE2", False),
        ("'It''s A1'!A1", "'It''s A1'!A2", True),
        ("h.0.A1+A1", "h.0.A1+A2", True),
    ],
)
def test_one_row_further_down(one: str, other: str, same: bool) -> None:
    assert (outline(one, 1, 1) == outline(other, 2, 1)) is same


def test_whole_columns_are_left_to_the_exact_key() -> None:
    assert outline("SUM(A:A)", 1, 1) is None
    assert outline("SUM($1:3)", 1, 1) is None
