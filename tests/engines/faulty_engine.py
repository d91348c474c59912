"""An engine for gpt2xl.engines.apart that goes wrong in every way, as its workbooks' names say."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from gpt2xl.errors import WorkbookError


class Faulty:
    def open(self, path: str) -> Faulty:
        print("what a library prints")
        kind = Path(path).stem
        if kind == "hang":
            time.sleep(1000)
        elif kind == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif kind == "leave":
            sys.exit(0)
        elif kind == "mistake":
            raise ZeroDivisionError
        elif kind == "refuse":
            raise WorkbookError("not this one")
        return self

    def get(self, ref: str) -> list[list[str]]:
        return [[ref]]


class NotInstalled:
    def __init__(self) -> None:
        raise WorkbookError("install it")
