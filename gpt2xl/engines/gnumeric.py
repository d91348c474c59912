"""gnumeric as a third witness: `ssconvert` recalculates a workbook and writes another."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

from gpt2xl.engines.document import existing_file
from gpt2xl.errors import EngineError


def version() -> str:
    """Such as "gnumeric 1.12.55"."""
    shown = subprocess.run([_ssconvert(), "--version"], capture_output=True, text=True, check=False).stdout
    return f"gnumeric {shown.split(chr(39))[1]}" if "'" in shown else "gnumeric"


def recalculate(path: str | Path, target: str | Path, *, timeout: float = 600.0) -> Path:
    """Load a workbook, compute every formula anew, write the result as .xlsx to `target`; the path of that.

    gnumeric needs the `r` attribute on every cell: without it, it reads wrong cells and says nothing.
    """
    source, made = existing_file(path), Path(target).resolve()
    command = [_ssconvert(), "--recalc", "--export-type=Gnumeric_Excel:xlsx2", str(source), str(made)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    try:
        _, messages = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise EngineError(
            f"gnumeric did not recalculate {source.name} within {timeout:g} seconds; give it more time"
        ) from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode or not made.is_file():
        lines = messages.decode(errors="replace").split("\n")
        raise EngineError(f"gnumeric cannot recalculate {source.name}: {next(filter(None, lines), 'no reason given')}")
    return made


def _ssconvert() -> str:
    found = shutil.which("ssconvert")
    if found is None:
        raise EngineError("gnumeric's `ssconvert` is not on the PATH; install it (`apt install gnumeric`)")
    return found
