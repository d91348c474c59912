"""Tokens to a tree.

The grammar, loosest first (Microsoft, "Calculation operators and precedence in Excel"; ECMA-376 part 1, 18.17.2)::

    formula      = ["="] comparison                        of a defined name: ["="] union
    union        = comparison { "," comparison }           of references
    comparison   = join   { ("=" | "<>" | "<" | "<=" | ">" | ">=") join }
    join         = sum    { "&" sum }
    sum          = term   { ("+" | "-") term }
    term         = power  { ("*" | "/") power }
    power        = percent { "^" percent }                 from the left: 2^3^2 is 64
    percent      = unary { "%" }
    unary        = { "-" | "+" | "@" } intersection        binds tighter than "^": -2^2 is 4
    intersection = range { " " range }
    range        = primary { ":" primary }
    primary      = number | string | TRUE | FALSE | error | [sheet "!"] (cell | columns | rows | name)
                 | function "(" [argument { "," argument }] ")" | array
                 | "(" union ")"
    argument     = [comparison]
    array        = "{" constants { ";" constants } "}"
    constants    = constant { "," constant }
"""

from __future__ import annotations

import math
import re
from functools import lru_cache

from gpt2xl.a1 import MAX_ARGUMENTS, MAX_NESTING
from gpt2xl.errors import FormulaSyntaxError
from gpt2xl.formula.lexer import Token, reference, sheet_name, tokenize
from gpt2xl.formula.structured import table_reference
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
    TableReference,
    Text,
    Unary,
    Unsupported,
)
from gpt2xl.formula.values import ExcelError

# Operators between two operands, loosest level first; each level groups from the left.
LEVELS: tuple[frozenset[str], ...] = (
    frozenset({"=", "<>", "<", "<=", ">", ">="}),
    frozenset({"&"}),
    frozenset({"+", "-"}),
    frozenset({"*", "/"}),
    frozenset({"^"}),
)
PRECEDENCE = {operator: level for level, operators in enumerate(LEVELS) for operator in operators}
PREFIXES = frozenset({"-", "+", "@"})
# What may begin a reference, so that the space before it is the intersection operator.
_REFERENCE_STARTS = frozenset({"cell", "columns", "rows", "name", "sheet", "span", "external", "table", "function"})
# _xlfn., _xlws. and _xlpm. are Excel's, _xlfnodf. and _xlfngnumeric. gnumeric's.
_FILE_PREFIX = re.compile(r"(?:_XL[A-Z]+\.)+")


@lru_cache(maxsize=1 << 14)
def parse(text: str, *, of_name: bool = False) -> Node:
    """The tree of a formula, written with or without its "="; raises `FormulaSyntaxError`.

    What a defined name means may be a union without brackets.
    """
    body = text[1:] if text.startswith("=") else text
    return _Parser(body, tokenize(body)).formula(of_name=of_name)


class _Parser:
    def __init__(self, text: str, tokens: list[Token]) -> None:
        self.text = text
        self.tokens = tokens
        self.place = 0
        self.depth = 0  # of brackets around the place

    @property
    def token(self) -> Token:
        return self.tokens[self.place]

    def take(self) -> Token:
        token = self.tokens[self.place]
        self.place += 1
        return token

    def at(self, *operators: str) -> bool:
        return self.token.kind == "op" and self.token.text in operators

    def expect(self, operator: str) -> None:
        if not self.at(operator):
            raise self.error(f"`{operator}` is missing")
        self.place += 1

    def error(self, message: str) -> FormulaSyntaxError:
        return FormulaSyntaxError(message, self.text, self.token.start + 1)

    def too_deep(self) -> FormulaSyntaxError:
        return FormulaSyntaxError(
            f"the formula is nested too deeply (Excel's limit is {MAX_NESTING} levels)", self.text, 1
        )

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise self.too_deep()

    def formula(self, *, of_name: bool) -> Node:
        try:
            node = self.union() if of_name else self.binary(0)
        except RecursionError:
            raise self.too_deep() from None
        if self.token.kind != "end":
            raise self.error(f"`{self.token.text}` has no place")
        return node

    def union(self) -> Node:
        node = self.binary(0)
        while self.at(",", "~"):  # LibreOffice writes its own sign for a union into .xlsx files
            self.take()
            node = Binary(",", node, self.binary(0))
        return node

    def binary(self, level: int) -> Node:
        """Operands between which stand operators of `level` and of higher ones, which bind first."""
        node = self.percent()
        while True:
            token = self.tokens[self.place]
            binds = PRECEDENCE.get(token.text, -1) if token.kind == "op" else -1
            if binds < level:
                return node
            self.place += 1
            node = Binary(token.text, node, self.binary(binds + 1))

    def percent(self) -> Node:
        node = self.unary()
        signs = 0
        while self.token.text == "%" and self.token.kind == "op":
            self.take()
            node = Percent(node)
            signs += 1
            if signs > MAX_NESTING:
                raise self.too_deep()
        return node

    def unary(self) -> Node:
        signs = []
        while self.token.kind == "op" and self.token.text in PREFIXES:
            signs.append(self.take().text)
        if len(signs) > MAX_NESTING:
            raise self.too_deep()
        node = self.intersection()
        for sign in reversed(signs):
            node = Unary(sign, node)
        return node

    def intersection(self) -> Node:
        node = self.range()
        while self.token.spaced and (self.token.kind in _REFERENCE_STARTS or self.at("(")) and _refers(node):
            node = Binary(" ", node, self.range())
        return node

    def range(self) -> Node:
        node = self.primary()
        while self.at(":"):
            self.take()
            node = _range(node, self.primary())
        return node

    def primary(self) -> Node:
        token = self.token
        if token.kind in ("cell", "columns", "rows", "sheet", "name", "span", "external", "table"):
            return self.reference()
        self.take()
        if token.kind == "number":
            return self.number(token, 1.0)
        if token.kind == "string":
            return Text(token.text[1:-1].replace('""', '"'))
        if token.kind == "error":
            return ErrorValue(ExcelError(token.text))
        if token.kind == "function":
            node = self.call(token)
            while self.at("(") and isinstance(node, Call) and node.name == "LAMBDA":  # LAMBDA(x,x+1)(2)
                call = self.call(token)
                node = Call(node.name, (*node.arguments, *(call.arguments if isinstance(call, Call) else (call,))))
            return node
        if token.kind == "op" and token.text == "(":
            self.deeper()
            node = self.union()
            self.expect(")")
            self.depth -= 1
            return node
        if token.kind == "op" and token.text == "{":
            return self.array()
        self.place -= 1
        raise self.error("the formula ends too early" if token.kind == "end" else f"`{token.text}` has no place")

    def number(self, token: Token, sign: float) -> Number:
        value = float(token.text)
        if math.isinf(value):
            self.place -= 1
            raise self.error("the number is larger than any that a cell holds")
        return Number(sign * value)

    def reference(self) -> Node:
        token = self.take()
        if token.kind == "table":
            node = table_reference(token.text)
            if node is None:
                self.place -= 1
                raise self.error(f"`{token.text}` is no reference to a table")
            return node
        if token.kind in ("span", "external"):
            rest = self.take()
            what = "3-D reference" if token.kind == "span" else "reference to another workbook"
            text = token.text + rest.text
            if self.at(":") and self.tokens[self.place + 1].kind == "cell":
                text += self.take().text + self.take().text
            return Unsupported(what, text)
        sheet = None
        if token.kind == "sheet":
            sheet = sheet_name(token.text)
            token = self.take()
        if token.kind in ("cell", "columns", "rows"):
            return reference(token, sheet)
        if token.kind == "error" and sheet is not None:
            return ErrorValue(ExcelError(token.text))
        if token.kind != "name":
            self.place -= 1
            raise self.error("a cell, a range or a name is missing")
        if sheet is None and token.text.upper() in ("TRUE", "FALSE"):
            return Boolean(token.text.upper() == "TRUE")
        return Name(token.text, sheet)

    def call(self, token: Token) -> Node:
        name = token.text.upper()
        name = name[match.end() :] if (match := _FILE_PREFIX.match(name)) else name
        self.expect("(")
        arguments: list[Node] = []
        if self.at(")"):
            self.take()
            return Call(name, ())
        self.deeper()
        while True:
            arguments.append(Missing() if self.at(",", ")") else self.binary(0))
            if not self.at(","):
                break
            self.take()
        self.expect(")")
        self.depth -= 1
        if name == "SINGLE" and len(arguments) == 1:  # how a file writes @ (MS-XLSX 2.2.2)
            return Unary("@", arguments[0])
        if len(arguments) > MAX_ARGUMENTS:
            raise self.error(f"{name} has {len(arguments)} arguments; Excel's limit is {MAX_ARGUMENTS}")
        return Call(name, tuple(arguments))

    def array(self) -> Node:
        rows: list[tuple[Node, ...]] = []
        row: list[Node] = [self.constant()]
        while not self.at("}"):
            if self.at(","):
                self.take()
                row.append(self.constant())
            elif self.at(";"):
                self.take()
                rows.append(tuple(row))
                row = [self.constant()]
            else:
                raise self.error("`}` is missing")
        self.take()
        rows.append(tuple(row))
        if len({len(row) for row in rows}) > 1:
            raise self.error("the rows of an array constant differ in length")
        return ArrayConstant(tuple(rows))

    def constant(self) -> Node:
        sign = 1.0
        if self.at("-", "+"):
            sign = -1.0 if self.take().text == "-" else 1.0
            if self.token.kind != "number":
                raise self.error("a number is missing after the sign")
        token = self.take()
        if token.kind == "number":
            return self.number(token, sign)
        if token.kind == "string":
            return Text(token.text[1:-1].replace('""', '"'))
        if token.kind == "error":
            return ErrorValue(ExcelError(token.text))
        if token.kind == "name" and token.text.upper() in ("TRUE", "FALSE"):
            return Boolean(token.text.upper() == "TRUE")
        self.place -= 1
        raise self.error("an array constant holds numbers, texts, TRUE, FALSE and errors only")


def _refers(node: Node) -> bool:
    """Whether a node can be a reference, so that a space after it can be an operator."""
    if isinstance(node, Binary):
        return node.operator in (":", " ", ",")
    return isinstance(node, (Reference, Name, Call, TableReference, Unsupported))


def _range(first: Node, last: Node) -> Node:
    """`first:last`, folded into one reference where both are plain cells."""
    if (
        isinstance(first, Reference)
        and isinstance(last, Reference)
        and last.sheet is None
        and not (first.whole or last.whole)
        and first.top == first.bottom
        and first.left == first.right
        and last.top == last.bottom
        and last.left == last.right
    ):
        return Reference(
            first.top,
            first.left,
            last.top,
            last.left,
            first.top_fixed,
            first.left_fixed,
            last.top_fixed,
            last.left_fixed,
            first.sheet,
        ).ordered()
    return Binary(":", first, last)
