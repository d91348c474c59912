"""Workbooks with one thing, or a few, made wrong: the same seed and number give the same file.

What is damaged is a small book that has of everything a little, workbooks that Excel and LibreOffice saved
(tests/data/audit), and a workbook of ours. The damage is done to the zip file's bytes, to the bytes of a part, to the
structure of its XML, or to the text of a formula.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from random import Random
from xml.etree import ElementTree as ET

from random_formulas import Maker

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"

Parts = dict[str, bytes]

# What is put in the place of an attribute's value, of a text or of a number.
ODD = (
    *("", " ", "0", "-1", "1", "2", "3", "1.5", "NaN", "INF", "-INF", "1e999", "1E308", "-1E308", "5e-324", "1_000"),
    *("0x10", "٣", "²", "½", "99999999999999999999", "true", "s", "b", "e", "d", "str", "inlineStr", "shared", "array"),
    *("A1", "XFD1048576", "A1048577", "XFE1", "A0", "A1:A1048576", "B2:A1", "A1:XFD1048576", "$A$1", "a1", "A1 ", "A"),
    *(
        "1:1",
        "A:A",
        "#REF!",
        "#N/A",
        "#FOO!",
        "TRUE",
        "\u0000",
        "\ud83d",
        "_x0041_",
        "_xD83D_",
        "text",
        "🙂",
        "x" * 300,
    ),
    *("2020-01-01", "9999-12-31T23:59:59.999", "0001-01-01", "25:61", "1900-02-29", "../../etc/passwd", "/", "\\"),
    *("rId1", "xl/worksheets/sheet1.xml", "http://example.org/", "worksheet", "x.bin", "hidden", "veryHidden", "1,2"),
)
# What is put into formulas, between what stands there.
WORDS = (
    *("1E308", "-1", "0", "1048577", "1E-320", '""', '"*?~"', '"a"', "TRUE", "#N/A", "A1:XFD1048576", "A:A", "1:1"),
    *("A1", "$B$2", "Other!A1", "'No such'!A1", "[1]Book!A1", "Sheet1:Other!A1", "rates", "loop", "unknown.name"),
    *("Sales[Price]", "Sales[[#This Row],[Price]]", "Sales[", "{1,2;3,4}", "{1;2,3}", "{}", "(", ")", ",", ";", ":"),
    *("+", "-", "^", "&", "=", "<>", "%", "@", "#", "!", '"', "'", " ", "~", "SUM(", "INDEX(A:A,", "OFFSET(A1,"),
    *("INDIRECT(", "LAMBDA(x,x)", "LET(x,1,x)", "_xlfn.XLOOKUP(", "IF(", "ROW(1:1048576)", "COLUMN(A:XFD)", "1E9"),
    *("NOW()", "RAND()", "A1#", "-" * 90, "(" * 90, "\x01", "\ud83d", "🙂", "1" * 400, "R1C1", "_xlws.SORT("),
)


def small_book() -> Parts:
    """A book of two sheets that has of everything a little."""
    dense = "".join(
        f'<row r="{row}">'
        + "".join(f'<c r="{chr(65 + column)}{row}"><v>{row * column / 8}</v></c>' for column in range(14))
        + "</row>"
        for row in range(20, 25)
    )
    bare = "".join(f"<row>{'<c><v>0.5</v></c>' * 24}</row>" for _ in range(3))
    first = f"""<?xml version="1.0" encoding="UTF-8"?>
<worksheet xmlns="{MAIN}" xmlns:r="{RELATIONS}"><dimension ref="A1:N27"/><sheetData>
<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c>
<c r="C1" t="inlineStr"><is><t>_x0041_</t></is></c></row>
<row r="2"><c r="A2"><v>1.5</v></c><c r="B2"><f>A2*2+rates</f><v>4</v></c><c r="C2" t="b"><v>1</v></c>
<c r="D2" t="e"><v>#N/A</v></c><c r="E2" t="d"><v>2020-02-29T12:00:00</v></c></row>
<row r="3" hidden="1"><c r="A3"><v>2</v></c><c r="B3"><f t="shared" ref="B3:B6" si="0">A3*$A$2</f><v>3</v></c>
<c r="C3" t="str"><f>A1&amp;"!"&amp;TEXT(A3,"0.00")</f><v>price!2.00</v></c></row>
<row r="4"><c r="A4"><v>3</v></c><c r="B4"><f t="shared" si="0"/><v>4.5</v></c>
<c r="C4"><f>SUBTOTAL(109,A2:A6)</f><v>1</v></c></row>
<row r="5"><c r="A5"><v>4</v></c><c r="B5"><f t="shared" si="0"/><v>6</v></c>
<c r="C5"><f t="array" ref="C5:D6">MMULT(A2:A3,TRANSPOSE(A4:A5))</f><v>4.5</v></c><c r="D5"><v>6</v></c></row>
<row r="6"><c r="A6"><v>5</v></c><c r="B6"><f t="shared" si="0"/><v>7.5</v></c><c r="C6"><v>6</v></c>
<c r="D6"><v>8</v></c></row>
<row r="8"><c r="A8"><f>IFERROR(VLOOKUP(2,A2:B6,2,FALSE),Other!A1)</f><v>3</v></c>
<c r="B8"><f>SUMIFS(B2:B6,A2:A6,"&gt;2")</f><v>18</v></c>
<c r="C8"><f>INDEX(Other!A1:B3,MATCH("b*",Other!A1:A3,0),2)</f><v>2</v></c>
<c r="D8"><f t="dataTable" ref="D8:D9" dt2D="0" dtr="0" r1="A2"/><v>1</v></c></row>
<row r="9"><c r="A9"><f>SUM(Sales[Price])+SUM(A:A)</f></c><c r="B9"><f>PMT(rates,12,1000)</f><v>1</v></c>
<c r="C9"><f>DATE(2020,A3,1)+WEEKDAY(E2)</f><v>1</v></c></row>
{dense}{bare}</sheetData><autoFilter ref="A1:B6"><filterColumn colId="0"/></autoFilter>
<tableParts count="1"><tablePart r:id="rId1"/></tableParts></worksheet>"""
    other = f"""<worksheet xmlns="{MAIN}"><sheetData><row><c t="s"><v>2</v></c><c><v>1</v></c></row>
<row><c t="s"><v>3</v></c><c><v>2</v></c></row><row r="3"><c r="A3" t="str"><v>b c</v></c>
<c r="B3"><f>COUNTIF(A1:A3,"b*")</f><v>2</v></c></row></sheetData></worksheet>"""
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    relation = f'<Relationship Type="{RELATIONS}/'
    relations = f'<Relationships xmlns="{PACKAGE}/relationships">'
    texts = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/></Types>',
        "_rels/.rels": f'{relations}{relation}officeDocument" Id="rId1" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><workbookPr date1904="0"/><sheets>'
        '<sheet name="Sheet1" sheetId="1" r:id="rId1"/><sheet name="Other" sheetId="2" state="hidden" r:id="rId2"/>'
        '</sheets><definedNames><definedName name="rates">Other!$B$1</definedName>'
        '<definedName name="loop">loop2+1</definedName><definedName name="loop2">loop</definedName>'
        '<definedName name="prompt" localSheetId="0">Sheet1!$A$1</definedName></definedNames>'
        '<calcPr fullPrecision="1"/></workbook>',
        "xl/_rels/workbook.xml.rels": f'{relations}{relation}worksheet" Id="rId1" Target="worksheets/sheet1.xml"/>'
        f'{relation}worksheet" Id="rId2" Target="/xl/worksheets/sheet2.xml"/>'
        f'{relation}sharedStrings" Id="rId3" Target="sharedStrings.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": first,
        "xl/worksheets/_rels/sheet1.xml.rels": f'{relations}{relation}table" Id="rId1" Target="../tables/table1.xml"/>'
        "</Relationships>",
        "xl/worksheets/sheet2.xml": other,
        "xl/sharedStrings.xml": f'<sst xmlns="{MAIN}"><si><t>price</t></si><si><r><t>to</t></r><r><t>tal</t></r></si>'
        "<si><t>a</t></si><si><t>b</t><rPh><t>x</t></rPh></si></sst>",
        "xl/tables/table1.xml": f'<table xmlns="{MAIN}" id="1" name="Sales" displayName="Sales" ref="A1:B6">'
        '<autoFilter ref="A1:B6"/><tableColumns count="2"><tableColumn id="1" name="Price"/>'
        '<tableColumn id="2" name="Total"/></tableColumns></table>',
    }
    return {name: text.encode() for name, text in texts.items()}


def parts_of(path: Path) -> Parts:
    """The parts of a workbook file."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(parts: Parts, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """The parts as a zip file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in parts.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return stream.getvalue()


def mutated(parts: Parts, number: int, seed: str = "gpt2xl") -> tuple[str, bytes]:
    """Case `number` of a book: what was done to it, and the file."""
    random = Random(f"{seed} {number}")
    how = random.choices([_zip, _bytes, _structure, _formula, _package], [2, 2, 6, 6, 1])[0]
    name = how.__name__.strip("_")
    if how is _zip:
        return name, _damaged(random, packed(parts))
    if how is _package:
        return name, _package(random, dict(parts))
    changed = dict(parts)
    for _ in range(random.choice([1, 1, 1, 2, 5])):
        part = _part(random, changed)
        changed[part] = how(random, changed[part])
    return name, packed(changed, random.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))


def _part(random: Random, parts: Parts) -> str:
    """One of the parts that are read; sheets more often than others."""
    sheets = [name for name in parts if name.startswith("xl/worksheets/sheet")]
    others = [name for name in parts if name.endswith((".xml", ".rels")) and "theme" not in name]
    return random.choice(sheets if sheets and random.random() < 0.6 else others)


def _zip(random: Random, data: bytes) -> bytes:
    return _damaged(random, data)


def _bytes(random: Random, data: bytes) -> bytes:
    return _damaged(random, data)


def _damaged(random: Random, data: bytes) -> bytes:
    """Bytes changed, left out, doubled or cut off."""
    broken = bytearray(data)
    for _ in range(random.choice([1, 1, 2, 8])):
        at, size = random.randrange(len(broken) + 1), random.choice([1, 1, 4, 40, 400])
        match random.randrange(6):
            case 0:
                broken[at : at + 1] = bytes([random.randrange(256)])
            case 1:
                del broken[at : at + size]
            case 2:
                broken[at:at] = broken[at : at + size]
            case 3:
                other = random.randrange(len(broken) + 1)
                broken[at : at + size] = broken[other : other + size]
            case 4:
                broken[at:at] = random.choice([b"<", b">", b"&", b"\0", b'"', b"\xff", b"]]>", b"<!--", b"&lt;", b"-"])
            case 5 if random.random() < 0.2:
                del broken[at:]
    return bytes(broken)


def _structure(random: Random, data: bytes) -> bytes:
    """Elements dropped, doubled, moved, renamed, emptied; attributes and texts exchanged."""
    try:
        root = ET.fromstring(data)
    except ET.ParseError:  # damaged already
        return _damaged(random, data)
    for _ in range(random.choice([1, 1, 2, 4])):
        elements = list(root.iter())
        inner = [(parent, child) for parent in elements for child in parent]
        if not inner:
            break
        parent, child = random.choice(inner)
        match random.randrange(9):
            case 0:
                parent.remove(child)
            case 1:
                parent.insert(random.randrange(len(parent) + 1), child)
            case 2:
                target = random.choice(elements)
                if target not in list(child.iter()):
                    target.insert(random.randrange(len(target) + 1), child)
            case 3:
                child.tag = random.choice(elements).tag
            case 4 if child.attrib:
                child.attrib[random.choice(list(child.attrib))] = random.choice(ODD)
            case 5 if child.attrib:
                del child.attrib[random.choice(list(child.attrib))]
            case 6:
                child.attrib[random.choice(["r", "t", "s", "si", "ref", "hidden", "name", "id"])] = random.choice(ODD)
            case _:
                leaves = [element for element in elements if element.text and element.text.strip()]
                random.choice(leaves or elements).text = random.choice(ODD)
    return ET.tostring(root).replace(b"\0", b"").replace(b"&#55357;", b"")


def _formula(random: Random, data: bytes) -> bytes:
    """A formula with words exchanged, or another one altogether."""
    try:
        root = ET.fromstring(data)
    except ET.ParseError:
        return _damaged(random, data)
    formulas = [element for element in root.iter() if element.tag.endswith(("}f", "}definedName"))]
    if not formulas:
        return _structure(random, data)
    for element in random.choices(formulas, k=random.choice([1, 2, 6])):
        element.text = _rewritten(random, element.text or "").replace("\x01", "").replace("\ud83d", "")
    return ET.tostring(root)


def _rewritten(random: Random, text: str) -> str:
    if random.random() < 0.5 or not text:
        text = Maker(random.randrange(1 << 30), wild=0.3).formula(random.randint(1, 4)).removeprefix("=")
    for _ in range(random.choice([0, 1, 1, 2, 4])):
        at = random.randrange(len(text) + 1)
        match random.randrange(5):
            case 0:
                text = text[:at] + text[at + random.choice([1, 1, 5]) :]
            case 1:
                text = text[:at] + random.choice(WORDS) + text[at:]
            case 2:
                end = random.randrange(at, len(text) + 1)
                text = text[:at] + text[at:end] * 2 + text[end:]
            case _:
                # A whole operand exchanged, so that what comes of it is a formula more often than not.
                ends = [place for place, letter in enumerate(text) if letter in "(,"]
                begin = random.choice(ends) + 1 if ends else 0
                stop = next((p for p in range(begin, len(text)) if text[p] in ",)"), len(text))
                text = text[:begin] + random.choice(WORDS) + text[stop:]
    return text


def _package(random: Random, parts: Parts) -> bytes:
    """Parts left out, exchanged, doubled, renamed, of other compression."""
    names = list(parts)
    first, second = random.choice(names), random.choice(names)
    match random.randrange(6):
        case 0:
            del parts[first]
        case 1:
            parts[first], parts[second] = parts[second], parts[first]
        case 2:
            parts[first.swapcase()] = parts.pop(first)
        case 3:
            parts["../../" + first] = parts.pop(first)
        case 4:
            return packed(parts, random.choice([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))
        case 5:
            whole = packed(parts)
            return random.choice([whole + packed(parts), b"PK" + whole, whole[: len(whole) // 2] + whole, whole * 2])
    return packed(parts)
