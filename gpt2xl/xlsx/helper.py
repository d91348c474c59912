"""A process beside ours that packs pieces, given through pipes.

`multiprocessing` would import the user's program anew in each process, which only a program made for it survives.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gpt2xl.xlsx.compress import pack
from gpt2xl.xlsx.numbers import NumberRows

if TYPE_CHECKING:
    from gpt2xl.xlsx.compress import Compression, Packed, Piece

_PROGRAM = "import sys; sys.path[:] = sys.argv[2:]; from gpt2xl.xlsx.helper import serve; serve(sys.argv[1])"
_PIPE = 1 << 20  # bytes that wait in a pipe, where the system allows


class Gone(Exception):
    """The process has ended, or answers nonsense."""


def can_start() -> bool:
    """Whether `sys.executable` is Python itself, not a program that Python is a part of."""
    return not getattr(sys, "frozen", False) and Path(sys.executable or "").stem.lower().startswith("python")


class Helper:
    """One process, for one thread at a time. It ends with ours, however that ends: its standard input is closed."""

    def __init__(self, compression: Compression) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, compression, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pipesize=_PIPE,
            start_new_session=True,  # Ctrl-C is for us
        )

    def pack(self, piece: Piece) -> Packed:
        """As `gpt2xl.xlsx.compress.pack`; raises `Gone` where the process can do no more."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        whole = piece.read() if isinstance(piece, NumberRows) else piece
        try:
            pickle.dump(whole, self._process.stdin, pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()
            answer: Packed | ValueError = pickle.load(self._process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise Gone from error
        if isinstance(answer, ValueError):
            raise answer
        return answer

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(OSError):  # what was never sent is lost
                pipe.close()


def serve(compression: Compression) -> None:
    """Pack what comes on standard input, until it ends; answers go to standard output."""
    pieces, answers = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            piece = pickle.load(pieces)
        except EOFError:
            return
        answer: Packed | ValueError
        try:
            answer = pack(piece, compression)
        except ValueError as error:
            answer = error
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()
