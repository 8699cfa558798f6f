"""The state of one run: its lease taken, kept and given back; the state stored beside the load, or by it."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

from arrowload.connectors.base import StateJoiningWriter
from arrowload.core.failpoint import failpoint
from arrowload.core.state_backend import Lease, LeasingStateBackend
from arrowload.engine.lease_keeper import LeaseKeeper
from arrowload.state.document import JoiningStateBackend

if TYPE_CHECKING:
    from arrowload.connectors.base import LoadWriter
    from arrowload.core.state import State
    from arrowload.state.document import DocumentStore


def this_runner() -> str:
    """This process, as people are told of it who find the lease held."""
    return f"{socket.gethostname()} process {os.getpid()}"


class StateKeeping:
    """What a run does with its state backend.

    Args:
        backend: That of the recipe; a plug-in may be able to load and save, and no more.
        recipe: Its name.
    """

    def __init__(self, backend: Any, recipe: str) -> None:
        self.owner = this_runner()
        self.lease: Lease | None = None
        self.backend = backend
        self._recipe = recipe
        self._keeper = LeaseKeeper(backend) if isinstance(backend, LeasingStateBackend) else None
        # Of the state that the load's own transaction stored.
        self._joined: Lease | None = None

    def take(self, above: int) -> tuple[Lease, State]:
        """Take the lease, with an epoch above `above`, and keep it from now on; load the state under it.

        Raises:
            BusyError: Another run holds it.
            StateError: The state cannot be read.
        """
        if isinstance(self.backend, LeasingStateBackend) and self._keeper is not None:
            self._keeper.stop()
            lease = self.backend.acquire(self._recipe, self.owner, above=above)
            self._keeper.hold(lease)
        else:
            lease = Lease(recipe=self._recipe, owner=self.owner, epoch=above + 1, version=0)
        self.lease = lease
        return lease, self.backend.load(self._recipe)

    def check(self) -> None:
        """Raises DataLoaderError when the lease is lost."""
        if self._keeper is not None:
            self._keeper.check()

    def join(self, writer: LoadWriter, after: State) -> None:
        """Have the load's own transaction store `after`, where writer and backend can."""
        backend = self.backend
        if not (isinstance(writer, StateJoiningWriter) and isinstance(backend, JoiningStateBackend) and backend.joins):
            return

        def store_state(store: DocumentStore) -> None:
            if self.lease is not None:
                self._joined = backend.swap_within(store, self.lease, after)

        writer.join_state(store_state)

    def save(self, lease: Lease, state: State) -> Lease:
        """Store `state`, unless the load has done so; returns the lease with the version that is stored now.

        Raises:
            BusyError: Another run has stored one since.
        """
        joined, self._joined = self._joined, None
        if joined is not None:
            self.lease = joined
        elif isinstance(self.backend, LeasingStateBackend):
            self.lease = self.backend.compare_and_swap(lease, state)
        else:
            self.backend.save(self._recipe, state)
            self.lease = lease
        return self.lease

    def forget_load(self) -> None:
        """The load that was to store the state is given up."""
        self._joined = None

    def give_back(self) -> None:
        """Give the lease back, if there is one."""
        if self._keeper is not None:
            self._keeper.stop()
        if self.lease is not None and isinstance(self.backend, LeasingStateBackend):
            failpoint("release.before")
            self.backend.release(self.lease)
            failpoint("release.after")
