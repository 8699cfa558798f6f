"""Runs that fail in every way, told at debug level: what they print, store and leave holds no secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import duckdb
import pytest

from tests.faults.http_proxy import running_http_proxy
from tests.faults.oracle import Oracle
from tests.faults.processes import start_command
from tests.faults.test_kill_everywhere import EventSource

if TYPE_CHECKING:
    from tests.moto_server import MotoServer
    from tests.postgres_server import PostgresDatabase

# Each with characters that URLs, JSON, SQL and shells write otherwise.
WORD, KEY, TOKEN = (f'canary-{name}-"%/é' for name in ("word", "key", "token"))
FAULTS = {
    "none": "",
    "killed": "finalize.ledger=kill9",
    "error": "stage.batch=err",
    "lost answer": "finalize.after=lost",
    "disk full": "stage.batch=enospc",
}


class Place:
    """A recipe whose every secret comes from the environment, and the folder that it is run in."""

    def __init__(self, folder: Path, database: PostgresDatabase, moto: MotoServer) -> None:
        self.folder, self.database, self.moto = folder, database, moto
        self.role = f"canary_{database.name}"
        quoted = WORD.replace("'", "''")
        database.execute(
            f"CREATE ROLE {self.role} LOGIN PASSWORD '{quoted}';"
            f' GRANT CREATE ON DATABASE "{database.name}" TO {self.role};'
            f" GRANT CREATE, USAGE ON SCHEMA public TO {self.role};"
        )
        source = EventSource(folder)
        source.put(Oracle().insert(range(60), second=10))
        self.environment = {"WORD": WORD, "KEY": KEY, "TOKEN": TOKEN}
        self.recipe: dict[str, Any] = {
            "name": "events",
            "source": source.config("append"),
            "destination": {
                "type": "postgres",
                **database.keys,
                "user": self.role,
                "password": "{{ env.WORD }}",
                "table": "public.events",
            },
            "state": {
                "type": "s3",
                "bucket": moto.make_bucket(),
                "aws": {
                    **moto.keys,
                    "secret_access_key": "{{ env.KEY }}",
                    "session_token": "{{ env.TOKEN }}",
                },
            },
            "runtime": {"batch_size": 20, "retries": {"max_attempts": 2, "wait_initial": "10ms"}},
        }

    def run(self, failpoints: str = "") -> tuple[int, str]:
        """The exit code, and all that was said."""
        (self.folder / "recipe.json").write_text(json.dumps(self.recipe))
        arguments = ["--debug", "run", "recipe.json", "--log-format", "json", "--report", "report.json"]
        environment = {**self.environment, "ARROWLOAD_FAILPOINTS": failpoints, "ARROWLOAD_DEBUG": "1"}
        with start_command(*arguments, folder=self.folder, environment=environment) as process:
            argv = Path(f"/proc/{process.pid}/cmdline").read_text()
            out, err = process.communicate(timeout=60)
        return process.returncode, "\n".join([argv, out, err])

    def left(self) -> str:
        """All that is stored now: files, state, the database with its ledger."""
        files = [path.read_bytes().decode("latin-1") for path in self.folder.rglob("*") if path.is_file()]
        s3 = self.moto.client("s3")
        bucket = self.recipe["state"]["bucket"]
        listed = s3.list_objects_v2(Bucket=bucket).get("Contents", ())
        objects = [s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read().decode("latin-1") for item in listed]
        dump = [str(self.database.server.psql(self.database.name, f"TABLE {table}")) for table in self.tables()]
        return "\n".join([*files, *objects, *dump])

    def tables(self) -> list[str]:
        sql = (
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('public', '_arrowload')"
        )
        return self.database.server.psql(self.database.name, sql).split()


@pytest.fixture
def place(tmp_path: Path, postgres: PostgresDatabase, moto: MotoServer) -> Place:
    return Place(tmp_path, postgres, moto)


def found(text: str) -> list[str]:
    """The canaries in a text, in any of the forms that they may have taken."""
    return [
        form
        for secret in (WORD, KEY, TOKEN)
        for form in {secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
        if form in text or form.encode().decode("latin-1") in text
    ]


def dsn(place: Place, password: str) -> str:
    keys = place.database.keys
    return f"postgresql://{place.role}:{quote(password, safe='')}@{keys['host']}:{keys['port']}/{keys['database']}"


@pytest.mark.fault(67)
@pytest.mark.parametrize(
    "name", [name if name in {"killed", "disk full"} else pytest.param(name, marks=pytest.mark.slow) for name in FAULTS]
)
def test_no_secret_is_told(place: Place, name: str) -> None:
    """Whatever befalls the run, and when it is run again."""
    code, said = place.run(FAULTS[name])
    again, said_again = place.run()

    assert code == {"killed": -9, "disk full": 75}.get(name, 0), said
    assert again == 0, said_again
    assert found(said + said_again) == []
    assert found(place.left()) == []


@pytest.mark.fault(67)
@pytest.mark.parametrize("how", ["keys", "dsn"])
def test_credentials_that_are_refused(place: Place, how: str) -> None:
    """By the database: neither the password nor the URL that has it is told, with the whole traceback."""
    place.environment["WORD"] = WORD + "wrong"
    if how == "dsn":
        keys = {key: value for key, value in place.recipe["destination"].items() if key in {"type", "table"}}
        place.environment["DSN"] = dsn(place, WORD + "wrong")
        place.recipe["destination"] = {**keys, "dsn": "{{ env.DSN }}"}

    code, said = place.run()

    assert code == 77, said
    assert "Traceback" in said
    assert found(said) == []
    assert found(place.left()) == []


@pytest.mark.fault(67)
def test_a_store_that_repeats_what_it_was_sent(place: Place) -> None:
    """Its error quotes the headers of the request, the token among them."""
    with running_http_proxy(place.moto.url, lambda request: "quote") as proxy:
        place.recipe["state"]["aws"]["endpoint_url"] = proxy.url
        code, said = place.run()

    assert code in {75, 77, 78}, said
    assert "as asked for by a test" in said
    assert found(said) == []


@pytest.mark.fault(67)
def test_an_error_of_the_server_that_quotes_a_secret(place: Place) -> None:
    """A trigger raises what it was not to know: it is masked in the message and in the traceback."""
    quoted = WORD.replace("'", "''").replace("%", "%%")
    assert place.run()[0] == 0
    place.database.execute(
        "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" RAISE EXCEPTION 'it is {quoted}'; END $$;"
        " CREATE TRIGGER tell BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION tell();"
    )
    with duckdb.connect(place.recipe["source"]["path"]) as connection:
        connection.execute("UPDATE events SET moved_at = moved_at + INTERVAL 1 minute")

    code, said = place.run()

    assert code not in {0, 74}, said
    assert "it is ***" in said
    assert found(said) == []
