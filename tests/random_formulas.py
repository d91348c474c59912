"""Random formulas over a fixed sheet: every operator, every function of the engine, blanks, texts, errors, arrays.

`formulas(seed, count)` gives the same formulas for the same seed. They are drawn by type, so that most of them come to
something else than an error: a function is asked for what it is made for, and now and then for anything else.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import openpyxl
from openpyxl.worksheet.formula import ArrayFormula

from gpt2xl.a1 import Rect, cell_name
from gpt2xl.formula import parse, unparse

ROWS = 8
# A numbers, B small whole numbers, C texts, D truth values, E what may be blank, F:H a matrix, I sorted numbers,
# J their names, K numbers with an error among them.
COLUMNS: dict[str, list[object]] = {
    "A": [3, -1.5, 0, 2.25, 100, 7, -20, 0.5],
    "B": [1, 2, 3, 4, 5, 2, 1, 3],
    "C": ["apple", "Banana", "cherry pie", "apple", "10", " x ", "Zeta", "b"],
    "D": [True, False, True, True, False, False, True, False],
    "E": [4, None, 6.5, None, "text", 8, None, -2],
    "F": [1, 2, 3, 4, 5, 6, 7, 8],
    "G": [2, 0, 1, 7, 3, 9, 4, 4],
    "H": [5, 4, 1, 0, 2, 8, 6, 3],
    "I": [1, 3, 5, 7, 9, 11, 13, 15],
    "J": ["a", "c", "e", "g", "i", "k", "m", "o"],
    "K": [1, 2, "#N/A", 4, "#DIV/0!", 6, 7, 8],
}
FIRST = 13  # the column where formulas begin
DOWN = 12  # the row where array formulas begin
SIDE = 3  # an array formula fills 3 x 3 cells

# What each function is asked for: n number, i small whole number, p positive number, u number from 0 to 1, t text,
# b truth value, v number or text, x anything, e anything that may be an error; N range of numbers, T range of texts,
# R range with blanks and texts, M square matrix, I sorted numbers, J their names, c criterion, r any reference, A
# array; the others are named where they are drawn.
NUMBERS = """
ABS:n ACOS:u ACOSH:p ASIN:u ASINH:n ATAN:n ATAN2:GG ATANH:u COS:n COSH:u DEGREES:n EVEN:+ EXP:u FACT:i GAMMALN:p INT:+
LN:p LOG:p LOG:pi LOG10:p MOD:+p ODD:+ PI: POWER:pi QUOTIENT:+p RADIANS:n ROUND:+i ROUNDDOWN:+i ROUNDUP:+i SIGN:n SIN:n
SINH:u SQRT:p SQRTPI:p TAN:u TANH:n TRUNC:+ TRUNC:+i CEILING:pp FLOOR:pp MROUND:pp COMBIN:ii PERMUT:ii GCD:qq LCM:qq
BITAND:qq BITOR:qq BITXOR:qq BITLSHIFT:qq BITRSHIFT:qq ERF:u ERF.PRECISE:u ERFC:u NORMSDIST:u STANDARDIZE:nnp
SUM:R SUM:NN SUM:N1 SUMSQ:R PRODUCT:B AVERAGE:R AVERAGEA:R COUNT:R COUNTA:R COUNTBLANK:R MAX:R MIN:R MAXA:R MINA:R
VAR:N VARP:N STDEV:N STDEVP:N VAR.S:N VAR.P:R STDEV.S:N STDEV.P:R VARA:R VARPA:R STDEVA:R STDEVPA:R DEVSQ:N AVEDEV:N
MEDIAN:R MODE:B MODE.SNGL:B GEOMEAN:B HARMEAN:B KURT:N SKEW:N LARGE:Ni SMALL:Ni PERCENTILE:Nu PERCENTILE.INC:Nu
QUARTILE:Ni QUARTILE.INC:Ni RANK:GI RANK.EQ:GIg SUMPRODUCT:NN SUMPRODUCT:M SUMX2MY2:NN SUMX2PY2:NN SUMXMY2:NN CORREL:NN
PEARSON:NN RSQ:NN SLOPE:NN INTERCEPT:NN COVAR:NN COVARIANCE.P:NN COVARIANCE.S:NN SUBTOTAL:sB
SUMIF:Rc SUMIF:RcR AVERAGEIF:Rc SUMIFS:NRc AVERAGEIFS:NNc COUNTIF:Rc COUNTIF:Tc COUNTIFS:NcNc MAXIFS:NNc MINIFS:NNc
MATCH:1I MATCH:1Nz MATCH:tTz LEN:t CODE:j UNICODE:j FIND:jt SEARCH:jt SEARCH:jti ROW: ROW:G COLUMN: COLUMN:G ROWS:r
COLUMNS:r DATE:yii TIME:ooo YEAR:d MONTH:d DAY:d WEEKDAY:d WEEKDAY:di EDATE:di EOMONTH:di DAYS:dd HOUR:0 MINUTE:0
SECOND:0 SEC:u CSC:p COT:p SECH:u CSCH:p COTH:p ACOT:n ACOTH:8
COMBINA:4q PERMUTATIONA:qq
FACTDOUBLE:q MULTINOMIAL:qq
CEILING.MATH:+p FLOOR.MATH:+p CEILING.PRECISE:+p FLOOR.PRECISE:+p ISO.CEILING:+p ERFC.PRECISE:u GAMMALN.PRECISE:p
GAMMA:q
PHI:u GAUSS:u FISHER:7 FISHERINV:u NORM.DIST:nnpg NORM.S.DIST:ug NORMDIST:nnpg NORM.INV:7np NORMINV:7np NORM.S.INV:7
NORMSINV:7 BINOM.DIST:q47g BINOMDIST:q47g POISSON.DIST:qGg POISSON:qGg EXPON.DIST:GGg EXPONDIST:GGg CONFIDENCE.NORM:7p4
CONFIDENCE:7p4 FV:6qn FV:6qnn PV:6qn PV:6qnng PMT:6qn PMT:6qnng NPER:63G IPMT:6q45 PPMT:6q45 RATE:435 NPV:6B IRR:F
SLN:5GG
SYD:5G4q EFFECT:6q NOMINAL:6q RRI:qG5 PDURATION:6G5 ISOWEEKNUM:d DAYS360:dd DAYS360:ddg
YEARFRAC:dd YEARFRAC:ddq DATEDIF:XYU NETWORKDAYS:dd WORKDAY:dq TIMEVALUE:H STEYX:NN FORECAST:NN1 FORECAST.LINEAR:NN1
PERCENTILE.EXC:A7 QUARTILE.EXC:Aq RANK.AVG:GI TRIMMEAN:N7
BIN2DEC:h OCT2DEC:h HEX2DEC:h
N:v TYPE:G ERROR.TYPE:K DECIMAL:hk ARABIC:m NUMBERVALUE:w VALUE:w
"""
TEXTS = """
LEFT:t LEFT:ti RIGHT:t RIGHT:ti MID:tii REPLACE:tiit REPT:ti SUBSTITUTE:ttt SUBSTITUTE:ttti LOWER:t UPPER:t PROPER:t
TRIM:t CLEAN:t CONCATENATE:tt CONCAT:tT TEXTJOIN:tgT CHAR:a UNICHAR:a T:v TEXT:+f FIXED:+q DOLLAR:oq BASE:ik ROMAN:i
ADDRESS:ii ADDRESS:iiq
BIN2HEX:h BIN2OCT:h HEX2BIN:h HEX2OCT:h OCT2BIN:h OCT2HEX:h
DEC2BIN:q DEC2HEX:q DEC2OCT:q
DEC2BIN:qL
"""
TRUTHS = """
AND:bb OR:bb XOR:bb NOT:b EXACT:tt ISBLANK:x ISERR:e ISERROR:e ISEVEN:q ISODD:q ISLOGICAL:l ISNA:e ISNONTEXT:v
ISNUMBER:C ISREF:r ISTEXT:v TRUE: FALSE:
"""
ANY = """
IF:bnn IF:btt IF:bn IFERROR:en IFERROR:nn IFNA:Kn IFS:bnbn CHOOSE:inn CHOOSE:in INDEX:Ni INDEX:Mii VLOOKUP:1Vq
VLOOKUP:1Vqz HLOOKUP:GWq LOOKUP:1I LOOKUP:GIJ SWITCH:oonont NA: MDETERM:M
"""
ARRAYS = """
MMULT:MM MUNIT:o TRANSPOSE:M TRANSPOSE:N MINVERSE:M FREQUENCY:NI ROW:B COLUMN:M TRANSPOSE:N
"""


def _table(text: str) -> list[tuple[str, str]]:
    return [(name, letters) for name, _, letters in (word.partition(":") for word in text.split())]


TABLES = {kind: _table(text) for kind, text in (("n", NUMBERS), ("t", TEXTS), ("b", TRUTHS), ("x", ANY), ("A", ARRAYS))}


# What LibreOffice computes in array formulas otherwise than Excel (docs/engines.md): drawn for ordinary ones only.
ONE_BY_ONE = frozenset(
    {"AND", "CHOOSE", "CONCAT", "FORECAST", "FORECAST.LINEAR", "IFS", "INDEX", "NOT", "OR", "SWITCH", "TEXTJOIN", "XOR"}
)


class Maker:
    """Draws formulas."""

    def __init__(self, seed: int, *, wild: float = 0.03, array: bool = False, intersected: bool = True) -> None:
        self.random = Random(seed)
        self.wild = wild
        self.intersected = intersected  # whether an ordinary formula may take its own row's cell of a column
        self.array = array
        self.shape = self.random.choice([(3, 1), (1, 3), (3, 3), (2, 2)])

    def formula(self, depth: int) -> str:
        """A formula of at most `depth` levels of functions and operators."""
        kinds = "nnnntbxA" if self.array else "nnnnttbxx"
        return "=" + self.draw(self.random.choice(kinds), depth)

    def draw(self, letter: str, depth: int) -> str:
        """Text of the type that a letter stands for."""
        random = self.random
        if letter in "niputvx" and random.random() < self.wild:
            return self.odd()
        leaf = depth <= 0 or random.random() < 0.25
        if letter in "nip" and self.array and random.random() < 0.4:
            return self.block("ABFGHI" if letter == "n" else "BFGHI")
        match letter:
            case "n":
                return self.number() if leaf else self.any_of("n", depth)
            case "i":
                return str(random.randint(1, 5)) if random.random() < 0.6 else f"B{random.randint(1, ROWS)}"
            case "p":
                return random.choice(["0.5", "2", "10", f"I{random.randint(1, ROWS)}", f"F{random.randint(1, ROWS)}"])
            case "u":
                return random.choice(["0", "0.25", "0.5", "0.9", "1/3", f"B{random.randint(1, ROWS)}/6"])
            case "t":
                return self.text() if leaf else self.any_of("t", depth)
            case "b":
                return self.truth(depth) if leaf or random.random() < 0.5 else self.any_of("b", depth)
            case "v":
                return self.draw(random.choice("nt"), depth)
            case "x":
                return f"E{random.randint(1, ROWS)}" if leaf else self.any_of("x", depth)
            case "e":
                return random.choice(["1/0", "NA()", f"K{random.randint(1, ROWS)}", self.draw("n", depth - 1)])
            case "A":
                return self.rect("F", 3, 3) if leaf else self.any_of("A", depth)
        return self.special(letter)

    def special(self, letter: str) -> str:
        """References and constants of one purpose."""
        random = self.random
        row = random.randint(1, ROWS)
        match letter:
            case "N":
                return "{1,2.5;-3,4}" if random.random() < 0.1 else self.span(random.choice("ABFGHI"))
            case "B":
                return self.span(random.choice("BFI"))
            case "T":
                return self.span("C")
            case "R":
                return self.span(random.choice("AABEEI"))
            case "M":
                return self.rect("F", *random.choice([(2, 2), (3, 3)]))
            case "I":
                return "$I$1:$I$8"
            case "J":
                return "$J$1:$J$8"
            case "V":
                return "$I$1:$J$8"
            case "W":
                return '{1,3,5;"a","b","c";7,8,9}'
            case "7":
                return random.choice(["0.25", "0.5", "0.9", "1/3"])
            case "4":
                return str(random.randint(12, 20))
            case "L":
                return str(random.randint(4, 10))
            case "6":
                return random.choice(["0.05", "0.1/12", "0.01"])
            case "3":
                return random.choice(["-100", "-250.5"])
            case "5":
                return random.choice(["1000", "1234.5"])
            case "8":
                return random.choice(["2", "-3", "1.5"])
            case "F":
                return random.choice(["{-100,30,40,50,20}", "{-1000;600;-100;900}"])
            case "X":
                return str(random.randint(61, 20_000))
            case "Y":
                return str(random.randint(30_000, 60_000))
            case "U":
                return random.choice(['"Y"', '"M"', '"D"', '"YM"', '"YD"'])
            case "H":
                return random.choice(['"12:30"', '"1:15 PM"', '"23:59:59"'])
            case "1":
                return random.choice([str(random.randint(0, 16)), f"I{row}"])
            case "0":
                return f"{random.randint(0, 20)}/{random.randint(1, 24)}"
            case "+":  # what a crumb does not push over an edge
                return self.block("ABFGHI") if self.array else self.number()
            case "K":
                return random.choice([f"K{row}", "NA()", "2", f"A{row}"])
            case "C":
                return f"{random.choice('ABCEFJK')}{row}"
            case "G":
                return f"I{row}"
            case "g":
                return random.choice(["TRUE", "FALSE", f"D{row}"])
            case "r":
                return random.choice([f"B{row}", "A1:C4", "F2:F6", "G:G", "3:5", "D2"])
            case "c":
                numbers = ['">2"', '"<>3"', "3", '"=5"', f"B{row}", '"<=4"']
                return random.choice([*numbers, '"a*"', '"?pple"', '"APPLE"', '"<>apple"', f"C{row}", f'">"&B{row}'])
            case "q" | "o":
                return str(random.randint(1, 3))
            case "l":
                return f"D{row}"
            case "j":
                return random.choice([f"C{row}", f"J{row}", '"a"', '"World"'])
            case "s":
                return str(random.randint(1, 11))
            case "z":
                return random.choice(["0", "FALSE"])
            case "y":
                return str(random.randint(1950, 2050))
            case "d":
                return str(random.randint(61, 60_000))
            case "a":
                return str(random.randint(33, 126))
            case "h":
                return random.choice(['"101"', '"11"', '"1"'])
            case "k":
                return random.choice(["2", "8", "16"])
            case "m":
                return random.choice(['"IX"', '"mcmxc"', '"V"'])
            case "w":
                return random.choice(['"12"', '"1e3"', '" 7 "'])
            case "f":
                return random.choice(['"0"', '"0.00"', '"#,##0"', '"0%"', '"0.0E+00"', '"000"'])
        raise ValueError(letter)

    def any_of(self, kind: str, depth: int) -> str:
        """A call of a function that gives `kind`, or an operator."""
        random = self.random
        if kind == "n" and random.random() < 0.35:
            return self.arithmetic(depth)
        if kind == "t" and random.random() < 0.25:
            plain = random.choice(["1/3", "0.1+0.2", "1E10", f"A{random.randint(1, ROWS)}", "-7"])
            return f"{self.draw('t', depth - 1)}&{random.choice([plain, self.draw('t', depth - 1)])}"
        name, letters = random.choice(TABLES[kind])
        while self.array and self.left_out(name, letters):
            name, letters = random.choice(TABLES[kind])
        return self.call(name, letters, depth)

    def left_out(self, name: str, letters: str) -> bool:
        """Whether LibreOffice computes a function in array formulas otherwise."""
        return name in ONE_BY_ONE or (name, letters) == ("IF", "bn")

    def call(self, name: str, letters: str, depth: int) -> str:
        """A call with what the function is made for."""
        if letters == "NN1":
            return f"{name}({self.special('1')},{self.alike('NN')})"
        if name.startswith("COVAR") or letters in ("NN", "NcNc", "NRc", "NNc"):
            return f"{name}({self.alike(letters)})"
        return f"{name}({','.join(self.draw(letter, depth - 1) for letter in letters)})"

    def alike(self, letters: str) -> str:
        """Arguments whose ranges are of one size."""
        top, bottom = sorted((self.random.randint(1, ROWS), self.random.randint(1, ROWS)))
        columns = iter(self.random.sample("ABFGHI", 2))
        return ",".join(
            self.special("c") if letter == "c" else f"{column}{top}:{column}{bottom}"
            for letter in letters
            for column in [next(columns) if letter != "c" else ""]
        )

    def arithmetic(self, depth: int) -> str:
        random = self.random
        form = random.choice(["{0}+{1}", "{0}-{1}", "{0}*{1}", "{0}/{1}", "-{0}", "+{0}", "{0}%", "({0}+{1})*{2}"])
        form = random.choice([form, form, form, "{0}^2", "(-2)^{3}", "{0}-{1}-{2}", "{0}/{1}/{2}", "--{0}", "2^-{3}"])
        return form.format(self.draw("n", depth - 1), self.draw("n", depth - 1), self.draw("n", 0), self.draw("i", 0))

    def number(self) -> str:
        random = self.random
        if self.intersected and random.random() < 0.15:
            return self.span(random.choice("ABF"))  # an ordinary formula takes the cell of its own row
        plain = [
            str(random.randint(0, 9)),
            str(round(random.uniform(0, 50), 2)),
            "1E3",
            f"E{random.choice([1, 3, 6, 8])}",
        ]
        cells = [f"{random.choice('ABFGHI')}{random.randint(1, ROWS)}" for _ in range(4)]
        return random.choice([*plain, *cells, "$A$2", "Data!B3", f"E{random.randint(1, ROWS)}"])

    def odd(self) -> str:
        """What is not asked for: another type, a blank, an error."""
        row = self.random.randint(1, ROWS)
        return self.random.choice([f"E{row}", f"K{row}", f"C{row}", '"7"', '"x"', "NA()", f"A{row}"])

    def text(self) -> str:
        random = self.random
        return random.choice(
            [
                '"apple"',
                '"a b"',
                '"Hello, World"',
                '""',
                '"é"',
                '"7"',
                f"C{random.randint(1, ROWS)}",
                f"J{random.randint(1, 8)}",
            ]
        )

    def truth(self, depth: int) -> str:
        random = self.random
        sign = random.choice(["=", "<>", "<", "<=", ">", ">="])
        letter = random.choice("nnnj")
        plain = f"{self.draw(letter, depth - 1)}{sign}{self.draw(letter, depth - 1)}"
        return random.choice([plain, f"D{random.randint(1, ROWS)}", plain])

    def span(self, column: str) -> str:
        """Cells of one column, sometimes all of them."""
        top, bottom = sorted((self.random.randint(1, ROWS), self.random.randint(1, ROWS)))
        dollar = self.random.choice(["", "$"])
        return f"{dollar}{column}{dollar}{top}:{dollar}{column}{dollar}{bottom}"

    def block(self, columns: str) -> str:
        """Cells of the shape that this formula computes over, or one that is repeated to it."""
        height, width = self.random.choice([self.shape, self.shape, (self.shape[0], 1), (1, self.shape[1])])
        return self.rect(self.random.choice(columns) if width == 1 else "F" if width == 3 else "G", height, width)

    def rect(self, column: str, height: int, width: int) -> str:
        top = self.random.randint(1, ROWS - height + 1)
        return f"{column}{top}:{chr(ord(column) + width - 1)}{top + height - 1}"


def formulas(seed: int, count: int, **options: Any) -> list[tuple[str, Rect]]:
    """Formulas, an eighth of them array formulas (whose text is in braces), with the cells that they stand in."""
    made = []
    calls = [entry for kind in "ntbxA" for entry in TABLES[kind]]
    for number in range(count):
        array = number % 8 == 7
        maker = Maker(seed * 1_000_003 + number, array=array, **options)
        if number % 3:
            text = maker.formula(number % 4 + 1)
        else:  # every function in its turn
            name, letters = calls[number // 3 % len(calls)]
            array = array and not maker.left_out(name, letters)
            maker.array = array
            text = f"={maker.call(name, letters, number % 4 + 1)}"
        across, down = divmod(number, 56)
        if array:
            rect = Rect.of(DOWN + SIDE * (down // 8), FIRST + SIDE * across, SIDE, SIDE)
            made.append(("{" + text + "}", rect))
        else:
            row, column = down % 8, down // 8
            made.append((text, Rect.of(1 + row, FIRST + 7 * across + column, 1, 1)))
    return made


def workbook(path: Path, made: list[tuple[str, Rect]]) -> None:
    """A file with the sheet and the formulas, without stored values."""
    book = openpyxl.Workbook()
    data = book.active
    data.title = "Data"
    for column, values in COLUMNS.items():
        for row, value in enumerate(values, 1):
            data[f"{column}{row}"] = value
            if isinstance(value, str) and not value.startswith("#"):
                data[f"{column}{row}"].data_type = "s"
    for text, rect in made:
        array = text.startswith("{")
        body = "=" + unparse(parse(text[1:-1] if array else text), file=True)
        data[cell_name(rect.top, rect.left)] = ArrayFormula(str(rect), body) if array else body
    book.save(path)
