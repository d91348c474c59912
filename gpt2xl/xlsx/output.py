"""A file that is either complete under its name or not there at all."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from gpt2xl.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def output_file(target: Path) -> Iterator[BinaryIO]:
    """A new file beside `target` that takes its place when the block ends well.

    On any failure, Ctrl-C included, nothing of it is left, and a file that was there is untouched. Raises
    `OutputError` for what the operating system refuses.
    """
    try:
        if target.is_dir():
            raise OutputError(f"cannot write {target}: it is a folder; name a file")
        if target.exists() and not target.is_file():  # a device or a pipe has no "beside"
            with target.open("wb") as stream:
                yield stream
            return
        final = target.resolve()  # a link stays a link
        temporary = final.with_name(f".gpt2xl-{secrets.token_hex(6)}.tmp")
        try:
            with temporary.open("xb") as stream:
                yield stream
            if final.exists():
                shutil.copymode(final, temporary)
            os.replace(temporary, final)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"cannot write {target}: {reason[:1].lower()}{reason[1:]}") from error
