"""The compiled kernels; `arrowload.kernels` is the door to them."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, final

from arrowload.core.typing import SupportsArrowArray, SupportsArrowSchema, SupportsArrowStream

__all__ = [
    "ArrowArray",
    "BatchQueue",
    "CopyPieces",
    "CopyRows",
    "CsvParser",
    "CsvRanges",
    "ParquetEncoder",
    "PostgresConnection",
    "content_hash",
    "copy_in",
    "copy_in_relay",
    "copy_out",
    "copy_out_relay",
    "numeric_to_decimal",
    "parquet_encoder",
    "parse_texts",
    "pg_copy_decode",
    "pg_copy_encode",
    "row_hash",
]

@final
class ArrowArray:
    """An Arrow array on its way out; `pyarrow.array` takes it without copying."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """The schema and array capsules; `requested_schema` is not followed, as the interface allows."""

@final
class BatchQueue:
    """A queue of record batches that is bounded in bytes, between threads that `put` and one reader of the C stream.

    A producer waits while the batches in the queue stand for `max_bytes` or more; a single batch may be larger. The
    reader needs no GIL, and it answers signals when it waits on the main thread.

    Args:
        schema: Of every batch.
        producers: How many threads will call `finish`.
        max_bytes: Bytes of the values of the batches; of a slice its own.
    """

    def __new__(cls, schema: SupportsArrowSchema, *, producers: int, max_bytes: int) -> BatchQueue: ...
    def put(self, batch: SupportsArrowArray) -> bool:
        """Add `batch`, waiting for room; False when the reader has gone or a producer has failed.

        Raises:
            DataError: `batch` has other types than the queue, or NULLs in a column that has none.
        """

    def finish(self, error: str | None = None) -> None:
        """One producer has come to its end or, with `error`, has failed: the reader gets the error at once."""

    def close(self) -> None:
        """No more is wanted; a reader that is not at the end gets an error."""

    @property
    def interruption(self) -> BaseException | None:
        """What a signal raised while the reader waited; it ended the stream."""

    def __arrow_c_schema__(self) -> object:
        """The schema capsule."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The stream capsule, once; dropping the stream closes the queue."""

@final
class CsvParser:
    """Turns CSV text into record batches, as `arrowload.kernels.csv.CsvParser`."""

    def __new__(
        cls,
        schema: SupportsArrowSchema,
        exact_form: Sequence[bool],
        *,
        delimiter: int,
        quote: int | None,
        null_values: Sequence[bytes],
        skip_lines: int,
        skip_records: int,
        max_record: int,
        from_start: bool,
        takes_ragged: bool,
    ) -> CsvParser: ...
    def feed(self, text: bytes) -> None:
        """Add the text that follows."""

    def finish(self) -> None:
        """Say that nothing follows."""

    def next_batch(self, max_rows: int) -> ArrowArray | None:
        """The next batch, or None when more text is needed or nothing is left."""

    def ragged(self) -> list[tuple[int, int, bytes]]:
        """Of the batch given last, the records that are too wide or too narrow: row, fields, text."""

@final
class CsvRanges:
    """Finds where records start, as `arrowload.kernels.csv.CsvRanges`."""

    def __new__(cls, targets: Sequence[int], *, delimiter: int, quote: int | None) -> CsvRanges: ...
    def feed(self, text: bytes) -> bool:
        """Take in the text that follows; whether more is needed."""

    def cuts(self) -> list[int]:
        """Where records start."""

@final
class ParquetEncoder:
    """Encodes a Parquet file, as `arrowload.kernels.parquet.parquet_encoder` says."""

    def write_group(self, rows: SupportsArrowStream, write: Callable[[bytes], object]) -> None:
        """Encode a row group; `write` gets the bytes that follow, column by column."""

    def finish(self) -> bytes:
        """End the file; its last bytes."""

def parquet_encoder(
    schema: SupportsArrowSchema, empty: bytes, *, dictionaries: Sequence[bool], compression: str
) -> ParquetEncoder | None:
    """Begin a Parquet file, as `arrowload.kernels.parquet.parquet_encoder`."""

def row_hash(batch: SupportsArrowArray) -> ArrowArray:
    """Hash each row: fixed_size_binary[16], as `arrowload.kernels.row_hash`."""

def content_hash(batch: SupportsArrowArray) -> tuple[int, int]:
    """Count the rows and sum their hashes mod 2^128, as `arrowload.kernels.content_hash`."""

def numeric_to_decimal(
    array: SupportsArrowArray, precision: int, scale: int, *, on_special: Literal["error", "null"]
) -> ArrowArray:
    """Turn numeric text into decimals, as `arrowload.kernels.numeric_to_decimal`."""

def parse_texts(
    array: SupportsArrowArray, target: SupportsArrowSchema, *, exact: bool
) -> tuple[ArrowArray, ArrowArray] | None:
    """Turn text into values, and say which are not surely some, as `arrowload.kernels.parse_texts`."""

def pg_copy_decode(
    data: bytes | bytearray,
    columns: Sequence[tuple[str, int]],
    schema: SupportsArrowSchema,
    *,
    special: Literal["error", "null"],
    infinity: Literal["error", "null"],
) -> ArrowArray:
    """Decode a whole COPY in binary, still in the protocol's messages, as `arrowload.kernels.pg_copy_decode`."""

def pg_copy_encode(batch: SupportsArrowArray, columns: Sequence[tuple[str, int]]) -> bytes:
    """Encode a batch as a whole COPY in binary, as `arrowload.kernels.pg_copy_encode`."""

@final
class PostgresConnection:
    """One session; a second thread waits until the first one's call has ended, save for `cancel`.

    Ctrl-C ends a call on the main thread: the statement is cancelled, and the session can go on.

    Args:
        conninfo: libpq's keyword string or a `postgresql://` URI; the environment fills in what it leaves out.

    Raises:
        PostgresError: Of `arrowload.io.postgres`; every method may.
    """

    def __new__(cls, conninfo: str) -> PostgresConnection: ...
    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one or more statements; the rows of the last result.

        bool, int2, int4, int8, oid, float4, float8 and bytea as Python's own, every other type as the server's text.
        """

    def run(self, sql: str) -> int:
        """Run one or more statements; the rows that the last one touched, -1 where it counts none."""

    def describe(self, sql: str) -> list[tuple[str, int, int]]:
        """The name, type oid and typmod of each column that `sql` would give; runs nothing."""

    def parameter(self, name: str) -> str | None:
        """A setting that the server reports by itself, such as `server_version`."""

    @property
    def transaction_status(self) -> Literal["idle", "active", "in_transaction", "failed", "lost", "closed"]:
        """As of the last statement; `active` while another thread's call is under way."""

    @property
    def is_open(self) -> bool:
        """Whether `close` is still to be called."""

    def cancel(self) -> None:
        """Have the server cancel the call that another thread has under way, if there is one."""

    def close(self) -> None:
        """Say goodbye, once the call under way has ended; an open transaction is rolled back by the server."""

@final
class CopyRows:
    """The record batches of one COPY, read ahead on a thread of its own; the connection is free once it is closed."""

    def __iter__(self) -> CopyRows: ...
    def __next__(self) -> ArrowArray: ...
    def close(self) -> None:
        """Have the server stop, when rows are left, and wait until the connection is free."""

@final
class CopyPieces:
    """The rows of one COPY as they lie on the wire: record batches of `rows`, `content_hash` and `data`."""

    def __iter__(self) -> CopyPieces: ...
    def __next__(self) -> ArrowArray: ...
    def close(self) -> None:
        """As `CopyRows.close`."""

def copy_out(
    connection: PostgresConnection,
    sql: str,
    schema: SupportsArrowSchema,
    wires: Sequence[tuple[str, int]],
    *,
    batch_rows: int,
    batch_bytes: int,
    null_special: bool,
    null_infinity: bool,
) -> CopyRows:
    """Read a `COPY … TO STDOUT (FORMAT binary)` whose columns lie on the wire as `wires` says, into `schema`.

    Args:
        connection: Carries nothing else until the rows are closed.
        sql: The statement.
        schema: Of the batches.
        wires: For each column the name of its type on the wire (`int4`, `text`, `numeric[]`) and of an array the oid of
            its elements, else 0.
        batch_rows: A batch ends with the row that brings it to as many.
        batch_bytes: Or to as many bytes.
        null_special: NaN and infinite numerics become NULL.
        null_infinity: Infinite dates, timestamps and intervals become NULL.

    Raises:
        DataError: A column cannot be read so; `next` raises it for a value that its type does not have.
        PostgresError: By `next`: the server's.
    """

def copy_out_relay(
    connection: PostgresConnection, sql: str, schema: SupportsArrowSchema, wires: Sequence[tuple[str, int]]
) -> CopyPieces:
    """As `copy_out`; the rows are decoded to be checked and hashed, and come as they lie on the wire."""

def copy_in(
    connection: PostgresConnection, sql: str, rows: SupportsArrowStream, wires: Sequence[tuple[str, int]]
) -> int:
    """Write `rows` through a `COPY … FROM STDIN (FORMAT binary)`; the number of rows that the server counted.

    Raises:
        DataError: A column cannot be written so, or a value would be taken for another.
        PostgresError: The server's.
    """

def copy_in_relay(connection: PostgresConnection, sql: str, pieces: SupportsArrowStream) -> int:
    """Write rows that lie in the column `data` of `pieces` as `copy_out_relay` gave them."""
