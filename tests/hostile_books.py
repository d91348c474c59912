"""Workbooks made to harm whoever reads them, each a few kilobytes of markup."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from xml.sax.saxutils import escape

from mutated_books import MAIN, PACKAGE, RELATIONS, packed

from gpt2xl.a1 import column_letters

BOOK = "xl/workbook.xml"
SHEET = "xl/worksheets/sheet1.xml"


def worksheet(rows: str, before: str = "", after: str = "") -> bytes:
    """A worksheet part around the rows of sheetData."""
    return f'<worksheet xmlns="{MAIN}">{before}<sheetData>{rows}</sheetData>{after}</worksheet>'.encode()


def formulas(*texts: str) -> str:
    """Rows with a formula in column A each, without a stored value."""
    return "".join(f"<row><c><f>{escape(text)}</f></c></row>" for text in texts)


def parts(sheet: bytes, *, names: dict[str, str] | None = None, sheets: int = 1, prolog: str = "") -> dict[str, bytes]:
    """A package with `sheets` worksheets that are all alike, and defined names."""
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    relation = f'<Relationship Type="{RELATIONS}/'
    numbers = range(1, sheets + 1)
    listed = "".join(f'<sheet name="Sheet{n}" sheetId="{n}" r:id="rId{n}"/>' for n in numbers)
    defined = "".join(
        f'<definedName name="{name}">{escape(text)}</definedName>' for name, text in (names or {}).items()
    )
    targets = "".join(f'{relation}worksheet" Id="rId{n}" Target="worksheets/sheet{n}.xml"/>' for n in numbers)
    return {
        "[Content_Types].xml": (
            f'<Types xmlns="{PACKAGE}/content-types"><Override PartName="/{BOOK}" ContentType="{kind}.sheet.main+xml"/>'
            "</Types>"
        ).encode(),
        "_rels/.rels": (
            f'<Relationships xmlns="{PACKAGE}/relationships">{relation}officeDocument" Id="rId1" Target="{BOOK}"/>'
            "</Relationships>"
        ).encode(),
        BOOK: (
            f'{prolog}<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><sheets>{listed}</sheets>'
            f"<definedNames>{defined}</definedNames></workbook>"
        ).encode(),
        "xl/_rels/workbook.xml.rels": (
            f'<Relationships xmlns="{PACKAGE}/relationships">{targets}</Relationships>'
        ).encode(),
        **{f"xl/worksheets/sheet{n}.xml": sheet for n in numbers},
    }


CASES: dict[str, Callable[[], bytes]] = {}
# What opening or recalculating each of them says, as a regular expression; "" where it is read without complaint.
SAID: dict[str, str] = {}
Maker = Callable[[], dict[str, bytes] | bytes]


def case(said: str) -> Callable[[Maker], Maker]:
    """Register the maker of a file by its name."""

    def register(maker: Maker) -> Maker:
        def made() -> bytes:
            content = maker()
            return content if isinstance(content, bytes) else packed(content)

        name = maker.__name__
        CASES[name], SAID[name] = made, said
        return maker

    return register


def formula(name: str, said: str, *texts: str, rows: str = "", names: dict[str, str] | None = None) -> None:
    """Register a workbook with formulas, below other rows."""

    def maker() -> dict[str, bytes]:
        return parts(worksheet(rows + formulas(*texts)), names=names)

    maker.__name__ = name
    case(said)(maker)


# Zip files.


@case("would expand")
def part_bomb() -> dict[str, bytes]:
    return parts(worksheet("<row/>", after=" " * (70 << 20)))


@case("whole file would expand")
def many_parts_bomb() -> dict[str, bytes]:
    return parts(worksheet("<row/>", after=" " * (30 << 20)), sheets=9)


@case("larger than it says")
def declared_too_small() -> bytes:
    data = worksheet("<row/>", after=" " * 5_000_000)
    return packed(parts(data)).replace(struct.pack("<L", len(data)), struct.pack("<L", 300))


@case("larger than it says|CRC-32")
def declared_too_small_and_read_whole() -> bytes:
    content = parts(worksheet(""))
    content[BOOK] += b" " * 5_000_000
    return packed(content).replace(struct.pack("<L", len(content[BOOK])), struct.pack("<L", 300))


@case("method 12")
def other_compression() -> bytes:
    return packed(parts(worksheet("<row/>" * 1000)), zipfile.ZIP_BZIP2)


@case("holds the part .* twice")
def part_twice() -> dict[str, bytes]:
    content = parts(worksheet(""))
    return content | {SHEET.upper(): content[SHEET]}


@case("another sheet already")
def sheets_of_one_part() -> dict[str, bytes]:
    content = parts(worksheet(formulas("1")))
    more = "".join(f'<sheet name="S{n}" sheetId="{n}" r:id="rId1"/>' for n in range(2, 1000))
    return content | {BOOK: content[BOOK].replace(b"</sheets>", more.encode() + b"</sheets>")}


@case("")
def names_that_are_paths() -> dict[str, bytes]:
    outside = dict.fromkeys(("../outside.txt", "/outside.txt", "C:\\outside.txt", "..\\outside.txt"), b"x")
    return parts(worksheet("<row><c><v>1</v></c></row>")) | outside


@case("has no part etc/passwd")
def target_that_is_a_path() -> dict[str, bytes]:
    content = parts(worksheet(""))
    rels = "xl/_rels/workbook.xml.rels"
    return content | {rels: content[rels].replace(b"worksheets/sheet1.xml", b"../../../../etc/passwd")}


@case("has no part")
def sheet_on_the_network() -> dict[str, bytes]:
    content = parts(worksheet(""))
    rels = "xl/_rels/workbook.xml.rels"
    return content | {rels: content[rels].replace(b"worksheets/sheet1.xml", b"http://localhost:9/sheet1.xml")}


# XML.

LAUGHS = "<!DOCTYPE x [<!ENTITY a0 'ha'>" + "".join(f"<!ENTITY a{n + 1} '{f'&a{n};' * 10}'>" for n in range(9))
OUTSIDE = "<!DOCTYPE x [<!ENTITY a9 SYSTEM 'file:///etc/passwd'>"


@case("document type")
def entities_in_the_workbook() -> dict[str, bytes]:
    return parts(worksheet(""), names={"a": "1"}, prolog=LAUGHS + "]>")


@case("document type")
def entities_in_a_sheet() -> dict[str, bytes]:
    return parts(f"{LAUGHS}]>".encode() + worksheet('<row><c t="str"><v>&a9;</v></c></row>'))


@case("document type")
def file_in_a_sheet() -> dict[str, bytes]:
    return parts(f"{OUTSIDE}]>".encode() + worksheet('<row><c t="str"><v>&a9;</v></c></row>'))


@case("document type")
def file_in_the_workbook() -> dict[str, bytes]:
    return parts(worksheet(""), prolog=OUTSIDE + "]>")


@case("nested more than 64 deep")
def deep_elements() -> dict[str, bytes]:
    return parts(worksheet("<a>" * 1_000_000))


@case("nested more than 64 deep")
def deep_elements_around() -> dict[str, bytes]:
    return parts(worksheet("", before="<a>" * 1_000_000))


@case("nested more than 64 deep")
def deep_elements_in_the_workbook() -> dict[str, bytes]:
    content = parts(worksheet(""))
    return content | {BOOK: content[BOOK].replace(b"</sheets>", b"</sheets>" + b"<a>" * 1_000_000)}


@case("outside of the rows")
def cells_in_cells() -> dict[str, bytes]:
    return parts(worksheet("<row>" + "<c>" * 1_000_000))


@case("inside of another row")
def rows_in_rows() -> dict[str, bytes]:
    return parts(worksheet("<row>" * 1_000_000))


@case("holds another")
def values_in_values() -> dict[str, bytes]:
    return parts(worksheet("<row><c>" + "<v>" * 1_000_000))


@case("at most 16 MiB")
def large_workbook_part() -> dict[str, bytes]:
    content = parts(worksheet(""))
    return content | {BOOK: content[BOOK].replace(b"</sheets>", b"</sheets>" + b" " * (17 << 20))}


@case("no row number")
def digits_without_end() -> dict[str, bytes]:
    return parts(worksheet(f'<row r="{"1" * 100_000}"/>'))


@case("")
def tag_of_a_million_signs() -> dict[str, bytes]:
    return parts(worksheet(f'<row r="2" a="{">" * 1_000_000}"><c r="A2"><v>1</v></c></row>'))


# Sizes.


@case("")
def million_empty_rows() -> dict[str, bytes]:
    return parts(worksheet("<row/>" * 1_048_576))


@case("outside Excel's")
def rows_beyond_the_last() -> dict[str, bytes]:
    return parts(worksheet("<row/>" * 1_048_577))


@case("no cell reference|outside Excel's")
def row_far_below() -> dict[str, bytes]:
    return parts(worksheet('<row r="4000000000"><c r="A4000000000"><v>1</v></c></row>'))


@case("")
def corners() -> dict[str, bytes]:
    far = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    return parts(worksheet(f"<row><c><v>1</v></c></row>{far}", before='<dimension ref="A1:XFD1048576"/>'))


@case("scattered too far")
def scattered_cells() -> dict[str, bytes]:
    rows = ""
    for row in range(32, 1 << 20, 32):
        rows += f'<row r="{row}"><c r="{column_letters(row * 7919 % 16_000 + 300)}{row}"><v>1</v></c></row>'
    return parts(worksheet(rows))


@case("fill 17,179,869,184 cells")
def array_of_a_sheet() -> dict[str, bytes]:
    return parts(worksheet('<row><c><f t="array" ref="A1:XFD1048576">1</f></c></row>'))


@case("fill 17,179,869,184 cells")
def data_table_of_a_sheet() -> dict[str, bytes]:
    return parts(worksheet('<row><c><f t="dataTable" ref="A1:XFD1048576" r1="A1"/></c></row>'))


@case("fill .* cells that it does not hold")
def arrays_on_many_sheets() -> dict[str, bytes]:
    return parts(worksheet('<row><c><f t="array" ref="A1:A1000000">1</f></c></row>'), sheets=9)


@case("")
def hidden_row_of_many_digits() -> dict[str, bytes]:
    rows = '<row r="1"><c><f>SUBTOTAL(109,B1:B9)</f></c></row><row r="2" hidden="1" ht="1"/>'
    return parts(worksheet(rows, after=f'<row r="{"9" * 9999}" hidden="1"/>'))


# Formulas.

formula("formula_of_a_megabyte", "8,192", "+".join(["1"] * 1_000_000))
formula("text_of_a_megabyte", "8,192", f'"{"a" * 1_000_000}"')
formula("deep_calls", "too deeply", "IF(TRUE," * 500 + "1" + ")" * 500)
formula("deep_parentheses", "too deeply", "(" * 5000 + "1" + ")" * 5000)
formula("many_signs", "too deeply", "-" * 900 + "1")
formula("many_percents", "too deeply", "1" + "%" * 8000)
formula("long_sum", "", "^".join("1" * 4000))
formula("number_of_many_digits", "larger than any", "9" * 8000)
formula("names_in_a_circle", "circular reference", "first", names={"first": "second+1", "second": "first"})
formula(
    "names_in_a_chain",
    "more than 64",
    "name_0",
    names={f"name_{n}": f"name_{n + 1}" for n in range(5000)} | {"name_5000": "1"},
)
formula(
    "names_that_double",
    "more than 4,096",
    "name_0",
    names={f"name_{n}": f"name_{n + 1}+name_{n + 1}" for n in range(40)} | {"name_40": "Sheet1!$B$1"},
)
formula("cells_in_a_circle", "circular reference", "A2", "A1")
formula(
    "rows_by_columns",
    "asks for an array",
    "SUM(ROW(1:1048576)*COLUMN(A:XFD))",
    "SUMPRODUCT(ROW(1:1048576)*COLUMN(A:XFD))",
)
formula("product_too_large", "asks for an array", "SUMPRODUCT(MMULT(ROW(1:1048576),COLUMN(A:XFD)))")
formula("turned_too_large", "asks for an array", "SUMPRODUCT(ROW(1:100000)*TRANSPOSE(ROW(1:10000)))")
formula(
    "whole_sheet",
    "mostly empty",
    "SUM(B:XFD)",
    rows='<row r="1"><c r="A1"><v>1</v></c></row><row r="1048000"><c r="XFD1048000"><v>1</v></c></row>',
)
formula("texts_that_double", "", 'REPT("a",20000)', *(f"A{n}&A{n}" for n in range(1, 60)))
formula(
    "texts_that_multiply",
    "",
    'SUBSTITUTE(REPT("a",32767),"a",REPT("b",32767))',
    *['REPT("a",32767)'] * 300,
    "TEXTJOIN(A1,FALSE,A1:A301)",
)
formula(
    "many_stars",
    "",
    f'COUNTIF(B1:B1,"{"*a" * 12}*b")',
    f'MATCH("{"*a" * 12}*b",B1:B1,0)',
    f'SEARCH("{"a*" * 12}b",B1)',
    rows=f'<row><c/><c t="str"><v>{"a" * 32_767}</v></c></row>',
)
formula(
    "numbers_without_end",
    "",
    *(
        "COMBIN(1E9,5E8)",
        "COMBIN(2000,1000)",
        "PERMUT(1E9,1E8)",
        "PERMUT(1E300,170)",
        "MULTINOMIAL(1E9,1E9)",
        "FACT(1E9)",
    ),
    *(
        "PERMUTATIONA(1E300,1E300)",
        "FIXED(1E300,-1E9)",
        "DOLLAR(1,-1E9)",
        'TEXT(1,"0."&REPT("0",3000))',
        'REPT("",1E300)',
    ),
    *(
        "WORKDAY(1,1E15,{2,3})",
        "WORKDAY({1,2;3,4},B1:B9)",
        "NETWORKDAYS(1,2E6)",
        "BASE(1,2,1E9)",
        "ROMAN(1E9)",
        "MUNIT(1E9)",
    ),
    *("PERCENTRANK(B1:B3*1,0,{1E300,-1E300})", "SUMIFS(B1:B3,B1:B3,1,2)", "RANK(B1:B3,B1:B9,{1;0})", "DAYS360(1)"),
)


@case("more than 8,388,608 ways")
def formulas_that_all_need_each_other() -> dict[str, bytes]:
    rows = "".join(f"<row><c><f>{n}+SUM(B:B)</f></c><c><f>{n}*{n}</f></c></row>" for n in range(1, 4000))
    return parts(worksheet(rows))
