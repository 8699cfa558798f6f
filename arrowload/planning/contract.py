"""What a schema contract makes of the difference between the rows that come and the target that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec
import pyarrow as pa

from arrowload.core.exceptions import RecipeError
from arrowload.core.schema import holding_both, holds
from arrowload.core.types import type_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from arrowload.core.typing import ContractMode
    from arrowload.models.contract_config import ContractConfig

_HINT: Final = "change the recipe or the target, or another mode in `contract` of `destination`"


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """One column that is not in the target as it comes.

    Attributes:
        column: Its name.
        old: The type in the target; None when it is not there.
        new: The type that comes; None when it does not come.
        outcome: What becomes of it.
    """

    column: str
    old: str | None
    new: str | None
    outcome: str

    def __str__(self) -> str:
        return f"`{self.column}`: {self.old or 'not there'} → {self.new or 'not there'}: {self.outcome}"


class Agreement(NamedTuple):
    """How rows are to be stored.

    Attributes:
        schema: What the destination is to be asked for: columns that are left out are not in it, and one whose type
            stays has the target's.
        drift: What differs, and what becomes of it.
        widened: Columns of the target whose type is to be changed, to this one.
        left_out: Columns that are not stored: their values go to quarantine, alone or with their rows.
        nulled: Columns in which a value that does not fit goes to quarantine, NULL being loaded in its place.
    """

    schema: pa.Schema
    drift: tuple[Drift, ...] = ()
    widened: Mapping[str, pa.DataType] = {}
    left_out: Mapping[str, Literal["row", "value"]] = {}
    nulled: frozenset[str] = frozenset()

    @property
    def quarantines(self) -> bool:
        """Whether rows or values may be put aside for it."""
        return bool(self.left_out or self.nulled)


def agree(contract: ContractConfig, incoming: pa.Schema, stored: pa.Schema | None, *, target: str) -> Agreement:
    """What `contract` makes of rows of `incoming` for a target with the columns `stored`.

    Args:
        contract: Of the recipe.
        incoming: The pipeline's output.
        stored: The target's columns, those of type null taking anything; None when it is not there.
        target: Its name.

    Raises:
        RecipeError: The contract does not allow what differs; names every such column.
    """
    if stored is None:
        if contract.table == "freeze":
            raise RecipeError(
                f"`{target}` is not there, and its contract does not allow that it is made",
                context={"path": "$.destination.contract", "target": target},
                hint="make it, or write `contract: {table: evolve}` for the first load",
            )
        return Agreement(incoming)
    agreement, refused = _Agreeing(incoming), []
    for drift, field in _differences(incoming, stored):
        kind: Literal["columns", "types"] = "types" if drift.old and drift.new else "columns"
        mode = contract.overrides.get(drift.column) or getattr(contract, kind)
        old = stored.field(drift.column).type if drift.old else None
        if mode == "freeze":
            refused.append(drift)
        elif field is not None:
            agreement.settle(mode, drift, field, old)
    if refused:
        changes = "; ".join(f"`{d.column}`: {d.old or 'not there'} → {d.new or 'not there'}" for d in refused)
        raise RecipeError(
            f"the columns that come are not those of `{target}`, and its contract does not allow that: {changes}",
            context={"path": "$.destination.contract", "target": target, "columns": [d.column for d in refused]},
            hint=_HINT,
        )
    return agreement.result()


class _Agreeing:
    def __init__(self, incoming: pa.Schema) -> None:
        self._fields: dict[str, pa.Field] = {field.name: field for field in incoming}
        self._drift: list[Drift] = []
        self._widened: dict[str, pa.DataType] = {}
        self._left_out: dict[str, Literal["row", "value"]] = {}
        self._nulled: set[str] = set()

    def settle(self, mode: ContractMode | None, drift: Drift, field: pa.Field, old: pa.DataType | None) -> None:
        """Do with one column that comes what the mode says."""
        outcome = self._new(mode, field) if old is None else self._retyped(mode, field, old)
        self._drift.append(msgspec.structs.replace(drift, outcome=outcome))

    def _new(self, mode: ContractMode | None, field: pa.Field) -> str:
        if mode in ("quarantine_row", "quarantine_value"):
            self._left_out[field.name] = "row" if mode == "quarantine_row" else "value"
            del self._fields[field.name]
            return "rows with a value go to quarantine" if mode == "quarantine_row" else "values go to quarantine"
        return "added"

    def _retyped(self, mode: ContractMode | None, field: pa.Field, old: pa.DataType) -> str:
        if mode in ("evolve_safe", "evolve"):
            both = holding_both(old, field.type) or (pa.string() if mode == "evolve" else None)
            if both is not None:
                self._widened[field.name] = both
                self._fields[field.name] = field.with_type(both)
                return f"the column becomes {type_name(both)}"
        self._fields[field.name] = field.with_type(old)
        if mode == "quarantine_value":
            self._nulled.add(field.name)
            return f"stays {type_name(old)}; values that do not fit go to quarantine"
        if mode == "quarantine_row":
            return f"stays {type_name(old)}; rows whose value does not fit go to quarantine"
        return f"stays {type_name(old)}; a value that does not fit is an error"

    def result(self) -> Agreement:
        schema = pa.schema(self._fields.values())
        return Agreement(schema, tuple(self._drift), self._widened, self._left_out, frozenset(self._nulled))


def _differences(incoming: pa.Schema, stored: pa.Schema) -> Iterator[tuple[Drift, pa.Field | None]]:
    for field in incoming:
        old = stored.field(field.name).type if field.name in stored.names else None
        if old is None or not holds(old, field.type):
            old_name = None if old is None else type_name(old)
            yield Drift(column=field.name, old=old_name, new=type_name(field.type), outcome=""), field
    for name in stored.names:
        if name not in incoming.names:
            yield Drift(column=name, old=type_name(stored.field(name).type), new=None, outcome="NULL"), None
