"""What comes of a workbook in other programs: saved by them and checked again, read for its values, unzipped.

The ordinary tests send a small model's workbook, with tokens that look like formulas, dates and errors, through every
program; the slow ones send the README's first workbook. A program that is not installed skips its tests.
"""

from __future__ import annotations

import functools
import json
import math
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from checkpoints import random_checkpoint
from click.testing import CliRunner, Result

import gpt2xl
from gpt2xl.a1 import cell_name
from gpt2xl.commands import main
from gpt2xl.engines import gnumeric
from gpt2xl.engines.libreoffice import LibreOffice
from gpt2xl.errors import EngineError
from gpt2xl.formula import ExcelError

# Two tokens in the small workbook's vocabulary stand for each thing that a careless program would compute or convert.
MERGES = [("=", "1"), ("=1", "+"), ("1", "2"), ("-", "1"), ("T", "R"), ("U", "E"), ("TR", "UE"), ("#", "N"), ("&", "<")]
PROMPT = " =1+ <&"
OTHER = "12 TRUE"
EARLIEST = (1980, 1, 1, 0, 0, 0)
# Of a model with one block of two heads: embed, 19 in the block, ln_f, logits, probs.
STEPS = 32

Way = Callable[[Path, Path], Path]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "odd"
    return random_checkpoint(folder, n_layer=1, n_head=2, n_embd=4, n_positions=8, merges=MERGES)


@pytest.fixture(scope="module")
def small(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workbook of a small model with all sheets for learners."""
    path = tmp_path_factory.mktemp("small") / "small.xlsx"
    gpt2xl.build(PROMPT, path, model=model, max_tokens=7, max_chars=7)
    return path


@pytest.fixture(scope="module")
def office() -> Iterator[LibreOffice]:
    with LibreOffice() as office:
        yield office


@pytest.fixture(scope="module")
def ways(office: LibreOffice) -> dict[str, Way]:
    """For each program, how it opens a workbook and saves another; each skips where its program is not installed."""

    def libreoffice(source: Path, folder: Path) -> Path:
        if shutil.which("soffice") is None:
            pytest.skip("LibreOffice is not installed")
        office.open(source).save_as(folder / "libreoffice.xlsx")
        return folder / "libreoffice.xlsx"

    def opendocument(source: Path, folder: Path) -> Path:
        if shutil.which("soffice") is None:
            pytest.skip("LibreOffice is not installed")
        office.open(source).save_as(folder / "book.ods", "ods")
        return libreoffice(folder / "book.ods", folder)

    return {
        "libreoffice": libreoffice,
        "opendocument": opendocument,
        "gnumeric": by_gnumeric,
        "ironcalc": by_ironcalc,
        "openpyxl": by_openpyxl,
        "zip": zipped_again,
        "gpt2xl": by_ourselves,
    }


@pytest.fixture(scope="module")
def saved(ways: dict[str, Way], small: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The small workbook as a program saves it, saved once."""

    @functools.cache
    def save(way: str) -> Path:
        return ways[way](small, tmp_path_factory.mktemp(way))

    return save


def by_gnumeric(source: Path, folder: Path) -> Path:
    if shutil.which("ssconvert") is None:
        pytest.skip("gnumeric is not installed")
    return gnumeric.recalculate(source, folder / "gnumeric.xlsx")


def by_ironcalc(source: Path, folder: Path) -> Path:
    ironcalc = pytest.importorskip("ironcalc")
    model = ironcalc.load_from_xlsx(str(source), "en", "UTC", "en")
    model.evaluate()
    model.save_to_xlsx(str(folder / "ironcalc.xlsx"))
    return folder / "ironcalc.xlsx"


def by_openpyxl(source: Path, folder: Path) -> Path:
    openpyxl.load_workbook(source).save(folder / "openpyxl.xlsx")
    return folder / "openpyxl.xlsx"


def by_ourselves(source: Path, folder: Path) -> Path:
    result = invoke("run", source, "--prompt", OTHER[:4], "--save", folder / "gpt2xl.xlsx")
    assert result.exit_code == 0, result.output
    return folder / "gpt2xl.xlsx"


def zipped_again(source: Path, folder: Path) -> Path:
    """Unpacked, and packed by another hand: parts in another order, some of them stored."""
    with zipfile.ZipFile(source) as package, zipfile.ZipFile(folder / "zip.xlsx", "w") as again:
        for number, name in enumerate(sorted(package.namelist())):
            again.writestr(name, package.read(name), zipfile.ZIP_STORED if number % 2 else zipfile.ZIP_DEFLATED)
    return folder / "zip.xlsx"


WAYS = ["libreoffice", "opendocument", "gnumeric", "ironcalc", "openpyxl", "zip", "gpt2xl"]
# openpyxl writes no values where there are formulas, so nothing can be read from what it saved.
VALUED = [way for way in WAYS if way != "openpyxl"]


# Saved by another program, and checked again


@pytest.mark.parametrize("way", WAYS)
def test_saved_by_another_program(way: str, saved: Callable[[str], Path], small: Path, model: Path) -> None:
    path = saved(way)
    result = invoke("check", path, "--model", model, "--prompt", PROMPT, "--prompt", OTHER, "--json")
    verdict = json.loads(result.stdout)
    assert (result.exit_code, verdict["ok"]) == (0, True), result.output
    assert [len(prompt["steps"]) for prompt in verdict["prompts"]] == [STEPS, STEPS]
    ours, theirs = gpt2xl.Workbook.open(small), gpt2xl.Workbook.open(path)
    assert set(theirs.names) >= set(ours.names)
    assert theirs.sheets == ours.sheets


def test_through_all_programs_in_a_row(
    saved: Callable[[str], Path], ways: dict[str, Way], model: Path, tmp_path: Path
) -> None:
    path = saved("libreoffice")
    for way in ("ironcalc", "openpyxl", "gnumeric", "zip"):
        path = ways[way](path, tmp_path)
    verdict = gpt2xl.check(path, model=model, prompts=[OTHER])
    assert (verdict.ok, len(verdict.prompts[0].steps)) == (True, STEPS)


def test_what_libreoffice_saved_ironcalc_computes(saved: Callable[[str], Path], model: Path) -> None:
    pytest.importorskip("ironcalc")
    assert gpt2xl.check(saved("libreoffice"), model=model, engine="ironcalc", prompts=[OTHER]).ok


def test_what_gnumeric_saved_ironcalc_does_not_read(saved: Callable[[str], Path], model: Path) -> None:
    pytest.importorskip("ironcalc")
    with pytest.raises(EngineError, match=r"IronCalc failed while reading gnumeric\.xlsx"):
        gpt2xl.check(saved("gnumeric"), model=model, engine="ironcalc")


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_the_first_workbook_saved_by_another_program(
    way: str, ways: dict[str, Way], first: Path, tmp_path: Path
) -> None:
    result = invoke("check", ways[way](first, tmp_path), "--prompt", "Snow is", "--prompt", "Anna lost her")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "all steps agree"), result.output


# Read for its values

Cells = dict[str, list[list[Any]]]


def read_by_openpyxl(path: Path) -> Cells:
    book = openpyxl.load_workbook(path, data_only=True, read_only=True)
    cells = {sheet.title: [list(row) for row in sheet.iter_rows(values_only=True)] for sheet in book}
    book.close()
    return cells


def read_by_calamine(path: Path) -> Cells:
    calamine = pytest.importorskip("python_calamine")
    book = calamine.CalamineWorkbook.from_path(str(path))
    return {name: book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in book.sheet_names}


def read_by_pandas(path: Path) -> Cells:
    """Errors come as NaN."""
    pandas = pytest.importorskip("pandas")
    frames = pandas.read_excel(path, sheet_name=None, header=None, keep_default_na=False, engine="openpyxl")
    return {name: frame.to_numpy(object).tolist() for name, frame in frames.items()}


READERS = [read_by_openpyxl, read_by_calamine, read_by_pandas]


def unlike(path: Path, cells: Cells) -> list[str]:
    """Cells with a formula or an input in the workbook at `path` whose value was read as another."""
    workbook = gpt2xl.Workbook.open(path)
    found, compared = [], 0
    places = [(sheet, rect) for sheet, rect, _ in workbook.formulas()]
    places += [workbook.book.resolve(name) for name in ("prompt", "vocabulary.text", "wte", "h.0.attn.c_attn.weight")]
    for sheet, rect in places:
        stored, rows = workbook.cached(f"'{sheet}'!{rect}"), cells[sheet]
        for row in range(rect.height):
            for column in range(rect.width):
                value = stored if rect.size == 1 else stored[row][column]
                line = rows[rect.top - 1 + row] if rect.top + row <= len(rows) else []
                read = line[rect.left - 1 + column] if rect.left + column <= len(line) else None
                compared += 1
                if not same(value, read):
                    found.append(f"{sheet}!{cell_name(rect.top + row, rect.left + column)}: {value!r}, read {read!r}")
    assert compared > 5_000
    return found


def same(stored: Any, read: Any) -> bool:
    if isinstance(stored, ExcelError):
        return str(read) in (stored.text, "nan")
    if isinstance(stored, float) and isinstance(read, int | float) and not isinstance(read, bool):
        return float(read) == stored
    return read == stored or (stored in ("", None) and read in ("", None)) or (stored is None and math.isnan(read))


def test_reading_is_compared_at_all() -> None:
    assert not same(1.0, 1.0 + 1e-15)
    assert not same("1", 1)
    assert not same("=1+", None)
    assert not same(ExcelError("#N/A"), "#VALUE!")


@pytest.mark.parametrize("read", READERS, ids=lambda read: str(read.__name__).removeprefix("read_by_"))
def test_values_are_read_as_they_are_stored(read: Callable[[Path], Cells], small: Path) -> None:
    assert unlike(small, read(small)) == []


@pytest.mark.slow
@pytest.mark.parametrize("read", READERS, ids=lambda read: str(read.__name__).removeprefix("read_by_"))
def test_values_of_the_first_workbook_are_read_as_they_are_stored(read: Callable[[Path], Cells], first: Path) -> None:
    assert unlike(first, read(first)) == []


@pytest.mark.parametrize("way", VALUED)
def test_values_that_another_program_stored(way: str, saved: Callable[[str], Path], small: Path) -> None:
    """Its own computation of the model: to 1e-9, texts exactly, as they are for the prompt in its file."""
    theirs, right = gpt2xl.Workbook.open(saved(way)), gpt2xl.Workbook.open(small)
    right["prompt"] = theirs.cached("prompt")
    assert isinstance(theirs.cached("next_token"), str)
    assert theirs.cached("next_token") == right["next_token"]
    assert theirs.cached("tokens").tolist() == right["tokens"].tolist()
    for name in ("token_ids", "embed", "h.0.attn.pattern.1", "h.0.resid_post", "logits", "probs"):
        assert theirs.cached(name) == pytest.approx(right[name], rel=1e-9, abs=1e-12), name


# Unzipped by any tool


def entries(path: Path) -> dict[str, zipfile.ZipInfo]:
    with zipfile.ZipFile(path) as package:
        assert package.testzip() is None
        return {info.filename: info for info in package.infolist()}


def test_the_package_is_an_ordinary_zip(small: Path, saved: Callable[[str], Path]) -> None:
    """What every unzipper since the nineties reads: stored or deflated, no extras, no flags but those of UTF-8 names
    and of sizes that follow the data, no names that lead elsewhere."""
    for path in (small, saved("gpt2xl")):
        found = entries(path)
        assert path.read_bytes()[:4] == b"PK\x03\x04"
        assert next(iter(found)) == "[Content_Types].xml"
        for name, info in found.items():
            assert info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            assert info.flag_bits & ~0x808 == 0
            assert info.date_time == EARLIEST
            assert not name.startswith("/")
            assert ".." not in name
            assert "\\" not in name
        assert len({name.lower() for name in found}) == len(found)


UNZIPPERS = {
    "unzip": ["unzip", "-tq"],
    "7z": ["7z", "t"],
    "7zz": ["7zz", "t"],
    "bsdtar": ["bsdtar", "-tf"],
    "jar": ["jar", "tf"],
    "python": ["python3", "-m", "zipfile", "-t"],
}


@pytest.mark.parametrize("tool", UNZIPPERS)
def test_unzippers_find_nothing_wrong(tool: str, small: Path, saved: Callable[[str], Path]) -> None:
    command = UNZIPPERS[tool]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    for path in (small, saved("gpt2xl")):
        done = subprocess.run([*command, path], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def test_unzipped_and_zipped_by_programs(small: Path, model: Path, tmp_path: Path) -> None:
    if shutil.which("unzip") is None or shutil.which("zip") is None:
        pytest.skip("unzip and zip are not installed")
    folder, again = tmp_path / "parts", tmp_path / "again.xlsx"
    subprocess.run(["unzip", "-q", small, "-d", folder], check=True)
    for name in entries(small):
        assert (folder / name).is_file()
    subprocess.run(["zip", "-q", "-r", again, "."], cwd=folder, check=True)
    assert gpt2xl.check(again, model=model).ok


def test_typed_into_saved_and_opened_again_by_libreoffice(first: Path, tmp_path: Path, office: LibreOffice) -> None:
    """As a person does who types a prompt: LibreOffice stores 15 digits, and believes some of them later."""
    if shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed")
    typed = tmp_path / "typed.xlsx"
    with office.open(first) as document:
        document.set("prompt", "Snow is")
        document.save_as(typed)
    profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
    command = ["soffice", profile, "--headless", "--convert-to", "xlsx", "--outdir", tmp_path / "again", typed]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    wrong = [errors(path) for path in (typed, tmp_path / "again" / "typed.xlsx")]
    assert wrong[0] == wrong[1]


def errors(path: Path) -> dict[str, int]:
    """How many cells of each sheet store an error."""
    with zipfile.ZipFile(path) as package:
        names = [name for name in package.namelist() if name.startswith("xl/worksheets/sheet")]
        return {name: package.read(name).count(b't="e"') for name in names}
