"""Make docs/workbook.png: the first sheet and an attention pattern of the first workbook, as LibreOffice draws them.

    python scripts/picture.py      # needs soffice, pdftoppm and, for joining the two, Pillow

Each part is a print area of a copy of the workbook, turned into a PDF page and then into a picture.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import openpyxl
from openpyxl.worksheet.properties import PageSetupProperties
from PIL import Image, ImageChops

import gpt2xl
from gpt2xl.a1 import Rect
from gpt2xl.plan.layout import HEADINGS

TARGET = Path(__file__).parents[1] / "docs" / "workbook.png"
# The induction head of the embedded model.
PATTERN = "h.1.attn.pattern.2"
RESOLUTION = 130


def page(book: Path, folder: Path, sheet: str, area: str) -> Image.Image:
    """The print area `area` of a sheet as a picture, cut to its content."""
    copy = openpyxl.load_workbook(book)
    for worksheet in copy:
        worksheet.sheet_state = "visible" if worksheet.title == sheet else "hidden"
    chosen = copy[sheet]
    copy.active = copy.index(chosen)
    chosen.print_area = area
    chosen.page_setup.fitToHeight = 1
    chosen.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    path = folder / f"{sheet}.xlsx"
    copy.save(path)
    profile = (folder / "profile").as_uri()
    office: list[str | Path] = [
        "soffice",
        f"-env:UserInstallation={profile}",
        "--headless",
        "--convert-to",
        "pdf",
        "--outdir",
        folder,
        path,
    ]
    subprocess.run(office, check=True, capture_output=True)
    subprocess.run(
        ["pdftoppm", "-r", str(RESOLUTION), "-png", "-singlefile", path.with_suffix(".pdf"), path.with_suffix("")],
        check=True,
    )
    picture = Image.open(path.with_suffix(".png")).convert("RGB")
    white = Image.new("RGB", picture.size, "white")
    return picture.crop(ImageChops.difference(picture, white).getbbox())


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        book = folder / "book.xlsx"
        gpt2xl.build("The cat sat on the mat. The cat sat on the", book)
        sheet, place = gpt2xl.Workbook.open(book).book.resolve(PATTERN)
        heading = Rect(place.top - HEADINGS["blocks"].height, place.left, place.bottom, place.right)
        pictures = [page(book, folder, "Start", "A1:L26"), page(book, folder, sheet, str(heading))]
        width = max(picture.width for picture in pictures)
        pictures = [picture.resize((width, picture.height * width // picture.width)) for picture in pictures]
        joined = Image.new("RGB", (width, sum(picture.height for picture in pictures) + 24), "white")
        top = 0
        for picture in pictures:
            joined.paste(picture, (0, top))
            top += picture.height + 24
        TARGET.parent.mkdir(exist_ok=True)
        joined.convert("P", palette=Image.Palette.ADAPTIVE, colors=160).save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
