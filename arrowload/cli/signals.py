"""SIGINT and SIGTERM end a command as an error would: what is open is closed, what is staged is dropped."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_HANDLED = (signal.SIGINT, signal.SIGTERM)
_received: list[int] = []


class Interrupted(BaseException):
    """Somebody asked the command to end. No `Exception`, so that nothing on the way takes it for a failure."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Have the first signal raise `Interrupted` in the main thread, and the second end the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _received.clear()
    # What the shell told us to ignore, as it does for jobs in the background, stays ignored.
    heeded = [number for number in _HANDLED if signal.getsignal(number) != signal.SIG_IGN]
    before = [(number, signal.signal(number, _interrupt)) for number in heeded]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def received_signal() -> int | None:
    """The signal that came first since `interruptible` began, None when none came."""
    return _received[0] if _received else None


def stop_if_interrupted(_: object = None) -> None:
    """Raise `Interrupted`, on whatever thread, when a signal came whose exception was lost.

    DuckDB may drop what a handler raises while it runs a query in the main thread. A run that calls this at each event
    ends at the next batch all the same.
    """
    if _received:
        raise Interrupted


def _interrupt(number: int, _: FrameType | None) -> None:
    _received.append(number)
    for handled in _HANDLED:
        if signal.getsignal(handled) is _interrupt:
            signal.signal(handled, signal.SIG_DFL)
    raise Interrupted
