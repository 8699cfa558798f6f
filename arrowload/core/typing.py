"""Type aliases and small protocols that every floor shares."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

WriteMode: TypeAlias = Literal["append", "replace", "merge"]
Delivery: TypeAlias = Literal["exactly_once", "idempotent_by_key", "at_least_once"]
ContractMode: TypeAlias = Literal["freeze", "evolve_safe", "quarantine_row", "quarantine_value", "evolve"]


class SupportsArrowArray(Protocol):
    """Anything that hands over one record batch through the Arrow PyCapsule interface."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """The schema and array capsules."""


class SupportsArrowSchema(Protocol):
    """Anything that hands over a schema through the Arrow PyCapsule interface."""

    def __arrow_c_schema__(self) -> object:
        """The schema capsule."""


class SupportsArrowStream(Protocol):
    """Anything that hands over a stream of record batches through the Arrow PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The stream capsule."""
