"""A file that is either complete under its name or not there at all."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from gpt2xl.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_UNNAMED: int | None = getattr(os, "O_TMPFILE", None)  # Linux alone has it (open(2))


def refuse_unwritable(target: Path) -> None:
    """Raise `OutputError` for what the operating system would refuse to write, before any work is done for it."""
    try:
        there = target.stat()
    except (FileNotFoundError, NotADirectoryError):
        there = None
    except (OSError, ValueError) as error:  # too long, forbidden, a circle of links
        raise _refused(target, error) from error
    if there and stat.S_ISDIR(there.st_mode):
        raise OutputError(f"cannot write {target}: it is a folder; name a file such as {target / 'book.xlsx'}")
    if there and not os.access(target, os.W_OK):
        raise OutputError(f"cannot write {target}: it is write-protected; choose another name")
    if there and not stat.S_ISREG(there.st_mode):
        return
    folder = target.resolve().parent
    if not folder.is_dir():
        raise OutputError(f"cannot write {target}: the folder {folder} does not exist; create it, or write elsewhere")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"cannot write {target}: nothing can be written in its folder; write somewhere else")


@contextmanager
def output_file(target: Path) -> Iterator[BinaryIO]:
    """A new file beside `target` that takes its place when the block ends well.

    On any failure, Ctrl-C included, nothing of it is left, and a file that was there is untouched. Where the system
    has files without a name (Linux, on its usual file systems), it is one until it is complete, so that not even a
    killed program leaves anything. Raises `OutputError` for what the operating system refuses.
    """
    refuse_unwritable(target)
    try:
        if target.exists() and not target.is_file():  # a device or a pipe has no "beside"
            with target.open("wb") as device:
                yield device
            return
        final = target.resolve()  # a link stays a link
        temporary = final.with_name(f".gpt2xl-{secrets.token_hex(6)}.tmp")
        try:
            stream, named = _new_file(temporary)
            with stream:
                yield stream
                stream.flush()
                if not named:
                    # An absolute path needs no folder, but without one Python does not follow the link (linkat(2)).
                    fd = stream.fileno()
                    os.link(f"/proc/self/fd/{fd}", temporary, src_dir_fd=fd, follow_symlinks=True)
            if final.exists():
                shutil.copymode(final, temporary)
            os.replace(temporary, final)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        raise _refused(target, error) from error


def _new_file(temporary: Path) -> tuple[BinaryIO, bool]:
    """A new file in the folder of `temporary`, and whether it has that name yet."""
    if _UNNAMED is not None and os.path.isdir("/proc/self/fd"):
        with suppress(OSError):  # not every file system can
            return os.fdopen(os.open(temporary.parent, _UNNAMED | os.O_WRONLY, 0o666), "wb"), False
    return temporary.open("xb"), True


def _refused(target: Path, error: OSError | ValueError) -> OutputError:
    reason = getattr(error, "strerror", None) or str(error)
    return OutputError(f"cannot write {target}: {reason[:1].lower()}{reason[1:]}")
