"""Colours that mean something, the same on every sheet: tints of the palette of Okabe and Ito (2008).

Readers with any kind of colour vision tell its hues apart (https://jfly.uni-koeln.de/color/). In print without colour
the tints are close to each other, so a heading also says in words what its colour says.
"""

from __future__ import annotations

from typing import NamedTuple


class Tint(NamedTuple):
    """A role's colour: of headings, and of the cells below them (None where they stay white)."""

    heading: str
    cells: str | None


ROLES = {
    "input": Tint("F7EC6E", "FFFBD1"),
    "parameter": Tint("93D3BF", "E6F5F0"),
    "activation": Tint("A9D8F5", "F3FAFE"),
    "intermediate": Tint("D9D9D9", None),
    "output": Tint("F0B183", "FDF0E6"),
}

# Cells that a condition sets off.
SHADES = {
    "word": "DCEEFB",
    "chip": "A9D8F5",
    "other chip": "F6D5BC",
    "right": "BFE5D8",
    "wrong": "F0B183",
    "open": "FFFBD1",
    "faint": "EDEDED",
    **{f"surprise {depth}": tint for depth, tint in enumerate(("FDF0E6", "F6D5BC", "F0B183", "E58A4A"), start=1)},
}

INK, LINK, GREY, PADDING, CODE = "1F2A44", "0563C1", "595959", "A6A6A6", "7F4A00"
AXIS = "F2F2F2"
# Heat from white to sky blue, on which black can still be read; streams from blue over white to orange.
HEAT = ("FFFFFF", "56B4E9")
STREAM = ("6FA8D6", "FFFFFF", "F0A35E")
TABS = {
    "front": "F0E442",
    "model": "56B4E9",
    "guide": "D55E00",
    "tables": "BFBFBF",
    "weights": "009E73",
    "runs": "CC79A7",
}
