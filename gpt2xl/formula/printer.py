"""A tree back to text: the least parentheses, and what `parse` makes of it is the same tree."""

from __future__ import annotations

from gpt2xl.a1 import quote_sheet
from gpt2xl.formula.lexer import letters
from gpt2xl.formula.parser import LEVELS, PRECEDENCE
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

_PERCENT, _UNARY, _UNION, _INTERSECTION, _RANGE, _ATOM = range(len(LEVELS), len(LEVELS) + 6)
_PRECEDENCE = {**PRECEDENCE, ",": _UNION, " ": _INTERSECTION, ":": _RANGE}

# Functions that Excel stores with a prefix, because ECMA-376 does not have them (MS-XLSX 2.2.2, future functions).
FILE_PREFIXED = frozenset(
    """ACOT ACOTH ARABIC BASE BINOM.DIST BITAND BITLSHIFT BITOR BITRSHIFT BITXOR CEILING.MATH CEILING.PRECISE
    CHISQ.DIST COMBINA CONCAT CONFIDENCE.NORM COT COTH COVARIANCE.P COVARIANCE.S CSC CSCH DAYS DECIMAL ERF.PRECISE
    ERFC.PRECISE EXPON.DIST FLOOR.MATH FLOOR.PRECISE FORECAST.LINEAR FORMULATEXT GAMMA GAMMALN.PRECISE GAUSS IFNA IFS
    ISFORMULA ISOWEEKNUM MAXIFS MINIFS MODE.MULT MODE.SNGL MUNIT NORM.DIST NORM.INV NORM.S.DIST NORM.S.INV
    NUMBERVALUE PDURATION PERCENTILE.EXC PERCENTILE.INC PERCENTRANK.EXC PERCENTRANK.INC PERMUTATIONA PHI POISSON.DIST
    QUARTILE.EXC QUARTILE.INC RANK.AVG RANK.EQ RRI SEC SECH SHEET SHEETS SKEW.P STDEV.P STDEV.S SWITCH TEXTJOIN
    UNICHAR UNICODE VAR.P VAR.S XOR""".split()  # noqa: SIM905 - a list would fill a page
)


def unparse(node: Node, *, file: bool = False) -> str:
    """The formula's text without "="; `file` writes newer functions with the `_xlfn.` that files need."""
    return _Printer(file).text(node, 0)


class _Printer:
    def __init__(self, file: bool) -> None:
        self.file = file

    def text(self, node: Node, least: int) -> str:
        """The node's text, in parentheses if it binds looser than `least`."""
        plain = self.plain(node)
        return f"({plain})" if _binding(node) < least else plain

    def plain(self, node: Node) -> str:
        match node:
            case Name(name, sheet):
                return name if sheet is None else f"{quote_sheet(sheet)}!{name}"
            case Binary(operator, left, right):
                level = _PRECEDENCE[operator]
                parts = [operator + self.text(right, level + 1)]
                while isinstance(left, Binary) and _binding(left) >= level:
                    level = _PRECEDENCE[left.operator]
                    parts.append(left.operator + self.text(left.right, level + 1))
                    left = left.left
                return self.text(left, level) + "".join(reversed(parts))
            case Call(name, arguments):
                # A union needs its own parentheses here: a bare comma would part two arguments.
                prefix = "_xlfn." if self.file and name in FILE_PREFIXED else ""
                return f"{prefix}{name}({','.join(self.text(item, 0) for item in arguments)})"
            case Number(value):
                return number_text(value)
            case Reference():
                return reference_text(node)
            case Unary("@", operand) if self.file:
                return f"_xlfn.SINGLE({self.text(operand, 0)})"
            case Unary(operator, operand):
                return operator + self.text(operand, _UNARY)
            case Percent(operand):
                return self.text(operand, _PERCENT) + "%"
            case Text(value):
                return '"' + value.replace('"', '""') + '"'
            case Boolean(value):
                return "TRUE" if value else "FALSE"
            case ErrorValue(error):
                return error.text
            case Missing():
                return ""
            case ArrayConstant(rows):
                return "{" + ";".join(",".join(self.plain(item) for item in row) for row in rows) + "}"
            case TableReference() | Unsupported():
                return node.text
        raise TypeError(f"{type(node).__name__} is no node of a formula")


def _binding(node: Node) -> int:
    """How tightly a node holds together; a union always asks for parentheses."""
    if isinstance(node, Binary):
        return -1 if node.operator == "," else _PRECEDENCE[node.operator]
    if isinstance(node, Percent):
        return _PERCENT
    if isinstance(node, Unary) or (isinstance(node, Number) and node.value < 0):
        return _UNARY
    return _ATOM


def number_text(value: float) -> str:
    """The shortest text that reads back as the same double, as a formula writes it."""
    text = repr(float(value))
    if text.endswith(".0"):
        text = text[:-2]
    return text.replace("e", "E")


def reference_text(node: Reference) -> str:
    """`'Block 0'!$C$5:$BN$20`."""
    first_column, last_column = letters(node.left, node.left_fixed), letters(node.right, node.right_fixed)
    first_row = ("$" if node.top_fixed else "") + str(node.top)
    last_row = ("$" if node.bottom_fixed else "") + str(node.bottom)
    if node.whole == "columns":
        text = f"{first_column}:{last_column}"
    elif node.whole == "rows":
        text = f"{first_row}:{last_row}"
    else:
        text = first_column + first_row
        if last_column + last_row != text:
            text += f":{last_column}{last_row}"
    return text if node.sheet is None else f"{quote_sheet(node.sheet)}!{text}"
