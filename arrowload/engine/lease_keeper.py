"""Renews the lease of a run while it goes on, and tells the run when it has lost it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from arrowload.core.exceptions import BusyError, DataLoaderError, EngineError

if TYPE_CHECKING:
    from arrowload.core.state_backend import Lease, LeasingStateBackend

# Renewed so often within its time to live; when that many in a row are missed, it is lost.
_RENEWALS: Final = 3


class LeaseKeeper:
    """Renews one lease on a thread of its own, from `hold` until `stop`.

    Args:
        backend: Where the lease is.
    """

    def __init__(self, backend: LeasingStateBackend) -> None:
        self._backend = backend
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._lost: DataLoaderError | None = None

    def hold(self, lease: Lease) -> None:
        """Renew `lease` from now on, in the place of an earlier one of the run; one without a `ttl_s` needs none."""
        self.stop()
        self._lost = None
        if lease.ttl_s is not None:
            self._stopped = threading.Event()
            self._thread = threading.Thread(target=self._renew, args=(lease,), name="arrowload-lease", daemon=True)
            self._thread.start()

    def check(self) -> None:
        """Go on only while the lease is held.

        Raises:
            BusyError: Another run has taken it.
            DataLoaderError: It could not be renewed for as long as it lasts.
        """
        if self._lost is not None:
            raise self._lost

    def stop(self) -> None:
        """Renew no more; returns when the last renewal has ended, which a lease that is taken anew must not meet."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _renew(self, lease: Lease) -> None:
        missed = 0
        while not self._stopped.wait((lease.ttl_s or 0.0) / _RENEWALS):
            try:
                self._backend.renew(lease)
                missed = 0
            except BusyError as exc:
                self._lost = exc
                return
            except Exception as exc:  # noqa: BLE001 - whatever it is, the run is to hear of it
                missed += 1
                if missed == _RENEWALS:
                    self._lost = exc if isinstance(exc, DataLoaderError) else _not_renewed(exc)
                    return


def _not_renewed(cause: Exception) -> EngineError:
    error = EngineError(f"the lease could not be renewed: {type(cause).__name__}: {cause}")
    error.__cause__ = cause
    return error
