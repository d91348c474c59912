"""Make gpt2xl/data/unicode_classes.json: classes of characters as GPT-2's pre-tokenisation means them.

    pip install unicodedata2==16.0.0 tokenizers
    python scripts/unicode_classes.py            # writes the table
    python scripts/unicode_classes.py --check    # compares the table with `tokenizers`, code point by code point

Letters are the general categories L*, numbers N*, white space the property White_Space (Unicode Standard Annex 44);
everything else, surrogates and unassigned code points included, is "other". The tokenizers library (0.20 to 0.23)
has the classes of Unicode 16.0, so the table is made from that version, whatever version Python itself carries.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

LETTER, NUMBER, SPACE, OTHER = 1, 2, 3, 4
VERSION = "16.0.0"
TARGET = Path(__file__).parents[1] / "gpt2xl" / "data" / "unicode_classes.json"
LAST = 0x10FFFF
# PropList.txt, White_Space. Python's str.isspace() also has U+001C to U+001F, which are no white space in Unicode.
WHITE_SPACE = {
    *range(0x09, 0x0E),
    0x20,
    0x85,
    0xA0,
    0x1680,
    *range(0x2000, 0x200B),
    0x2028,
    0x2029,
    0x202F,
    0x205F,
    0x3000,
}


def class_of(code: int) -> int:
    """The class of one code point in Unicode `VERSION`."""
    import unicodedata2

    if code in WHITE_SPACE:
        return SPACE
    return {"L": LETTER, "N": NUMBER}.get(unicodedata2.category(chr(code))[0], OTHER)


def ranges() -> list[tuple[int, int]]:
    """(first code point, class) for each stretch of one class, in order."""
    result: list[tuple[int, int]] = []
    for code in range(LAST + 1):
        kind = class_of(code)
        if not result or result[-1][1] != kind:
            result.append((code, kind))
    return result


def classes_of_tokenizers() -> dict[int, int]:
    """The class of every code point that a text can hold, as the tokenizers library splits it."""
    from tokenizers import pre_tokenizers

    split = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True).pre_tokenize_str
    codes = [code for code in range(LAST + 1) if not 0xD800 <= code <= 0xDFFF]
    classes = dict.fromkeys(codes, SPACE)
    for neighbour, kind in (("a", LETTER), ("1", NUMBER), ("!", OTHER)):
        for start in range(0, len(codes), 20_000):
            chunk = codes[start : start + 20_000]
            words = split("".join(f"{neighbour}{chr(code)}\n\n" for code in chunk))
            begins = {span[0] for _, span in words}
            # A character joins its neighbour's word where it is of the neighbour's class.
            classes |= {code: kind for place, code in enumerate(chunk) if 4 * place + 1 not in begins}
    return classes


def check() -> int:
    """Print what differs between the table and the tokenizers library; the exit status."""
    table = json.loads(TARGET.read_text(encoding="utf-8"))
    starts = [*table["start"], LAST + 1]
    ours = {
        code: kind
        for kind, first, end in zip(table["class"], starts[:-1], starts[1:], strict=True)
        for code in range(first, end)
    }
    theirs = classes_of_tokenizers()
    different = [code for code, kind in theirs.items() if ours[code] != kind]
    for code in different:
        print(f"U+{code:04X}: {ours[code]} in the table, {theirs[code]} in tokenizers")
    print(f"{len(theirs):,} code points compared, {len(different):,} differ")
    return 1 if different else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the tokenizers library instead of writing")
    if parser.parse_args().check:
        raise SystemExit(check())
    import unicodedata2

    if unicodedata2.unidata_version != VERSION:
        raise SystemExit(f"unicodedata2 {VERSION} is needed, this is {unicodedata2.unidata_version}")
    table = ranges()
    lines = {"unicode": VERSION, "start": [start for start, _ in table], "class": [kind for _, kind in table]}
    TARGET.write_text(json.dumps(lines, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
