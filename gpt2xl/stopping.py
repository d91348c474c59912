"""Being told to stop (SIGTERM, SIGHUP, Ctrl-C) as an exception, so that what is under way can be tidied up."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

_AGAIN = 0.01  # seconds


@contextmanager
def stopping_in_order() -> Iterator[None]:
    """Signals that end a program end the block as `SystemExit` with 128 and their number, as shells count them.

    Ctrl-C stays `KeyboardInterrupt`. Python raises either at any point, also where nothing can be raised (in the
    callback of a weak reference, for one), prints a traceback there and goes on as if nothing had been said; so a
    signal that was lost in this way is sent once more.
    """
    names = [signal.SIGTERM, *([signal.SIGHUP] if sys.platform != "win32" else [])]
    if threading.current_thread() is not threading.main_thread():  # Python lets no other thread set signals
        yield
        return
    before = {name: signal.signal(name, _stop) for name in names}
    hook = sys.unraisablehook
    sys.unraisablehook = _resending(hook)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for name, handler in before.items():
            signal.signal(name, handler)


def leave(status: int) -> NoReturn:
    """End the program that was told to stop, though threads of a library may be waiting for a network for long.

    The interpreter's own end would wait for those of a pool, daemons or not (concurrent.futures.thread).
    """
    if threading.active_count() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _stop(name: int, _: FrameType | None) -> NoReturn:
    sys.exit(128 + name)


def _resending(hook: Callable[[Any], object]) -> Callable[[Any], object]:
    """`hook`, except for what a signal raised: that comes again, a moment later and somewhere else."""

    def resend(unraisable: Any) -> None:
        error = unraisable.exc_value
        if isinstance(error, KeyboardInterrupt):
            number = int(signal.SIGINT)
        elif isinstance(error, SystemExit) and isinstance(error.code, int) and error.code > 128:
            number = error.code - 128
        else:
            hook(unraisable)
            return
        later = threading.Timer(_AGAIN, _send, (number,))
        later.daemon = True
        later.start()

    return resend


def _send(number: int) -> None:
    """The signal to the main thread, which may be waiting for something."""
    main = threading.main_thread().ident
    if sys.platform != "win32" and main is not None:
        signal.pthread_kill(main, number)
    else:
        signal.raise_signal(number)
