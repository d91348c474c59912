"""Text as the file holds it: XML escapes and the `_xHHHH_` escapes of ST_Xstring (ECMA-376 part 1, 22.9.2.19).

XML 1.0 cannot hold most control characters, U+FFFE, U+FFFF or half a surrogate pair, and a parser turns a
carriage return into a line feed. The format writes each of them as `_x`, four hexadecimal digits of the UTF-16
unit, `_`; so a text that merely looks like such an escape has its first underscore escaped as `_x005F_`.
"""

from __future__ import annotations

import re

from gpt2xl.a1 import MAX_CELL_TEXT, MAX_FORMULA_TEXT
from gpt2xl.errors import LimitError

_FORBIDDEN = "\x00-\x08\x0b-\x1f\ufffe\uffff\ud800-\udfff"
# An underscore that a reader would take for the beginning of an escape. What closes it may itself be the
# underscore of the escape that we are about to write for a forbidden character.
_UNESCAPED = re.compile(f"_(?=x[0-9A-Fa-f]{{4}}(?:_|[{_FORBIDDEN}]))|[{_FORBIDDEN}]")
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


def _escape(match: re.Match[str]) -> str:
    return f"_x{ord(match[0]):04X}_"


def _unescape(match: re.Match[str]) -> str:
    return chr(int(match[1], 16))


def utf16_length(text: str) -> int:
    """The length of `text` as Excel counts it, in UTF-16 units."""
    return len(text) + sum(character > "\uffff" for character in text)


def escape_xml(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cell_text(text: str) -> bytes:
    """The content of `<t>`, or of `<v>` beside `t="str"`; raises `LimitError` where it is too long for a cell."""
    if len(text) * 2 > MAX_CELL_TEXT and (length := utf16_length(text)) > MAX_CELL_TEXT:
        raise LimitError(f"a text of {length:,} characters exceeds Excel's limit of {MAX_CELL_TEXT:,} a cell")
    if text.isalnum() and text.isascii():
        return text.encode()
    return escape_xml(_UNESCAPED.sub(_escape, text)).encode()


def result_text(text: str, prefix: bytes = b"") -> bytes:
    """The element v of a formula whose result is text."""
    # The schema knows no attribute here, but Excel writes this one, its SDK accepts it, and without it LibreOffice
    # drops spaces at both ends.
    space = b' xml:space="preserve"' if text != text.strip() else b""
    return b"<%bv%b>%b</%bv>" % (prefix, space, cell_text(text), prefix)


def formula_text(text: str) -> bytes:
    """The content of `<f>`; raises `LimitError` where it is too long for a formula."""
    if len(text) * 2 > MAX_FORMULA_TEXT and (length := utf16_length(text)) > MAX_FORMULA_TEXT:
        raise LimitError(f"a formula of {length:,} characters exceeds Excel's limit of {MAX_FORMULA_TEXT:,}")
    if found := _NOT_XML.search(text):
        raise ValueError(f"a formula cannot hold U+{ord(found[0]):04X}; use UNICHAR")
    return escape_xml(text).replace("\r", "&#13;").encode()


def unescape_text(text: str) -> str:
    """What the content of `<t>` or of a string's `<v>`, already free of XML escapes, stands for."""
    if "_x" not in text:
        return text
    text = _ESCAPED.sub(_unescape, text)
    if re.search("[\ud800-\udbff][\udc00-\udfff]", text):  # a pair escaped as two halves is one character
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return text
