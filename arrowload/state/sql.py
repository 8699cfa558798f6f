"""State in a database that arrowload can write to; in the destination's own, it is stored by the load's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol, runtime_checkable

import msgspec

from arrowload.core.exceptions import RecipeError
from arrowload.core.registry import destinations, state_backends
from arrowload.models.state_config import LEASE_TIME, LeaseTime, StateConfig
from arrowload.state.document import DocumentStateBackend

if TYPE_CHECKING:
    from arrowload.core.state import State
    from arrowload.core.state_backend import Lease
    from arrowload.state.document import DocumentStore


class SqlStateConfig(StateConfig, frozen=True, kw_only=True):
    """Keys of `state: {type: sql}`."""

    takes_destination: ClassVar[bool] = True

    database: Annotated[
        Any,
        msgspec.Meta(
            description="As `destination:`, without `table`. Left out, state is kept in the destination's database, "
            "and stored by the very transaction that commits the rows."
        ),
    ] = None
    lease: LeaseTime = LEASE_TIME


@runtime_checkable
class StateKeeper(Protocol):
    """A destination whose database can keep state beside the ledger.

    Attributes:
        state_is_exclusive: Only one process at a time can write the database.
    """

    state_is_exclusive: bool

    def state_store(self) -> DocumentStore:
        """The state's tables; made when the first state is stored."""


class SqlStateBackend(DocumentStateBackend):
    """State in the tables of a database.

    Args:
        keeper: The destination that writes there.
        config: Of the section `state`.
        joins: The database is that of the loads: state is stored by their transactions.
    """

    def __init__(self, keeper: StateKeeper, config: SqlStateConfig, *, joins: bool) -> None:
        exclusive = keeper.state_is_exclusive
        super().__init__(keeper.state_store(), None if exclusive else config.lease, exclusive=exclusive)
        self._keeper = keeper
        self.joins = joins

    def swap_within(self, store: DocumentStore, lease: Lease, state: State) -> Lease:
        """As `compare_and_swap`, through a store that is part of a load's transaction."""
        return DocumentStateBackend(store).compare_and_swap(lease, state)

    def close(self) -> None:
        """Give back the connection to a database of its own."""
        if not self.joins and hasattr(self._keeper, "close"):
            self._keeper.close()


@state_backends.register("sql", config=SqlStateConfig)
def create_sql_state_backend(config: SqlStateConfig, _root: str = ".", destination: Any = None) -> SqlStateBackend:
    """Rows of a table in the destination's database, or in another one.

    Args:
        config: Of the section `state`.
        destination: Of the recipe.

    Raises:
        RecipeError: The database can keep no state.
    """
    own = config.database is None
    keeper = destination if own else destinations.create(config.database.type, config.database)
    if not isinstance(keeper, StateKeeper):
        raise RecipeError(
            "`state: {type: sql}` needs a database, and the destination is none"
            if own
            else f"a `{config.database.type}` can keep no state",
            context={"path": "$.state" if own else "$.state.database.type"},
            hint="name one: `database: {type: postgres, …}`",
        )
    return SqlStateBackend(keeper, config, joins=own)
