"""Every built-in state backend keeps the promises of a state backend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from importlib.metadata import entry_points

import pytest

from arrowload.api import load_recipe
from arrowload.core.registry import state_backends
from arrowload.core.state_backend import OperableStateBackend
from arrowload.engine.job import Job
from arrowload.testing.state import StateBackendConformance

TAKE_AND_DIE = """
import json, os, sys
from tests.conformance.test_state_backends import job_of
job_of(**json.loads(sys.argv[1])).state_backend.acquire(sys.argv[2], sys.argv[3], above=0)
os._exit(9)
"""


def job_of(state, destination=None):
    """A recipe with these sections, made ready; its state backend is what is tested."""
    recipe = {"name": "any", "source": {"type": "memory", "name": "any"}, "state": state}
    if destination is not None:
        recipe["destination"] = destination
    return Job(load_recipe(recipe))


class Suite(StateBackendConformance):
    """The suite over what the fixture `sections` gives: `state`, and `destination` where it matters."""

    @pytest.fixture
    def jobs(self):
        jobs = []
        yield jobs
        for job in jobs:
            job.close()

    @pytest.fixture
    def make_backend(self, sections, jobs):
        def make():
            jobs.append(job_of(**sections))
            return jobs[-1].state_backend

        return make

    @pytest.fixture
    def acquire_and_die(self, sections, jobs):
        def run(recipe, owner):
            for job in jobs:
                job.close()  # a DuckDB file is for one process at a time
            command = [sys.executable, "-c", TAKE_AND_DIE, json.dumps(sections), recipe, owner]
            assert subprocess.run(command, env=os.environ, timeout=60, check=False).returncode == 9

        return run

    def test_it_has_what_its_protocol_says(self, make_backend):
        """The engine and the command line ask this."""
        assert isinstance(make_backend(), OperableStateBackend)


class TestLocal(Suite):
    registered_as = "local"

    @pytest.fixture
    def sections(self, tmp_path):
        return {"state": {"type": "local", "path": str(tmp_path / "it's a folder" / "state")}}


class TestS3(Suite):
    registered_as = "s3"

    @pytest.fixture
    def sections(self, moto):
        return {"state": {"type": "s3", "bucket": moto.make_bucket(), "prefix": "team a/it's", "aws": moto.keys}}


class TestDynamoDB(Suite):
    registered_as = "dynamodb"

    @pytest.fixture
    def sections(self, moto):
        return {"state": {"type": "dynamodb", "table": f"state_{uuid.uuid4().hex}", "aws": moto.keys}}


class TestPostgres(Suite):
    """In a database of its own."""

    registered_as = "sql"

    @pytest.fixture
    def sections(self, postgres):
        return {"state": {"type": "sql", "database": {"type": "postgres", **postgres.keys}}}


class TestPostgresDestination(Suite):
    """Beside the ledger."""

    registered_as = "sql"

    @pytest.fixture
    def sections(self, postgres):
        return {"state": {"type": "sql"}, "destination": {"type": "postgres", "table": "t", **postgres.keys}}


class TestDuckDB(Suite):
    """Beside the ledger, in a file that one process at a time can have."""

    registered_as = "sql"

    @pytest.fixture
    def sections(self, tmp_path):
        path = str(tmp_path / "warehouse.duckdb")
        return {"state": {"type": "sql"}, "destination": {"type": "duckdb", "table": "t", "path": path}}


def test_every_registered_backend_is_in_the_suite(covered):
    """A backend that comes with arrowload cannot be left out here."""
    here = sys.modules[__name__]

    assert covered(here, StateBackendConformance) == {entry.name for entry in entry_points(group=state_backends.group)}
