"""Sessions that loads have left on the server: found by their name, and ended so that nothing waits for them."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from arrowload.core.exceptions import CredentialsError
from arrowload.io.sql import quote_literal

if TYPE_CHECKING:
    from arrowload.connectors.postgres.session import Session

_POLL_S: Final = 0.05


def session_name(pipeline_id: str, epoch: int) -> str:
    """The application name of the session that loads."""
    return f"arrowload:{pipeline_id}:{epoch}"


def end_sessions(session: Session, pipeline_id: str, *, below: int, patience_s: float, wait_s: float) -> bool:
    """End the loading sessions of a pipeline whose epoch is lower than `below`.

    Args:
        session: Another session.
        pipeline_id: Of the pipeline.
        below: Sessions of this epoch and above are left alone.
        patience_s: How long they may end by themselves.
        wait_s: How long to wait, after that, for the server to end them.

    Returns:
        Whether all of them are gone, and what they began is committed or rolled back.
    """
    start = time.monotonic()
    while pids := _sessions(session, pipeline_id, below):
        waited = time.monotonic() - start
        if waited > patience_s + wait_s:
            return False
        if waited >= patience_s:
            # Another role's session cannot be ended, only waited for.
            with suppress(CredentialsError):
                session.execute(f"SELECT pg_terminate_backend(p) AS t FROM unnest(ARRAY{pids}::int4[]) AS p")
        time.sleep(_POLL_S)
    return True


def _sessions(session: Session, pipeline_id: str, below: int) -> list[int]:
    prefix = session_name(pipeline_id, 0).removesuffix("0")
    rows = session.execute(
        "SELECT pid, application_name FROM pg_catalog.pg_stat_activity"
        f" WHERE starts_with(application_name, {quote_literal(prefix)}) AND pid <> pg_backend_pid()"
    )
    epochs = {pid: name.removeprefix(prefix) for pid, name in rows}
    return [pid for pid, epoch in epochs.items() if epoch.isdecimal() and int(epoch) < below]
