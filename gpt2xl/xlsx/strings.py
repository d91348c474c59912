"""The table of shared strings (ECMA-376 part 1, 18.4.9: sst)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.parsers import expat

from gpt2xl.errors import WorkbookError
from gpt2xl.xlsx.text import unescape_text
from gpt2xl.xlsx.xml import MAIN, sheet_parser

if TYPE_CHECKING:
    from collections.abc import Iterable


def read_strings(pieces: Iterable[bytes]) -> list[str]:
    """All strings, with the runs of rich text joined and without phonetic hints."""
    strings: list[str] = []
    parts: list[str] = []
    phonetic = 0
    names = {f"{namespace}}}{tag}": tag for namespace in MAIN for tag in ("si", "t", "rPh")}
    parser = sheet_parser()

    def start(name: str, _: dict[str, str]) -> None:
        nonlocal phonetic
        tag = names.get(name)
        if tag == "t":
            if not phonetic:
                parser.CharacterDataHandler = parts.append
        elif tag == "si":
            parts.clear()
        elif tag == "rPh":
            phonetic += 1

    def end(name: str) -> None:
        nonlocal phonetic
        tag = names.get(name)
        if tag == "t":
            parser.CharacterDataHandler = None
        elif tag == "si":
            strings.append(unescape_text("".join(parts)))
        elif tag == "rPh":
            phonetic -= 1

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    try:
        for piece in pieces:
            parser.Parse(piece, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise WorkbookError(f"it is no well-formed XML ({error})") from error
    return strings
