"""Every built-in destination keeps the promises of a destination."""

from __future__ import annotations

import datetime as dt
import sys
import uuid
from contextlib import closing
from decimal import Decimal
from importlib.metadata import entry_points
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pyarrow.types as pt
import pytest

from arrowload.connectors.csv import CsvDestinationConfig, CsvSourceConfig
from arrowload.connectors.duckdb import DuckDBDestinationConfig
from arrowload.connectors.files.source import FileSource
from arrowload.connectors.memory import MemoryDestinationConfig
from arrowload.connectors.memory.store import MemoryStore
from arrowload.connectors.parquet import ParquetDestinationConfig, ParquetSourceConfig
from arrowload.connectors.postgres import PostgresDestinationConfig
from arrowload.connectors.registry import get_destination, get_source
from arrowload.core.exceptions import TransientConnectorError
from arrowload.core.registry import destinations
from arrowload.core.state import State
from arrowload.io.files import NoFilesError
from arrowload.models.units import ByteSize, ResourcePath, ResourcePaths
from arrowload.testing.destinations import DestinationConformance
from arrowload.testing.samples import ODD_NAMES, typed_columns

NESTED_OR_BINARY = frozenset(
    {"binary", "large_binary", "fixed_binary", "interval", "duration_us", "list", "struct"},
)


class TestMemory(DestinationConformance):
    registered_as = "memory"
    refuses_type = None  # a table of this process holds every Arrow type

    @pytest.fixture
    def store(self):
        return MemoryStore()

    @pytest.fixture
    def make_destination(self, store):
        return lambda: get_destination("memory", MemoryDestinationConfig(type="memory", name="t"), store)

    @pytest.fixture
    def read_back(self, store):
        return lambda schema: store.tables["t"].to_pylist() if "t" in store.tables else []


class TestDuckDB(DestinationConformance):
    registered_as = "duckdb"
    refuses_types = frozenset({"decimal_60_10"})  # its decimals end at 38 digits

    @pytest.fixture
    def path(self, tmp_path):
        return tmp_path / "it's a.duckdb"

    @pytest.fixture
    def make_destination(self, path):
        config = DuckDBDestinationConfig(type="duckdb", path=ResourcePath(path), table='my schema."t.1"')
        return lambda: get_destination("duckdb", config)

    @pytest.fixture
    def read_back(self, path):
        def read(schema):
            if not path.exists():
                return []
            # A file that is open in this process can be opened again with the same settings only.
            settings = {"autoinstall_known_extensions": False}
            with duckdb.connect(path, config=settings) as connection:
                connection.execute("SET TimeZone = 'UTC'")
                connection.execute("SET arrow_lossless_conversion = true")
                try:
                    table = connection.sql('SELECT * FROM "my schema"."t.1"').to_arrow_table()
                except duckdb.CatalogException:
                    return []
            return [
                {name: from_driver(value, schema.field(name).type) for name, value in row.items()}
                for row in table.to_pylist()
            ]

        return read

    @pytest.fixture
    def read_during(self, path, read_back):
        # Held open, so that the file is not opened anew, by two threads at once, in the middle of the test.
        with duckdb.connect(path, config={"autoinstall_known_extensions": False}):
            yield read_back


class FolderConformance(DestinationConformance):
    """What csv and parquet share."""

    supports_merge = False  # a file cannot update rows in place

    @pytest.fixture
    def folder(self, tmp_path):
        return tmp_path / "a folder" / "out"


class TestParquet(FolderConformance):
    registered_as = "parquet"
    refuses_types = frozenset({"interval"})  # there is none in Parquet

    @pytest.fixture
    def make_destination(self, folder):
        config = ParquetDestinationConfig(
            type="parquet", path=ResourcePath(folder), target_file_size=ByteSize.parse("1KiB")
        )
        return lambda: get_destination("parquet", config)

    @pytest.fixture
    def read_back(self, folder):
        def read(schema):
            parts = sorted(folder.glob("*.parquet"))
            tables = [pq.read_table(part, partitioning=None) for part in parts]
            return pa.concat_tables(tables, promote_options="default").to_pylist() if tables else []

        return read

    @pytest.fixture
    def read_during(self, folder):
        """Through the log: a plain glob may see parts of both versions, as the connector's documentation says."""
        return reader_of_the_log("parquet", ParquetSourceConfig, folder)


class TestCsv(FolderConformance):
    registered_as = "csv"
    supports_new_columns = False  # all parts have one header, so that a reader may put them one behind the other
    supports_missing_columns = False  # for the same reason
    refuses_types = NESTED_OR_BINARY  # CSV has no form for these that all readers agree on

    @pytest.fixture
    def make_destination(self, folder):
        config = CsvDestinationConfig(type="csv", path=ResourcePath(folder), target_file_size=ByteSize.parse("1KiB"))
        return lambda: get_destination("csv", config)

    @pytest.fixture
    def read_back(self, folder):
        return lambda schema: [row for part in sorted(folder.glob("*.csv")) for row in read_csv(part, schema)]

    @pytest.fixture
    def read_during(self, folder):
        """Through the log: a plain glob may see parts of both versions, as the connector's documentation says."""

        def read(schema):
            columns = {"id": "int64", "name": "string"}
            return reader_of_the_log("csv", CsvSourceConfig, folder, columns=columns)(schema)

        return read


class BucketConformance(FolderConformance):
    """The same over a prefix in S3, read back by who lists the prefix and knows nothing of the log."""

    @pytest.fixture
    def url(self, moto):
        return f"s3://{moto.make_bucket()}/a prefix/out"

    @pytest.fixture
    def parts(self, moto, url):
        """The objects of a format, each with its name and its bytes."""
        client, bucket, prefix = moto.client("s3"), url.split("/")[2], f"{url.split('/', 3)[3]}/"

        def get(suffix):
            listed = client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ())
            keys = [item["Key"] for item in listed if "_arrowload/" not in item["Key"]]
            return [client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys if key.endswith(suffix)]

        return get

    @pytest.mark.slow  # how a value is kept does not depend on where its file is
    @pytest.mark.parametrize("name", sorted(typed_columns()))
    def test_values_come_back_as_they_went_in(self, pipeline, read_back, name):
        super().test_values_come_back_as_they_went_in(pipeline, read_back, name)

    @pytest.mark.slow  # nor do the names of its columns
    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_odd_names_of_keys(self, pipeline, read_back, name):
        super().test_odd_names_of_keys(pipeline, read_back, name)


class TestParquetInS3(BucketConformance):
    registered_as = "parquet"
    refuses_types = TestParquet.refuses_types

    @pytest.fixture
    def make_destination(self, moto, url):
        config = ParquetDestinationConfig(
            type="parquet", path=ResourcePath(url), target_file_size=ByteSize.parse("1KiB"), aws=moto.access
        )
        return lambda: get_destination("parquet", config)

    @pytest.fixture
    def read_back(self, parts):
        def read(schema):
            tables = [pq.read_table(pa.BufferReader(part), partitioning=None) for part in parts(".parquet")]
            return pa.concat_tables(tables, promote_options="default").to_pylist() if tables else []

        return read

    @pytest.fixture
    def read_during(self, moto, url):
        """Through the log."""
        return reader_of_the_log("parquet", ParquetSourceConfig, url, aws=moto.access)


@pytest.mark.slow  # what S3 does, Parquet shows; what CSV does, a folder
class TestCsvInS3(BucketConformance):
    registered_as = "csv"
    supports_new_columns = TestCsv.supports_new_columns
    supports_missing_columns = TestCsv.supports_missing_columns
    refuses_types = TestCsv.refuses_types

    @pytest.fixture
    def make_destination(self, moto, url):
        config = CsvDestinationConfig(
            type="csv", path=ResourcePath(url), target_file_size=ByteSize.parse("1KiB"), aws=moto.access
        )
        return lambda: get_destination("csv", config)

    @pytest.fixture
    def read_back(self, parts, tmp_path):
        def read(schema):
            found = []
            for part in parts(".csv"):
                (tmp_path / "part.csv").write_bytes(part)
                found += read_csv(tmp_path / "part.csv", schema)
            return found

        return read

    @pytest.fixture
    def read_during(self, moto, url):
        """Through the log."""
        columns = {"id": "int64", "name": "string"}
        return reader_of_the_log("csv", CsvSourceConfig, url, columns=columns, aws=moto.access)


class TestPostgres(DestinationConformance):
    registered_as = "postgres"
    # A composite type would have to be made first; there is no unsigned 64-bit integer, but numeric(20,0) holds it.
    refuses_types = frozenset({"struct"})

    @pytest.fixture
    def make_destination(self, postgres):
        config = PostgresDestinationConfig(type="postgres", table='"my schema"."t.1"', **postgres.keys)
        return lambda: get_destination("postgres", config)

    @pytest.fixture
    def read_back(self, postgres):
        def read(schema):
            found = postgres.query(
                "SELECT attname::text, atttypid::regtype::text FROM pg_attribute"
                ' WHERE attrelid = to_regclass(\'"my schema"."t.1"\') AND attnum > 0 AND NOT attisdropped'
            )
            if not found:
                return []
            names = [name for name, _ in found]
            as_text = ("numeric", "uuid", "json", "jsonb")
            items = ['"{}"{}'.format(n.replace('"', '""'), "::text" if k in as_text else "") for n, k in found]
            rows = postgres.query(f'SELECT {", ".join(items)} FROM "my schema"."t.1"')
            return [{n: from_driver(v, schema.field(n).type) for n, v in zip(names, row, strict=True)} for row in rows]

        return read


def test_every_registered_destination_is_in_the_suite(covered):
    """A destination that comes with arrowload cannot be left out here."""
    here = sys.modules[__name__]

    assert covered(here, DestinationConformance) == {entry.name for entry in entry_points(group=destinations.group)}


# ---------------------------------------------------------------- readers


def reader_of_the_log(name, config, folder, **keys):
    """Reads a folder as a recipe that has it for its source would, so that the log says which parts are live."""

    def read(schema):
        for _ in range(100):
            source = get_source(name, config(type=name, path=ResourcePaths([ResourcePath(folder)]), **keys))
            assert isinstance(source, FileSource)
            try:
                with closing(source), source.snapshot(State()) as snapshot:
                    splits = [snapshot.read_split(split, batch_size=1_000).read_all() for split in snapshot.splits(1)]
                    return pa.concat_tables([snapshot.schema.empty_table(), *splits]).to_pylist()
            except NoFilesError:
                return []
            except TransientConnectorError:
                continue  # a part was replaced between the look at the log and the reading
        raise AssertionError("a hundred readings in a row met a replace")

    return read


def read_csv(part, schema):
    """The rows of one part: every field as text through pyarrow, and from there to Python values."""
    with part.open("rb") as file:
        header = pa_csv.read_csv(file, convert_options=pa_csv.ConvertOptions(check_utf8=True)).schema.names
    table = pa_csv.read_csv(
        part,
        parse_options=pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=len(header) > 1),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        ),
    )
    return [
        {name: from_text(value, schema.field(name).type) for name, value in row.items()} for row in table.to_pylist()
    ]


def from_driver(value: Any, kind: pa.DataType) -> Any:
    """What a driver hands over for a value of that type."""
    if isinstance(value, pa.MonthDayNano) and pt.is_duration(kind):
        assert value.months == 0
        return dt.timedelta(days=value.days, microseconds=value.nanoseconds // 1_000)
    return from_text(value, kind)


def from_text(value: Any, kind: pa.DataType) -> Any:
    """What a text of that type says, by Python's own rules; what is no text stays."""
    if not isinstance(value, str):
        return value
    if pt.is_decimal(kind):
        return Decimal(value)
    if pt.is_integer(kind):
        return int(value)
    if pt.is_floating(kind):
        return float(value)
    if pt.is_boolean(kind):
        return {"true": True, "false": False}[value]
    if pt.is_date(kind):
        return dt.date.fromisoformat(value)
    if pt.is_time(kind):
        return dt.time.fromisoformat(value)
    if pt.is_timestamp(kind):
        return dt.datetime.fromisoformat(value)
    return uuid.UUID(value) if isinstance(kind, pa.UuidType) else value
