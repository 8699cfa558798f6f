"""Where state is kept: the smallest contract, and the one that guards a recipe against a second runner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

from arrowload.core.state import State

if TYPE_CHECKING:
    from typing import Any


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to run one recipe.

    Attributes:
        recipe: Its name.
        owner: Who holds it: host and process, for people to read.
        epoch: The fencing token; rises with every lease of the recipe and outlives a removed state.
        version: The version of the state when the lease was taken; what `compare_and_swap` expects.
        home: Which memory handed it out: a token that is minted with the first lease and lost with the state. Tells a
            load that this memory was not told of from one that another machine made.
        ttl_s: It ends when it is not renewed for so long; None when it lasts as long as its holder.
    """

    recipe: str
    owner: str
    epoch: int
    version: int
    home: str = ""
    ttl_s: float | None = None


class StateVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One of the states that were stored, one after the other, for a recipe.

    Attributes:
        version: Its number.
        epoch: Of the lease under which it was stored, or of a later one.
        state: What it remembers.
    """

    version: int
    epoch: int
    state: State


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

    def renew(self, lease: Lease) -> None:
        """Have the lease last from now on; called, for one with a `ttl_s`, while a run goes on, on another thread.

        Raises:
            BusyError: Another runner has taken it.
        """

    def compare_and_swap(self, lease: Lease, state: State) -> Lease:
        """Store `state` if nobody stored one since `lease.version`; returns the lease with the new version.

        Raises:
            BusyError: The stored version or epoch is not the lease's.
        """

    def release(self, lease: Lease) -> None:
        """Give the lease back; the epoch stays."""


@runtime_checkable
class OperableStateBackend(LeasingStateBackend, Protocol):
    """A state backend that people can look into and mend."""

    def facts(self, recipe_name: str) -> dict[str, Any]:
        """What is known beside the state: `location`, `version`, `epoch`, `lease` with `owner` and `since`, or None."""

    def forget(self, recipe_name: str) -> None:
        """Begin anew with an empty state, though what is stored cannot be read."""

    def history(self, recipe_name: str) -> list[StateVersion]:
        """The state and the versions before it that are kept, newest first."""

    def unlock(self, recipe_name: str) -> str | None:
        """Take the lease away from whoever has it; the fence in the destination keeps that run from committing.

        Returns:
            Who had it, or None when nobody did.
        """
