"""XML without surprises: expat with document types refused, and names freed of the two namespaces.

A workbook is written in the transitional or in the strict namespaces (ECMA-376 part 1, annex A; part 4). Document
type declarations have no place in a package (part 2, 8.1.4), and entities are how a small file becomes a large one.
"""

from __future__ import annotations

from typing import Any, NoReturn
from xml.etree import ElementTree as ET
from xml.parsers import expat

from gpt2xl.errors import WorkbookError
from gpt2xl.xlsx.limits import TREE_DEPTH

MAIN = (
    "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
    "http://purl.oclc.org/ooxml/spreadsheetml/main",
)
RELATIONSHIPS = (
    "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
    "http://purl.oclc.org/ooxml/officeDocument/relationships",
)


def _refuse_doctype(*_: object) -> NoReturn:
    raise WorkbookError("it holds a document type declaration, which no workbook needs")


def sheet_parser() -> expat.XMLParserType:
    """An expat parser that gives names as `namespace}name`."""
    parser = expat.ParserCreate(namespace_separator="}")
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.buffer_text = True
    return parser


class _Builder(ET.TreeBuilder):
    _depth = 0

    def doctype(self, *_: object) -> None:
        _refuse_doctype()

    def start(self, tag: str, attrs: dict[str, str], /) -> ET.Element:
        self._depth += 1
        if self._depth > TREE_DEPTH:
            raise WorkbookError(f"its elements are nested more than {TREE_DEPTH} deep")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> ET.Element:
        self._depth -= 1
        return super().end(tag)


def parse_tree(data: bytes) -> ET.Element:
    """A small part as a tree; raises `WorkbookError` where it is no well-formed XML."""
    parser = ET.XMLParser(target=_Builder())
    try:
        parser.feed(data)
        root: Any = parser.close()
    except ET.ParseError as error:
        raise WorkbookError(f"it is no well-formed XML ({error})") from error
    if not isinstance(root, ET.Element):
        raise WorkbookError("it is no XML")
    return root


def whole_number(text: str) -> int | None:
    """The number that up to ten decimal digits spell, else None: an attribute may hold millions of them."""
    text = text.strip()
    return int(text) if text.isdecimal() and len(text) <= 10 else None


def local_name(tag: str) -> str:
    return tag.rpartition("}")[2]


def relation_id(element: ET.Element) -> str | None:
    """The attribute r:id, in either namespace."""
    for namespace in RELATIONSHIPS:
        if (value := element.get(f"{{{namespace}}}id")) is not None:
            return value
    return None
