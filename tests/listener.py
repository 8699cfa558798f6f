"""What the proxies of the tests have in common: a port of 127.0.0.1, and a thread for each who connects."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Listener:
    """Accepts connections, and has a subclass's `handle` deal with each on a thread of its own.

    Attributes:
        port: Where it listens.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def handle(self, client: socket.socket) -> None:
        """Deal with one connection, and close it."""
        raise NotImplementedError

    def serve(self) -> None:
        """Accept until the listener is closed."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self.handle, args=(client,), daemon=True).start()

    def close(self) -> None:
        """Accept no more."""
        # Closing alone does not wake a thread that accepts.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Serve for the length of a `with`."""
        thread = threading.Thread(target=self.serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.close()
            thread.join()
