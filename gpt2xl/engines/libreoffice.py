"""LibreOffice as a witness: a headless instance of our own, driven through UNO.

Our Python has no `uno` module, so a worker (`uno_worker.py`) runs in one that has: LibreOffice's own, or the
system's. Instance, profile and pipe belong to this object alone; a LibreOffice that the user has open is never
touched, and several instances run side by side.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, Self

import numpy as np

from gpt2xl.a1 import Rect
from gpt2xl.engines.document import (
    Block,
    CellError,
    Scalar,
    Value,
    existing_file,
    matrix,
    not_a_number,
    scalar,
    split_ref,
    unknown_name,
    unknown_sheet,
)
from gpt2xl.errors import EngineError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

_WORKER = Path(__file__).with_name("uno_worker.py")
_APPLICATIONS = ("/Applications/LibreOffice.app/Contents/MacOS/soffice",)  # where macOS keeps it, off the PATH
_OLDEST = (7, 4)
_INSTALL = "install it (on Debian or Ubuntu: `apt install libreoffice-calc python3-uno`)"

# LibreOffice's codes to Excel's texts, as its own export maps them (sc/source/filter/excel/xltools.cxx).
_ERRORS = {503: "#NUM!", 521: "#NULL!", 524: "#REF!", 525: "#NAME?", 526: "#NAME?", 531: "#NAME?", 532: "#DIV/0!"}
_ERRORS |= {32767: "#N/A"} | dict.fromkeys((502, 504, 507, 509, 510, 511, 519, 522), "#VALUE!")


class LibreOffice:
    """One headless LibreOffice; `with LibreOffice() as office:` starts it and ends it.

    `timeout` bounds the seconds of every single request (start, load, recalculation, …). A program that is missing,
    dies or hangs is an `EngineError`; nothing is left running, and no file is left behind.
    """

    def __init__(self, *, timeout: float = 600.0) -> None:
        self._timeout = timeout
        self._worker: _Worker | None = None
        self._version = ""

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def version(self) -> str:
        """Such as "LibreOffice 7.4.7.2"."""
        self._start()
        return self._version

    def open(self, path: str | Path) -> Document:
        """Load a workbook and compute every formula anew: what the file stores as results is never believed."""
        found = existing_file(path)
        worker = self._start()
        return Document(worker, worker.call(f"opening {found.name}", do="open", path=str(found)))

    def close(self) -> None:
        """End the program and remove its profile. Documents that are still open are lost."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _start(self) -> _Worker:
        if self._worker is None or self._worker.closed:
            self._worker = _Worker(self._timeout)
            self._version = str(self._worker.call("starting", do="version"))
            found = re.search(r"([0-9]+)\.([0-9]+)", self._version)
            if found and (int(found[1]), int(found[2])) < _OLDEST:
                self.close()
                raise EngineError(
                    f"{self._version} is too old: {_OLDEST[0]}.{_OLDEST[1]} was the first with all of Excel's columns; "
                    "install a newer one, and name it in GPT2XL_SOFFICE if it is not the first on the PATH"
                )
        return self._worker


class Document:
    """One workbook open in LibreOffice.

    LibreOffice has no booleans, only numbers shown as TRUE and FALSE: `get` and the formula methods give 1.0 and 0.0
    unless they are called with `booleans=True`, which asks every cell that holds 0 or 1 for its format (about 5,000
    cells a second; inside an array formula only the first cell has one). A boolean or an error that the file stores
    as a constant becomes a formula on loading, so the formula methods give these cells too.
    """

    def __init__(self, worker: _Worker, number: int) -> None:
        self._worker = worker
        self._number = number

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def set(self, ref: str, value: Scalar | Sequence[Sequence[float]] | NDArray[np.float64]) -> None:
        """Put a value into an input cell, or a 2-D array of numbers into a range of its shape.

        A string becomes exactly that text, never a formula, a number or a date; but the empty string empties the
        cell, and LibreOffice makes one line feed of a carriage return, alone or with its line feed.
        What depends on the cell is recalculated before the next value is read.
        """
        typed = scalar(value) if isinstance(value, (bool, str, int, float, np.generic)) else matrix(value).tolist()
        self._call(f"setting {ref}", "set", ref, value=typed)

    def get(self, ref: str, *, booleans: bool = False) -> list[list[Value]]:
        """The values of a range, row by row, after recalculation."""
        return _values(self._call(f"reading {ref}", "get", ref, booleans=booleans))

    def get_numbers(self, ref: str) -> NDArray[np.float64]:
        """The values of a range, [rows, columns]; `EngineError` names the first cell that holds no number."""
        found = self._call(f"reading {ref}", "numbers", ref)
        if "path" not in found:
            raise not_a_number(found["sheet"], found["row"], found["column"], _values([[found["found"]]])[0][0])
        return np.fromfile(found["path"], dtype=np.float64).reshape(found["height"], found["width"])

    def formula_blocks(self, *, booleans: bool = False) -> Iterator[Block]:
        """All formula cells, as rectangles of values; what an array formula fills counts as formula cells."""
        for index in range(self._call("counting sheets", "sheets")):
            sheet, blocks = self._call("reading formulas", "formulas", index=index, booleans=booleans)
            for top, left, rows in blocks:
                yield sheet, Rect.of(top, left, len(rows), len(rows[0])), _values(rows)

    def formula_cells(self, *, booleans: bool = False) -> Iterator[tuple[str, int, int, Value]]:
        """All formula cells one by one: sheet, row and column (from 1), value."""
        for sheet, rect, rows in self.formula_blocks(booleans=booleans):
            for i, row in enumerate(rows):
                for j, value in enumerate(row):
                    yield sheet, rect.top + i, rect.left + j, value

    def recalculate(self) -> float:
        """Compute every formula anew (LibreOffice's hard recalculation); the seconds it took."""
        return float(self._call("recalculating", "recalculate"))

    def save_as(self, path: str | Path, format: Literal["xlsx", "ods", "pdf"] = "xlsx") -> None:  # noqa: A002
        """Write the document, with present values, in one of three formats; an existing file is replaced."""
        target = Path(path).resolve()
        if format not in ("xlsx", "ods", "pdf"):
            raise OutputError(f"LibreOffice is asked for xlsx, ods or pdf, not {format}")
        if not target.parent.is_dir():
            raise OutputError(f"there is no folder {target.parent}")
        # Through our own folder, so that a failure leaves the target as it was.
        made = self._worker.folder / f"saved.{format}"
        self._call(f"saving {target.name}", "save", path=str(made), format=format)
        part = target.with_name(f".{target.name}.part")
        try:
            shutil.move(made, part)
            part.replace(target)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink()
            raise OutputError(f"cannot write {path}: {error.strerror}") from None

    def close(self) -> None:
        """Let go of the document without saving it."""
        if self._number and not self._worker.closed:
            self._worker.call("closing", do="close", document=self._number)
        self._number = 0

    def _call(self, doing: str, do: str, ref: str | None = None, **arguments: object) -> Any:
        if not self._number:
            raise EngineError("the document is closed; open it again")
        if ref is not None:
            cells = split_ref(ref)
            if cells is None:
                arguments["where"] = {"name": ref}
            else:
                sheet, rect = cells
                arguments["where"] = {"sheet": sheet, "rect": (rect.top, rect.left, rect.bottom, rect.right)}
        return self._worker.call(doing, do=do, document=self._number, **arguments)


def _values(rows: list[list[Any]]) -> list[list[Value]]:
    """Values as they come over the wire: an error is {"error": LibreOffice's code}."""
    for row in rows:
        for j, value in enumerate(row):
            if isinstance(value, dict):
                row[j] = CellError(_ERRORS.get(value["error"], "#N/A"))
    return rows


class _Worker:
    """The worker process, its LibreOffice, and the folder of both: they live and end together."""

    def __init__(self, timeout: float) -> None:
        if os.name != "posix":
            raise EngineError("the LibreOffice engine runs on Linux and macOS; use the ironcalc or python engine here")
        soffice = _find_soffice()
        python = _find_python(soffice)
        self.timeout = timeout
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="gpt2xl-"))
        except OSError as error:
            raise EngineError(
                f"there is no room for LibreOffice's profile ({error.strerror}); set TMPDIR to a folder with some"
            ) from None
        self._process = subprocess.Popen(
            [python, str(_WORKER), soffice, str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,  # a process group of its own, so that one signal ends all of it
        )
        self._replies: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=_forward, args=(self._process.stdout, self._replies), daemon=True).start()
        # Also when the caller forgets to close, and at the interpreter's exit.
        self._finalizer = weakref.finalize(self, _end, self._process, self.folder)

    @property
    def closed(self) -> bool:
        return not self._finalizer.alive

    def call(self, doing: str, **request: object) -> Any:
        """Send a request, wait for its answer; every failure is an `EngineError` or a `NameNotFound`."""
        if self.closed:
            raise EngineError("LibreOffice was closed; open the workbook again")
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode("ascii") + b"\n")
            self._process.stdin.flush()
            line = self._replies.get(timeout=self.timeout)
        except queue.Empty:
            self._finalizer()
            raise EngineError(
                f"LibreOffice did not answer within {self.timeout:g} seconds while {doing} and was ended; "
                "give it more time (--timeout), or a smaller workbook"
            ) from None
        except OSError:
            line = b""
        except BaseException:  # an interrupt: the answer would be taken for that of the next request
            self._finalizer()
            raise
        if not line:
            self._finalizer()
            raise EngineError(f"LibreOffice's worker ended while {doing}; try again, or with a smaller workbook")
        try:
            reply = json.loads(line)
        except ValueError:
            reply = {"crashed": ""}
        if "ok" in reply:
            return reply["ok"]
        if reply.get("kind") == "name":
            raise unknown_name(reply["refused"])
        if reply.get("kind") == "sheet":
            raise unknown_sheet(reply["refused"])
        if "crashed" in reply:
            self._finalizer()
            raise EngineError(f"LibreOffice crashed while {doing}; try again, or with more free memory")
        if request["do"] == "version":  # it never came up
            self._finalizer()
        raise EngineError(f"LibreOffice failed while {doing}: {reply['refused']}")

    def close(self) -> None:
        if self.closed:
            return
        # The end of its input tells the worker to end LibreOffice in order; what hangs is ended by force.
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._finalizer()


def _forward(stream: IO[bytes], replies: queue.SimpleQueue[bytes]) -> None:
    """Lines to the queue; an empty one says that the worker is gone."""
    with contextlib.suppress(OSError, ValueError):
        for line in stream:
            replies.put(line)
    replies.put(b"")


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    """End the whole process group, remove its folder and the sockets that a killed LibreOffice leaves in /tmp."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    shutil.rmtree(folder, ignore_errors=True)
    for pipe in (folder.name, f"SingleOfficeIPC_{_profile_digest(folder)}"):
        with contextlib.suppress(OSError):
            Path(f"/tmp/OSL_PIPE_{os.getuid()}_{pipe}").unlink()


def _profile_digest(folder: Path) -> str:
    """The name LibreOffice makes of its profile's URL (desktop/source/app/officeipcthread.cxx, CreateMD5FromString)."""
    digest = hashlib.md5((folder / "profile").as_uri().encode("utf-16-le"), usedforsecurity=False).digest()
    return "".join(f"{byte:x}" for byte in digest)


def _environment() -> dict[str, str]:
    """Ours without what belongs to our Python, and with a locale in which any file name can be written."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return kept | {"LC_ALL": "C.UTF-8"}


def _find_soffice() -> str:
    wanted = os.environ.get("GPT2XL_SOFFICE")
    for candidate in [wanted] if wanted else ["soffice", "libreoffice", *_APPLICATIONS]:
        found = shutil.which(candidate)
        if found:
            return found
    if wanted:
        raise EngineError(f"GPT2XL_SOFFICE names {wanted}, which is no program; unset it or correct it")
    raise EngineError(f"LibreOffice is not installed, or `soffice` is not on the PATH; {_INSTALL}")


def _find_python(soffice: str) -> str:
    """A Python that can import `uno`."""
    wanted = os.environ.get("GPT2XL_UNO_PYTHON")
    own = str(Path(soffice).resolve().parent / "python")
    for candidate in [wanted] if wanted else ["/usr/bin/python3", "python3", own, sys.executable]:
        found = shutil.which(candidate)
        if found and _can_import_uno(found):
            return found
    if wanted:
        raise EngineError(f"GPT2XL_UNO_PYTHON names {wanted}, which cannot import `uno`; unset it or correct it")
    raise EngineError(
        "no Python here can import LibreOffice's `uno` module; install it (on Debian or Ubuntu: "
        "`apt install python3-uno`) or set GPT2XL_UNO_PYTHON to a Python that has it"
    )


def _can_import_uno(python: str) -> bool:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        probe = [python, "-c", "import uno"]
        return not subprocess.run(probe, capture_output=True, env=_environment(), timeout=60, check=False).returncode
    return False
