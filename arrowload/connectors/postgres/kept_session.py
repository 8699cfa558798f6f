"""A connection that is kept between calls, and made anew after an error."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from arrowload.connectors.postgres.session import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arrowload.connectors.postgres.config import PostgresDestinationConfig
    from arrowload.connectors.postgres.session import Session


class KeptSession:
    """Gives one session to each caller in turn; used by one thread at a time.

    Args:
        config: Where to.
        application_name: What the server shows of the session.
    """

    def __init__(self, config: PostgresDestinationConfig, application_name: str) -> None:
        self._config = config
        self._application_name = application_name
        self._session: Session | None = None

    @contextmanager
    def opened(self) -> Iterator[Session]:
        """The session; after an error within the block, a new one is made for the next call."""
        if self._session is None:
            self._session = connect(self._config, self._application_name)
        try:
            yield self._session
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._session is not None:
            self._session.close()
            self._session = None
