"""A man in the middle of a client and a Postgres server, who cuts connections message by message.

Frames as in https://www.postgresql.org/docs/current/protocol-message-formats.html: after the start-up, each message is
a letter, a length, and a body.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from tests.listener import Listener

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.postgres_server import PostgresDatabase

Direction: TypeAlias = Literal["to server", "to client"]
# pass: hand it on. cut: both sides lose the connection before it. lose answer: it is handed on, and when the server
# answers, both sides lose the connection. late: the client loses the connection, and the server gets it after a while.
Action: TypeAlias = Literal["pass", "cut", "lose answer", "late"]

_SSL_REQUEST = 80_877_103


class Message(NamedTuple):
    """One message; `number` counts all messages of all connections in its direction, from 1."""

    direction: Direction
    number: int
    kind: bytes
    body: bytes

    def is_query(self, text: str) -> bool:
        """Whether it asks the server to run just `text`."""
        return self.kind == b"Q" and self.body.rstrip(b"\0") == text.encode()


class PostgresProxy(Listener):
    """Listens on a port of 127.0.0.1 and leads to a server.

    Args:
        target: Host and port of the server.
        judge: What becomes of each message; called on several threads, one at a time.
        late_s: How late a message is that is `late`.
    """

    def __init__(self, target: tuple[str, int], judge: Callable[[Message], Action], late_s: float = 0.0) -> None:
        super().__init__()
        self._target = target
        self._judge = judge
        self._late_s = late_s
        self._lock = threading.Lock()
        self._numbers: dict[Direction, int] = {"to server": 0, "to client": 0}
        #: What was done that was not `pass`.
        self.done: list[Action] = []

    def action(self, direction: Direction, kind: bytes, body: bytes) -> Action:
        """What becomes of a message."""
        with self._lock:
            self._numbers[direction] += 1
            action = self._judge(Message(direction, self._numbers[direction], kind, body))
            if action != "pass":
                self.done.append(action)
            return action

    def handle(self, client: socket.socket) -> None:
        """Lead to the server."""
        with contextlib.suppress(OSError), contextlib.closing(client), socket.create_connection(self._target) as server:
            connection = _Connection(self, client, server)
            back = threading.Thread(target=connection.pump_to_client, daemon=True)
            back.start()
            late = connection.pump_to_server()
            if late is not None:
                client.shutdown(socket.SHUT_RDWR)
                time.sleep(self._late_s)
                server.sendall(late)
                # The server's answer goes nowhere.
                back.join()
            connection.cut()
            back.join()


class _Connection:
    """One client's way to the server."""

    def __init__(self, proxy: PostgresProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._deaf = False

    def pump_to_server(self) -> bytes | None:
        """Hand on what the client says, until there is no more; a message that is to come late is given back."""
        with contextlib.suppress(OSError, EOFError):
            self._start_up()
            while True:
                kind, body = _read(self._client)
                action = self._proxy.action("to server", kind, body)
                message = kind + struct.pack(">I", len(body) + 4) + body
                if action == "cut":
                    return None
                if action == "late":
                    return message
                self._deaf = self._deaf or action == "lose answer"
                self._server.sendall(message)
        return None

    def pump_to_client(self) -> None:
        """Hand on what the server says, until it is to be lost."""
        with contextlib.suppress(OSError, EOFError):
            while True:
                kind, body = _read(self._server)
                if self._deaf or self._proxy.action("to client", kind, body) == "cut":
                    break
                self._client.sendall(kind + struct.pack(">I", len(body) + 4) + body)
        self.cut()

    def cut(self) -> None:
        """Both sides lose the connection."""
        for side in (self._client, self._server):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def _start_up(self) -> None:
        """The first messages have no letter; a request for TLS is refused, and followed by another."""
        while True:
            length = struct.unpack(">I", _exactly(self._client, 4))[0]
            body = _exactly(self._client, length - 4)
            if struct.unpack(">I", body[:4])[0] != _SSL_REQUEST:
                self._server.sendall(struct.pack(">I", length) + body)
                return
            self._client.sendall(b"N")


def _read(side: socket.socket) -> tuple[bytes, bytes]:
    head = _exactly(side, 5)
    return head[:1], _exactly(side, struct.unpack(">I", head[1:])[0] - 4)


def _exactly(side: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = side.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)


@contextlib.contextmanager
def running_proxy(
    database: PostgresDatabase, judge: Callable[[Message], Action], late_s: float = 0.0
) -> Iterator[PostgresProxy]:
    """A proxy for the length of a `with`."""
    proxy = PostgresProxy((database.server.host, database.server.port), judge, late_s)
    with proxy.running():
        yield proxy
