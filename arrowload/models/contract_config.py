"""`destination.contract`: what may become of a target when its source changes."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from arrowload.core.typing import ContractMode


class ContractConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A contract for the table, its columns and their types, each by itself."""

    table: Annotated[
        Literal["freeze", "evolve"], msgspec.Meta(description="freeze: the target must be there. evolve: it is made.")
    ] = "evolve"
    columns: Annotated[
        ContractMode,
        msgspec.Meta(
            description="Columns that the target lacks. freeze: an error, as is one that does not come any more."
            " evolve_safe, evolve: added. quarantine_row: rows with a value there are put aside. quarantine_value: the"
            " value is put aside, the row loaded."
        ),
    ] = "evolve_safe"
    types: Annotated[
        ContractMode | None,
        msgspec.Meta(
            description="Types that the target's column does not hold. freeze: an error. evolve_safe: the column is"
            " widened, to one that holds old and new values exactly. evolve: widened, or made text."
            " quarantine_row: rows whose value does not fit are put aside. quarantine_value: NULL is loaded in its"
            " place. Left out: the type stays, and a value that does not fit is an error."
        ),
    ] = None
    overrides: Annotated[
        dict[str, ContractMode], msgspec.Meta(description="Another mode for single columns, by their names.")
    ] = {}


def contract_of(given: ContractMode | ContractConfig | None) -> ContractConfig | None:
    """The contract that a recipe asks for: one mode for everything, or each by itself."""
    if given is None or isinstance(given, ContractConfig):
        return given
    return ContractConfig(table="freeze" if given == "freeze" else "evolve", columns=given, types=given)
