"""The half of `libreoffice.py` that runs in a Python with LibreOffice's `uno` module; standard library only.

Usage: python uno_worker.py SOFFICE FOLDER. It starts one headless LibreOffice with its profile in FOLDER, then
answers requests: one JSON object a line on standard input, one on standard output. Doubles go through a file in
FOLDER, which is faster. When standard input ends, for whatever reason, it takes LibreOffice and FOLDER with it.
"""

from __future__ import annotations

import array
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import uno
from com.sun.star.beans import PropertyValue

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMULA = 16  # com.sun.star.sheet.CellFlags.FORMULA
LOGICAL = 1024  # com.sun.star.util.NumberFormat.LOGICAL
CELLS_A_CALL = 200_000  # bounds the memory of one transfer
FILTERS = {"xlsx": "Calc MS Excel 2007 XML", "ods": "calc8", "pdf": "calc_pdf_Export"}

# OOXMLRecalcMode 1 is "never on load": `calculateAll` computes everything once, right after it.
# No lock file beside the user's workbook, no links, no macros, one locale whatever the user's is.
SETTINGS = [
    ("Office.Calc/Formula/Load", "OOXMLRecalcMode", "1"),
    ("Office.Calc/Formula/Load", "ODFRecalcMode", "1"),
    ("Office.Common/Misc", "UseLocking", "false"),
    ("Office.Common/Security/Scripting", "MacroSecurityLevel", "3"),
    ("Office.Common/Security/Scripting", "DisableMacrosExecution", "true"),
    ("Office.Calc/Content/Update", "Link", "2"),
    ("Office.Java/VirtualMachine", "Enable", "false"),
    ("Setup/L10N", "ooSetupSystemLocale", "en-US"),
    ("Setup/L10N", "ooLocale", "en-US"),
]


class RefusedError(Exception):
    """A request that cannot be met; the text and kind go back to the caller."""

    def __init__(self, text: str, kind: str = "engine") -> None:
        super().__init__(text)
        self.kind = kind


def properties(**values: object) -> tuple[Any, ...]:
    made = []
    for name, value in values.items():
        item = PropertyValue()
        item.Name, item.Value = name, value
        made.append(item)
    return tuple(made)


class Office:
    """The LibreOffice process and its open documents."""

    def __init__(self, soffice: str, folder: str) -> None:
        self.folder = folder
        self.documents: dict[int, Document] = {}
        self.next_id = 0
        profile = os.path.join(folder, "profile")
        os.makedirs(os.path.join(profile, "user"), exist_ok=True)
        with open(os.path.join(profile, "user", "registrymodifications.xcu"), "w", encoding="utf-8") as out:
            out.write('<?xml version="1.0" encoding="UTF-8"?>\n<oor:items ')
            out.write('xmlns:oor="http://openoffice.org/2001/registry" xmlns:xs="http://www.w3.org/2001/XMLSchema" ')
            out.write('xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n')
            for path, name, value in SETTINGS:
                out.write(f'<item oor:path="/org.openoffice.{path}"><prop oor:name="{name}" oor:op="fuse">')
                out.write(f"<value>{value}</value></prop></item>\n")
            out.write("</oor:items>\n")
        pipe = os.path.basename(folder)
        # The same process group as this worker: the parent ends all of it with one signal.
        with open(os.path.join(folder, "soffice.log"), "wb") as log:
            self.process = subprocess.Popen(
                [
                    soffice,
                    "-env:UserInstallation=" + uno.systemPathToFileUrl(profile),
                    *("--headless", "--invisible", "--norestore", "--nologo", "--nodefault", "--nofirststartwizard"),
                    f"--accept=pipe,name={pipe};urp;",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        local = uno.getComponentContext()
        resolver = local.ServiceManager.createInstanceWithContext("com.sun.star.bridge.UnoUrlResolver", local)
        while True:
            try:
                self.context = resolver.resolve(f"uno:pipe,name={pipe};urp;StarOffice.ComponentContext")
                break
            except Exception:  # not listening yet; the parent's timeout bounds the wait
                if self.process.poll() is not None:
                    raise RefusedError(f"LibreOffice ended while starting{self.last_words()}") from None
                time.sleep(0.05)
        self.desktop = self.service("com.sun.star.frame.Desktop")

    def service(self, name: str) -> Any:
        return self.context.ServiceManager.createInstanceWithContext(name, self.context)

    def last_words(self) -> str:
        with open(os.path.join(self.folder, "soffice.log"), errors="replace") as log:
            lines = [line.strip() for line in log if line.strip() and "javaldx" not in line]
        return f": {lines[-1][:200]}" if lines else ""

    def version(self) -> str:
        provider = self.service("com.sun.star.configuration.ConfigurationProvider")
        product = provider.createInstanceWithArguments(
            "com.sun.star.configuration.ConfigurationAccess",
            properties(nodepath="/org.openoffice.Setup/Product"),
        )
        return f"{product.getByName('ooName')} {product.getByName('ooSetupVersionAboutBox')}"

    def open(self, path: str) -> int:
        # UpdateDocMode 0: no links; MacroExecutionMode 0: no macros.
        options = properties(Hidden=True, UpdateDocMode=0, MacroExecutionMode=0)
        document = self.desktop.loadComponentFromURL(uno.systemPathToFileUrl(path), "_blank", 0, options)
        if document is None:
            raise RefusedError(f"LibreOffice cannot read {path}: the file is damaged or of a kind it does not know")
        if not document.supportsService("com.sun.star.sheet.SpreadsheetDocument"):
            document.close(True)
            raise RefusedError(f"LibreOffice does not see a spreadsheet in {path}")
        # Several inputs are set before one result is read: calculate then, not at each of them.
        document.enableAutomaticCalculation(False)
        document.calculateAll()
        self.next_id += 1
        self.documents[self.next_id] = Document(document, os.path.join(self.folder, "numbers"))
        return self.next_id


class Document:
    """One spreadsheet; `where` in its methods is {"name": …} or {"sheet": …, "rect": [top, left, bottom, right]}."""

    def __init__(self, model: Any, numbers_path: str) -> None:
        self.model = model
        self.numbers_path = numbers_path
        self.stale = False
        self.boolean_formats: dict[int, bool] = {}

    def cells(self, where: dict[str, Any]) -> Any:
        if "name" in where:
            return self.named(where["name"])
        sheets = self.model.Sheets
        if not sheets.hasByName(where["sheet"]):
            raise RefusedError(where["sheet"], "sheet")
        top, left, bottom, right = where["rect"]
        try:
            return sheets.getByName(where["sheet"]).getCellRangeByPosition(left - 1, top - 1, right - 1, bottom - 1)
        except Exception:
            raise RefusedError(f"LibreOffice has no cell so far right or down as {where['rect']}") from None

    def named(self, name: str) -> Any:
        names = self.model.NamedRanges
        if not names.hasByName(name):
            alike = [other for other in names.ElementNames if other.lower() == name.lower()]
            if not alike:
                raise RefusedError(name, "name")
            name = alike[0]
        cells = names.getByName(name).getReferredCells()
        if cells is None:
            raise RefusedError(name, "name")
        return cells

    def fresh(self) -> None:
        if self.stale:
            self.model.calculate()
            self.stale = False

    def set(self, where: dict[str, Any], value: Any) -> None:
        cells = self.cells(where)
        address = cells.RangeAddress
        shape = (address.EndRow - address.StartRow + 1, address.EndColumn - address.StartColumn + 1)
        if isinstance(value, list):
            if (len(value), len(value[0]) if value else 0) != shape:
                raise RefusedError(f"the range has {shape[0]} x {shape[1]} cells, not {len(value)} x {len(value[0])}")
            cells.setDataArray(tuple(tuple(row) for row in value))
        elif shape != (1, 1):
            raise RefusedError(f"the range has {shape[0]} x {shape[1]} cells and takes an array, not one value")
        else:
            cell = cells.getCellByPosition(0, 0)
            if isinstance(value, bool):
                cell.setValue(float(value))
                cell.NumberFormat = self.model.NumberFormats.getStandardFormat(LOGICAL, cell.CharLocale)
            elif isinstance(value, str):
                cell.setString(value)
            else:
                cell.setValue(float(value))
        self.stale = True

    def rows(self, cells: Any) -> Iterator[tuple[Any, Any]]:
        """The data of a range in pieces: tuples of rows; errors are None, blanks the empty string."""
        address = cells.RangeAddress
        height = address.EndRow - address.StartRow + 1
        width = address.EndColumn - address.StartColumn + 1
        step = max(1, CELLS_A_CALL // width)
        for top in range(0, height, step):
            part = cells.getCellRangeByPosition(0, top, width - 1, min(height, top + step) - 1)
            yield part, part.getDataArray()

    def values(self, cells: Any, booleans: bool) -> list[list[Any]]:
        result: list[list[Any]] = []
        for part, data in self.rows(cells):
            block = [list(row) for row in data]
            if any("" in row for row in data):
                self.mark_blanks(part, block)
            for i, row in enumerate(data):
                for j, value in enumerate(row):
                    if value is None:
                        # A file's error constant is a formula here as well (=#N/A).
                        block[i][j] = {"error": part.getCellByPosition(j, i).getError()}
                    elif booleans and (value == 0 or value == 1) and self.is_boolean(part.getCellByPosition(j, i)):
                        block[i][j] = bool(value)
            result += block
        return result

    @staticmethod
    def mark_blanks(part: Any, block: list[list[Any]]) -> None:
        address = part.RangeAddress
        for empty in part.queryEmptyCells().RangeAddresses:
            for row in range(empty.StartRow - address.StartRow, empty.EndRow - address.StartRow + 1):
                for column in range(empty.StartColumn - address.StartColumn, empty.EndColumn - address.StartColumn + 1):
                    block[row][column] = None

    def is_boolean(self, cell: Any) -> bool:
        key = cell.NumberFormat
        if key not in self.boolean_formats:
            self.boolean_formats[key] = bool(self.model.NumberFormats.getByKey(key).Type & LOGICAL)
        return self.boolean_formats[key]

    def get(self, where: dict[str, Any], booleans: bool) -> list[list[Any]]:
        self.fresh()
        return self.values(self.cells(where), booleans)

    def numbers(self, where: dict[str, Any]) -> dict[str, Any]:
        self.fresh()
        cells = self.cells(where)
        address = cells.RangeAddress
        place = {
            "sheet": self.model.Sheets.getByIndex(address.Sheet).Name,
            "top": address.StartRow + 1,
            "left": address.StartColumn + 1,
            "height": address.EndRow - address.StartRow + 1,
            "width": address.EndColumn - address.StartColumn + 1,
        }
        done = 0
        with open(self.numbers_path, "wb") as out:
            for part, data in self.rows(cells):
                flat: array.array[float] = array.array("d")
                try:
                    for row in data:
                        flat.extend(row)
                except TypeError:  # a text or an error: say where
                    for i, row in enumerate(data):
                        for j, value in enumerate(row):
                            if not isinstance(value, float):
                                found = self.values(part.getCellRangeByPosition(j, i, j, i), False)[0][0]
                                return dict(place, row=place["top"] + done + i, column=place["left"] + j, found=found)
                flat.tofile(out)
                done += len(data)
        return dict(place, path=self.numbers_path)

    def formulas(self, index: int, booleans: bool) -> list[Any]:
        """The formula cells of one sheet: its name, then [top, left, rows of values] for each rectangle."""
        self.fresh()
        sheet = self.model.Sheets.getByIndex(index)
        blocks = []
        for address in sheet.queryContentCells(FORMULA).RangeAddresses:
            cells = sheet.getCellRangeByPosition(
                address.StartColumn, address.StartRow, address.EndColumn, address.EndRow
            )
            blocks.append([address.StartRow + 1, address.StartColumn + 1, self.values(cells, booleans)])
        return [sheet.Name, blocks]

    def recalculate(self) -> float:
        start = time.perf_counter()
        self.model.calculateAll()
        self.stale = False
        return time.perf_counter() - start

    def save(self, path: str, format: str) -> None:  # noqa: A002
        self.fresh()
        self.model.storeToURL(uno.systemPathToFileUrl(path), properties(FilterName=FILTERS[format], Overwrite=True))


def answer(office: Office, request: dict[str, Any]) -> Any:
    """The result of one request: {"do": METHOD, "document": ID, …arguments}."""
    do = request.pop("do")
    number = request.pop("document", None)
    if do == "version":
        return office.version()
    if do == "open":
        return office.open(**request)
    document = office.documents[number]
    if do == "sheets":
        return document.model.Sheets.Count
    if do == "close":
        del office.documents[number]
        return document.model.close(True)
    methods = {name: getattr(document, name) for name in ("set", "get", "numbers", "formulas", "recalculate", "save")}
    return methods[do](**request)


def main() -> None:
    soffice, folder = sys.argv[1:]
    reply = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what a library prints must not get between the replies
    requests: queue.Queue[str] = queue.Queue()

    def listen() -> None:
        for line in sys.stdin:
            requests.put(line)
        if requests.empty() and office:
            try:
                office[0].desktop.terminate()  # removes its sockets in /tmp, which a kill leaves
                office[0].process.wait(5)
            except Exception:
                pass
        shutil.rmtree(folder, ignore_errors=True)
        os.killpg(0, signal.SIGKILL)

    office: list[Office] = []
    threading.Thread(target=listen, daemon=True).start()
    while True:
        request = json.loads(requests.get())
        try:
            if not office:
                office.append(Office(soffice, folder))
            result = {"ok": answer(office[0], request)}
        except RefusedError as error:
            result = {"refused": str(error), "kind": error.kind}
        except Exception as error:
            dead = office and office[0].process.poll() is not None
            text = f"{type(error).__name__} {error}".strip().replace("\n", " ")[:300]
            result = {"crashed" if dead else "refused": text, "kind": "engine"}
        print(json.dumps(result), file=reply, flush=True)


if __name__ == "__main__":
    main()
