"""An engine in a process of its own, so that its crash is a sentence here and its hang has an end.

The process is this module run as a program. Requests and answers are pickles on its standard input and output; both
ends are ours.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pickle
import queue
import subprocess
import sys
import threading
import weakref
from typing import IO, TYPE_CHECKING, Any, Self

from gpt2xl.errors import EngineError, Gpt2xlError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from gpt2xl.engines.document import Scalar, Value

# The import path as it is here, whatever this Python was started with.
_PROGRAM = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from gpt2xl.engines.apart import serve; serve()"


class Apart:
    """The engine `name` of `module` (a class without arguments), as it is but in another process.

    `timeout` bounds the seconds of every single request. Raises what the engine raises, and `EngineError` where it
    crashes or does not answer in time; then its process is ended.
    """

    def __init__(self, module: str, name: str, *, timeout: float = 600.0) -> None:
        self._name = name
        self._timeout = timeout
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=_forward, args=(self._process.stdout, self._answers), daemon=True).start()
        self._finalizer = weakref.finalize(self, _end, self._process)
        self.call("starting", module, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def open(self, path: str | Path) -> Document:
        """Load a workbook and compute all its formulas anew."""
        return Document(self, self.call(f"reading {path}", "open", str(path)))

    def close(self) -> None:
        """End the process."""
        self._finalizer()

    def call(self, doing: str, *request: object) -> Any:
        """Send a request and wait for its answer."""
        if not self._finalizer.alive:
            raise EngineError(f"{self._name} was ended; open the workbook again")
        assert self._process.stdin is not None
        try:
            with contextlib.suppress(OSError):  # it is gone: the answer says so
                pickle.dump(request, self._process.stdin)
                self._process.stdin.flush()
            answer = self._answers.get(timeout=self._timeout)
        except queue.Empty:
            self._finalizer()
            raise EngineError(
                f"{self._name} did not answer within {self._timeout:g} seconds while {doing} and was ended; "
                "give it more time (--timeout), or a smaller workbook"
            ) from None
        except BaseException:  # an interrupt: the answer would be taken for that of the next request
            self._finalizer()
            raise
        if answer is None:
            self._finalizer()
            raise EngineError(f"{self._name} crashed while {doing}; try again with more free memory, or another engine")
        if isinstance(answer, Gpt2xlError):
            raise answer
        return answer[0]


class Document:
    """One workbook open in an engine apart; the methods are those of `gpt2xl.engines.document.Document`."""

    def __init__(self, engine: Apart, number: int) -> None:
        self._engine = engine
        self._number = number

    def set(self, ref: str, value: Scalar | Sequence[Sequence[float]] | NDArray[np.float64]) -> None:
        self._engine.call(f"setting {ref}", self._number, "set", ref, value)

    def get(self, ref: str) -> list[list[Value]]:
        values: list[list[Value]] = self._engine.call(f"reading {ref}", self._number, "get", ref)
        return values

    def get_numbers(self, ref: str) -> NDArray[np.float64]:
        numbers: NDArray[np.float64] = self._engine.call(f"reading {ref}", self._number, "get_numbers", ref)
        return numbers


def _forward(stream: IO[bytes], answers: queue.SimpleQueue[Any]) -> None:
    """Answers to the queue; None says that there will be no more."""
    with contextlib.suppress(Exception):  # whatever the last words of a crash are
        while True:
            answers.put(pickle.load(stream))
    answers.put(None)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def serve() -> None:
    """What runs in the other process: the engine is made, then each request is one call."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    engine: Any = None
    documents: list[Any] = []
    while True:
        try:
            first, *rest = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            if engine is None:
                engine = getattr(importlib.import_module(first), *rest)()
                answer: Any = (None,)
            elif first == "open":
                documents.append(engine.open(*rest))
                answer = (len(documents) - 1,)
            else:
                method, *arguments = rest
                answer = (getattr(documents[first], method)(*arguments),)
        except Gpt2xlError as error:
            answer = error
        pickle.dump(answer, answers)
        answers.flush()
