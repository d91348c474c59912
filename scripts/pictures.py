"""Make docs/pictures: every kind of sheet of the embedded model's workbook, as LibreOffice draws it.

    python scripts/pictures.py      # needs soffice, pdftoppm, Pillow, and Carlito, which is as wide as Calibri

Each picture is a print area of the workbook itself, charts and all: the other sheets are hidden, the page is turned
into a PDF and that into a picture, cut to its content.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import zipfile
from pathlib import Path

from PIL import Image, ImageChops

import gpt2xl
from gpt2xl.a1 import Rect, cell_name

TARGET = Path(__file__).parents[1] / "docs" / "pictures"
PROMPT = "The cat sat on the"
# File name, sheet, print area.
PICTURES = (
    ("start", "Start", "A1:N30"),
    ("map", "Map", "A1:L24"),
    ("words", "Words", "A1:M32"),
    ("bytes", "Bytes", "A1:K32"),
    ("merging", "Merging", "A1:P52"),
    ("pair-ranks", "Pair ranks", "A1:P32"),
    ("reading", "Reading", "A1:P32"),
    ("tokens", "Tokens", "A1:J26"),
    ("embedding", "Embedding", "A1:L64"),
    ("block", "Block 0", "A1:L66"),
    ("prediction", "Prediction", "A1:L58"),
    ("what-if", "What if", "A1:K20"),
    ("steering", "Steering", "A1:O24"),
    ("sampling", "Sampling", "A1:S30"),
    ("sampling-at-work", "Sampling at work", "A1:P60"),
    ("lens", "Lens", "A1:X22"),
    ("lens-at-work", "Lens at work", "A1:K40"),
    ("words-near-words", "Words near words", "A1:Y28"),
    ("near-at-work", "Near at work", "A1:P60"),
    ("temperature", "Temperature", "A1:Q24"),
    ("attribution", "Attribution", "A1:Q29"),
    ("attribution-at-work", "Attribution at work", "A1:P60"),
    ("check", "Check", "A1:I40"),
    ("glossary", "Glossary", "A1:C40"),
    ("names", "Names", "A1:F40"),
    ("reference", "Reference", "A1:P40"),
    ("vocabulary", "Vocabulary", "A1:F32"),
    ("merges", "Merges", "A1:G32"),
    ("unicode", "Unicode", "A1:C32"),
    ("token-embedding", "wte", "A1:P40"),
    ("position-embedding", "wpe", "A1:P40"),
    ("weights", "Weights 0", "A1:P60"),
    ("last-weights", "Weights final", "A1:P30"),
    ("clean-embedding", "Clean Embedding", "A1:P30"),
    ("clean-block", "Clean Block 0", "A1:P60"),
    ("clean-prediction", "Clean Prediction", "A1:P40"),
)
# The induction head at work, and a student copy.
PATTERN = ("attention", "h.1.attn.pattern.2", "red fish tree cow blue red fish tree")
EXERCISE = ("exercise", "Exercise", "A1:H15")
# Sheets that `build --loss` adds.
LOSS = (
    ("loss", "Loss", "A1:R28"),
    ("loss-at-work", "Loss at work", "A1:P40"),
)
# What `build --corrupted` and `build --generate` add.
CORRUPTED = "The dog sat on the"
PATCHING = ("patching", "Patching", "A1:L30")
GENERATED = ("generated", "Sampling", "A1:S30")
COLOURS = 96
WIDTH, HEIGHT = 1100, 1300  # pixels at most


def draw(book: Path, sheet: str, area: str, folder: Path) -> Image.Image:
    """The cells `area` of a sheet as LibreOffice prints them on one page."""
    page = folder / "page.xlsx"
    with zipfile.ZipFile(book) as package, zipfile.ZipFile(page, "w", zipfile.ZIP_DEFLATED) as copy:
        workbook = package.read("xl/workbook.xml").decode()
        titles = re.findall(r'<sheet [^>]*name="([^"]+)"', workbook)
        number = titles.index(sheet)
        for part in package.namelist():
            data = package.read(part)
            if part == "xl/workbook.xml":
                data = _only(workbook, number, sheet, area).encode()
            elif part == f"xl/worksheets/sheet{number + 1}.xml":
                data = data.replace(b'fitToHeight="0"', b'fitToHeight="1"')
            copy.writestr(part, data)
    profile = (folder / "profile").as_uri()
    office = ["soffice", f"-env:UserInstallation={profile}", "--headless", "--convert-to", "pdf", "--outdir"]
    subprocess.run([*office, folder, page], check=True, capture_output=True)
    rough = _drawn(page, 72)
    return _drawn(page, int(72 * min(WIDTH / rough.width, HEIGHT / rough.height)))


def _drawn(page: Path, resolution: int) -> Image.Image:
    """A page's PDF as a picture, without what is white around it."""
    size = ["-r", str(resolution)]
    subprocess.run(
        ["pdftoppm", *size, "-png", "-singlefile", page.with_suffix(".pdf"), page.with_suffix("")], check=True
    )
    picture = Image.open(page.with_suffix(".png")).convert("RGB")
    white = Image.new("RGB", picture.size, "white")
    return picture.crop(ImageChops.difference(picture, white).getbbox())


def _only(workbook: str, number: int, sheet: str, area: str) -> str:
    """The workbook's part with one sheet shown and its print area set."""
    numbers = iter(range(1_000_000))

    def hidden(tag: re.Match[str]) -> str:
        plain = re.sub(r' state="[^"]*"', "", tag[0])
        return plain if next(numbers) == number else plain.replace("<sheet ", '<sheet state="hidden" ', 1)

    workbook = re.sub(r"<sheet [^>]*/>", hidden, workbook)
    workbook = re.sub(r' (activeTab|firstSheet)="[0-9]+"', "", workbook)
    workbook = workbook.replace("<workbookView", f'<workbookView activeTab="{number}"', 1)
    place = f"'{sheet}'!{Rect.parse(area).absolute}"
    defined = f'<definedName name="_xlnm.Print_Area" localSheetId="{number}">{place}</definedName>'
    return workbook.replace("<definedNames>", f"<definedNames>{defined}", 1)


def save(picture: Image.Image, name: str) -> None:
    """With few colours, so that all pictures together stay small."""
    picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=COLOURS).save(TARGET / f"{name}.png", optimize=True)


def main() -> None:
    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        book = folder / "book.xlsx"
        gpt2xl.build(PROMPT, book)
        for file, sheet, area in PICTURES:
            save(draw(book, sheet, area, folder), file)
        file, step, prompt = PATTERN
        gpt2xl.build(prompt, book, force=True)
        sheet, place = gpt2xl.Workbook.open(book).book.resolve(step)
        area = f"{cell_name(place.top - 9, place.left - 1)}:{cell_name(place.bottom, place.right)}"
        save(draw(book, sheet, area, folder), file)
        gpt2xl.build(PROMPT, book, exercise=True, force=True)
        save(draw(book, *EXERCISE[1:], folder), EXERCISE[0])
        gpt2xl.build(PROMPT, book, loss=True, force=True)
        for file, sheet, area in LOSS:
            save(draw(book, sheet, area, folder), file)
        gpt2xl.build(PROMPT, book, generate=4, corrupted=CORRUPTED, force=True)
        for file, sheet, area in (PATCHING, GENERATED):
            save(draw(book, sheet, area, folder), file)


if __name__ == "__main__":
    main()
