"""A slow line between a client and a server: late, thin, in segments of one byte, or silent from some byte on."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.listener import Listener

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Line:
    """What the line is like, in each direction.

    Attributes:
        latency_s: How late everything arrives.
        bytes_per_s: What goes through; None: as much as comes.
        segment: Bytes handed on at once.
        silent_after: Bytes of all connections, in both directions, after which nothing arrives any more, though no
            connection is closed; None: never.
    """

    latency_s: float = 0.0
    bytes_per_s: int | None = None
    segment: int = 65_536
    silent_after: int | None = None


class SlowProxy(Listener):
    """Listens on a port of 127.0.0.1 and leads to a server over a `Line`.

    Args:
        target: Host and port of the server.
        line: What lies in between.
    """

    def __init__(self, target: tuple[str, int], line: Line) -> None:
        super().__init__()
        self._target = target
        self._line = line
        self._lock = threading.Lock()
        #: Bytes that went through, in both directions.
        self.passed = 0

    def handle(self, client: socket.socket) -> None:
        """Lead to the server."""
        with contextlib.suppress(OSError), contextlib.closing(client), socket.create_connection(self._target) as server:
            for side in (client, server):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
            back.start()
            self._pump(client, server)
            back.join()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        """Hand on what `one` says until it says no more."""
        with contextlib.suppress(OSError):
            while data := one.recv(65_536):
                time.sleep(self._line.latency_s)
                for start in range(0, len(data), self._line.segment):
                    piece = data[start : start + self._line.segment]
                    if self._line.bytes_per_s is not None:
                        time.sleep(len(piece) / self._line.bytes_per_s)
                    if self._count(len(piece)):
                        other.sendall(piece)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_WR)

    def _count(self, size: int) -> bool:
        """Whether the line is not silent yet."""
        with self._lock:
            self.passed += size
            return self._line.silent_after is None or self.passed <= self._line.silent_after


@contextlib.contextmanager
def slow_line(target: tuple[str, int], line: Line) -> Iterator[SlowProxy]:
    """A proxy for the length of a `with`."""
    proxy = SlowProxy(target, line)
    with proxy.running():
        yield proxy
