"""One repeatable read, shared by as many connections as there are readers."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pyarrow as pa
from msgspec.structs import replace

from arrowload.connectors.postgres.late_rows import LATE_COLUMN
from arrowload.connectors.postgres.relay import relay_format
from arrowload.connectors.postgres.routes import adapted, open_reader, route_of
from arrowload.connectors.postgres.session import RelaySession
from arrowload.connectors.postgres.splitting import WHOLE, Part, block_parts, free_connections, key_parts, pinned
from arrowload.core.exceptions import ConnectorError
from arrowload.core.state import State
from arrowload.planning.capabilities import Split, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from arrowload.connectors.base import Mark, Overlap
    from arrowload.connectors.postgres.catalogue import Relation
    from arrowload.connectors.postgres.config import PostgresSourceConfig
    from arrowload.connectors.postgres.routes import Reading, RowReader
    from arrowload.connectors.postgres.session import Session


class PostgresSnapshot:
    """The rows of one window; see `Snapshot`.

    Args:
        config: Of the source.
        session: The connection that began the transaction; the only split is read over it, several over others.
        relation: What is read.
        conditions: Which of its rows, as SQL.
        reading: Which columns.
        window: The rows, for the plan.
        state: What to remember once they are loaded.
    """

    overlap: Overlap | None = None

    def __init__(
        self,
        config: PostgresSourceConfig,
        session: Session,
        *,
        relation: Relation,
        conditions: Sequence[str | None],
        reading: Reading,
        window: Window,
        state: State,
    ) -> None:
        self._config = config
        self._session = session
        self._relation = relation
        self._conditions = conditions
        self._reading = reading
        self._route = route_of(config)
        self._under_way: Generator[pa.RecordBatch] | None = None
        self._readers: list[RowReader] = []
        self._idle: list[RowReader] = []
        self._cancelled = False
        self.find_marks: Callable[[int], Sequence[Mark]] = lambda _: ()
        self.relay_format = relay_format(reading) if self._route == "copy" else None
        self.schema: pa.Schema = pa.schema([field for field in reading.schema if field.name != LATE_COLUMN])
        self.window = window
        self.state = State(cursor_values=state.cursor_values, watermarks=state.watermarks)

    def count_rows(self) -> int:
        """See `CountableSnapshot.count_rows`."""
        self.close()
        return int(self._session.execute(f"SELECT count(*) AS n {self._relation.rows(*self._conditions)}")[0][0])

    def marks(self, rows: int) -> Sequence[Mark]:
        """See `DivisibleSnapshot.marks`."""
        return self.find_marks(rows)

    def readers(self, n: int) -> int:
        """See `SharedSnapshot.readers`; other clients of the server need connections too."""
        return min(n, max(1, free_connections(self._session) // 2)) if n > 1 else n

    def splits(self, n: int) -> Sequence[Split]:
        """Ranges of blocks, more than `n` in a large table; or `n` ranges of `split_on`; one where neither can be had.

        Each range of `split_on` may cost the server a scan of the whole table.
        """
        parts = self._parts(n)
        alone = len(parts) == 1 and self._route != "connectorx"
        snapshot_id = None if alone else self._session.execute("SELECT pg_export_snapshot() AS id")[0][0]
        family = pinned(self._session, self._relation) if len(parts) > 1 else None
        return [
            Split(index=i, spec={"query": self.query(part, family), "snapshot": snapshot_id}, what=part.what)
            for i, part in enumerate(parts)
        ]

    def query(self, part: Part = WHOLE, family: str | None = None) -> str:
        """The query for the rows of one part; `family` is a condition that all parts share."""
        columns = (adapted(column, self._route, self._reading) for column in self._reading.columns)
        items = ", ".join(column.select() for column in columns)
        return f"SELECT {items} {self._relation.rows(*self._conditions, part.condition, family)}"

    def read_split(self, split: Split, *, batch_size: int) -> pa.RecordBatchReader:
        """The rows, as the server sends them; reading the only split again ends the reading that is under way."""
        if split.spec["snapshot"] is None:
            self.close()
            batches = self._under_way = self._alone(split, batch_size)
        else:
            batches = self._beside(split, batch_size)
        return pa.RecordBatchReader.from_batches(self._reading.schema, batches)

    def read_relay(self, split: Split) -> Iterator[pa.RecordBatch]:
        """The rows of one split as they lie on the wire, of `RELAY_SCHEMA`."""
        snapshot_id = split.spec["snapshot"]
        if snapshot_id is None:
            self.close()
            self._under_way = self._kept(self._relayed(self._session, split))
            yield from self._under_way
            return
        with self._opened(str(snapshot_id)) as reader:
            yield from self._relayed(reader, split)

    def _relayed(self, reader: RowReader, split: Split) -> Generator[pa.RecordBatch]:
        if not isinstance(reader, RelaySession):
            raise TypeError("the driver does not hand over rows as they lie on the wire")
        yield from reader.read_relay(str(split.spec["query"]), self._reading)

    def cancel(self) -> None:
        """Have readers that wait for the server come back, with an error."""
        self._cancelled = True
        for reader in (self._session, *self._readers):
            # A connection that is gone takes no cancel, and needs none.
            with suppress(ConnectorError):
                reader.cancel()

    def close(self) -> None:
        """End the reading that is under way, and close the other connections; the snapshot itself stays."""
        if self._under_way is not None:
            self._under_way.close()
            self._under_way = None
        while self._idle:
            self._idle.pop().close()

    def scalar(self, column: str, sql: str | None) -> pa.Scalar | None:
        """The value of an SQL expression, in the type in which `column` is read; None for None."""
        if sql is None:
            return None
        (read,) = (replace(c, expression=sql) for c in self._reading.columns if c.name == column)
        reading = replace(self._reading, columns=(read,))
        (batch,) = self._session.read(f"SELECT {read.select()}", reading, batch_size=1)
        return batch.column(0)[0]

    def _parts(self, n: int) -> Sequence[Part]:
        if n == 1:
            return [WHOLE]
        if self._config.split_on is not None:
            return key_parts(
                self._session, self._relation, self._relation.rows(*self._conditions), self._config.split_on, n
            )
        return block_parts(self._session, self._relation, n)

    def _alone(self, split: Split, batch_size: int) -> Generator[pa.RecordBatch]:
        """Over the connection of the snapshot itself."""
        return self._kept(self._session.read(str(split.spec["query"]), self._reading, batch_size=batch_size))

    def _kept(self, batches: Generator[pa.RecordBatch]) -> Generator[pa.RecordBatch]:
        """What is read over the connection of the snapshot; the snapshot outlives a reading that ends early."""
        self._session.run("SAVEPOINT reading")
        whole = False
        try:
            yield from batches
            whole = True
        finally:
            batches.close()
            # What is cancelled fails, and a failure would end the snapshot; a lost connection has been reported.
            with suppress(ConnectorError):
                if not whole:
                    self._session.run("ROLLBACK TO SAVEPOINT reading")
                # A snapshot cannot be exported while a savepoint is there.
                self._session.run("RELEASE SAVEPOINT reading")

    def _beside(self, split: Split, batch_size: int) -> Generator[pa.RecordBatch]:
        """Over a connection beside that of the snapshot."""
        with self._opened(str(split.spec["snapshot"])) as reader:
            yield from reader.read(str(split.spec["query"]), self._reading, batch_size=batch_size)

    @contextmanager
    def _opened(self, snapshot_id: str) -> Iterator[RowReader]:
        """A connection for one split; the next split has it after that, unless this one came to no good end."""
        try:
            reader = self._idle.pop()
        except IndexError:
            reader = open_reader(self._config, snapshot_id)
        self._readers.append(reader)
        try:
            if self._cancelled:
                # While it connected, `cancel` could not see it.
                raise ConnectorError("the reading was cancelled")
            yield reader
        except BaseException:
            reader.close()
            raise
        else:
            self._idle.append(reader)
        finally:
            self._readers.remove(reader)
