"""A recipe and the things it names, made and ready: what `plan`, `preview`, `stream` and `run` work on."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from arrowload.checks.suite import CheckSuite
from arrowload.connectors.adapters import AtLeastOnceDestination, IterableSource
from arrowload.connectors.base import (
    ContractDestination,
    Destination,
    MemoryBound,
    QuarantineDestination,
    RelayDestination,
    RelaySnapshot,
    SnapshotSource,
    Source,
    TransactionalDestination,
    WideningDestination,
)
from arrowload.connectors.registry import get_destination, get_source
from arrowload.core.casting import check_batch_cast
from arrowload.core.exceptions import EngineError, RecipeError
from arrowload.core.registry import state_backends
from arrowload.core.state import State
from arrowload.engine.splits import Splits, choose_splits
from arrowload.models.contract_config import contract_of
from arrowload.planning.capabilities import Window
from arrowload.planning.contract import Agreement, agree
from arrowload.planning.planner import build_plan, check_destination
from arrowload.transforms.pipeline import TransformPipeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arrowload.connectors.base import Snapshot
    from arrowload.core.typing import WriteMode
    from arrowload.models.recipe import Recipe
    from arrowload.planning.plan import LoadPlan
    from arrowload.transforms.pipeline import BoundPipeline


class Job:
    """The source, the transforms, the destination and the state backend of one recipe.

    Args:
        recipe: What the person asked for.
        full_refresh: Load everything anew, in the place of what is there.

    Attributes:
        settles: Loads whose rejected rows are what is loaded now.
        agreement: What the contract made of the rows that were planned last; None without one.
    """

    def __init__(self, recipe: Recipe, *, full_refresh: bool = False) -> None:
        self.recipe = recipe
        self.full_refresh = full_refresh
        self.settles: tuple[str, ...] = ()
        self.agreement: Agreement | None = None
        self.source = self._source()
        self.destination = self._destination()
        self.pipeline = TransformPipeline.from_configs(recipe.transform.steps)
        for part in (self.source, self.destination):
            if isinstance(part, MemoryBound):
                part.limit_memory(int(recipe.runtime.max_memory) // 2)

    @property
    def write_mode(self) -> WriteMode:
        """Of this load: `replace` for a full refresh, else what the recipe says."""
        if self.full_refresh or self.recipe.destination is None:
            return "replace"
        return self.recipe.destination.write_mode

    @cached_property
    def state_backend(self) -> Any:
        """The state backend that the recipe names."""
        config = self.recipe.state
        place = {"destination": self.destination} if config.takes_destination else {}
        return state_backends.create(config.type, config, self.recipe.root, **place)

    def state(self) -> State:
        """What the next run will start from, as far as can be told without changing anything."""
        if self.recipe.destination is None:
            return State()
        stored: State = self.state_backend.load(self.recipe.name)
        if self.write_mode == "replace":
            return State(metadata=stored.metadata)
        return stored

    def check(self) -> LoadPlan:
        """The plan, as far as the catalogue alone can tell: opens no snapshot, reads no row.

        Raises:
            RecipeError: A column, a type, a write mode or a delivery cannot be had.
            ConnectorError: Source or destination cannot be reached, or lack what the recipe names.
        """
        return self.plan_window(self.source.schema(), Window())[0]

    def plan(self) -> LoadPlan:
        """The plan of the run that would start now; changes nothing."""
        with self.source.snapshot(self.state()) as snapshot:
            return self.plan_snapshot(snapshot, self.splits(snapshot))[0]

    def splits(self, snapshot: Snapshot) -> Splits:
        """The parts of a snapshot that are read side by side."""
        return choose_splits(snapshot, self.recipe.runtime.parallelism)

    def plan_snapshot(self, snapshot: Snapshot, splits: Splits) -> tuple[LoadPlan, BoundPipeline]:
        """The plan for the rows of a snapshot, and the pipeline bound to them."""
        plan, pipeline = self.plan_window(snapshot.schema, snapshot.window)
        relayed = self._is_relayed(snapshot, plan)
        read = {"splits": tuple(split.what for split in splits.parts), "readers": splits.readers}
        return msgspec.structs.replace(plan, **read, relayed=relayed), pipeline

    def _is_relayed(self, snapshot: Snapshot, plan: LoadPlan) -> bool:
        """Whether rows can pass as they lie on the wire: none is changed, dropped, or told from another."""
        untouched = not plan.steps and not plan.merge_keys and not plan.checks and snapshot.overlap is None
        return (
            untouched
            and isinstance(snapshot, RelaySnapshot)
            and snapshot.relay_format is not None
            and isinstance(self.destination, RelayDestination)
            and self.destination.takes_relay(snapshot.relay_format)
        )

    def plan_window(self, input_schema: pa.Schema, window: Window) -> tuple[LoadPlan, BoundPipeline]:
        """The plan for rows of `input_schema`, and the pipeline bound to them."""
        pipeline = self.pipeline.bind(input_schema)
        capabilities = target = None
        self.agreement = None
        if self.destination is not None:
            capabilities = self.destination.capabilities()
            check_destination(self.recipe, capabilities, pipeline.output_schema, self.write_mode)
            self.agreement = self._agreement(pipeline.output_schema)
            wanted = self.agreement.schema if self.agreement is not None else pipeline.output_schema
            target = self.destination.target(wanted, write_mode=self.write_mode, merge_keys=self.merge_keys)
            check_batch_cast(pa.schema([pipeline.output_schema.field(name) for name in wanted.names]), target.schema)
            self._require_checkable(target.schema)
            self._require_quarantine()
        plan = build_plan(
            self.recipe,
            source=self.source.facts(),
            window=window,
            input_schema=input_schema,
            steps=pipeline.description,
            output_schema=pipeline.output_schema,
            capabilities=capabilities,
            target=target,
            write_mode=self.write_mode,
            drift=self.agreement.drift if self.agreement is not None else (),
        )
        return plan, pipeline

    def _agreement(self, schema: pa.Schema) -> Agreement | None:
        """What the recipe's contract makes of rows of `schema`; None without one."""
        config = self.recipe.destination.contract if self.recipe.destination is not None else None
        contract = contract_of(config)
        if contract is None:
            return None
        if not isinstance(self.destination, ContractDestination):
            raise RecipeError(
                "the destination cannot say which columns it has",
                context={"path": "$.destination.contract"},
                hint="take `contract` out",
            )
        stored = self.destination.stored_schema()
        name = self.destination.target_name
        agreement = agree(contract, schema, stored, target=name)
        if self.write_mode == "replace":
            return Agreement(schema, agreement.drift)
        if agreement.widened and not isinstance(self.destination, WideningDestination):
            columns = ", ".join(f"`{column}`" for column in agreement.widened)
            raise RecipeError(
                f"the types of {columns} cannot be changed in `{name}`",
                context={"path": "$.destination.contract", "columns": list(agreement.widened)},
                hint="load it anew with --full-refresh",
            )
        if isinstance(self.destination, WideningDestination):
            self.destination.widen(agreement.widened)
        if agreement.quarantines and not self.recipe.runtime.max_rejected:
            raise RecipeError(
                "the contract puts what does not fit in quarantine, and nothing may be rejected",
                context={"path": "$.destination.contract"},
                hint="say how much may: `runtime: {max_rejected: 1000}`",
            )
        return agreement

    def _require_checkable(self, schema: pa.Schema) -> None:
        """Raises RecipeError when a check cannot look at rows of `schema`."""
        if not self.recipe.checks:
            return
        CheckSuite(self.recipe.checks, schema)
        compares = any(getattr(check, "change", None) is not None for check in self.recipe.checks)
        if compares and self.recipe.runtime.commit_every is not None:
            raise RecipeError(
                "a chunk cannot be compared with the load before it",
                context={"path": "$.checks"},
                hint="take `change` out of the check, or `commit_every` out of `runtime`",
            )

    def _require_quarantine(self) -> None:
        """Raises RecipeError when rows may be refused and there is no place for them, or no leave."""
        allowed = self.recipe.runtime.max_rejected > 0
        if allowed and not isinstance(self.destination, QuarantineDestination):
            raise RecipeError(
                f"`{self.destination.target_name if self.destination else ''}` cannot keep rejected rows",
                context={"path": "$.runtime.max_rejected"},
                hint="take `max_rejected` out; the first bad row ends the load then",
            )
        if not allowed and any(check.on_fail == "quarantine" for check in self.recipe.checks):
            raise RecipeError(
                "a check puts rows in quarantine, and no row may be rejected",
                context={"path": "$.checks"},
                hint="say how many may: `runtime: {max_rejected: 1000}`",
            )

    def plan_nothing(self, window: Window) -> LoadPlan:
        """The plan for a source that has no rows, nor says which columns they would have."""
        return build_plan(
            self.recipe,
            source=self.source.facts(),
            window=window,
            input_schema=pa.schema([]),
            steps=(),
            output_schema=pa.schema([]),
            capabilities=self.destination.capabilities() if self.destination is not None else None,
            target=None,
            write_mode=self.write_mode,
        )

    @property
    def merge_keys(self) -> tuple[str, ...]:
        """Of the recipe; rows are made unique by them under `replace` too, when the recipe merges."""
        return self.recipe.destination.merge_keys if self.recipe.destination is not None else ()

    def close(self) -> None:
        """Give back connections and files."""
        self.source.close()
        if "state_backend" in self.__dict__ and hasattr(self.state_backend, "close"):
            self.state_backend.close()
        if self.destination is not None:
            self.destination.close()

    def _source(self) -> SnapshotSource | IterableSource:
        config = self.recipe.source
        made = get_source(config.type, config)
        if isinstance(made, SnapshotSource):
            return made
        if isinstance(made, Source) and not hasattr(made, "snapshot"):
            return IterableSource(made)
        raise _lacks(made, config.type, "source", "`read_batches`, or what a `SnapshotSource` has")

    def _destination(self) -> TransactionalDestination | AtLeastOnceDestination | None:
        config = self.recipe.destination
        if config is None:
            return None
        made = get_destination(config.type, config)
        if isinstance(made, TransactionalDestination):
            return made
        if isinstance(made, Destination) and not hasattr(made, "begin"):
            return AtLeastOnceDestination(made, config.type)
        raise _lacks(made, config.type, "destination", "`write_batch`, or what a `TransactionalDestination` has")


@contextmanager
def opened(recipe: Recipe, *, full_refresh: bool = False, needs_destination: bool = False) -> Iterator[Job]:
    """A job whose connections are given back at the end.

    Raises:
        RecipeError: The recipe has no destination and `needs_destination` says that it must.
    """
    if needs_destination and recipe.destination is None:
        raise RecipeError(
            f"`{recipe.name}` has no destination",
            context={"recipe": recipe.name, "path": "$.destination"},
            hint="add `destination:`, or read it with `arrowload preview` or `arrowload.read`",
        )
    job = Job(recipe, full_refresh=full_refresh)
    try:
        yield job
    finally:
        job.close()


def _lacks(made: Any, name: str, kind: str, wanted: str) -> EngineError:
    return EngineError(
        f"`{type(made).__name__}`, registered as the {kind} `{name}`, is no {kind}",
        context={"type": name},
        hint=f"it needs {wanted}",
    )
