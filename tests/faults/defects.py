"""Seeded defects: each replaces one function in the process of a run by one that a hurried author might write."""

from __future__ import annotations

import os
import re
import sys
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from arrowload.cli import signals
from arrowload.connectors import sql_cursor, sql_merge
from arrowload.connectors.csv import ranges as csv_ranges
from arrowload.connectors.csv import source as csv_source
from arrowload.connectors.csv.parse import FileRange
from arrowload.connectors.csv.text import Utf8Stream
from arrowload.connectors.duckdb import source as duckdb_source
from arrowload.connectors.duckdb.writer import DuckDBLoadWriter
from arrowload.connectors.files import listing
from arrowload.connectors.files.dataset import Dataset
from arrowload.connectors.files.s3_storage import S3Storage
from arrowload.connectors.files.writer import DatasetLoadWriter
from arrowload.connectors.parquet import source as parquet_source
from arrowload.connectors.postgres import errors, orphans, routes, session
from arrowload.connectors.postgres import reading as postgres_reading
from arrowload.connectors.postgres import source as postgres_source
from arrowload.connectors.postgres.late_rows import LateRows
from arrowload.connectors.postgres.writer import PostgresLoadWriter
from arrowload.connectors.sql_ledger import SqlLedger
from arrowload.core import casting, conversions, secret
from arrowload.core.exceptions import ConnectorError, CredentialsError, TransientConnectorError
from arrowload.core.failpoint import failpoint
from arrowload.core.rejection import rejected_row
from arrowload.core.state import State
from arrowload.engine import commit, protocol, retry
from arrowload.engine.engine import Engine
from arrowload.engine.overlap import SeenRows
from arrowload.engine.quarantine import Quarantine
from arrowload.engine.transfer import Transfer
from arrowload.io import aws, sql
from arrowload.kernels.csv import CsvParser
from arrowload.models import files as recipe_files
from arrowload.models import template_grammar
from arrowload.models.limits import Budget
from arrowload.planning import contract
from arrowload.state import document
from arrowload.state.document import DocumentStateBackend
from arrowload.state.dynamodb import DynamoDBStore
from arrowload.state.local import LocalStateBackend, LocalStore
from arrowload.state.s3 import S3Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from arrowload.connectors.base import LedgerEntry, LedgerHead, Snapshot
    from arrowload.connectors.files.storage import Draft
    from arrowload.connectors.sql_cursor import CursorWindow
    from arrowload.core.state_backend import Lease
    from arrowload.io.files import FileInfo

replaced = msgspec.structs.replace


def everywhere(real: Any, by: Any) -> None:
    """Put `by` in the place of a function, in all modules that know it by its name."""
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith(("arrowload", "tests")):
            for name in [name for name, value in vars(module).items() if value is real]:
                setattr(module, name, by)


# ---------------------------------------------------------------- the order of things


def state_before_commit() -> None:
    """The state is stored, then the rows are committed."""
    real = Engine._finalize

    def finalize(engine: Engine, effect: protocol.Finalize) -> protocol.Event:
        lease = engine._state.lease
        if lease is None:
            raise AssertionError("no lease")
        engine._state.backend.compare_and_swap(lease, State.from_json(effect.entry.state))
        return real(engine, effect)

    Engine._finalize = finalize  # type: ignore[method-assign]


def rows_before_entry() -> None:
    """Rows are committed, and the ledger entry in a transaction of its own."""
    real = SqlLedger.insert

    def insert(ledger: SqlLedger, entry: LedgerEntry, seen: pa.Table | None) -> None:
        ledger._session.execute("COMMIT")
        ledger._session.execute("BEGIN")
        real(ledger, entry, seen)

    SqlLedger.insert = insert  # type: ignore[method-assign]


def parts_before_entry() -> None:
    """Parts get their final names before the log entry is linked."""
    real = DatasetLoadWriter._write_record

    def write_record(writer: DatasetLoadWriter, entry: LedgerEntry, seen: pa.Table | None) -> Draft:
        draft = real(writer, entry, seen)
        for part in writer._parts:
            writer._dataset.storage.move(f"{writer._folder}/{part.name}", part.name)
        return draft

    DatasetLoadWriter._write_record = write_record  # type: ignore[method-assign]


def emptied_first() -> None:
    """A replace commits the deletion of the old rows, then brings the new ones."""
    real = PostgresLoadWriter._prepare

    def prepare(writer: PostgresLoadWriter) -> None:
        real(writer)
        writer._session.run("COMMIT")
        writer._session.run("BEGIN")

    PostgresLoadWriter._prepare = prepare  # type: ignore[method-assign]


# ---------------------------------------------------------------- recovery


def cursor_of_the_ledger_ignored() -> None:
    """Recovery takes the number of the last load from the ledger, and the cursor from the state."""
    real = commit._fenced

    def fenced(run: commit.Run, head: LedgerHead | None) -> tuple[commit.Run, protocol.Effect]:
        if head is not None and head.last is not None:
            place = {"generation": head.last.generation, "seq": head.last.seq}
            own = replaced(run.state, checkpoints=place)
            head = replaced(head, last=replaced(head.last, state=own.to_json().decode()))
        return real(run, head)

    commit._fenced = fenced


def each_run_a_home() -> None:
    """An interrupted append without cursor is not recognised as this recipe's own."""
    real = DocumentStateBackend.acquire

    def acquire(backend: DocumentStateBackend, recipe_name: str, owner: str, *, above: int) -> Lease:
        return replaced(real(backend, recipe_name, owner, above=above), home=uuid.uuid4().hex)

    DocumentStateBackend.acquire = acquire  # type: ignore[method-assign]


def parts_not_rolled_forward() -> None:
    """Nobody brings the parts of a committed load to their final names when its run could not."""
    Dataset.roll_forward = lambda dataset: None  # type: ignore[method-assign]


def lost_answer_is_success() -> None:
    """A commit without an answer counts as done; nobody asks the ledger."""
    real = commit._fail

    def fail(run: commit.Run, event: protocol.Failed) -> tuple[commit.Run, protocol.Effect]:
        if isinstance(run.doing, protocol.Finalize) and event.kind == "unknown":
            return commit._committed(run)
        return real(run, event)

    commit._fail = fail


# ---------------------------------------------------------------- windows


def boundary_not_read_again() -> None:
    """`>` in the place of `>=`."""
    real = duckdb_source.find_window

    def find_window(*arguments: Any, **options: Any) -> Any:
        window = real(*arguments, **options)
        return replaced(window, predicate=window.predicate.replace(">=", ">"))

    duckdb_source.find_window = find_window  # type: ignore[attr-defined]


def seen_rows_not_stored() -> None:
    """Rows at the boundary are not left for the next load to find."""
    real = SeenRows.left_for_next
    SeenRows.left_for_next = lambda rows: real(rows).slice(0, 0)  # type: ignore[method-assign]


def overlap_not_consulted() -> None:
    """Rows at the boundary are remembered, and loaded again all the same."""

    def new_rows(rows: SeenRows, batch: pa.RecordBatch) -> pa.RecordBatch:
        rows._remember(batch, batch.column(rows._overlap.column))
        return batch

    SeenRows.new_rows = new_rows  # type: ignore[method-assign]


def upper_bound_after_the_rows() -> None:
    """The upper bound is asked for in a snapshot of its own, when the rows have been read."""
    real = Engine._state_after

    def state_after(engine: Engine, snapshot: Snapshot) -> State:
        with engine._job.source.snapshot(State()) as later:
            return real(engine, later)

    Engine._state_after = state_after  # type: ignore[method-assign]


# ---------------------------------------------------------------- the fence


def fence_not_checked() -> None:
    """A run commits although a newer one has taken over."""
    SqlLedger.check_fence = lambda ledger, entry: None  # type: ignore[method-assign]
    Dataset.check_fence = lambda dataset, pipeline_id, epoch: dataset.log.refresh()  # type: ignore[method-assign,assign,return-value]


def lock_not_taken() -> None:
    """Whoever finds a recipe locked goes on."""
    real = LocalStateBackend._lock_file

    def lock_file(backend: LocalStateBackend, recipe_name: str) -> int:
        try:
            return real(backend, recipe_name)
        except Exception:  # noqa: BLE001 - the defect
            return os.open(backend._lock_path(recipe_name), os.O_RDONLY)

    LocalStateBackend._lock_file = lock_file  # type: ignore[method-assign]
    LocalStateBackend._held_by = lambda *_: None  # type: ignore[method-assign]


def conditions_not_sent() -> None:
    """State is written over whatever is there."""
    s3_put, dynamodb_put = S3Store._put, DynamoDBStore._put
    S3Store._put = lambda store, key, data, condition: s3_put(store, key, data, {})  # type: ignore[method-assign]
    DynamoDBStore._put = (  # type: ignore[method-assign]
        lambda store, name, entry, attributes, condition: dynamodb_put(store, name, entry, attributes, {})
    )


def everybodys_garbage_swept() -> None:
    """What other recipes have staged is taken for what dead runs left."""
    real = Dataset._owned

    def owned(dataset: Dataset, folder: str, pipeline_id: str, *, below: int) -> list[str]:
        owners = {name.partition(".")[0] for name in dataset.storage.names(folder)}
        return [name for owner in owners for name in real(dataset, folder, owner, below=below + 1000)]

    Dataset._owned = owned  # type: ignore[method-assign]


def orphans_left_alone() -> None:
    """Sessions of runs that are dead are neither waited for nor ended."""
    everywhere(orphans.end_sessions, lambda *_, **__: True)


# ---------------------------------------------------------------- what state and ledger say


def ledger_not_asked_without_a_state() -> None:
    """Who has no state begins as if nothing had been loaded."""
    real = SqlLedger.head

    def head(ledger: SqlLedger, recipe: str, pipeline_id: str | None) -> LedgerHead | None:
        return real(ledger, recipe, pipeline_id) if pipeline_id is not None else None

    SqlLedger.head = head  # type: ignore[method-assign]


def contradictions_overlooked() -> None:
    """State and ledger are not compared."""
    commit._conflict = lambda run, head: None


def empty_source_is_believed() -> None:
    """A replace does not look at how many rows it takes away."""
    commit._shrunk = lambda terms, sealed: None


def checksum_not_checked() -> None:
    """State is decoded and believed."""
    document._checksum = lambda document: document.crc32


def servers_count_is_believed() -> None:
    """Nobody compares the rows that the server holds with those that were sent."""
    PostgresLoadWriter._count = lambda writer: writer._staged  # type: ignore[method-assign]


def statistics_are_believed() -> None:
    """How many rows are there is read from the statistics, which lag."""

    def count_replaced(writer: PostgresLoadWriter) -> int:
        name = sql.quote_literal(writer._table.sql())
        found = writer._session.execute(f"SELECT n_live_tup FROM pg_stat_user_tables WHERE relid = {name}::regclass")
        return int(found[0][0]) if found else 0

    PostgresLoadWriter._count_replaced = count_replaced  # type: ignore[method-assign]


def parts_of_earlier_attempts_kept() -> None:
    """What an attempt staged before it failed goes into the manifest of the next."""
    real, parts = DatasetLoadWriter.stage, []

    def stage(writer: DatasetLoadWriter, stream: pa.RecordBatchReader) -> None:
        real(writer, stream)
        parts.extend(writer._parts)
        writer._parts = [*parts]

    DatasetLoadWriter.stage = stage  # type: ignore[method-assign]


def equal_loads_dropped() -> None:
    """A store that deduplicates takes a load for one that it has, after the old rows are gone."""
    real = DuckDBLoadWriter.finalize

    def finalize(writer: DuckDBLoadWriter, entry: LedgerEntry, seen: pa.Table | None) -> None:
        before = writer._ledger.entries(entry.pipeline_id)
        real(writer, entry, seen)
        if before and before[-1].content_hash == entry.content_hash:
            writer._session.execute(f"DELETE FROM {writer._table.sql()}")

    DuckDBLoadWriter.finalize = finalize  # type: ignore[method-assign]


def state_written_in_place() -> None:
    """A new state is written over the old one."""
    real = LocalStore.write

    def write(store: LocalStore, name: str, data: bytes, *, over: str | None) -> bool:
        done = real(store, name, data, over=over) if over is None else True
        store._path(name).write_bytes(data)
        failpoint("state.temporary")
        return done

    LocalStore.write = write  # type: ignore[method-assign]


# ---------------------------------------------------------------- cursors


def chunk_remembers_the_end() -> None:
    """A chunk leaves the cursor of the whole load."""
    real = duckdb_source.find_window

    def find_window(*arguments: Any, **options: Any) -> CursorWindow:
        window, whole = real(*arguments, **options), real(*arguments, **(options | {"until": None}))
        return replaced(window, cursor=whole.cursor)

    duckdb_source.find_window = find_window  # type: ignore[attr-defined]


def window_without_its_last_value() -> None:
    """`<` in the place of `<=`."""
    real = duckdb_source.find_window

    def find_window(*arguments: Any, **options: Any) -> CursorWindow:
        window = real(*arguments, **options)
        return replaced(window, predicate=window.predicate.replace("<=", "<"))

    duckdb_source.find_window = find_window  # type: ignore[attr-defined]


def late_rows_not_looked_for() -> None:
    """Only the cursor says what is new."""
    LateRows.condition = property(lambda rows: None)  # type: ignore[assignment]


def nulls_not_counted() -> None:
    """Rows without a cursor are left out, and nobody is told."""
    sql_cursor._Bounds.count_nulls = lambda bounds: (0, ())  # type: ignore[method-assign]


def cursor_in_milliseconds() -> None:
    """The cursor is remembered as a driver with a coarser clock gives it."""
    real = sql_cursor._Bounds._greatest

    def greatest(bounds: Any, below: str | None = None) -> str | None:
        found = real(bounds, below)
        return re.sub(r"(\.\d{3})\d+", r"\1", found) if found is not None else None

    sql_cursor._Bounds._greatest = greatest  # type: ignore[method-assign]


def future_is_present() -> None:
    """The greatest cursor is believed, whatever the year."""
    sql_cursor._Bounds._present = lambda bounds, greatest: (greatest, ())  # type: ignore[method-assign]


def lag_not_kept() -> None:
    """A lag is taken, and nothing is read again for it."""
    sql_cursor._Bounds._minus_lag = lambda bounds, text: text  # type: ignore[method-assign]


def readers_without_the_snapshot() -> None:
    """Readers beside the first see what is committed when they begin."""
    routes._join = lambda session, snapshot_id: None


# ---------------------------------------------------------------- failures


def reader_errors_are_the_end() -> None:
    """A reader that fails looks like one that has finished."""
    real = Transfer._read

    def read(transfer: Transfer, splits: Any, queue: Any) -> None:
        with suppress(Exception):
            real(transfer, splits, queue)

    Transfer._read = read  # type: ignore[method-assign]


def failure_is_not_passed_on() -> None:
    """A reader that fails leaves the queue waiting for it."""
    real = Transfer._work

    def work(transfer: Transfer, splits: Any, queue: Any) -> None:
        class Deaf:
            put = staticmethod(queue.put)

            @staticmethod
            def finish(error: str | None) -> None:
                if error is None:
                    queue.finish(None)

        real(transfer, splits, Deaf())  # type: ignore[arg-type]

    Transfer._work = work  # type: ignore[method-assign]


def nothing_tried_again() -> None:
    """Each error is the last."""
    real = retry.classify
    everywhere(real, lambda error: "unknown" if real(error) == "unknown" else "terminal")


def codes_of_the_server_ignored() -> None:
    """What a server refuses is our defect, whatever its code says."""
    errors._by_sqlstate = lambda sqlstate: ConnectorError


def refused_credentials_may_pass() -> None:
    """A password that is refused is tried again, as a server that is out of reach would be."""
    for code, kind in errors._BY_SQLSTATE.items():
        if kind is CredentialsError:
            errors._BY_SQLSTATE[code] = TransientConnectorError


def lost_connections_have_no_class() -> None:
    """A connection that is gone is an error like any other."""
    errors._BY_KIND.clear()
    real = errors._our_error
    everywhere(real, lambda *facts, lost: real(*facts, lost=False))


def one_request_one_try() -> None:
    """A store that is busy is not asked again."""
    aws._ATTEMPTS = 1  # type: ignore[misc]
    for code, kind in aws._BY_CODE.items():
        if kind is TransientConnectorError:
            aws._BY_CODE[code] = ConnectorError


def signal_ends_the_process() -> None:
    """SIGTERM does what it does to a program that does not care."""

    @contextmanager
    def interruptible() -> Iterator[None]:
        yield

    everywhere(signals.interruptible, interruptible)


# ---------------------------------------------------------------- values and keys


def first_of_a_key_wins() -> None:
    """Of rows with one key the first is kept."""
    real = sql_merge.ranked_rows
    everywhere(real, lambda *a, **o: real(*a, **o).replace(" DESC", " ASC"))


def null_keys_pass() -> None:
    """Rows without a key are merged like others, and match none."""
    Transfer._refuse_null_keys = lambda *_: None  # type: ignore[method-assign]


def nan_is_null() -> None:
    """What a decimal cannot hold becomes NULL."""
    sized, reading = postgres_reading.size_numerics, routes.Reading
    everywhere(sized, lambda *arguments, null_special: sized(*arguments, null_special=True))
    postgres_source.Reading = lambda columns, *_: reading(columns, True, True)  # type: ignore[attr-defined]


def casts_wrap() -> None:
    """Values are cut to what their type holds."""
    real = conversions.convert

    def convert(array: pa.Array, target: pa.DataType, options: Any) -> pa.Array:
        try:
            return real(array, target, options)
        except pa.ArrowInvalid:
            return pc.cast(array, target, safe=False)

    casting.convert = convert  # type: ignore[attr-defined]


def misfits_become_null() -> None:
    """A value that does not fit is NULL from here on."""
    real = casting.cast_exact

    def cast_exact(array: pa.Array, target: pa.DataType, **options: Any) -> pa.Array:
        try:
            return real(array, target, **options)
        except casting.CastFailure as exc:
            null = pa.nulls(1, array.type)
            mended = pa.concat_arrays([array.slice(0, exc.row), null, array.slice(exc.row + 1)])
            return cast_exact(mended, target, **options)

    everywhere(real, cast_exact)


def bad_bytes_replaced() -> None:
    """Bytes that are no text become question marks."""

    def cast_binary(column: pa.Array) -> pa.Array:
        texts = [None if value is None else value.decode(errors="replace") for value in column.to_pylist()]
        return pa.array(texts, pa.string())

    everywhere(csv_source.cast_binary, cast_binary)


def names_not_escaped() -> None:
    """Names are put into quotes, and what they hold is not looked at."""
    everywhere(sql.quote_identifier, lambda name: f'"{name}"')


# ---------------------------------------------------------------- files


def cuts_at_any_newline() -> None:
    """A file is cut behind the next newline, though it may stand inside quotes."""

    def cut_file(file: FileInfo, config: Any, size: int) -> list[FileRange]:
        with open(file.path, "rb") as opened:  # noqa: PTH123 - the path is text
            data = opened.read()
        n = round(file.size / max(1, size))
        cuts = sorted({data.find(b"\n", file.size * i // n) + 1 for i in range(1, n)} - {0, len(data)})
        return [FileRange(file, start, end) for start, end in zip([0, *cuts], [*cuts, None], strict=True)]

    everywhere(csv_ranges.cut_file, cut_file)


def short_file_is_the_end() -> None:
    """A packed file that is cut short ends there."""

    def read_on(stream: Utf8Stream, size: int) -> bytes:
        data = b""
        with suppress(OSError):
            while len(data) < size and (piece := stream._stream.read(100)):
                data += piece
        stream._at_end = not data
        return stream._decode(data)

    Utf8Stream._read_on = read_on  # type: ignore[method-assign]


def pins_not_checked() -> None:
    """A file is read as it is by then."""
    listing._require_unchanged = lambda file: None


def files_by_time_alone() -> None:
    """Files are new when they are newer than the newest, in seconds."""
    real = listing.choose_files

    def choose_files(files: Any, incremental: Any, state: State, *until: Any) -> Any:
        newest = state.watermarks.get("modified", {}).get("newest_ns", 0)
        return real([f for f in files if f.mtime_ns // 10**9 > newest // 10**9], incremental, state, *until)

    everywhere(real, choose_files)


def a_thousand_files_listed() -> None:
    """Only the first page of a listing is asked for."""
    real = listing.list_files
    everywhere(real, lambda *arguments: real(*arguments)[:1000])


def bombs_not_noticed() -> None:
    """What a file unpacks into is not counted."""
    Utf8Stream._refuse_bomb = lambda stream: None  # type: ignore[method-assign]


def columns_of_the_first_file() -> None:
    """The other files are taken to have the same columns."""
    real = parquet_source._common_schema
    everywhere(real, lambda files, *rest: real(files[:1], *rest))


# ---------------------------------------------------------------- hostile input


def secrets_not_masked() -> None:
    """Text leaves the process as it is."""
    everywhere(secret.mask, lambda text: text)


def grammar_not_checked() -> None:
    """Templates are what Jinja2 takes for one."""
    template_grammar._check = lambda node, index: None
    template_grammar._check_marks = lambda text: None


def nothing_is_too_much() -> None:
    """A recipe may grow as it likes."""
    Budget.spend = lambda *_, **__: None  # type: ignore[method-assign]


def any_file_may_be_extended() -> None:
    """The root of a recipe is not looked at."""
    real = recipe_files.resolve_reference

    def resolve_reference(reference: Any, folder: Path, root: Path, *rest: Any) -> Path:
        return real(reference, folder, type(root)("/"), *rest)

    everywhere(real, resolve_reference)


# ---------------------------------------------------------------- the first load, and the last


def no_row_is_no_load() -> None:
    """A first run that finds no rows leaves no table."""
    real = commit._planned

    def planned(run: commit.Run, event: protocol.Planned) -> tuple[commit.Run, protocol.Effect]:
        return commit._nothing_new(run)

    def staged(run: commit.Run, event: protocol.Staged) -> tuple[commit.Run, protocol.Effect]:
        return real_staged(run, event) if event.tally.rows_staged else planned(run, run.window or protocol.Planned())

    real_staged = commit._staged
    commit._staged = staged
    commit._planned = lambda run, event: planned(run, event) if event.empty else real(run, event)


def tables_made_once() -> None:
    """Tables are made without a look at whether a run that was cut off has made them."""
    real = SqlLedger.create

    def create(ledger: SqlLedger) -> None:
        ledger._session.execute("CREATE SCHEMA _arrowload")
        real(ledger)

    SqlLedger.create = create  # type: ignore[method-assign]
    SqlLedger.exists = lambda ledger: False  # type: ignore[method-assign]


def uploads_left_open() -> None:
    """Uploads that dead runs began are not looked for."""
    S3Storage.unfinished = lambda *_: []  # type: ignore[method-assign]


def rejected_rows_vanish() -> None:
    """What a load refused is kept nowhere."""

    def quarantine(writer: Any, rejected: pa.Table, settled: Any) -> None:
        """Nothing."""

    for kind in (DuckDBLoadWriter, PostgresLoadWriter, DatasetLoadWriter):
        kind.quarantine = quarantine  # type: ignore[method-assign]


def neighbours_rejected() -> None:
    """The row behind a bad one is taken for bad, too."""
    real = casting.sift

    def sift(array: pa.Array, *rest: Any) -> tuple[pa.Array, list[casting.CastFailure]]:
        made, found = real(array, *rest)
        behind = min(found[-1].row + 1, len(array) - 1) if found else -1
        return made, [*found, casting.CastFailure(behind, "", "")] if found and behind > found[-1].row else found

    everywhere(real, sift)


def ragged_rows_filled_up() -> None:
    """A record of another width is taken for a row like the others."""
    CsvParser.ragged = lambda parser: []  # type: ignore[method-assign]


def budget_not_kept() -> None:
    """However many rows are refused, the load goes on."""

    def add(quarantine: Quarantine, rejection: Any) -> None:
        quarantine._rows.append(rejected_row(rejection))

    Quarantine.add = add  # type: ignore[method-assign]


def drift_not_seen() -> None:
    """Whatever comes is taken for what the target has."""
    everywhere(contract._differences, lambda *_: iter(()))


def merge_is_replace() -> None:
    """A merge takes away what the source does not have any more."""
    real = DuckDBLoadWriter._applying

    def applying(writer: DuckDBLoadWriter) -> tuple[str, ...]:
        return (f"DELETE FROM {writer._table.sql()}", *real(writer))

    DuckDBLoadWriter._applying = applying  # type: ignore[method-assign]


def leases_by_the_clock_of_the_host() -> None:
    """How old a lease is, is what the host thinks, not what the store says."""
    everywhere(aws.answered_at, lambda response: aws.dt.datetime.now(aws.dt.UTC))


def cursor_in_local_time() -> None:
    """The cursor is remembered as the wall clock of the session shows it."""
    session.SETTINGS.pop("TimeZone", None)
    real = sql_cursor._Bounds._greatest

    def greatest(bounds: Any, below: str | None = None) -> str | None:
        found = real(bounds, below)
        return re.sub(r"[+-]\d\d(:\d\d)?\Z", "", found) if found is not None else None

    sql_cursor._Bounds._greatest = greatest  # type: ignore[method-assign]


def connect_timeout_not_kept() -> None:
    """A server that never answers is waited for."""
    real = session.conninfo_of
    everywhere(real, lambda config: real(config).replace("connect_timeout='2'", "connect_timeout='10'"))
