"""Rectangles that meet a given one, against comparing it with each."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpt2xl.a1 import Rect
from gpt2xl.formula.rectindex import RectIndex

SIDES = st.tuples(st.integers(1, 40), st.integers(1, 40)).map(sorted)
RECTS = st.lists(st.tuples(SIDES, SIDES).map(lambda sides: Rect(sides[0][0], sides[1][0], sides[0][1], sides[1][1])))


@given(RECTS, RECTS)
def test_all_that_meet_and_no_others(known: list[Rect], asked: list[Rect]) -> None:
    index = RectIndex([(rect, number) for number, rect in enumerate(known)])
    expected = [[number for number, rect in enumerate(known) if rect.intersects(each)] for each in asked]
    assert [sorted(found) for found in index.meeting_each(asked)] == expected
    assert [sorted(index.meeting(each)) for each in asked] == expected
