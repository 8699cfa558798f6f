"""TLS in front of a Postgres server that has none: answers the request for it, decrypts, and passes the bytes on."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING

from tests.listener import Listener

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

_SSL_REQUEST = struct.pack(">ii", 8, 80_877_103)


class TlsProxy(Listener):
    """Listens on a port of 127.0.0.1 and leads to a server.

    Args:
        target: Host and port of the server.
        context: How to encrypt; None says no (`N`) to those who ask.
        refuse_plain: Hang up on those who do not ask.
    """

    def __init__(self, target: tuple[str, int], context: ssl.SSLContext | None, *, refuse_plain: bool = False) -> None:
        super().__init__()
        self._target = target
        self._context = context
        self._refuse_plain = refuse_plain
        #: What each connection began with: `ssl`, `plain` or `direct`.
        self.seen: list[str] = []

    def handle(self, client: socket.socket) -> None:
        """Answer the request for TLS, then pass the bytes on."""
        with contextlib.suppress(OSError), contextlib.closing(client):
            if client.recv(1, socket.MSG_PEEK) == b"\x16":
                self.seen.append("direct")
                self._lead(self._encrypt(client))
            elif client.recv(8, socket.MSG_PEEK | socket.MSG_WAITALL) != _SSL_REQUEST:
                self.seen.append("plain")
                if not self._refuse_plain:
                    self._lead(client)
            else:
                self.seen.append("ssl")
                client.recv(8)
                client.sendall(b"S" if self._context else b"N")
                self._lead(self._encrypt(client) if self._context else client)

    def _encrypt(self, client: socket.socket) -> ssl.SSLSocket:
        assert self._context is not None
        return self._context.wrap_socket(client, server_side=True)

    def _lead(self, client: socket.socket) -> None:
        with contextlib.closing(client), socket.create_connection(self._target) as server:
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def running_proxy(
    target: tuple[str, int], context: ssl.SSLContext | None, *, refuse_plain: bool = False
) -> Iterator[TlsProxy]:
    """A proxy for the length of a `with`."""
    proxy = TlsProxy(target, context, refuse_plain=refuse_plain)
    with proxy.running():
        yield proxy
