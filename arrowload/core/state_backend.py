"""Where state is kept: the smallest contract, and the one that guards a recipe against a second runner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

if TYPE_CHECKING:
    from arrowload.core.state import State


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to run one recipe.

    Attributes:
        recipe: Its name.
        owner: Who holds it: host, process and start time, for people to read.
        epoch: The fencing token; rises with every lease of the recipe and outlives a removed state.
        version: The version of the state when the lease was taken; what `compare_and_swap` expects.
        home: Which memory handed it out: a token that is minted with the first lease and lost with the state. Tells a
            load that this memory was not told of from one that another machine made.
    """

    recipe: str
    owner: str
    epoch: int
    version: int
    home: str = ""


@runtime_checkable
class StateBackend(Protocol):
    """Loads and saves the state of a recipe by its name."""

    def load(self, recipe_name: str) -> State:
        """The last state saved; an empty one when there is none.

        Raises:
            StateError: What is stored cannot be read.
        """

    def save(self, recipe_name: str, state: State) -> None:
        """Store `state`, whatever was there before."""


@runtime_checkable
class LeasingStateBackend(StateBackend, Protocol):
    """A state backend that lets one runner in at a time and never overwrites what it has not seen."""

    def acquire(self, recipe_name: str, owner: str, *, above: int) -> Lease:
        """Take the lease of a recipe, with an epoch greater than `above` and than any earlier lease's.

        Whoever holds it already may call again, for a higher epoch.

        Raises:
            BusyError: Another runner holds it; says who and since when.
        """

    def compare_and_swap(self, lease: Lease, state: State) -> Lease:
        """Store `state` if nobody stored one since `lease.version`; returns the lease with the new version.

        Raises:
            BusyError: The stored version or epoch is not the lease's.
        """

    def release(self, lease: Lease) -> None:
        """Give the lease back; the epoch stays."""
