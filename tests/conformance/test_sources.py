"""Every built-in source keeps the promises of a source."""

from __future__ import annotations

import csv
import os
import sys
import time
from importlib.metadata import entry_points
from itertools import count

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from arrowload.connectors.csv import CsvSourceConfig
from arrowload.connectors.duckdb import DuckDBSourceConfig
from arrowload.connectors.memory import MemorySourceConfig
from arrowload.connectors.memory.store import MemoryStore
from arrowload.connectors.parquet import ParquetSourceConfig
from arrowload.connectors.postgres import PostgresSourceConfig
from arrowload.connectors.registry import get_source
from arrowload.core.exceptions import RecipeError
from arrowload.core.registry import sources
from arrowload.core.secret import Secret
from arrowload.core.state import State
from arrowload.models.units import ResourcePath, ResourcePaths
from arrowload.testing.samples import typed_columns
from arrowload.testing.sources import SourceConformance, read, sample_rows


class TestMemory(SourceConformance):
    registered_as = "memory"
    supports_projection = False  # a `select` step costs nothing on rows that are in memory

    @pytest.fixture
    def store(self):
        return MemoryStore()

    @pytest.fixture
    def make_source(self, store):
        return lambda **keys: get_source("memory", MemorySourceConfig(type="memory", name="t", **keys), store)

    @pytest.fixture
    def add_rows(self, store):
        def add(rows):
            store.tables["t"] = pa.concat_tables([store.tables.get("t", rows.slice(0, 0)), rows])

        return add

    @pytest.fixture
    def missing_source(self, store):
        return get_source("memory", MemorySourceConfig(type="memory", name="nowhere"), store)

    @pytest.fixture
    def rows(self):
        """With more types than the suite's own rows have."""
        return with_typed_columns(set(typed_columns()))


class TestDuckDB(SourceConformance):
    registered_as = "duckdb"
    rows_at_once = 2_048  # it works in vectors of as many rows

    @pytest.fixture
    def path(self, tmp_path):
        return tmp_path / "it's a.duckdb"

    @pytest.fixture
    def make_source(self, path):
        def make(**keys):
            config = DuckDBSourceConfig(type="duckdb", path=ResourcePath(path), table='"my schema"."t.1"', **keys)
            # Rows are added while it reads, and a file that is open elsewhere in this process cannot be read only.
            connection = duckdb.connect(path)
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET arrow_lossless_conversion = true")
            made.append(connection)
            return get_source("duckdb", config, connection)

        made = []
        yield make
        for connection in made:
            connection.close()

    @pytest.fixture
    def add_rows(self, path):
        def add(rows):
            with duckdb.connect(path) as connection:
                connection.register("rows", rows)
                connection.execute('CREATE SCHEMA IF NOT EXISTS "my schema"')
                connection.execute('CREATE TABLE IF NOT EXISTS "my schema"."t.1" AS SELECT * FROM rows LIMIT 0')
                connection.execute('INSERT INTO "my schema"."t.1" SELECT * FROM rows')

        return add

    @pytest.fixture
    def missing_source(self, path, add_rows):
        add_rows(sample_rows(1))
        return get_source("duckdb", DuckDBSourceConfig(type="duckdb", path=ResourcePath(path), table="nowhere"))

    @pytest.fixture
    def rows(self):
        """With more types, those that it keeps apart and hands over as they are."""
        same = {"int8", "int16", "int32", "uint8", "uint16", "uint32", "uint64", "float32", "decimal_9_2", "binary"}
        same |= {"decimal_38_9", "time64_us", "timestamp_ms", "timestamp_s", "timestamptz_us", "interval", "list"}
        return with_typed_columns(same | {"uuid", "json", "struct"})

    def test_booleans_inside_other_types(self, path, make_source):
        """Are booleans, in arrays of a fixed length too, of which DuckDB 2.0 itself makes something else."""
        with duckdb.connect(path) as connection:
            connection.execute('CREATE SCHEMA "my schema"')
            connection.execute(
                """CREATE TABLE "my schema"."t.1" AS SELECT i, [i % 2 = 0, NULL, true] AS list,
                [i % 2 = 0, true]::BOOLEAN[2] AS fixed, {'x': [true, i % 2 = 0]::BOOLEAN[2]} AS struct,
                map {'k': i % 2 = 0} AS map FROM range(3000) AS t(i)"""
            )
        source = make_source()

        with source.snapshot(State()) as snapshot:
            rows = read(snapshot)

        assert "bool8" not in str(rows.schema)
        assert rows.schema == source.schema()
        assert sorted(rows.to_pylist(), key=lambda row: row["i"]) == [
            {
                "i": i,
                "list": [i % 2 == 0, None, True],
                "fixed": [i % 2 == 0, True],
                "struct": {"x": [True, i % 2 == 0]},
                "map": [("k", i % 2 == 0)],
            }
            for i in range(3000)
        ]


class FolderConformance(SourceConformance):
    """What csv and parquet share."""

    supports_cursor = False  # files have no index to find rows by
    supports_modified = True

    @pytest.fixture
    def folder(self, tmp_path):
        path = tmp_path / "it's a [folder]"
        path.mkdir()
        return path

    @pytest.fixture
    def add_rows(self, folder):
        """Each in a file of its own."""
        return lambda rows: self.write(rows, folder / f"{len(list(folder.iterdir())):03}.{self.registered_as}")

    @pytest.fixture
    def rewrite(self, folder):
        """As a file that takes the place of the last one, with another time."""

        def replace(rows):
            last = max(folder.iterdir())
            now = last.stat().st_mtime_ns
            self.write(rows, last)
            os.utime(last, ns=(now + 1_000_000, now + 1_000_000))

        return replace

    @pytest.fixture
    def make_source(self, folder):
        return lambda **keys: self.source(folder, **keys)

    @pytest.fixture
    def missing_source(self, folder):
        return self.source(folder / f"nowhere.{self.registered_as}")


class TestParquet(FolderConformance):
    registered_as = "parquet"

    @staticmethod
    def source(path, **keys):
        paths = ResourcePaths([ResourcePath(path)])
        return get_source("parquet", ParquetSourceConfig(type="parquet", path=paths, **keys))

    @staticmethod
    def write(rows, path):
        pq.write_table(rows, path, row_group_size=1_300)

    @pytest.fixture
    def rows(self):
        """With every type that Parquet has."""
        return with_typed_columns(set(typed_columns()) - {"interval", "timestamp_s"})


@pytest.mark.slow  # each test asks the store dozens of times
class BucketConformance(FolderConformance):
    """The same over a prefix in S3."""

    @pytest.fixture
    def place(self, moto):
        return moto, moto.client("s3"), moto.make_bucket(), count()

    @pytest.fixture
    def put(self, place, tmp_path):
        def put(rows, number):
            _, client, bucket, _ = place
            path = tmp_path / "object"
            self.write(rows, path)
            key = f"it's a folder/{number:03}.{self.registered_as}"
            client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())

        return put

    @pytest.fixture
    def add_rows(self, place, put):
        """Each in an object of its own."""
        return lambda rows: put(rows, next(place[3]))

    @pytest.fixture
    def rewrite(self, place, put):
        """As an object that takes the place of the last one; S3 tells times by the second."""

        def replace(rows):
            time.sleep(1.1)
            put(rows, next(place[3]) - 1)

        return replace

    @pytest.fixture
    def make_source(self, place):
        moto, _, bucket, _ = place
        return lambda **keys: self.source(f"s3://{bucket}/it's a folder", aws=moto.access, **keys)

    @pytest.fixture
    def missing_source(self, place):
        moto, _, bucket, _ = place
        return self.source(f"s3://{bucket}/nowhere.{self.registered_as}", aws=moto.access)


class TestParquetInS3(BucketConformance):
    registered_as = "parquet"
    source, write = staticmethod(TestParquet.source), staticmethod(TestParquet.write)
    rows = TestParquet.rows


class TestCsv(FolderConformance):
    registered_as = "csv"
    supports_projection = False  # `columns` gives types; every column is parsed anyway

    @staticmethod
    def source(path, **keys):
        # Without rows there is nothing to infer types from.
        types = {field.name: str(field.type) for field in sample_rows(0).schema if field.name in ("id", "name")}
        paths = ResourcePaths([ResourcePath(path)])
        return get_source("csv", CsvSourceConfig(type="csv", path=paths, **{"columns": types, **keys}))

    @staticmethod
    def write(rows, path):
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(rows.schema.names)
            # An unquoted nothing is NULL; Python's module writes None so.
            writer.writerows(
                [str(v).lower() if isinstance(v, bool) else v for v in row.values()] for row in rows.to_pylist()
            )

    def test_a_type_for_a_column_that_is_not_there(self, make_source, add_rows, rows):
        """Is refused with the nearest name."""
        add_rows(rows)

        with pytest.raises(RecipeError, match="did you mean `name`"):
            make_source(columns={"namex": "string"}).schema()


class TestCsvInS3(BucketConformance):
    registered_as = "csv"
    supports_projection = TestCsv.supports_projection
    source, write = staticmethod(TestCsv.source), staticmethod(TestCsv.write)


class TestPostgres(SourceConformance):
    registered_as = "postgres"
    secret = "hunter2 & co"
    driver = "auto"

    @pytest.fixture
    def connection_keys(self, postgres):
        """Of a role that needs a password."""
        role = f"reader_{postgres.name}"
        postgres.execute(
            f"CREATE ROLE {role} LOGIN PASSWORD '{self.secret}';"
            f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {role};"
        )
        yield {**postgres.keys, "user": role, "password": Secret(self.secret)}
        postgres.execute(f"DROP OWNED BY {role}; DROP ROLE {role};")

    @pytest.fixture
    def make_source(self, connection_keys):
        def make(**keys):
            keys = {"driver": self.driver, **connection_keys, **keys}
            config = PostgresSourceConfig(type="postgres", table='"a table.1"', **keys)
            return get_source("postgres", config)

        return make

    @pytest.fixture
    def add_rows(self, postgres, connection_keys):
        def add(rows):
            from adbc_driver_postgresql import dbapi

            columns = ", ".join(f'"{f.name}" {POSTGRES_TYPES[str(f.type)]}' for f in rows.schema)
            postgres.execute(f'CREATE TABLE IF NOT EXISTS "a table.1" ({columns});')
            with dbapi.connect(postgres.dsn) as connection, connection.cursor() as cursor:
                cursor.adbc_ingest("a table.1", rows, mode="append")
                connection.commit()

        return add

    @pytest.fixture
    def missing_source(self, connection_keys):
        keys = {"driver": self.driver, **connection_keys}
        return get_source("postgres", PostgresSourceConfig(type="postgres", table="nowhere", **keys))

    @pytest.fixture
    def rows(self):
        """With more types, those that the driver writes as they are."""
        return with_typed_columns({"int16", "int32", "float32", "binary", "time64_us", "timestamptz_us", "interval"})


class TestPostgresAdbc(TestPostgres):
    driver = "adbc"


class TestPostgresConnectorx(TestPostgres):
    driver = "connectorx"

    @pytest.fixture
    def rows(self):
        """Less the interval, for which ConnectorX has no exact form."""
        return with_typed_columns({"int16", "int32", "float32", "binary", "time64_us", "timestamptz_us"})


POSTGRES_TYPES = {
    "bool": "boolean",
    "int16": "smallint",
    "int32": "integer",
    "int64": "bigint",
    "float": "real",
    "double": "double precision",
    "string": "text",
    "binary": "bytea",
    "date32[day]": "date",
    "time64[us]": "time",
    "timestamp[us]": "timestamp",
    "timestamp[us, tz=UTC]": "timestamptz",
    "month_day_nano_interval": "interval",
}


def with_typed_columns(names):
    """The suite's own rows, with columns of more types beside them, whose values come round again and again."""
    rows = sample_rows(5_000)
    for name, values in typed_columns().items():
        if name in names:
            rounds = pa.concat_arrays([values] * (rows.num_rows // len(values) + 1))
            rows = rows.append_column(f"a {name}", rounds.slice(0, rows.num_rows))
    return rows


def test_every_registered_source_is_in_the_suite(covered):
    """A source that comes with arrowload cannot be left out here."""
    here = sys.modules[__name__]

    assert covered(here, SourceConformance) == {entry.name for entry in entry_points(group=sources.group)}
