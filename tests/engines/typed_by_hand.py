"""Run by a Python that knows UNO: LibreOffice as a person finds it opens a workbook, and types into it.

    typed_by_hand.py SOFFICE FOLDER BOOK.xlsx SAVED.xlsx SHEET CELL TEXT

Prints as JSON what differs, by sheet, between what the cells then hold and what they hold after everything has been
computed anew: [cell, before, after]. Spaces at the ends of texts do not count: LibreOffice loses those that it saved.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import uno
from com.sun.star.beans import PropertyValue
from com.sun.star.connection import NoConnectException


def main(soffice, folder, book, saved, sheet, cell, text):
    pipe = f"typed{Path(folder).name}"
    profile = f"-env:UserInstallation={Path(folder).as_uri()}"
    program = subprocess.Popen([soffice, profile, "--headless", "--norestore", f"--accept=pipe,name={pipe};urp"])
    try:
        context = connected(f"uno:pipe,name={pipe};urp;StarOffice.ComponentContext")
        desktop = context.ServiceManager.createInstanceWithContext("com.sun.star.frame.Desktop", context)
        document = desktop.loadComponentFromURL(Path(book).as_uri(), "_blank", 0, ())
        document.Sheets.getByName(sheet).getCellRangeByName(cell).getCellByPosition(0, 0).setFormula(text)
        typed = cells(document)
        document.calculateAll()
        print(json.dumps(differences(typed, cells(document))))
        filter_name = PropertyValue()
        filter_name.Name, filter_name.Value = "FilterName", "Calc MS Excel 2007 XML"
        document.storeToURL(Path(saved).as_uri(), (filter_name,))
        document.close(True)
        desktop.terminate()
        program.wait(60)
    finally:
        program.kill()


def connected(address):
    local = uno.getComponentContext()
    resolver = local.ServiceManager.createInstanceWithContext("com.sun.star.bridge.UnoUrlResolver", local)
    for _ in range(240):
        try:
            return resolver.resolve(address)
        except NoConnectException:
            time.sleep(0.25)
    raise TimeoutError(address)


def cells(document):
    found = {}
    for sheet in document.Sheets:
        cursor = sheet.createCursor()
        cursor.gotoEndOfUsedArea(False)
        end = cursor.RangeAddress
        found[sheet.Name] = sheet.getCellRangeByPosition(0, 0, end.EndColumn, end.EndRow).getDataArray()
    return found


def differences(before, after):
    found = {}
    for sheet, rows in before.items():
        for row, (one, other) in enumerate(zip(rows, after[sheet], strict=True)):
            for column, (old, new) in enumerate(zip(one, other, strict=True)):
                if not same(old, new):
                    found.setdefault(sheet, []).append([f"row {row + 1}, column {column + 1}", old, new])
    return found


def same(old, new):
    if isinstance(old, float) and isinstance(new, float):
        return abs(old - new) <= 1e-9 * max(1.0, abs(old), abs(new))
    return str(old).strip() == str(new).strip()


main(*sys.argv[1:])
