"""A workbook file, opened: its sheets, its names, and the way to their cells.

ECMA-376 part 2 (packages), and part 1: 18.2 (workbook), 18.4 (shared strings). Nothing of the package stays open
between calls, so a file can be saved over itself.
"""

from __future__ import annotations

import errno
import os
import posixpath
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

from gpt2xl.errors import NameNotFound, WorkbookError
from gpt2xl.xlsx.hidden import hidden_rows, table_filter
from gpt2xl.xlsx.inflate import inflated, whole
from gpt2xl.xlsx.limits import ARRAY_FREE, TREE, check_archive
from gpt2xl.xlsx.ordered import in_order
from gpt2xl.xlsx.save import SheetChanges, save_package
from gpt2xl.xlsx.sheet import read_sheet
from gpt2xl.xlsx.strings import read_strings
from gpt2xl.xlsx.tables import TablePart, read_table
from gpt2xl.xlsx.xml import MAIN, local_name, parse_tree, relation_id, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from xml.etree import ElementTree as ET

    from gpt2xl.xlsx.store import SheetData

_LARGE = 128 << 20  # bytes of all parts, for which it pays to compile how to read them
_CONTENT_TYPES = "[Content_Types].xml"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

State = Literal["visible", "hidden", "veryHidden"]


@dataclass(frozen=True, slots=True)
class SheetInfo:
    """A worksheet: its name, its part's name in the zip file, and whether Excel shows it."""

    name: str
    part: str
    state: State = "visible"


@dataclass(frozen=True, slots=True)
class DefinedName:
    """A defined name (ECMA-376 part 1, 18.2.5); ``sheet`` is the one that it belongs to, None: all of them."""

    name: str
    text: str
    sheet: str | None = None
    hidden: bool = False


class Package:
    """A workbook file. Use `open_package`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sheets: list[SheetInfo] = []
        self.names: list[DefinedName] = []
        self.date1904 = False
        self.calc: dict[str, str] = {}
        self._unfilled: dict[str, int] = {}  # by part
        self._strings_part: str | None = None
        with self._zip() as archive:
            check_archive(archive.infolist(), path.stat().st_size)
            self._size = sum(info.file_size for info in archive.infolist())
            self._parts = {info.filename.lower(): info.filename for info in archive.infolist()}
            self._read_workbook(archive)

    def read(self, name: str) -> SheetData:
        """The cells of the sheet `name`; raises `NameNotFound` where there is none."""
        part = self.sheet(name).part
        with self._zip(part) as archive, closing(inflated(archive, info := archive.getinfo(part))) as pieces:
            size = info.file_size if self._size >= _LARGE else 0
            data = read_sheet(pieces, lambda: self._strings, size=size, date1904=self.date1904)
            self._unfilled[part] = data.unfilled
            if (unfilled := sum(self._unfilled.values())) > ARRAY_FREE:
                raise WorkbookError(
                    f"its array formulas fill {unfilled:,} cells that it does not hold, and gpt2xl adds at most "
                    f"{ARRAY_FREE:,}"
                )
            return data

    def read_all(self) -> Iterator[SheetData]:
        """The cells of all sheets in order; of a large file several at a time."""
        names = [sheet.name for sheet in self.sheets]
        if self._size < _LARGE:
            yield from map(self.read, names)
            return
        threads = os.cpu_count() or 1
        with ThreadPoolExecutor(threads, "read") as pool:
            try:
                yield from in_order(pool, self.read, names, threads)
            finally:
                pool.shutdown(cancel_futures=True)

    def sheet(self, name: str) -> SheetInfo:
        """The sheet `name`, without regard to case; raises `NameNotFound`."""
        for sheet in self.sheets:
            if sheet.name.casefold() == name.casefold():
                return sheet
        known = ", ".join(sheet.name for sheet in self.sheets[:8])
        raise NameNotFound(f"{self.path.name} has no sheet `{name}`; it has {known}")

    def tables(self) -> list[TablePart]:
        """The tables of all sheets; raises `WorkbookError` for a part that is no table."""
        found: dict[str, TablePart] = {}
        with self._zip() as archive:
            for sheet in self.sheets:
                for kind, target in self._relations(archive, sheet.part).values():
                    if kind == "table":
                        part = self._existing(target, f"a table of sheet `{sheet.name}`")
                        if part not in found:
                            found[part] = read_table(self._content(archive, part), sheet.name)
        return list(found.values())

    def hidden_rows(self, name: str) -> tuple[list[int], list[int]]:
        """The hidden rows of a sheet, and those of them that its filter or a table's filter hides."""
        part = self.sheet(name).part
        with self._zip(part) as archive:
            with closing(inflated(archive, archive.getinfo(part))) as pieces:
                rows, under = hidden_rows(pieces)
            places = [under] if under else []
            relations = self._relations(archive, part).values() if rows else ()
            for table in {self._existing(target, "a table") for kind, target in relations if kind == "table"}:
                found = table_filter(self._content(archive, table))
                places += [found] if found else []
        return rows, [row for row in rows if any(place.top <= row <= place.bottom for place in places)]

    def save(self, target: str | Path, changes: Mapping[str, SheetChanges]) -> None:
        """Write the workbook to `target` with `changes`, by sheet; everything else stays as it is, byte for byte.

        A formula's cell keeps its formula and gets the value as its stored result. `target` may be the file itself.
        """
        by_part = {self.sheet(name).part: list(blocks) for name, blocks in changes.items()}
        with self._zip() as archive:
            save_package(archive, Path(target), by_part)

    @contextmanager
    def _zip(self, part: str | None = None) -> Iterator[zipfile.ZipFile]:
        """The file, open; whatever is wrong with it becomes a `WorkbookError` of one sentence."""
        where = f" (in {part})" if part else ""
        try:
            with zipfile.ZipFile(self.path) as archive:
                yield archive
        except NameNotFound:
            raise
        except WorkbookError as error:
            if str(error).startswith(str(self.path)):
                raise
            raise WorkbookError(f"{self.path} cannot be read as a workbook: {error}{where}") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise WorkbookError(
                f"{self.path} is damaged, perhaps not copied completely: {_lower(str(error))}{where}"
            ) from error
        except RuntimeError as error:
            if "encrypted" not in str(error) and "password" not in str(error):
                raise
            raise WorkbookError(f"{self.path} is encrypted: save it without a password first") from error
        except OSError as error:
            if error.errno == errno.EINVAL:  # zipfile looks for a place before the file's beginning
                raise WorkbookError(f"{self.path} is damaged, perhaps not copied completely{where}") from error
            raise WorkbookError(f"cannot read {self.path}: {_lower(error.strerror or str(error))}") from error

    @cached_property
    def _strings(self) -> list[str]:
        part = self._strings_part
        if part is None:
            return []
        with self._zip(part) as archive, closing(inflated(archive, archive.getinfo(part))) as pieces:
            return read_strings(pieces)

    def _read_workbook(self, archive: zipfile.ZipFile) -> None:
        part = self._workbook_part(archive)
        root = parse_tree(self._content(archive, part))
        if root.tag not in {f"{{{namespace}}}workbook" for namespace in MAIN}:
            raise WorkbookError(f"{part} is no workbook")
        relations = self._relations(archive, part)
        for kind, target in relations.values():
            if kind == "sharedStrings":
                self._strings_part = self._part(target)
        names: list[str] = []
        used: set[str] = set()
        for sheet in _children(root, "sheets", "sheet"):
            name = sheet.get("name", "")
            names.append(name)
            kind, target = relations.get(relation_id(sheet) or "", ("", ""))
            if kind == "worksheet":
                found = self._existing(target, f"sheet `{name}`")
                if found in used:
                    raise WorkbookError(f"sheet `{name}` is the part {found}, which is another sheet already")
                used.add(found)
                self.sheets.append(SheetInfo(name, found, _state(sheet)))
        for element in _children(root, "definedNames", "definedName"):
            index = element.get("localSheetId", "")
            number = whole_number(index)
            owner = names[number] if number is not None and number < len(names) else None
            text = "".join(element.itertext())
            self.names.append(DefinedName(element.get("name", ""), text, owner, _true(element.get("hidden"))))
        for element in root:
            if local_name(element.tag) == "workbookPr":
                self.date1904 = _true(element.get("date1904"))
            elif local_name(element.tag) == "calcPr":
                self.calc = dict(element.attrib)

    def _workbook_part(self, archive: zipfile.ZipFile) -> str:
        """The main part, by the package's relationships, or where it usually is."""
        for kind, target in self._relations(archive, "").values():
            if kind == "officeDocument":
                part = self._existing(target, "the workbook")
                break
        else:
            if (usual := self._part("xl/workbook.xml")) is None:
                raise WorkbookError(f"{self.path} is no Excel workbook: it is a zip file without a workbook in it")
            part = usual
        if part.lower().endswith(".bin"):
            raise WorkbookError(f"{self.path} is a binary workbook (.xlsb): save it as .xlsx first")
        return part

    def _relations(self, archive: zipfile.ZipFile, part: str) -> dict[str, tuple[str, str]]:
        """What `part` refers to: id -> (last word of the type, name of the part)."""
        folder, name = posixpath.split(part)
        rels = self._part(posixpath.join(folder, "_rels", name + ".rels"))
        if rels is None:
            return {}
        found: dict[str, tuple[str, str]] = {}
        for element in parse_tree(self._content(archive, rels)):
            if local_name(element.tag) == "Relationship" and element.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, element.get("Target", "").replace("\\", "/")))
                kind = element.get("Type", "").rpartition("/")[2]
                found[element.get("Id", "")] = (kind, target.lstrip("/"))
        return found

    def _content(self, archive: zipfile.ZipFile, part: str) -> bytes:
        """A part that is read as a whole."""
        info = archive.getinfo(part)
        if info.file_size > TREE:
            raise WorkbookError(f"{part} has {info.file_size:,} bytes, and such a part has at most {TREE >> 20} MiB")
        return whole(archive, info)

    def _part(self, name: str) -> str | None:
        """The part's name as the zip file spells it: part names are compared without regard to case."""
        return self._parts.get(name.lower()) or self._parts.get(unquote(name).lower())

    def _existing(self, name: str, what: str) -> str:
        part = self._part(name)
        if part is None:
            raise WorkbookError(f"{what} has no part {name}")
        return part


def open_package(path: str | Path) -> Package:
    """Open a workbook; raises `WorkbookError` for what is none, in a sentence that says what it is instead."""
    path = Path(path)
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
    except FileNotFoundError as error:
        raise WorkbookError(f"there is no file {path}") from error
    except (OSError, ValueError) as error:  # of a name that none can have
        raise WorkbookError(f"cannot read {path}: {_lower(getattr(error, 'strerror', None) or str(error))}") from error
    if not start:
        raise WorkbookError(f"{path} is empty")
    if start == _OLE:
        if _ole_is_encrypted(path):
            raise WorkbookError(f"{path} is encrypted: open it in Excel and save it without a password first")
        raise WorkbookError(f"{path} is a workbook of Excel 97 to 2003 (.xls): save it as .xlsx first")
    if not start.startswith(b"PK"):
        raise WorkbookError(f"{path} is no Excel workbook: it is not a zip file")
    return Package(path)


def _ole_is_encrypted(path: Path) -> bool:
    """Whether an OLE file is an encrypted package (MS-OFFCRYPTO 2.3.2), by the name of a stream in its folder."""
    return "EncryptedPackage".encode("utf-16-le") in path.read_bytes()


def _children(root: ET.Element, parent: str, child: str) -> Iterator[ET.Element]:
    for element in root:
        if local_name(element.tag) == parent:
            yield from (each for each in element if local_name(each.tag) == child)


def _state(sheet: ET.Element) -> State:
    state = sheet.get("state", "visible")
    return "veryHidden" if state == "veryHidden" else "hidden" if state == "hidden" else "visible"


def _true(value: str | None) -> bool:
    return value in ("1", "true")


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
