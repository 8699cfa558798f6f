"""`arrowload` with no content hash, no state, no lease, no ledger entry and no look at the fence before the commit.

The fence is still installed, since a load needs its pipeline: one small transaction.
"""

from __future__ import annotations

from functools import partial

from arrowload.cli.start import main
from arrowload.connectors.sql_ledger import SqlLedger
from arrowload.core.state import State
from arrowload.engine import engine
from arrowload.engine.job import Job


class Forgets:
    """A state backend that keeps nothing."""

    def load(self, recipe: str) -> State:
        return State()

    def save(self, recipe: str, state: State) -> None:
        """Nothing is kept."""


def nothing(*_: object) -> None:
    """In the place of what a guarantee does."""


engine.Transfer = partial(engine.Transfer, hashed=False)
Job.state_backend = Forgets()
SqlLedger.insert = SqlLedger.check_fence = nothing
main()
