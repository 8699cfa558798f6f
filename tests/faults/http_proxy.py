"""A man in the middle of a client and a server that speak HTTP/1.1: refuses, cuts answers, damages them, loses them.

Requests are read whole, as the clients of object stores send them: with a length, and without transfer encoding.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from tests.listener import Listener

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

# pass: hand it on. slow down, unavailable, internal, throttled, expired: answer so in the place of the server. short:
# the answer is cut, its length stays. damage: one digit of its body is another. lose: it is done, and the client loses
# the connection. cut: the client loses the connection, and nothing is done. silent: nothing is done and nothing said,
# until the proxy ends. error in 200: nothing is done, and an answer of 200 has an error in its body. quote: an error
# repeats the headers of the request.
Action: TypeAlias = Literal[
    "pass",
    "slow down",
    "unavailable",
    "internal",
    "throttled",
    "expired",
    "error in 200",
    "short",
    "damage",
    "lose",
    "cut",
    "silent",
    "quote",
]

_S3_ERROR = (
    '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{}</Code><Message>as asked for by a test</Message></Error>'
)
_DYNAMODB_ERROR = '{{"__type": "com.amazonaws.dynamodb.v20120810#{}", "message": "as asked for by a test"}}'
_ANSWERS: dict[str, tuple[int, str]] = {
    "slow down": (503, _S3_ERROR.format("SlowDown")),
    "unavailable": (503, _S3_ERROR.format("ServiceUnavailable")),
    "internal": (500, _S3_ERROR.format("InternalError")),
    "error in 200": (200, _S3_ERROR.format("InternalError")),
    "expired": (400, _S3_ERROR.format("ExpiredToken")),
    "throttled": (400, _DYNAMODB_ERROR.format("ProvisionedThroughputExceededException")),
}
_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class Request(NamedTuple):
    """One request; `number` counts those of all connections, from 1."""

    number: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class HttpProxy(Listener):
    """Listens on a port of 127.0.0.1 and leads to a server.

    Args:
        url: Of the server.
        judge: What becomes of each request; called on several threads, one at a time.
    """

    def __init__(self, url: str, judge: Callable[[Request], Action]) -> None:
        super().__init__()
        parts = urlsplit(url)
        self._host, self._server_port = parts.hostname or "127.0.0.1", parts.port or 80
        self._judge = judge
        self._lock = threading.Lock()
        self._ended = threading.Event()
        #: How many requests came.
        self.requests = 0
        #: What was done that was not `pass`.
        self.done: list[Action] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def handle(self, client: socket.socket) -> None:
        """Answer one request after the other, until the client has no more."""
        with contextlib.suppress(OSError, EOFError, http.client.HTTPException), contextlib.closing(client):
            stream = client.makefile("rb")
            while (request := self._read(client, stream)) is not None and self._answered(client, request):
                pass

    def close(self) -> None:
        """Accept no more, and let go of whoever waits."""
        self._ended.set()
        super().close()

    def _read(self, client: socket.socket, stream: object) -> Request | None:
        line = stream.readline()  # type: ignore[attr-defined]
        if not line.strip():
            return None
        method, path, _ = line.decode("latin-1").split(" ", 2)
        message = http.client.parse_headers(stream)  # type: ignore[arg-type]
        if message.get("Expect", "").lower() == "100-continue":
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = stream.read(int(message.get("Content-Length") or 0))  # type: ignore[attr-defined]
        with self._lock:
            self.requests += 1
            return Request(self.requests, method, path, dict(message.items()), body)

    def _answered(self, client: socket.socket, request: Request) -> bool:
        """Whether the connection goes on."""
        with self._lock:
            action = self._judge(request)
            if action != "pass":
                self.done.append(action)
        if action == "silent":
            self._ended.wait()
        if action in {"cut", "silent"}:
            return False
        if action in _ANSWERS:
            status, text = _ANSWERS[action]
            client.sendall(_response(status, {}, text.encode(), request.method, len(text)))
            return True
        if action == "quote":
            quoted = _S3_ERROR.format("InvalidRequest").replace("as asked", f"{escape(str(request.headers))}, as asked")
            client.sendall(_response(400, {}, quoted.encode(), request.method, len(quoted.encode())))
            return True
        status, headers, body = self._ask(request)
        if action == "lose":
            return False
        size = int(headers.get("Content-Length", len(body))) if request.method == "HEAD" else len(body)
        if action == "short":
            body = body[: len(body) // 2]
        if action == "damage":
            # One digit before the middle is another, and the text is as well-formed as it was.
            place = max((n for n, byte in enumerate(body[: len(body) // 2]) if chr(byte).isdigit()), default=None)
            if place is not None:
                body = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        client.sendall(_response(status, headers, body, request.method, size))
        return action != "short"

    def _ask(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self._host, self._server_port, timeout=30)
        try:
            headers = {
                name: value for name, value in request.headers.items() if name.lower() not in {"connection", "expect"}
            }
            connection.request(request.method, request.path, body=request.body or None, headers=headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()


def _response(status: int, headers: dict[str, str], body: bytes, method: str, size: int) -> bytes:
    lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers.items() if name.lower() not in _HOP]
    if status not in {204, 304}:
        lines.append(f"Content-Length: {size}")
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return head if method == "HEAD" else head + body


@contextlib.contextmanager
def running_http_proxy(url: str, judge: Callable[[Request], Action]) -> Iterator[HttpProxy]:
    """A proxy for the length of a `with`."""
    proxy = HttpProxy(url, judge)
    with proxy.running():
        yield proxy
