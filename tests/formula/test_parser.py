"""Text to tree and back."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt2xl.errors import FormulaSyntaxError
from gpt2xl.formula import parse, unparse
from gpt2xl.formula.tree import (
    ArrayConstant,
    Binary,
    Boolean,
    Call,
    ErrorValue,
    Missing,
    Name,
    Node,
    Number,
    Percent,
    Reference,
    Text,
    Unary,
    Unsupported,
    moved,
    transform,
    walk,
)
from gpt2xl.formula.values import ERRORS

_side = st.integers(1, 40)
_flag = st.booleans()
_sheet = st.sampled_from([None, "Sheet2", "Block 0", "It's", "A1", "Ünï"])
_references = st.builds(
    lambda top, left, height, width, flags, sheet: Reference(
        top, left, top + height - 1, left + width - 1, *flags, sheet=sheet
    ),
    _side,
    _side,
    st.integers(2, 9),
    st.integers(2, 9),
    st.tuples(_flag, _flag, _flag, _flag),
    _sheet,
) | st.builds(
    lambda row, column, down, across, sheet: Reference(row, column, row, column, down, across, down, across, sheet),
    _side,
    _side,
    _flag,
    _flag,
    _sheet,
)
_names = st.builds(Name, st.sampled_from(["wte", "h.0.attn.scores.3", "ln_f", "switch.heads", "x1y"]), _sheet)
_constants = st.one_of(
    st.builds(Number, st.floats(0, 1e300, allow_nan=False) | st.integers(0, 10**6).map(float)),
    st.builds(Text, st.text(max_size=5)),
    st.builds(Boolean, st.booleans()),
    st.builds(ErrorValue, st.sampled_from(ERRORS)),
)
_arrays = st.integers(1, 3).flatmap(
    lambda width: st.builds(
        lambda rows: ArrayConstant(tuple(map(tuple, rows))),
        st.lists(st.lists(_constants, min_size=width, max_size=width), min_size=1, max_size=3),
    )
)


def _grow(below: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    operators = st.sampled_from(["+", "-", "*", "/", "^", "&", "=", "<>", "<", "<=", ">", ">="])
    return st.one_of(
        st.builds(Binary, operators, below, below),
        st.builds(Unary, st.sampled_from("+-"), below),
        st.builds(Percent, below),
        st.builds(Binary, st.sampled_from([" ", ","]), _references | _names, _references | _names),
        st.builds(
            lambda name, arguments: Call(name, tuple(arguments)),
            st.sampled_from(["SUM", "IF", "LOG10", "UNICODE", "ERROR.TYPE"]),
            st.lists(below | st.just(Missing()), min_size=2, max_size=4),
        ),
    )


TREES = st.recursive(st.one_of(_constants, _references, _names, _arrays), _grow, max_leaves=12)


@given(TREES, st.booleans())
def test_what_is_printed_parses_to_the_same_tree(tree: Node, file: bool) -> None:
    assert parse(unparse(tree, file=file)) == tree


MINIMAL = [
    "1-(2-3)",
    "1-2-3",
    "(1+2)*3",
    "-2^2",
    "(-2)^2",
    "-(2^2)",
    "2^-2",
    "(2^3)^2",
    "2^(3^2)",
    "-(5%)",
    "-5%",
    "(1+2)%",
    "(1=2)=3",
    "1=(2=3)",
    '"a"&("b"&"c")',
    "SUM((A1,B2))",
    "(A1:B2 B1:C9)+1",
    "--1",
    "SUM(,)",
]


@pytest.mark.parametrize("text", MINIMAL)
def test_parentheses_stay_only_where_they_matter(text: str) -> None:
    printed = unparse(parse(text))
    assert parse(printed) == parse(text)
    assert len(printed) <= len(text)
    for left, letter in enumerate(printed):
        if letter == "(" and (left == 0 or not printed[left - 1].isalnum()):
            depth = 0
            for right in range(left, len(printed)):
                depth += {"(": 1, ")": -1}.get(printed[right], 0)
                if depth == 0:
                    break
            without = printed[:left] + printed[left + 1 : right] + printed[right + 1 :]
            with contextlib.suppress(FormulaSyntaxError):
                assert parse(without) != parse(printed)


@pytest.mark.parametrize(
    "name",
    [
        "h.0.attn.c_attn.weight",
        "h.11.mlp.c_proj.bias",
        "switch.heads",
        "ln_f",
        "h.0.attn.scores.3",
        "wte",
        "XFE1",
        "a1.b",
        "q.1",
        "A1B",
    ],
)
def test_names_are_no_cells(name: str) -> None:
    assert parse(name) == Name(name)
    assert parse(f"MMULT({name},{name})+{name}") == Binary("+", Call("MMULT", (Name(name), Name(name))), Name(name))


def test_references() -> None:
    assert parse("'Block 0'!$C$5:$BN$20") == Reference(5, 3, 20, 66, True, True, True, True, "Block 0")
    assert parse("B2:A1") == parse("A1:B2")
    assert unparse(parse("A:C")) == "A:C"
    assert unparse(parse("$2:7")) == "$2:7"
    assert unparse(parse("'It''s'!A1")) == "'It''s'!A1"
    assert parse("Sheet2!#REF!") == parse("#REF!")
    assert parse("LOG10(5)") == Call("LOG10", (Number(5),))
    assert parse("LOG10") == Reference(10, 8509, 10, 8509)
    assert parse("TRUE") == Boolean(True)
    assert parse("=_xlfn.UNICODE(A1)") == parse("UNICODE(A1)")
    assert unparse(parse("UNICODE(A1)+CHAR(2)"), file=True) == "_xlfn.UNICODE(A1)+CHAR(2)"


@pytest.mark.parametrize("text", ["Sheet1:Sheet3!A1", "[1]Sheet1!A1", "'[a.xlsx]S'!A1:B2"])
def test_what_is_not_computed_is_still_read(text: str) -> None:
    assert isinstance(parse(text), Unsupported)
    assert unparse(parse(text)) == text


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("1+", 3),
        ("(1", 3),
        ("1 2", 3),
        ('"a', 1),
        ("SUM(1", 6),
        ("{1,2;3}", 8),
        ("{A1}", 2),
        ("", 1),
        ("1+*2", 3),
        ("~", 1),
    ],
)
def test_mistakes_name_their_column(text: str, column: int) -> None:
    with pytest.raises(FormulaSyntaxError) as caught:
        parse(text)
    assert caught.value.column == column


def test_copies_move_their_relative_sides() -> None:
    assert unparse(moved(parse("A1+$A1+A$1+$A$1+B2:C$3+A:B"), 2, 1)) == "B3+$A3+B$1+$A$1+C$3:D4+B:C"
    assert unparse(moved(parse("A1"), 0, -1)) == "#REF!"


def test_walk_and_transform() -> None:
    tree = parse("IF(x>1,-x,SUM(x,{1,2}))")
    assert [node.name for node in walk(tree) if isinstance(node, Name)] == ["x", "x", "x"]
    renamed = transform(tree, lambda node: Name("y") if isinstance(node, Name) else node)
    assert unparse(renamed) == "IF(y>1,-y,SUM(y,{1,2}))"
