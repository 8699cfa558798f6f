"""Does the destination hold what its ledger says? Anyone can ask: rows are read again, counted and hashed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec
import pyarrow as pa

from arrowload.connectors.base import VerifiableDestination
from arrowload.core.exceptions import RecipeError
from arrowload.core.schema import fingerprint
from arrowload.core.state import State
from arrowload.engine.splits import choose_splits
from arrowload.engine.storing import Storing
from arrowload.engine.transfer import Transfer
from arrowload.models.source_config import CursorIncremental
from arrowload.transforms.pipeline import TransformPipeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arrowload.connectors.base import LedgerEntry, StoredRows
    from arrowload.engine.job import Job

_HASH_MODULUS: Final = 2**128
# Of reading rows and ledger, while others load.
_TRIES: Final = 5


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of some rows.

    Attributes:
        loads: The loads that brought them, as `generation.seq`.
        load_ids: The same, by their ids.
        verdict: `verified`; `differs`; `unverifiable`: the ledger does not say enough of such rows.
        why: Of the last two, in one sentence.
        rows_expected, rows_found: By the ledger, and in the destination.
        hash_expected, hash_found: Sums mod 2^128 of the hashes of all rows, hexadecimal.
    """

    loads: tuple[str, ...]
    load_ids: tuple[str, ...]
    verdict: Literal["verified", "differs", "unverifiable"]
    why: str | None
    rows_expected: int
    rows_found: int
    hash_expected: str
    hash_found: str


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of a target: all of its rows, or those of each load where they can be told apart."""

    recipe: str
    target: str
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Literal["verified", "differs", "unverifiable"]:
        """The worst of all findings; what holds no load is as it should be."""
        verdicts = [finding.verdict for finding in self.findings]
        return "differs" if "differs" in verdicts else "unverifiable" if "unverifiable" in verdicts else "verified"


def verify(job: Job) -> Verification:
    """Compare the rows of a recipe's target with the ledger; changes nothing.

    Where they differ and the recipe has a cursor, the loads whose rows differ are named.

    Raises:
        RecipeError: The destination cannot be verified.
        DataError: A value cannot be read as what it was written as, or a file is not there.
    """
    destination = job.destination
    if not isinstance(destination, VerifiableDestination):
        raise RecipeError(
            f"the destination of `{job.recipe.name}` keeps no ledger that rows can be compared with",
            context={"recipe": job.recipe.name},
        )
    planned = _planned(job)
    for _ in range(_TRIES):
        stored = destination.stored(planned.names)
        findings = [_compared(part, planned) for part in stored]
        cursor = _cursor(job, planned)
        if cursor is not None and _has_mixed(findings) and _of_one_pipeline(stored):
            apart = [_compared(part, planned) for part in destination.stored_by_load(planned.names, cursor)]
            differing = [finding for finding in apart if finding.verdict == "differs"]
            findings = apart if differing else findings
        # What was loaded while rows were read was counted without them, or the other way round.
        if _load_ids(destination.stored(planned.names)) == _load_ids(stored):
            break
    return Verification(recipe=job.recipe.name, target=destination.target_name, findings=tuple(findings))


def _has_mixed(findings: Sequence[Finding]) -> bool:
    """Whether rows of several loads, not told apart, differ."""
    return len(findings) == 1 and findings[0].verdict == "differs" and len(findings[0].loads) > 1


def _of_one_pipeline(stored: Sequence[StoredRows]) -> bool:
    return len({load.pipeline_id for part in stored for load in part.loads}) == 1


def _load_ids(stored: Sequence[StoredRows]) -> list[str]:
    return [load.load_id for part in stored for load in part.loads]


def _planned(job: Job) -> pa.Schema:
    """The columns that the recipe loads, as they are stored."""
    target = job.check().target
    return target.schema if target is not None else pa.schema([])


def _cursor(job: Job, planned: pa.Schema) -> str | None:
    incremental = job.recipe.source.incremental
    found = isinstance(incremental, CursorIncremental) and incremental.cursor_column in planned.names
    return incremental.cursor_column if found and isinstance(incremental, CursorIncremental) else None


def _compared(stored: StoredRows, planned: pa.Schema) -> Finding:
    schema = stored.schema if stored.schema is not None else planned
    expected_rows = sum(load.rows_written for load in stored.loads)
    expected_hash = sum(int(load.content_hash, 16) for load in stored.loads) % _HASH_MODULUS
    why = _unverifiable(stored.loads)
    rows, digest = _read(stored, schema)
    same = (rows, digest) == (expected_rows, expected_hash)
    if why is None and not same and any(load.schema_fingerprint != fingerprint(schema) for load in stored.loads):
        why = "their columns or types were others when they were loaded"
    verdict: Literal["verified", "differs", "unverifiable"] = (
        "verified" if same else "unverifiable" if why is not None else "differs"
    )
    if verdict == "differs":
        why = f"{expected_rows} rows were loaded and {rows} are there"
        why = f"{rows} rows are there, as were loaded, and not with the same values" if rows == expected_rows else why
    return Finding(
        loads=tuple(f"{load.generation}.{load.seq}" for load in stored.loads),
        load_ids=tuple(load.load_id for load in stored.loads),
        verdict=verdict,
        why=None if same else why,
        rows_expected=expected_rows,
        rows_found=rows,
        hash_expected=f"{expected_hash:032x}",
        hash_found=f"{digest:032x}",
    )


def _unverifiable(loads: Sequence[LedgerEntry]) -> str | None:
    """Why rows need not be those that the ledger counted, in spite of all being well."""
    if any(load.write_mode == "merge" for load in loads):
        return "a merge puts rows in the place of others, whose hashes the ledger does not keep"
    if any(load.write_mode == "replace" and load.rows_deduplicated for load in loads):
        return "of several rows with one key one was kept, and the ledger has the hashes of all"
    return None


def _read(stored: StoredRows, expected: pa.Schema) -> tuple[int, int]:
    """How many rows there are, and the sum of their hashes."""
    with stored.source.snapshot(State()) as snapshot:
        pipeline = TransformPipeline.from_configs(()).bind(snapshot.schema)
        fields = [_as_hashed(field, expected) for field in snapshot.schema]
        transfer = Transfer(
            snapshot=snapshot,
            pipeline=pipeline,
            splits=choose_splits(snapshot, "auto"),
            storing=Storing(pa.schema(fields)),
        )
        rows = 0
        try:
            for batch in transfer.stream():
                rows += batch.num_rows
        except Exception as exc:
            if transfer.error is not None:
                raise transfer.error from exc
            raise
        finally:
            transfer.close()
        return rows, transfer.tally().content_hash


def _as_hashed(field: pa.Field, expected: pa.Schema) -> pa.Field:
    """A column in the type in which it was hashed; equal numbers have equal hashes in whatever type."""
    if field.name not in expected.names or pa.types.is_decimal(field.type):
        return field
    return pa.field(field.name, expected.field(field.name).type)
